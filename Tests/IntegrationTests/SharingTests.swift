// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Ranks that do not mean the same file by a path are found out before the first byte.
    @Suite(.enabled(if: Launch.mayMount, "mounting needs root")) struct SharingTests {
        /// How ranks come to mean different files.
        enum Difference: String, CaseIterable {
            /// Another folder is mounted over that of the output, as where /tmp is each node's own.
            case mount
            /// They work in different folders, and the path is a relative one.
            case folder
            /// Another file is mounted over the output.
            case file

            /// What an odd rank does before it becomes the program; `$0` is the folder of the test.
            var script: String {
                switch self {
                case .mount: #"mount --bind "$0/other" "$0/out""#
                case .folder: #"cd "$0/other""#
                case .file: #"mount --bind "$0/other/f" "$0/out/f""#
                }
            }
        }

        /// What is asked of them.
        struct Case: CustomTestStringConvertible {
            let words: [String]
            var differences = Difference.allCases
            var component: String?
            /// Whether nothing is there before.
            var isFresh = false
            var testDescription: String {
                "\(words.joined(separator: " ")) \(component ?? "") \(isFresh ? "fresh" : "")"
            }
        }

        private static let spec = ["-s", "4MiB", "--seed", "5", "--watchdog", "20"]

        private static let cases: [Case] = {
            let overwrite = ["--overwrite"] + spec
            let quick = [
                Case(
                    words: overwrite + ["--io", "posix", "--preallocate"],
                    differences: [.folder, .file]),
                Case(words: spec, differences: [.mount], isFresh: true),
                Case(words: ["verify"], differences: [.mount]),
            ]
            let modes: [[String]] = [
                [], ["--collective"], ["--strided"], ["--preallocate"], ["--io", "posix"],
                ["--layout", "per-rank"], ["--io", "posix", "--layout", "per-rank"],
                ["--segments", "4", "--collective"], ["--sync", "each"],
            ]
            var all: [Case] = []
            for component in Launch.components {
                for mode in modes {
                    let isPerRank = mode.contains("per-rank")
                    let differences: [Difference] =
                        isPerRank ? [.mount, .folder] : Difference.allCases
                    all.append(
                        Case(
                            words: overwrite + mode, differences: differences, component: component)
                    )
                    all.append(
                        Case(
                            words: spec + mode, differences: [.mount, .folder],
                            component: component, isFresh: true))
                }
                for words in [
                    ["verify"], ["verify", "--io", "posix"], ["repair"],
                    ["test", "--overwrite"] + spec, ["test", "--phases", "verify"] + spec,
                    ["--resume"] + spec,
                ] {
                    all.append(Case(words: words, component: component))
                }
            }
            return TestForm.cases(
                quick, more: all, of: "ranksThatDoNotShareTheOutputAreRefused")
        }()

        @Test(arguments: cases)
        private func ranksThatDoNotShareTheOutputAreRefused(test: Case) throws {
            for difference in test.differences {
                let folder = try Folder()
                for name in ["out", "other"] {
                    try FileManager.default.createDirectory(
                        atPath: folder.file(name), withIntermediateDirectories: false)
                }
                if !test.isFresh {
                    _ = try Launch.alone(["-o", folder.file("out/f"), "--quiet"] + Self.spec)
                    _ = try Launch.run(["cp", "-a", folder.file("out/."), folder.file("other")])
                }
                let before = try contents(folder)
                let path = difference == .folder ? "f" : folder.file("out/f")
                let isWriting = test.words.first?.hasPrefix("-") == true || test.words[0] == "test"
                let outcome = try run(
                    folder, difference.script, component: test.component,
                    test.words + (isWriting ? ["-o", path] : [path]))
                let note = "\(test.testDescription) \(difference): \(outcome.error)"
                #expect(outcome.status == 3, "\(note)")
                #expect(outcome.complaints.count == 1, "\(note)")
                let complaint = outcome.complaints.first ?? ""
                #expect(complaint.contains("do not share"), "\(note)")
                #expect(complaint.contains("ranks 1, 3 on "), "\(note)")
                // Neither a byte of what was there, nor anything beside it.
                #expect(try contents(folder) == before, "\(note)")
            }
        }

        @Test func whatCannotBeWrittenIsTheSameForAllWhoReadIt() throws {
            let folder = try Folder()
            for name in ["out", "other"] {
                try FileManager.default.createDirectory(
                    atPath: folder.file(name), withIntermediateDirectories: false)
            }
            _ = try Launch.alone(["-o", folder.file("out/f"), "--quiet"] + Self.spec)
            // Copies of other contents or times; and the same, which is read.
            let quick: [(String, Int32)] = [("touch f", 3), ("true", 0)]
            let more: [(String, Int32)] = [
                ("printf x >> f", 3), ("sed -i s/run/ran/ f.dgen.json", 3), ("rm f", 3),
                ("rm f.dgen.json", 3),
            ]
            for (change, status) in TestForm.isWhole ? quick + more : quick {
                let script = #"rm -f "$0"/other/*; cp -a "$0"/out/. "$0"/other; cd "$0"/other; "#
                _ = try Launch.run(["bash", "-c", script + change, folder.path])
                let outcome = try run(
                    folder, #"mount --bind -o ro "$0/other" "$0/out""#,
                    all: #"mount --bind -o ro "$0/out" "$0/out""#,
                    ["verify", folder.file("out/f"), "--quiet"])
                #expect(outcome.status == status, "\(change): \(outcome.error)")
                #expect(outcome.complaints.count == (status == 0 ? 0 : 1), "\(outcome.error)")
            }
        }

        /// Runs the program in a folder `out`, with four ranks, of which the odd ones do something else before.
        private func run(
            _ folder: Folder, _ script: String, all: String = "true", component: String? = nil,
            _ words: [String]
        ) throws -> Outcome {
            let start = #"""
                cd "$0/out"; \#(all)
                if ((${OMPI_COMM_WORLD_RANK:-$PMI_RANK} % 2)); then \#(script); fi
                exec "$@"
                """#
            return try Launch.run(
                Launch.mpirun(4, component: component) + [
                    "unshare", "--mount", "bash", "-c", start, folder.path, Launch.program,
                ] + words, seconds: 30)
        }

        /// The names, lengths and sums of all files.
        private func contents(_ folder: Folder) throws -> String {
            try Launch.run(
                [
                    "sh", "-c", #"cd "$0"; find . | sort; find . -type f -exec md5sum {} + | sort"#,
                    folder.path,
                ]
            ).output
        }
    }
}
