// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen

/// What the process tells the shell; the same on every rank.
package enum ExitStatus: Int32, Codable, Sendable {
    case done = 0
    case mismatch = 1
    case usage = 2
    case inputOutput = 3
    case mpi = 4
    case interrupted = 5
}

/// Why a command cannot go on: one line, and the exit status that it leads to.
package struct Failure: Error, Codable {
    package let status: ExitStatus
    package let message: String
    /// Whether something is in the way that nobody has asked to overwrite.
    package let isInTheWay: Bool

    package init(_ status: ExitStatus, _ message: String, isInTheWay: Bool = false) {
        (self.status, self.isInTheWay) = (status, isInTheWay)
        // Longer than any path, which is quoted once or twice.
        self.message = message.inOneLine(bytesMax: 10_000)
    }

    /// A value that is refused is a wrong use.
    package init(_ error: InvalidField) { self.init(.usage, "\(error)") }

    /// Reads what options say.
    package static func reading<Result>(
        _ value: @autoclosure () throws(InvalidField) -> Result
    ) throws(Failure) -> Result {
        do { return try value() } catch { throw Failure(error) }
    }
}
