// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI

/// What the process tells the shell; the same on every rank.
enum ExitStatus: Int32, Codable {
    case done = 0
    case mismatch = 1
    case usage = 2
    case inputOutput = 3
    case mpi = 4
    case interrupted = 5
}

/// Why a command cannot go on: one line, and the exit status that it leads to.
struct Failure: Error, Codable {
    let status: ExitStatus
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        // Longer than any path, which is quoted once or twice.
        self.message = message.inOneLine(bytesMax: 10_000)
    }

    /// Gives what a call of MPI reports its place among the exit statuses.
    init(_ error: MPIError) { self.init(error.isFileCall ? .inputOutput : .mpi, "\(error)") }

    /// Makes a call of MPI, with such a failure.
    static func mapping<Result: ~Copyable>(
        _ call: () throws(MPIError) -> Result
    ) throws(Failure) -> Result {
        do { return try call() } catch { throw Failure(error) }
    }

    /// Reads what options say; a value that is refused is a wrong use.
    static func reading<Result>(
        _ value: @autoclosure () throws(InvalidField) -> Result
    ) throws(Failure) -> Result {
        do { return try value() } catch { throw Failure(error) }
    }

    /// Gives an error of another kind its place among the exit statuses.
    ///
    /// One that this program does not throw itself is a bug in it, such as what cannot be encoded for other ranks: not
    /// storage's fault, nor that of the command line. What the run is made of has failed then, as when MPI does.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as MPIError: self.init(error)
        case let error as InvalidField: self.init(.usage, "\(error)")
        default: self.init(.mpi, "a bug of dgen-mpi, please report it: \(error)")
        }
    }
}
