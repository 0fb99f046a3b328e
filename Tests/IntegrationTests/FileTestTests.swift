// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

extension Integration {
    /// `dgen-mpi test`: phases, repetitions, who reads what, and what is left behind.
    @Suite struct FileTestTests {
        private func operations(_ report: [String: Any]) throws -> [[String: Any]] {
            try #require(report["operations"] as? [[String: Any]])
        }

        @Test(arguments: [1, 2, 3, 4])
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

        @Test func theFileIsThatOfGenerateHoweverItIsWritten() throws {
            let folder = try Folder()
            let spec = ["-s", "3000001", "--seed", "5", "--dedup-ratio", "1.5"]
            #expect(try Launch.ranks(2, ["-o", folder.file("g")] + spec).status == 0)
            for options in [
                ["--phases", "write"], ["--no-fresh-file", "--repeat", "2"], ["--preallocate"],
                ["--collective"], ["--read-order", "shuffle", "--shuffle-seed", "9"],
                ["--io", "posix", "--preallocate"],
                ["--read-order", "same", "--drop-cache"],
                ["--io", "posix", "--no-fresh-file", "--repeat", "2"],
                ["--phases", "write,verify,read,verify"],
            ] {
                let outcome = try Launch.ranks(
                    3,
                    ["test", "-o", folder.file("t"), "--keep", "--overwrite", "--quiet"] + spec
                        + options)
                #expect(outcome.status == 0, "\(options): \(outcome.error)")
                #expect(try folder.sha256("t") == folder.sha256("g"), "\(options)")
            }
            // Another run with another number of ranks verifies it.
            #expect(try Launch.ranks(4, ["verify", folder.file("t")]).status == 0)
            let again = try Launch.ranks(
                4, ["test", "-o", folder.file("t"), "--phases", "verify,read"] + spec)
            #expect(again.status == 0, "\(again.error)")
            #expect(folder.exists("t"), "what a test has not written it does not take away")
        }

        @Test(arguments: ["same", "shift", "shuffle"])
        func damageIsFoundWhereItIsWhoeverReadsIt(order: String) throws {
            let folder = try Folder()
            let spec = ["-s", "3000001", "--seed", "5", "--align", "4KiB"]
            #expect(try Launch.ranks(2, ["-o", folder.file("f")] + spec).status == 0)
            // One at the border of two shards of three ranks, so that two readers see it.
            for offset in [7, 1_003_519, 1_003_520, 2_999_999] { try folder.flip("f", at: offset) }
            let outcome = try Launch.ranks(
                3,
                [
                    "test", "-o", folder.file("f"), "--phases", "verify,read", "--repeat", "5",
                    "--read-order", order, "--report", folder.file("r"),
                ] + spec)
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

        /// On the disk: memory has no way past the caches everywhere.
        @Test(arguments: [1, 3])
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
            let outcome = try Launch.run([
                "unshare", "--mount", "sh", "-c",
                #"""
                mount -t tmpfs -o size=16m tmpfs "$0" || exit 99
                mpirun --oversubscribe -n 3 "$1" test -o "$0/f" -s 64MiB --io posix --no-space-check
                """#, folder.path, Launch.program,
            ])
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
                    #"""
                    mpirun --oversubscribe -n 2 "$0" test -o "$1" -s 64MiB -t 64KiB --repeat 20 --quiet &
                    for i in 1 2 3 4 5 6; do sleep 0.5; kill -USR1 $! 2> /dev/null; done
                    wait $!
                    """#, Launch.program, folder.file("f"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.error.contains(" of 64 MiB, "), "\(outcome.error)")
        }

        @Test func sixtyFourRanksReadWhatOthersWrote() throws {
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
