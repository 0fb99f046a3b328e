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
    /// Whether it was a call on a file, so that storage is what failed.
    package let isFileCall: Bool

    package init(function: String, code: Int32, text: String, isFileCall: Bool) {
        self.function = function
        self.code = code
        self.text = text
        self.isFileCall = isFileCall
    }

    /// One line: function, text.
    package var description: String { "\(function): \(text)" }

    /// A write that was reported as done with fewer bytes than were given to it.
    ///
    /// Open MPI's default I/O component does that on a full file system instead of returning an
    /// error.
    static func shortWrite(_ function: StaticString, stored: Int, of count: Int) -> MPIError {
        MPIError(
            function: "\(function)", code: cmpi_err_io(),
            text: "stored only \(stored) of \(count) bytes and reported success", isFileCall: true)
    }
}

/// The one gate: every status that MPI returns passes here.
func check(
    _ code: Int32, _ function: StaticString, isFileCall: Bool = false
) throws(MPIError) {
    guard code != MPI_SUCCESS else { return }
    var text = [CChar](repeating: 0, count: Int(cmpi_max_error_string()) + 1)
    var length: Int32 = 0
    let known = MPI_Error_string(code, &text, &length) == MPI_SUCCESS
    throw MPIError(
        function: "\(function)", code: code,
        text: known
            ? String(terminated: text).split(whereSeparator: \.isNewline).joined(separator: " ")
            : "code \(code)",
        isFileCall: isFileCall)
}

extension String {
    /// The text that a C function has written to `characters`, which ends before a zero.
    init(terminated characters: [CChar]) {
        self.init(
            decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
