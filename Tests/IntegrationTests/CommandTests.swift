// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

extension Integration {
    /// The command line as its users meet it.
    @Suite struct CommandTests {
        @Test(arguments: [
            ["--help"], ["--version"], ["help", "plan"], ["plan", "-s", "1GiB"], ["info"],
        ])
        func worksWithoutMpirunAndSpeaksOnceUnderIt(words: [String]) throws {
            let alone = try Launch.alone(words)
            #expect(alone.status == 0, "\(alone.error)")
            #expect(!alone.output.isEmpty && alone.error.isEmpty)
            let together = try Launch.ranks(3, words)
            #expect(together.status == 0, "\(together.error)")
            // Free memory changes from one moment to the next, and a launcher decides for its own library.
            func lasting(_ output: String) -> [Substring] {
                output.split(separator: "\n").filter { line in
                    !line.hasSuffix(" free")
                        && !["MPI", "  library", "  backend"].contains(where: line.hasPrefix)
                }
            }
            #expect(lasting(together.output) == lasting(alone.output))
        }

        @Test func generateIsTheDefaultAndPrintsASeedThatMakesTheSameFile() throws {
            let folder = try Folder()
            let first = try Launch.ranks(2, ["-o", folder.file("a"), "-s", "3MiB"])
            #expect(first.status == 0, "\(first.error)")
            let line = try #require(
                first.output.split(separator: "\n").first { $0.hasPrefix("seed") })
            let seed = try #require(line.split(separator: " ").last)
            #expect(try #require(UInt64(seed)) < 1 << 53)
            let second = try Launch.ranks(
                3, ["generate", "-o", folder.file("b"), "-s", "3MiB", "--seed", "\(seed)"])
            #expect(second.status == 0)
            #expect(try folder.sha256("a") == folder.sha256("b"))
            let third = try Launch.ranks(2, ["-o", folder.file("c"), "-s", "3MiB"])
            #expect(third.status == 0)
            #expect(try folder.sha256("a") != folder.sha256("c"))
        }

        @Test func commandLineThenEnvironmentThenJobFile() throws {
            let folder = try Folder()
            try folder.write(
                "output: \(folder.file("f"))\nsize: 1000\nseed: 1\ncompress_ratio: 2\n",
                to: "job.yaml")
            func spec(_ words: [String], _ environment: [String: String]) throws -> [String: Any] {
                let outcome = try Launch.ranks(
                    2, ["--job", folder.file("job.yaml"), "--overwrite"] + words,
                    environment: environment)
                #expect(outcome.status == 0, "\(outcome.error)")
                return try #require(try folder.json("f.dgen.json")["spec"] as? [String: Any])
            }
            let fromFile = try spec([], [:])
            #expect(fromFile["size"] as? Int == 1000)
            #expect(fromFile["compress_ratio"] as? Double == 2)
            let all = try spec(["--size", "3000"], ["DGEN_SIZE": "2000", "DGEN_SEED": "2"])
            #expect(all["size"] as? Int == 3000)
            #expect(all["seed"] as? Int == 2)
        }

        @Test func theFirstJobFileRunsAsItStands() throws {
            let folder = try Folder()
            let root = URL(filePath: #filePath).deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
            let words = ["--job", root.appending(path: "jobs/smoke.yaml").path]
            let environment = ["DGEN_OUTPUT": folder.file("f")]
            let written = try Launch.ranks(4, words, environment: environment)
            #expect(written.status == 0, "\(written.error)")
            let verified = try Launch.ranks(3, ["verify"] + words, environment: environment)
            #expect(verified.status == 0, "\(verified.error)")
        }

        @Test func theReportIsValidJSONWithEveryPromisedField() throws {
            let folder = try Folder()
            let name = #"a "quoted" \ näme"#
            let outcome = try Launch.ranks(
                3,
                [
                    "-o", folder.file(name), "-s", "5MiB", "--seed", "3", "--report", "-",
                    "--hint", "cb_nodes=2",
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            #expect(report["format"] as? String == "dgen-report/1")
            #expect(report["status"] as? String == "ok")
            #expect(report["path"] as? String == folder.file(name))
            #expect(report["error"] == nil)
            for key in [
                "exit_status", "version", "command_line", "started", "finished", "kernel",
                "threads_per_rank", "file_system", "spec", "damage", "damage_ranges",
                "damage_bytes",
            ] { #expect(report[key] != nil, "\(key) is missing") }
            let started = try #require(report["started"] as? String)
            #expect(try Date(started, strategy: .iso8601) <= Date())
            let mpi = try #require(report["mpi"] as? [String: Any])
            #expect(mpi["ranks"] as? Int == 3)
            #expect(mpi["nodes"] as? Int == 1)
            #expect(mpi["ranks_per_node"] as? Int == 3)
            #expect((mpi["library"] as? String)?.contains("MPI") == true)
            #expect(mpi["io_component"] as? String == (Launch.isMPICH ? "romio" : "ompio"))
            let hints = try #require(report["hints"] as? [String: Any])
            #expect(hints["requested"] as? [String: String] == ["cb_nodes": "2"])
            let reported = try #require(hints["reported"] as? [String: String])
            #expect(reported.keys.allSatisfy { !$0.contains("no_such") })
            // Open MPI says yes to everything.
            #expect(hints["report_is_echo"] as? Bool == !Launch.isMPICH)
            #expect(outcome.error.contains("does not prove") == !Launch.isMPICH)
            let operation = try #require((report["operations"] as? [[String: Any]])?.first)
            #expect(operation["operation"] as? String == "write")
            #expect(operation["bytes"] as? Int == 5 << 20)
            for key in [
                "iteration", "seconds", "bytes_per_second", "open_seconds", "generate_seconds",
                "transfer_seconds", "sync_seconds", "close_seconds", "slowest_rank",
            ] { #expect(operation[key] is NSNumber, "\(key) is missing") }
        }

        @Test(.disabled(if: Launch.isMPICH, "MPICH has one component"))
        func theReportNamesTheIOComponent() throws {
            let folder = try Folder()
            for (component, name) in [
                ("ompio", "ompio"), ("romio321", "romio321"), ("^ompio", "romio321"),
            ] {
                let outcome = try Launch.ranks(
                    2,
                    [
                        "-o", folder.file("f"), "-s", "1MiB", "--overwrite", "--report",
                        folder.file("r"),
                    ], component: component)
                #expect(outcome.status == 0)
                let mpi = try #require(try folder.json("r")["mpi"] as? [String: Any])
                #expect(mpi["io_component"] as? String == name)
            }
        }

        @Test func progressIsForTheWholeJobAndQuietIsQuiet() throws {
            let folder = try Folder()
            let options = ["-o", folder.file("f"), "-s", "1GiB", "--overwrite", "-t", "4KiB"]
            let bar = try Launch.ranks(2, options + ["--progress", "bar"])
            #expect(bar.status == 0)
            #expect(bar.error.contains("of 1 GiB"), "\(bar.error)")
            let quiet = try Launch.ranks(2, options + ["--quiet"])
            #expect(quiet.status == 0)
            #expect(quiet.error.isEmpty && quiet.output.isEmpty)
        }

        @Test func logLinesHaveRankAndHostAndFollowTheirLevel() throws {
            let folder = try Folder()
            func log(_ level: String, _ words: [String] = []) throws -> String {
                let outcome = try Launch.ranks(
                    2, ["-o", folder.file("f"), "-s", "2MiB", "--overwrite"] + words,
                    environment: level.isEmpty ? [:] : ["DGEN_LOG": level])
                #expect(outcome.status == 0)
                return outcome.error
            }
            #expect(try log("").isEmpty)
            let info = try log("", ["-v"])
            #expect(info.contains(" info [rank 1 \(ProcessInfo.processInfo.hostName)] command: "))
            #expect(!info.contains(" debug "))
            let parts = try log("warning,mpi=debug,generator=trace")
            #expect(parts.contains("generator: block 1 is 1"))
            #expect(parts.contains(" debug ") && parts.contains("mpi: opened"))
            #expect(!parts.contains("command: ") && !parts.contains("mpi: write"))
            #expect(try log("trace").contains("mpi: write 1048576 bytes at 1048576"))
        }

        @Test func namesOfOneLetterInTheCurrentFolderWork() throws {
            let folder = try Folder()
            for words in [["-o", "g", "-s", "1k"], ["verify", "g"]] {
                let outcome = try Launch.run(
                    ["sh", "-c", #"cd "$0" && exec "$@""#, folder.path, Launch.program] + words)
                #expect(outcome.status == 0, "\(outcome.error)")
            }
        }

        @Test func aResultThatNobodyTakesIsAnError() throws {
            let folder = try Folder()
            for words in [
                ["plan", "-s", "1k"], ["--help"],
                ["-o", folder.file("f"), "-s", "1k", "--overwrite"],
            ] {
                for target in [">/dev/full", ">&-", "| true"] {
                    let outcome = try Launch.run(
                        ["sh", "-c", #""$@" \#(target)"#, "sh", Launch.program] + words)
                    // Of a pipe the shell tells the status of the reader.
                    #expect(outcome.status == (target == "| true" ? 0 : 3), "\(words) \(target)")
                    #expect(outcome.error.split(separator: "\n").count <= 1, "\(outcome.error)")
                }
            }
        }

        @Test func aRefusedRunLeavesNoReportOfAnEarlierOne() throws {
            let folder = try Folder()
            let options = ["-o", folder.file("f"), "-s", "1k", "--report", folder.file("r")]
            #expect(try Launch.alone(options).status == 0)
            #expect(try folder.json("r")["status"] as? String == "ok")
            #expect(try Launch.alone(options + ["-t", "0"]).status == 2)
            #expect(try folder.json("r")["status"] as? String == "failed")
            #expect(try folder.json("r")["exit_status"] as? Int == 2)
        }

        @Test func theReportFollowsLinksAndLeavesDevicesAlone() throws {
            let folder = try Folder()
            try folder.write("old", to: "r")
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("link"), withDestinationPath: folder.file("r"))
            let words = ["plan", "-s", "1k", "--report"]
            let refused = try Launch.alone(words + [folder.file("link")])
            #expect(refused.status == 2)
            #expect(refused.error.contains("is there and is no report of dgen-mpi"))
            #expect(try folder.text("r") == "old")
            // An empty file, as mktemp makes one, and a report of before.
            for earlier in ["", #"{"format" : "dgen-plan/1"}"#] {
                try folder.write(earlier, to: "r")
                #expect(try Launch.alone(words + [folder.file("link")]).status == 0)
            }
            #expect(try folder.json("r")["format"] as? String == "dgen-plan/1")
            let device = try Launch.run(
                [
                    "sh", "-c", #"mkfifo "$0"/p; cat "$0"/p >"$0"/got & "$@" "$0"/p; wait"#,
                    folder.path, Launch.program,
                ] + words)
            #expect(device.status == 0, "\(device.error)")
            #expect(try folder.json("got")["format"] as? String == "dgen-plan/1")
        }

        /// As long as the system has them, or one line that says what is too long; with the least that is left for the manifest.
        @Test(arguments: Launch.components)
        func longPathsAreTakenAndTooLongNamesRefused(component: String?) throws {
            let folder = try Folder()
            func letters(_ count: Int) -> String { String(repeating: "n", count: count) }
            let deep = Array(repeating: letters(200), count: 18).joined(separator: "/")
            try FileManager.default.createDirectory(
                atPath: folder.file(deep), withIntermediateDirectories: true)
            // What is short by itself is long in such a folder, and at the borders of 256 bytes, too.
            for (path, modes) in [
                (letters(245), [[], ["--collective"]]),
                (letters(200) + "/" + letters(40), [["--layout", "per-rank"]]),
                (deep + "/" + letters(245), [[]]),
            ] as [(String, [[String]])] {
                for mode in modes {
                    for words in [
                        ["-o", folder.file(path), "-s", "100000", "--align", "4096"] + mode,
                        ["verify", folder.file(path)],
                    ] {
                        let outcome = try Launch.ranks(
                            2, words + (words[0] == "verify" ? [] : ["--overwrite"]),
                            component: component)
                        #expect(outcome.status == 0, "\(path) \(mode): \(outcome.error)")
                    }
                }
            }
            guard component == Launch.components[0] else { return }
            for (path, words, says) in [
                (letters(246), [], "a name of 246 bytes; at most 245"),
                (letters(255), ["--resume"], "at most 245"),
                (letters(256), ["--overwrite"], "at most 245"),
                (
                    deep + "/../" + deep.prefix(200) + "/" + letters(250), ["--io", "posix"],
                    "bytes; at most"
                ),
            ] {
                let outcome = try Launch.alone(["-o", folder.file(path), "-s", "1k"] + words)
                #expect(outcome.status == 2, "\(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(outcome.complaints.first?.contains(says) == true, "\(outcome.error)")
            }
            let missing = try Launch.alone(["verify", folder.file(letters(250)), "-s", "1k"])
            #expect(missing.status == 3, "\(missing.error)")
        }

        @Test func misspeltVariablesAreNamed() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                2, ["-o", folder.file("f"), "-s", "1k"], environment: ["DGEN_SPACECHECK": "no"])
            #expect(outcome.status == 0)
            let lines = outcome.error.split(separator: "\n")
            #expect(lines.count == 1)
            #expect(lines.first?.contains("did you mean DGEN_SPACE_CHECK?") == true)
        }

        @Test func benchMeasuresEveryCombination() throws {
            struct Result: Decodable {
                struct Case: Decodable {
                    let operation: String
                    let kernel: String
                    let threads: Int
                    let bufferBytes: Int
                    let compressRatio: Double
                    let median: Double
                    let minimum: Double
                    let maximum: Double
                }
                let cases: [Case]
            }
            let words = [
                "bench", "--kernels", "scalar,baseline", "--buffer-sizes", "100,4KiB,2MiB",
                "--threads", "1,2", "--compress-ratios", "1,2.5", "--dedup-ratios", "1",
                "--repeat", "3", "--milliseconds", "1",
            ]
            let outcome = try Launch.alone(words + ["--report", "-"])
            #expect(outcome.status == 0, "\(outcome.error)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let cases = try decoder.decode(Result.self, from: Data(outcome.output.utf8)).cases
            // Two kernels by two ratios: fill and compare for four buffers and threads (two threads
            // are for the largest only), random for two; memset and memcpy four times.
            #expect(cases.count { $0.operation == "fill" } == 16)
            #expect(cases.count { $0.operation == "compare" } == 16)
            #expect(cases.count { $0.operation == "random" } == 8)
            #expect(cases.count { $0.kernel == "libc" } == 8)
            #expect(cases.allSatisfy { 0 < $0.minimum && $0.minimum <= $0.median })
            #expect(cases.allSatisfy { $0.median <= $0.maximum })
            let table = try Launch.alone(words)
            #expect(table.output.split(separator: "\n").count == cases.count + 1)
        }

        @Test(
            arguments: [
                ("--kernels sse", "kernels", "scalar, baseline"),
                ("--threads 0", "threads", "1 to"),
                ("--buffer-sizes 2GiB", "buffer_sizes", "1 GiB"),
                ("--buffer-sizes 1k,", "buffer_sizes", "64KiB"),
                ("--operations seek", "operations", "fill, compare, random"),
                ("--compress-ratios 0.5", "compress_ratio", "1 to"),
                ("--repeat 0", "repeat", "1 to 1000"), ("--milliseconds x", "milliseconds", "1 to"),
            ])
        func benchRefusesWhatItCannotMeasure(words: String, field: String, accepted: String) throws
        {
            let outcome = try Launch.alone(
                ["bench"] + words.split(separator: " ").map(String.init))
            #expect(outcome.status == 2)
            #expect(outcome.output.isEmpty)
            #expect(outcome.complaints.count == 1)
            #expect(outcome.complaints.first?.contains(field) == true)
            #expect(outcome.complaints.first?.contains(accepted) == true)
        }

        @Test func planIsFastAndSmallForTheLargestJob() throws {
            let outcome = try Launch.run([
                "sh", "-c", #"ulimit -v 400000; exec "$@""#, "sh", Launch.program, "plan",
                "-s", "9223372036854775807", "--ranks", "1000000", "--dedup-ratio", "2.5",
                "--compress-ratio", "1.5", "--report", "-",
            ])
            #expect(outcome.status == 0, "\(outcome.error)")
            let plan = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            #expect(plan["blocks"] as? Int == 8_796_093_022_208)
            #expect(plan["distinct_blocks"] as? Int == 3_518_437_208_883)
            #expect((plan["shards"] as? [Any])?.count == 9)
        }

        /// Whatever else were compiled for a newer processor and visible to the linker could be taken for
        /// the whole program, which would then end with an illegal instruction on older ones.
        @Test(arguments: ["XoshiroX86V3", "XoshiroX86V4"])
        func onlyTheHotLoopsAreCompiledForNewerProcessors(module: String) throws {
            // Of which the program under test is linked.
            let objects = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../.build-static/release/\(module).build").path
            try #require(FileManager.default.fileExists(atPath: objects))
            let outcome = try Launch.run([
                "sh", "-c", "nm --extern-only --defined-only --format=just-symbols \(objects)/*.o",
            ])
            let symbols = Set(outcome.output.split(separator: "\n").map(String.init))
                .filter { !$0.isEmpty && !$0.hasSuffix(":") && $0 != "__swift_reflection_version" }
            #expect(symbols.count == 9, "\(symbols)")
            #expect(symbols.allSatisfy { $0.contains("Lane") }, "\(symbols)")
            // Nor may the loops leave for code that was compiled for older ones.
            let left = try Launch.run(["sh", "-c", "nm --undefined-only \(objects)/*.o"])
            #expect(!left.output.contains("$s7Xoshiro5Lanes"), "\(left.output)")
            #expect(!left.output.contains("$s7Xoshiro3Use"), "\(left.output)")
            #expect(!left.output.contains("$s7Xoshiro7Scatter"), "\(left.output)")
            #expect(!left.output.contains("$s7Xoshiro10SplitMix"), "\(left.output)")
        }

        @Test func theProgramNeedsNothingBesideC() throws {
            let outcome = try Launch.run(["ldd", Launch.program])
            #expect(outcome.output.contains("libc.so.6"))
            for library in [
                "libswift", "libFoundation", "libdispatch", "libpython", "libmpi", "libnuma",
            ] {
                #expect(!outcome.output.contains(library), "\(library) is linked")
            }
        }
    }
}
