// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// `dgen-mpi test`: phases, repetitions, who reads what, and what is left behind.
    @Suite struct FileTestTests {
        private func operations(_ report: [String: Any]) throws -> [[String: Any]] {
            try #require(report["operations"] as? [[String: Any]])
        }

        @Test(
            arguments: TestForm.cases(
                [1, 3], more: [2, 4], of: "phasesAreRepeatedAndSummarisedAndTheFileIsTakenAway"))
        func phasesAreRepeatedAndSummarisedAndTheFileIsTakenAway(ranks: Int) throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                ranks,
                [
                    "test", "-o", folder.file("f"), "-s", "5000001", "--compress-ratio", "1.5",
                    "--align", "64KiB", "--repeat", "3", "--warm-up", "1", "--report",
                    folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.output.contains("every byte is right"))
            #expect(outcome.output.contains("of \(ranks) ranks read what their own node wrote"))
            #expect(!folder.exists("f"))
            #expect(!folder.exists("f.dgen.json"))
            let report = try folder.json("r")
            let found = try operations(report)
            #expect(
                found.map { $0["operation"] as? String }
                    == Array(repeating: ["write", "read", "verify"], count: 3).flatMap { $0 })
            #expect(
                found.map { $0["iteration"] as? Int } == [0, 0, 0, 1, 1, 1, 2, 2, 2])
            let summary = try #require(report["summary"] as? [String: [String: Any]])
            for phase in ["write", "read", "verify"] {
                let rates = found.filter { $0["operation"] as? String == phase }
                    .compactMap { $0["bytes_per_second"] as? Double }.sorted()
                #expect(summary[phase]?["count"] as? Int == 3)
                #expect(summary[phase]?["median"] as? Double == rates[1])
                #expect(summary[phase]?["minimum"] as? Double == rates[0])
                #expect(summary[phase]?["maximum"] as? Double == rates[2])
            }
            #expect(found.allSatisfy { ($0["slowest_node"] as? String)?.isEmpty == false })
        }

        /// Options of writing and reading, each of them in the gate, many together.
        private static let ways = TestForm.cases(
            [
                ["--no-fresh-file", "--repeat", "2", "--preallocate"],
                ["--io", "posix", "--preallocate", "--read-order", "same", "--drop-cache"],
                ["--segments", "3", "--align", "4KiB", "--order", "random", "-t", "10000"],
                ["--strided", "-t", "64KiB", "--io", "posix", "--sync", "each"],
                ["--strided", "-t", "64KiB", "--collective", "--queue-depth", "3"],
                [
                    "--segments", "9", "--align", "4KiB", "--collective", "--read-order",
                    "shuffle", "--shuffle-seed", "9",
                ],
                ["--sync", "none", "--phases", "write"], ["--sync", "each", "--collective"],
            ],
            more: [
                ["--phases", "write"], ["--no-fresh-file", "--repeat", "2"], ["--preallocate"],
                ["--collective"], ["--read-order", "shuffle", "--shuffle-seed", "9"],
                ["--io", "posix", "--preallocate"], ["--read-order", "same", "--drop-cache"],
                ["--io", "posix", "--no-fresh-file", "--repeat", "2"],
                ["--phases", "write,verify,read,verify"],
                ["--strided", "-t", "64KiB", "--io", "posix"],
                ["--segments", "9", "--align", "4KiB", "--collective", "--read-order", "shuffle"],
                ["--queue-depth", "4", "-t", "100000"],
                ["--sync", "none"], ["--sync", "each"], ["--sync", "none", "--collective"],
                ["--sync", "each", "--io", "posix"],
            ], of: "theFileIsThatOfGenerateHoweverItIsWritten")

        private static let written: [String] = [
            "-s", "3000001", "--seed", "5", "--dedup-ratio", "1.5",
        ]

        /// What `generate` makes, as coreutils sum it up.
        private static let generated: Result<String, any Error> = Result {
            let folder = try Folder()
            _ = try Launch.ranks(2, ["-o", folder.file("g"), "--quiet"] + written)
            return try folder.sha256("g")
        }

        @Test(arguments: ways)
        func theFileIsThatOfGenerateHoweverItIsWritten(options: [String]) throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                3, ["test", "-o", folder.file("t"), "--keep", "--quiet"] + Self.written + options)
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try folder.sha256("t") == Self.generated.get())
        }

        @Test func whatATestKeepsAnotherOneReads() throws {
            let folder = try Folder()
            let kept = try Launch.ranks(
                3, ["test", "-o", folder.file("t"), "--keep", "--quiet"] + Self.written)
            #expect(kept.status == 0, "\(kept.error)")
            // Another run with another number of ranks verifies it.
            #expect(try Launch.ranks(4, ["verify", folder.file("t")]).status == 0)
            let again = try Launch.ranks(
                4, ["test", "-o", folder.file("t"), "--phases", "verify,read"] + Self.written)
            #expect(again.status == 0, "\(again.error)")
            #expect(folder.exists("t"), "what a test has not written it does not take away")
        }

        @Test(
            arguments: TestForm.cases(
                [
                    ["--read-order", "shuffle", "--strided", "-t", "4096"],
                    ["--read-order", "shift", "--order", "random", "-t", "4096"],
                    ["--collective", "--segments", "50", "-t", "10000", "--queue-depth", "2"],
                ],
                more: [
                    ["--read-order", "same"], ["--read-order", "shift"],
                    ["--read-order", "shuffle"], ["--strided", "-t", "4096"],
                    ["--order", "random", "-t", "4096"], ["--collective"],
                    ["--segments", "50", "-t", "10000", "--queue-depth", "2"],
                ], of: "damageIsFoundWhereItIsWhoeverReadsIt"))
        func damageIsFoundWhereItIsWhoeverReadsIt(options: [String]) throws {
            let folder = try Folder()
            let spec = ["-s", "3000001", "--seed", "5", "--align", "4KiB"]
            #expect(try Launch.ranks(2, ["-o", folder.file("f")] + spec).status == 0)
            // One at the border of two shards of three ranks, so that two readers see it.
            for offset in [7, 1_003_519, 1_003_520, 2_999_999] { try folder.flip("f", at: offset) }
            let outcome = try Launch.ranks(
                3,
                [
                    "test", "-o", folder.file("f"), "--phases", "verify,read", "--repeat", "5",
                    "--report", folder.file("r"),
                ] + spec + options)
            #expect(outcome.status == 1, "\(outcome.error)")
            #expect(outcome.output.contains("DIFFERS"))
            let report = try folder.json("r")
            #expect(report["status"] as? String == "mismatch")
            let damage = try #require(report["damage"] as? [[String: Any]])
            #expect(damage.map { $0["offset"] as? Int } == [7, 1_003_519, 2_999_999])
            #expect(report["wrong_bytes"] as? Int == 4)
            // It stops there.
            #expect(try operations(report).count == 1)
            #expect(folder.exists("f"))
        }

        @Test(
            arguments: TestForm.cases(["posix"], more: ["mpi"], of: "aFileForEachRankIsItsShard"))
        func aFileForEachRankIsItsShard(io: String) throws {
            let folder = try Folder()
            let spec = ["-s", "3000001", "--seed", "5", "--compress-ratio", "1.5"]
            #expect(try Launch.ranks(2, ["-o", folder.file("g")] + spec).status == 0)
            let whole = try folder.sha256("g")
            let perRank = [
                "-o", folder.file("f"), "--layout", "per-rank", "--align", "4KiB", "--io", io,
            ]
            let written = try Launch.ranks(4, ["test", "--keep"] + perRank + spec)
            #expect(written.status == 0, "\(written.error)")
            func files() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: folder.path)
                    .filter { $0.hasPrefix("f.0") }.sorted()
            }
            #expect(try files() == (0..<4).map { "f.0000000\($0)" })
            #expect(!folder.exists("f"))
            // Shards of whole units, as plan has them.
            #expect(
                try files().map { try folder.size($0) } == [753_664, 749_568, 749_568, 747_201])
            _ = try Launch.run(["sh", "-c", "cat $0/f.0* > $0/joined", folder.path])
            #expect(try folder.sha256("joined") == whole)

            let report = folder.file("r")
            for ranks in [1, 3, 7] {
                let verify = ["verify", folder.file("f"), "--report", report, "-t", "100000"]
                #expect(try Launch.ranks(ranks, verify + ["--align", "512"]).status == 0)
            }
            // The border of two files; the end of one.
            try folder.flip("f.00000001", at: 0)
            try folder.flip("f.00000003", at: 747_200)
            let damaged = try Launch.ranks(3, ["verify", folder.file("f"), "--report", report])
            #expect(damaged.status == 1)
            let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
            #expect(damage.map { $0["offset"] as? Int } == [753_664, 3_000_000])
            // A short one in the midst: what follows it is read where it is.
            try folder.truncate("f.00000002", to: 700_000)
            let short = try Launch.ranks(2, ["verify", folder.file("f"), "--report", report])
            #expect(short.status == 1)
            #expect(try folder.json("r")["wrong_bytes"] as? Int == 2 + 49_568)
            _ = try Launch.run(["rm", folder.file("f.00000002")])
            let missing = try Launch.ranks(2, ["verify", folder.file("f")])
            #expect(missing.status == 3)
            #expect(missing.complaints.first?.contains("f.00000002: no such file") == true)

            // Another one in its place: what it does not have is taken away.
            #expect(try Launch.ranks(2, perRank + spec).status == 2, "it is left as it is")
            #expect(try Launch.ranks(2, perRank + spec + ["--overwrite"]).status == 0)
            #expect(try files() == ["f.00000000", "f.00000001"])
            let shared = try Launch.ranks(3, ["-o", folder.file("f"), "--overwrite"] + spec)
            #expect(shared.status == 0, "\(shared.error)")
            #expect(try files() == [])
            #expect(try folder.sha256("f") == whole)
            #expect(try Launch.ranks(3, ["test", "--overwrite"] + perRank + spec).status == 0)
            #expect(try files() == [])
            #expect(!folder.exists("f"))
            #expect(!folder.exists("f.dgen.json"))
        }

        /// `lfs` of Lustre, played by a script that keeps what it was told beside the file.
        @Test func stripesAreSetBeforeTheFileIsOpenedAndReadBack() throws {
            let folder = try Folder()
            try folder.write(
                #"""
                #!/bin/bash
                echo "$*" >> "${0%/*}/calls"
                path=${!#}
                case $1 in
                setstripe) [ ! -e "$path" ] && echo "$3 $5" > "$path.stripes" && : > "$path" ;;
                getstripe)
                    read -r count size < <(cat "$path.stripes" 2> /dev/null || echo 1 1048576)
                    case $2 in -c) echo "$count" ;; -S) echo "$size" ;; esac ;;
                esac
                """#, to: "lfs")
            _ = try Launch.run(["chmod", "+x", folder.file("lfs")])
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            func run(_ options: [String], path: String) throws -> Outcome {
                try Launch.ranks(
                    2,
                    [
                        "-o", folder.file("f"), "-s", "3MiB", "--stripe-count", "4",
                        "--stripe-size", "256KiB", "--report", folder.file("r"),
                    ] + options, environment: ["PATH": path])
            }
            for options in [[], ["--overwrite"], ["--overwrite", "--io", "posix"]] {
                let outcome = try run(options, path: "\(folder.path):\(path)")
                #expect(outcome.status == 0, "\(outcome.error)")
                let report = try folder.json("r")
                #expect(report["stripes"] as? [String: Int] == ["count": 4, "size": 262_144])
                #expect(outcome.output.contains("4 of 256 KiB, says lfs"), "\(outcome.output)")
                #expect(try folder.json("f.dgen.json")["align"] as? Int == 262_144)
            }
            #expect(try folder.text("calls").contains("setstripe -c 4 -S 262144 -- "))
            #expect(try Launch.ranks(3, ["verify", folder.file("f")]).status == 0)
            // Where nobody knows of stripes, that is said.
            let unknown = try run(["--overwrite"], path: path)
            #expect(unknown.status == 0)
            #expect(unknown.error.contains("nothing proves that the file is striped so"))
            #expect(try folder.json("r")["stripes"] == nil)
            let hints = try #require(try folder.json("r")["hints"] as? [String: Any])
            #expect(
                hints["requested"] as? [String: String]
                    == ["striping_factor": "4", "striping_unit": "262144"])
        }

        @Test func hintsComeFromAFileAndTheCommandLine() throws {
            let folder = try Folder()
            try folder.write("# mine\ncb_nodes 1\nromio_cb_write=enable # too\n", to: "hints")
            let options = ["-o", folder.file("f"), "-s", "1MiB", "--report", folder.file("r")]
            let outcome = try Launch.ranks(
                2, options + ["--hints-file", folder.file("hints"), "--hint", "cb_nodes=2"])
            #expect(outcome.status == 0, "\(outcome.error)")
            let hints = try #require(try folder.json("r")["hints"] as? [String: Any])
            #expect(
                hints["requested"] as? [String: String]
                    == ["cb_nodes": "2", "romio_cb_write": "enable"])
            try folder.write("nonsense\n", to: "hints")
            let refused = try Launch.ranks(
                2, options + ["--overwrite", "--hints-file", folder.file("hints")])
            #expect(refused.status == 2)
            #expect(refused.complaints.first?.contains("hint: 'nonsense'") == true)
        }

        @Test func operationsAreATableForSpreadsheetsToo() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                2,
                [
                    "test", "-o", folder.file("f,1"), "-s", "1MiB", "--repeat", "2", "--csv",
                    folder.file("o.csv"), "--report", folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            // Read by Python, not by anything of ours.
            let read = try Launch.run([
                "python3", "-c",
                """
                import csv, json, sys
                rows = list(csv.DictReader(open(sys.argv[1], newline="")))
                operations = json.load(open(sys.argv[2]))["operations"]
                assert [r["operation"] for r in rows] == ["write", "read", "verify"] * 2
                for row, operation in zip(rows, operations, strict=True):
                    assert float(row["seconds"]) == operation["seconds"]
                    assert int(row["latency_p99_ns"]) == operation["latency_ns"]["p99"]
                    assert row["path"].endswith("f,1") and row["ranks"] == "2"
                """, folder.file("o.csv"), folder.file("r"),
            ])
            #expect(read.status == 0, "\(read.error)")
            let same = try Launch.ranks(
                1, ["-o", folder.file("g"), "-s", "1", "--csv", folder.file("g.dgen.json")])
            #expect(same.status == 2)
        }

        /// On the disk: memory has no way past the caches everywhere.
        @Test(
            arguments: TestForm.cases(
                [3], more: [1], of: "systemCallsPastTheCachesMakeTheSameFile"))
        func systemCallsPastTheCachesMakeTheSameFile(ranks: Int) throws {
            let folder = try Folder(in: FileManager.default.currentDirectoryPath)
            let spec = ["-s", "3000001", "--seed", "5", "--compress-ratio", "2"]
            #expect(try Launch.ranks(2, ["-o", folder.file("g")] + spec).status == 0)
            let direct = ["--io", "posix", "--direct", "-t", "64KiB", "--align", "4KiB"]
            let written = try Launch.ranks(
                ranks, ["-o", folder.file("f"), "--report", folder.file("r")] + spec + direct)
            #expect(written.status == 0, "\(written.error)")
            #expect(try folder.sha256("f") == folder.sha256("g"))
            #expect(try folder.json("r")["access"] as? String == "posix")
            #expect(try folder.json("r")["direct"] as? Bool == true)
            #expect(try Launch.ranks(ranks, ["verify", folder.file("f")] + direct).status == 0)
            try folder.flip("f", at: 2_999_999)
            try folder.flip("f", at: 65_536)
            let damaged = try Launch.ranks(
                2, ["verify", folder.file("f"), "--report", folder.file("r")] + direct)
            #expect(damaged.status == 1)
            #expect(try folder.json("r")["wrong_bytes"] as? Int == 2)
            try folder.truncate("f", to: 2_500_000)
            #expect(try Launch.ranks(2, ["verify", folder.file("f")] + direct).status == 1)
        }

        @Test(.enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"))
        func aFullFileSystemFailsWithSystemCallsToo() throws {
            let folder = try Folder()
            let outcome = try Launch.run(
                [
                    "unshare", "--mount", "sh", "-c",
                    #"""
                    mount -t tmpfs -o size=16m tmpfs "$0" || exit 99
                    folder=$0
                    "$@" test -o "$folder/f" -s 64MiB --io posix --no-space-check
                    """#, folder.path,
                ] + Launch.mpirun(3) + [Launch.program])
            #expect(outcome.status == 3, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("No space left") == true, "\(outcome.error)")
        }

        @Test func latenciesAreInOrderAndOfAllTransfers() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                3,
                ["test", "-o", folder.file("f"), "-s", "8MiB", "-t", "4KiB", "--report"]
                    + [folder.file("r")])
            #expect(outcome.status == 0, "\(outcome.error)")
            for operation in try operations(try folder.json("r")) {
                let latency = try #require(operation["latency_ns"] as? [String: Int])
                let values = ["p50", "p90", "p99", "p99_9", "max"].compactMap { latency[$0] }
                #expect(values.count == 5)
                #expect(values == values.sorted())
                #expect(values[0] > 100)
                let seconds = try #require(operation["seconds"] as? Double)
                #expect(Double(values[4]) / 1e9 <= seconds)
            }
        }

        @Test func filesOfOthersAreLeftAlone() throws {
            let folder = try Folder()
            try folder.write("mine", to: "f")
            let refused = try Launch.ranks(2, ["test", "-o", folder.file("f"), "-s", "1MiB"])
            #expect(refused.status == 2)
            #expect(refused.complaints.count == 1)
            #expect(try folder.text("f") == "mine")
            let missing = try Launch.ranks(
                2, ["test", "-o", folder.file("g"), "-s", "1", "--seed", "1", "--phases", "read"])
            #expect(missing.status == 3)
            #expect(missing.complaints.first?.contains("no such file") == true)
            let seedless = try Launch.ranks(
                2, ["test", "-o", folder.file("f"), "-s", "1", "--phases", "read"])
            #expect(seedless.status == 2)
        }

        @Test(arguments: ["generate", "test"])
        func theTimeLimitStopsAllRanksWithAValidReport(command: String) throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                3,
                [
                    command, "-o", folder.file("f"), "-s", "2GiB", "-t", "4KiB", "--time-limit",
                    "1s",
                    "--no-space-check", "--report", folder.file("r"),
                ] + (command == "test" ? ["--repeat", "1000"] : []), seconds: 30)
            #expect(outcome.status == 5, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("stopped by its time limit") == true)
            #expect(try folder.json("r")["status"] as? String == "interrupted")
        }

        @Test func aSignalAsksForProgressAndNothingElseHappens() throws {
            let folder = try Folder()
            let outcome = try Launch.run(
                [
                    "bash", "-c",
                    Launch.waiting + #"""
                        folder=$1; shift
                        "$@" 2> "$folder/said" &
                        until_begun "$folder/r" $!
                        # Asked until it has said so: between two phases there is nothing to say.
                        until grep -q " of 64 MiB, " "$folder/said" || ! kill -USR1 $!; do
                            sleep 0.1
                        done
                        wait $!; status=$?
                        cat "$folder/said" >&2
                        exit $status
                        """#, "bash", folder.path,
                ] + Launch.mpirun(2) + [
                    Launch.program, "test", "-o", folder.file("f"), "-s", "64MiB", "-t", "64KiB",
                    "--repeat", "20", "--quiet", "--report", folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.error.contains(" of 64 MiB, "), "\(outcome.error)")
        }

        @Test(.onlyWhole("other tests have 64 ranks and any order of reading"))
        func sixtyFourRanksReadWhatOthersWrote() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                64,
                [
                    "test", "-o", folder.file("f"), "-s", "16MiB", "--align", "4KiB",
                    "--read-order",
                    "shuffle", "--watchdog", "100",
                ], seconds: 120)
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.output.contains("every byte is right"))
        }
    }
}
