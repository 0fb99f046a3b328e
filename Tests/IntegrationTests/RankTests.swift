// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

extension Integration {
    /// What ranks do together, called directly: a program of tests, on several numbers of ranks.
    @Suite struct RankTests {
        /// Beside the tests.
        private static let program = Launch.built("RankTests")

        @Test(
            .enabled(if: !Launch.isMPICH, "it is built with the library of the tests"),
            arguments: [1, 2, 3, 5])
        func everyCaseHoldsForAnyNumberOfRanks(ranks: Int) throws {
            let folder = try Folder()
            let outcome = try Launch.run(
                Launch.mpirun(ranks) + [Self.program, folder.path],
                // What MPI libraries hold at their end is theirs.
                environment: ["ASAN_OPTIONS": "detect_leaks=0"], seconds: 60)
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.output.split(separator: "\n").count > 20, "\(outcome.output)")
        }
    }
}
