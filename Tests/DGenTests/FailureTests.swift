// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI
import Testing

@testable import DGen

/// The documented exit statuses: 2 usage, 3 I/O, 4 MPI or launcher.
@Suite struct FailureTests {
    private static func error(_ function: String, isFileCall: Bool) -> MPIError {
        MPIError(function: function, code: 1, text: "no words", isFileCall: isFileCall)
    }

    private struct Bug: Error {}

    @Test(
        arguments: [
            (error("MPI_File_open", isFileCall: true), .inputOutput),
            (error("MPI_Get_elements_x", isFileCall: false), .mpi),
            // On no file, whatever its name begins with.
            (error("MPI_File_set_errhandler", isFileCall: false), .mpi),
            (InvalidField(field: "size", value: "x", accepted: "a number"), .usage),
            (Failure(.interrupted, "SIGTERM"), .interrupted),
        ] as [(any Error, DGen.ExitStatus)])
    func eachKindOfErrorHasItsStatus(error: any Error, status: DGen.ExitStatus) {
        #expect(Failure(error).status == status)
    }

    @Test func whatCannotBeEncodedOrReadIsNotCalledStorages() {
        let failures = [
            Failure(Bug()), #expect(throws: Failure.self) { try JSON.encode([Double.nan]) },
            #expect(throws: Failure.self) { try JSON.pack([Double.nan]) },
            #expect(throws: Failure.self) { try JSON.unpack([0x7B], as: [Int].self) },
        ]
        for failure in failures {
            #expect(failure?.status == .mpi)
            #expect(failure?.message.hasPrefix("a bug of dgen-mpi, please report it: ") == true)
            #expect(failure?.message.contains("\n") == false)
        }
    }
}
