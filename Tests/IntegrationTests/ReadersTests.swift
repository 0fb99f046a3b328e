// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Ranks that read while others write.
    @Suite struct ReadersTests {
        private static let spec = [
            "-s", "2000001", "--seed", "5", "--dedup-unit", "4KiB", "--copies", "2:30%", "--zeros",
            "5%", "--compress-mix", "1:50%,2:50%", "--change", "30%",
        ]

        /// A test of updates, with readers, and what its report says of them.
        private func test(
            _ folder: Folder, _ ranks: Int, _ words: [String], environment: [String: String] = [:],
            status: Int32 = 0, seconds: Int = 60
        ) throws -> (outcome: Outcome, readers: [[String: Any]]) {
            let variables = environment.map { "\($0)=\($1)" }
            let outcome = try Launch.run(
                Launch.mpirun(ranks) + ["env"] + variables + [Launch.program, "test"]
                    + ["-o", folder.file("f"), "--report", folder.file("r")] + words,
                seconds: seconds)
            #expect(outcome.status == status, "\(words): \(outcome.output) \(outcome.error)")
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            return (outcome, operations.compactMap { $0["readers"] as? [String: Any] })
        }

        private func sum(_ readers: [[String: Any]], _ field: String) -> Int {
            readers.reduce(0) { $0 + ($1[field] as? Int ?? 0) }
        }

        private static let faults = ["stale", "early", "torn", "foreign"]

        struct Way: CustomTestStringConvertible {
            let ranks: Int
            let readers: Int
            let rule: String
            let words: [String]
            var testDescription: String { "\(readers) of \(ranks), \(rule) \(words)" }
        }

        @Test(
            arguments: TestForm.cases(
                [
                    Way(ranks: 3, readers: 1, rule: "posix", words: ["--io", "posix"]),
                    Way(
                        ranks: 3, readers: 2, rule: "sync",
                        words: ["--sync", "every:9", "--no-fresh-file"]),
                    Way(
                        ranks: 2, readers: 1, rule: "close-to-open",
                        words: ["--layout", "per-rank", "-t", "1000"]),
                ],
                more: [
                    Way(ranks: 4, readers: 2, rule: "posix", words: []),
                    Way(ranks: 5, readers: 1, rule: "sync", words: ["--io", "posix"]),
                    Way(ranks: 3, readers: 2, rule: "close-to-open", words: ["--io", "posix"]),
                    Way(
                        ranks: 3, readers: 1, rule: "sync",
                        words: ["--io", "posix", "--sync", "none", "--layout", "per-rank"]),
                    Way(
                        ranks: 3, readers: 1, rule: "posix",
                        words: ["--io", "posix", "--direct", "-t", "4KiB", "--align", "4KiB"]),
                ], of: "readersOfMemorySeeWhatTheyMust"))
        func readersOfMemorySeeWhatTheyMust(way: Way) throws {
            let folder = try Folder(in: way.words.contains("--direct") ? "/var/tmp" : "/dev/shm")
            let (outcome, readers) = try test(
                folder, way.ranks,
                [
                    "--phases", "write,update,update,verify", "--repeat", "2", "--readers",
                    "\(way.readers)", "--consistency", way.rule, "--reads", "300",
                ] + Self.spec + way.words)
            #expect(readers.count == 4)
            for one in readers {
                #expect(one["ranks"] as? Int == way.readers)
                #expect(one["on_writers_nodes"] as? Int == way.readers)
                #expect(one["rule"] as? String == way.rule)
                let (reads, meanwhile) = (sum([one], "reads"), sum([one], "reads_meanwhile"))
                // A place in the order may have no block.
                #expect(reads - meanwhile > way.readers * 250, "\(one)")
                #expect(reads - meanwhile <= way.readers * 300, "\(one)")
                #expect(sum([one], "bytes") > 0 && sum([one], "bytes") <= reads * 4096)
                for fault in Self.faults { #expect(sum([one], fault) == 0, "\(one)") }
                #expect((one["findings"] as? [Any])?.isEmpty == true)
            }
            #expect(outcome.output.contains("nothing but what may be seen (\(way.rule))"))
            #expect(outcome.output.contains("every byte is right"))
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            #expect(operations.count == 8 && !folder.exists("f"))
        }

        /// A million reads of memory that is written meanwhile, and no false accusation.
        @Test(.onlyWhole("a million reads")) func aMillionReadsOfMemoryAccuseNobody() throws {
            let folder = try Folder()
            var (all, meanwhile, inFlight, round) = (0, 0, 0, 0)
            let phases = ["write"] + Array(repeating: "update", count: 8) + ["verify"]
            while meanwhile < 1_000_000, round < 40 {
                let (outcome, readers) = try test(
                    folder, 3,
                    [
                        "--phases", phases.joined(separator: ","), "--repeat", "10", "--readers",
                        "2", "--reads", "1000", "--io", "posix", "--shuffle-seed", "\(round)", "-s",
                        "64MiB", "--seed", "5", "--dedup-unit", "4KiB", "--change", "30%",
                    ], seconds: 600)
                all += sum(readers, "reads")
                meanwhile += sum(readers, "reads_meanwhile")
                inFlight += sum(readers, "torn_in_flight")
                for fault in Self.faults { #expect(sum(readers, fault) == 0, "\(outcome.output)") }
                round += 1
            }
            print("\(all) reads, \(meanwhile) while others wrote, \(inFlight) torn in flight")
            #expect(meanwhile >= 1_000_000)
        }

        /// A cache that goes on serving what it has read once, of a file that `verify` finds right.
        @Test(
            arguments: TestForm.cases(
                ["posix", "close-to-open"], more: ["sync"], of: "aReaderBehindAStaleCacheIsFound"))
        func aReaderBehindAStaleCacheIsFound(rule: String) throws {
            let folder = try Folder()
            let faults = try Faults.environment("read", "stale", folder.file("f"), rank: 2)
            let (outcome, readers) = try test(
                folder, 3,
                [
                    "--phases", "write,update,update,update,update,update,update", "--readers", "1",
                    "--consistency", rule, "--sync", "each", "--io", "posix",
                ] + Self.spec, environment: faults, status: 1)
            let one = try #require(readers.last)
            #expect(sum([one], "stale") > 0 && sum([one], "foreign") == 0, "\(one)")
            let findings = try #require(one["findings"] as? [[String: Any]])
            #expect(!findings.isEmpty && findings.count <= 64)
            for finding in findings {
                #expect(finding["rank"] as? Int == 2)
                #expect(finding["kind"] as? String == "stale")
                let seen = try #require(finding["generation"] as? Int)
                let most = try #require(finding["at_most"] as? Int)
                #expect(seen < most && finding["at_least"] as? Int ?? .max <= most, "\(finding)")
                let offset = try #require(finding["offset"] as? Int)
                #expect(offset / 4096 == finding["block"] as? Int)
                #expect([0, 1].contains(finding["writer"] as? Int))
            }
            #expect(outcome.output.contains("stale, of generation "), "\(outcome.output)")
            #expect(outcome.output.contains("readers saw what may not be seen"))
            // What is evidence stays, and is right for whoever has no such cache.
            #expect(try Launch.ranks(2, ["verify", folder.file("f")]).status == 0)
        }

        /// Writes that are lost, and caches that tear sectors, are seen by whoever reads.
        ///
        /// What a cache keeps of one update, the next one changes in part, so it need not be read in the midst of one.
        @Test func lostWritesAndTornSectorsAreSeen() throws {
            for (call, with, rank, kind) in [
                ("write", "lost", 0, "stale"), ("read", "torn", 2, "torn"),
            ] {
                let folder = try Folder()
                var faults = try Faults.environment(call, with, folder.file("f"), rank: rank)
                // Not what is written before the update.
                if call == "write" { faults["FAULT_FROM"] = "1900000" }
                let (outcome, readers) = try test(
                    folder, 3,
                    [
                        "--phases", "write,update,update", "--readers", "1", "--io", "posix",
                        "--seed", "5", "-s", "2MB", "--dedup-unit", "4KiB", "--change", "60%",
                    ], environment: faults, status: 1)
                let one = try #require(readers.last)
                #expect(sum([one], kind) > 0, "\(one)")
                let findings = try #require(one["findings"] as? [[String: Any]])
                for finding in findings where finding["kind"] as? String == kind {
                    #expect(finding["rank"] as? Int == 2)
                    let offset = try #require(finding["offset"] as? Int)
                    if kind == "torn" { #expect(offset % 4096 == 512, "\(finding)") }
                    if kind == "stale" { #expect(finding["writer"] as? Int == 0) }
                }
                #expect(outcome.output.contains("\(sum([one], kind)) \(kind)"))
            }
        }

        /// A rank that cannot go on ends the run for all, whichever part it has.
        @Test func aFailureOfAnyRankEndsTheRun() throws {
            for (call, rank) in [("write", 1), ("read", 2)] {
                let folder = try Folder()
                // Sooner or later among the places.
                let faults = try Faults.environment(
                    call, "EIO", folder.file("f"), rank: rank, from: 1_990_000)
                let script = #""$@"; status=$?; test $status = 137 && exit 99; exit $status"#
                let outcome = try Launch.run(
                    ["sh", "-c", script, "sh"] + Launch.mpirun(3) + ["env"]
                        + faults.map { "\($0)=\($1)" } + [Launch.program, "test", "-o"]
                        + [folder.file("f"), "--phases", "write,update", "--readers", "1"]
                        + [
                            "--io", "posix", "--repeat", "20", "--align", "64KiB", "--report",
                            folder.file("r"),
                        ]
                        + Self.spec, seconds: 60)
                #expect(outcome.status == 3, "\(outcome.output) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(
                    outcome.complaints.first?.contains("error: rank \(rank) on ") == true,
                    "\(outcome.error)")
            }
        }

        /// Writers hear of it in the midst of an update, stop, and do not call complete what they have left out.
        ///
        /// A single writer has nobody to wait for.
        @Test(
            arguments: TestForm.cases(
                [2], more: [3], of: "aReaderThatFailsStopsWritersThatTakeTheirTime"))
        func aReaderThatFailsStopsWritersThatTakeTheirTime(ranks: Int) throws {
            let folder = try Folder()
            let library = try Faults.environment("write", "late", folder.file("f"))
            let faults = library.map { "\($0)=\($1)" } + ["FAULT_FROM=500000"]
            // The writers wait for a second in every second write.
            let script = #"""
                rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
                [ "$rank" != "$1" ] || export FAULT_CALL=read FAULT_WITH=EIO
                shift
                exec "$@"
                """#
            let outcome = try Launch.run(
                Launch.mpirun(ranks) + ["env"] + faults + ["sh", "-c", script, "sh"]
                    + ["\(ranks - 1)", Launch.program]
                    + [
                        "test", "-o", folder.file("f"), "--phases", "write,update", "--readers",
                        "1",
                    ]
                    + ["--io", "posix", "--align", "64KiB", "--watchdog", "20", "-s", "1000000"]
                    + ["--seed", "5", "--dedup-unit", "4KiB", "--change", "90%"], seconds: 60)
            #expect(outcome.status == 3, "\(outcome.output) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(
                outcome.complaints.first?.contains("error: rank \(ranks - 1) on ") == true,
                "\(outcome.error)")
            #expect(!outcome.error.contains("did not answer"), "\(outcome.error)")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "updating")
        }

        @Test func readersThatMakeNoSenseAreRefused() throws {
            let folder = try Folder()
            let update = ["--phases", "write,update"]
            for (ranks, words, says) in [
                (3, update + ["--readers", "3"], "readers: '3' is not accepted; give fewer than"),
                (1, update + ["--readers", "1"], "readers: '1' is not accepted; give fewer than"),
                (2, update + ["--readers", "0"], "readers: '0'"),
                (2, ["--readers", "1"], "readers: '1' is not accepted; give none without a phase"),
                (2, update + ["--consistency", "sync"], "consistency: 'sync'"),
                (2, update + ["--reads", "5"], "reads: '5'"),
                (
                    2, update + ["--readers", "1", "--consistency", "strict"],
                    "posix or close-to-open or sync"
                ),
                (2, update + ["--readers", "1", "--collective"], "collective: 'true'"),
            ] {
                let refused = try Launch.ranks(
                    ranks, ["test", "-o", folder.file("n")] + Self.spec + words)
                #expect(refused.status == 2, "\(words): \(refused.error)")
                #expect(refused.complaints.count == 1, "\(words): \(refused.error)")
                #expect(
                    refused.complaints.first?.contains(says) == true, "\(words): \(refused.error)")
                #expect(!folder.exists("n"))
            }
        }
    }
}
