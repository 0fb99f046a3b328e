// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Ranks that are asked for different things end together before they do any of them.
    @Suite struct CommandLineTests {
        private static let generate = ["-o", "OUT", "-s", "1MiB", "--seed", "3", "--quiet"]

        /// What most ranks have, what one of them has, and how the message tells the two apart.
        private static let quick: [([String], [String], String)] = [
            (generate, generate + ["--sise", "3"], "'--sise 3' instead of nothing"),
            (
                generate, ["-o", "OUT", "-s", "2MiB", "--seed", "3", "--quiet"],
                "'-s 2MiB' instead of '-s 1MiB'"
            ),
            (generate, ["plan", "-s", "1MiB"], "'plan -s 1MiB' instead of "),
        ]
        private static let more: [([String], [String], String)] = [
            (generate, ["--help"], "'--help' instead of "),
            (["--version"], generate, " instead of '--version'"),
            (["info"], ["plan", "-s", "1MiB"], "'plan -s 1MiB' instead of 'info'"),
            (["bench", "--milliseconds", "1"], ["--version"], "'--version' instead of "),
            (["verify", "OUT"], ["repair", "OUT"], "'repair' instead of 'verify'"),
            (["generate"] + generate, ["test"] + generate, "'test' instead of 'generate'"),
            (generate, generate + ["--overwrite"], "'--overwrite' instead of nothing"),
            (generate, Array(generate.dropLast()), "nothing instead of '--quiet'"),
            (generate, generate + ["a\nb"], #"'--quiet a\nb' instead of '--quiet'"#),
            (generate, [], "nothing instead of "),
        ]

        @Test(
            arguments: TestForm.cases(
                quick, more: more, of: "ranksWithAnotherCommandLineAreNamed"))
        func ranksWithAnotherCommandLineAreNamed(
            most: [String], other: [String], words: String
        ) throws {
            for rank in TestForm.isWhole ? [0, 2] : [2] {
                let folder = try Folder()
                var arguments: [String] = []
                for number in 0..<3 {
                    let own = [Launch.program] + (number == rank ? other : most)
                    arguments +=
                        (number == 0 ? [] : [":", "-n", "1"])
                        + own.map { $0 == "OUT" ? folder.file("f") : $0 }
                }
                let outcome = try Launch.run(Launch.mpirun(1) + arguments, seconds: 30)
                #expect(outcome.status == 2, "\(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                let complaint = outcome.complaints.first ?? ""
                #expect(complaint.contains("rank \(rank) on "), "\(complaint)")
                #expect(complaint.contains(words), "\(complaint)")
                #expect(outcome.output.isEmpty)
                #expect(!folder.exists("f") && !folder.exists("f.dgen.json"))
            }
        }
    }
}
