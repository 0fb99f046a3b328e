// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
// Whoever can fail has its words: all of the program.
@_exported public import Files
import MPI

extension Failure {
    /// Gives what a call of MPI reports its place among the exit statuses.
    init(_ error: MPIError) { self.init(error.isFileCall ? .inputOutput : .mpi, "\(error)") }

    /// Makes a call of MPI, with such a failure.
    static func mapping<Result: ~Copyable>(
        _ call: () throws(MPIError) -> Result
    ) throws(Failure) -> Result {
        do { return try call() } catch { throw Failure(error) }
    }

    /// Gives an error of another kind its place among the exit statuses.
    ///
    /// One that this program does not throw itself is a bug in it, such as what cannot be encoded for other ranks: not
    /// storage's fault, nor that of the command line. What the run is made of has failed then, as when MPI does.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as MPIError: self.init(error)
        case let error as InvalidField: self.init(error)
        default: self.init(.mpi, "a bug of dgen-mpi, please report it: \(error)")
        }
    }
}
