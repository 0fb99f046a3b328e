// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI

/// What an MPI call reported, with MPI's own words.
package struct MPIError: Error, Sendable, CustomStringConvertible {
    /// The MPI function that failed.
    package let function: String
    /// The code that it returned; what it means beyond its class is the library's own affair.
    package let code: Int32
    /// The library's text for the code, in one line.
    package let text: String

    package init(function: String, code: Int32, text: String) {
        self.function = function
        self.code = code
        self.text = text
    }

    /// One line: function, text.
    package var description: String { "\(function): \(text)" }

    /// A write that was reported as done with fewer bytes than were given to it.
    ///
    /// Open MPI's default I/O component does that on a full file system instead of returning an
    /// error.
    static func shortWrite(_ function: StaticString, stored: Int, of count: Int) -> MPIError {
        MPIError(
            function: "\(function)", code: Int32(MPI_ERR_IO),
            text: "stored only \(stored) of \(count) bytes and reported success")
    }
}

/// The one gate: every status that MPI returns passes here.
func check(_ code: Int32, _ function: StaticString) throws(MPIError) {
    guard code != MPI_SUCCESS else { return }
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING) + 1)
    var length: Int32 = 0
    let known = MPI_Error_string(code, &text, &length) == MPI_SUCCESS
    let words = String(
        decoding: text.prefix(Int(length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    throw MPIError(
        function: "\(function)", code: code,
        text: known
            ? words.split(whereSeparator: \.isNewline).joined(separator: " ") : "code \(code)")
}
