// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Wrong input: one line, once, the documented status, nothing touched.
    @Suite struct BadInputTests {
        /// A wrong command line, the status it ends with, and words its one line must have.
        ///
        /// `DIR` is replaced by a folder with the files that ``prepare(_:)`` makes.
        struct Case: CustomTestStringConvertible {
            let words: String
            let status: Int32
            let says: [String]

            init(_ words: String, _ status: Int32, _ says: String...) {
                self.words = words
                self.status = status
                self.says = says
            }

            var testDescription: String { words }
        }

        static let cases = [
            Case("-o DIR/f -s 0", 2, "size", "'0'"),
            Case("-o DIR/f --size=-1", 2, "size", "'-1'"),
            Case("-o DIR/f -s 12XB", 2, "size", "'12XB'", "64KiB"),
            Case("-o DIR/f -s 9223372036854775808", 2, "size", "2^63 - 1"),
            Case("-o DIR/f -s 1.5", 2, "size", "'1.5'"),
            Case("-o DIR/f", 2, "size: missing"),
            Case("-o DIR/f -s 1k --dedup-ratio 0", 2, "dedup_ratio", "'0'", "1 to 1000000"),
            Case("-o DIR/f -s 1k --dedup-ratio 0.5", 2, "dedup_ratio", "'0.5'"),
            Case("-o DIR/f -s 1k --dedup-ratio nan", 2, "dedup_ratio", "'nan'"),
            Case("-o DIR/f -s 1k --dedup-ratio 1e9", 2, "dedup_ratio", "'1e9'"),
            Case("-o DIR/f -s 1k --dedup-ratio 1000000000", 2, "dedup_ratio", "1 to 1000000"),
            Case("-o DIR/f -s 1k --compress-ratio 0", 2, "compress_ratio", "'0'"),
            Case("-o DIR/f -s 1k --compress-ratio 0.5", 2, "compress_ratio", "'0.5'"),
            Case("-o DIR/f -s 1k --compress-ratio nan", 2, "compress_ratio", "'nan'"),
            Case("-o DIR/f -s 1k --compress-ratio 1.0005", 2, "compress_ratio", "3 decimals"),
            Case("-o DIR/f -s 1k --compress-ratio 65", 2, "compress_ratio", "'65'", "1 to 64"),
            Case("-o DIR/f -s 1k --compress-ratio 1e9", 2, "compress_ratio", "'1e9'"),
            Case(
                "-o DIR/f -s 1k --dedup-unit 4KiB --compress-unit 1536", 2, "compress_unit", "4096"),
            Case("-o DIR/f -s 1k --dedup-unit 1000", 2, "dedup_unit", "multiple of 512"),
            Case("-o DIR/f -s 1k --fill ones", 2, "fill", "backref or zeros"),
            Case("-o DIR/f -s 1k --seed -1", 2, "seed"),
            Case("-o DIR/f -s 1k --threads 0", 2, "threads", "'0'", "1 to 4096"),
            Case("-o DIR/f -s 1k --numa maybe", 2, "numa", "'maybe'", "auto or force or off"),
            Case("-o DIR/f -s 1k --numa-node 4000", 2, "numa_node", "'4000'", "processors"),
            Case("-o DIR/f -s 1k --numa-node one", 2, "numa_node", "'one'"),
            Case("-o DIR/f -s 1k -t 0", 2, "transfer_size"),
            Case("-o DIR/f -s 1k -t 2GiB", 2, "transfer_size", "1 GiB"),
            Case("-o DIR/f -s 1k --hint nothing", 2, "hint", "KEY=VALUE"),
            Case("-o DIR/f -s 1k --frobnicate", 2, "--frobnicate"),
            Case("-o DIR/f -s 1k extra", 2, "extra"),
            Case("-o DIR/f -s", 2, "size"),
            Case("-s 1k", 2, "output: missing"),
            Case("-o DIR/missing/f -s 1k", 3, "DIR/missing", "no such directory"),
            Case("-o DIR/exists/f -s 1k", 3, "DIR/exists"),
            Case("-o DIR -s 1k", 3, "is a directory"),
            Case("-o /dev/zero -s 1k", 3, "not a regular file"),
            Case("-o /dev/null -s 1k --layout per-rank", 2, "layout", "shared for /dev/null"),
            Case("verify /dev/null -s 1k --seed 1", 2, "keeps nothing"),
            Case("verify - -s 1k --seed 1", 2, "a stream can only be written"),
            Case("-o - -s 1k --report -", 2, "report", "where the data goes"),
            Case("-o DIR/exists -s 1k --device --overwrite", 2, "no block device"),
            Case("-o DIR/f -s 1k --device", 2, "no block device"),
            Case("-o DIR/f -s 1k --manifest DIR/m", 2, "manifest", "beside it"),
            Case("-o DIR/exists -s 1k", 2, "exists", "--overwrite"),
            Case("-o DIR/f -s 7EiB", 3, "7 EiB", "free", "--no-space-check"),
            Case("-o DIR/f -s 1k --report DIR/missing/r", 3, "DIR/missing/r"),
            Case("-o DIR/f -s 1k --report DIR/f", 2, "report", "is the data"),
            Case("-o DIR/f -s 1k --report DIR/f.dgen.json", 2, "report", "is the manifest"),
            Case("--job DIR/good.yaml -o DIR/f --report DIR/good.yaml", 2, "is the job file"),
            Case("verify DIR/exists --report DIR/link", 2, "report", "is the data"),
            Case("-o DIR/f -s 1k --report DIR", 3, "is a directory"),
            Case("-o DIR/ufs:exists -s 1k --overwrite", 2, "output", "without colons"),
            Case("-o DIR/nowhere -s 1k", 2, "symbolic link that leads nowhere"),
            Case("-o DIR/link -s 1k", 2, "exists", "--overwrite"),
            Case("-o DIR/taken -s 1k", 2, "taken.dgen.json", "is no manifest"),
            Case("--job DIR/unknown.yaml -o DIR/f", 2, "unknown key 'dedup_ration'", "dedup_ratio"),
            Case("--job DIR/broken.yaml -o DIR/f", 2, "broken.yaml", "not readable as YAML"),
            Case("--job DIR/missing.yaml -o DIR/f", 3, "missing.yaml"),
            Case("--job DIR -o DIR/f", 3, "job file"),
            Case("--job DIR/value.yaml -o DIR/f", 2, "size", "'much'"),
            Case("verify", 2, "verify: missing"),
            Case("verify DIR/missing", 3, "no such file"),
            Case("verify DIR", 3, "not a regular file"),
            Case("verify DIR/exists", 2, "has no manifest", "--size"),
            Case("verify DIR/unknown", 2, "'dgen/3' is not known"),
            Case("verify DIR/truncated", 2, "truncated.dgen.json"),
            Case("verify DIR/unreadable", 2, "unreadable.dgen.json", "spec: compress_ratio"),
            Case("--job /dev/zero -o DIR/f", 3, "job file", "not a regular file"),
            Case("--job DIR/tower.yaml -o DIR/f", 2, "tower.yaml:22", "must be a word"),
            Case("-o DIR/f -s 1k --hints-file /dev/zero", 3, "hints file", "not a regular file"),
            Case("verify DIR/zeros", 3, "manifest", "not a regular file"),
            Case("verify DIR/pipe", 3, "manifest", "not a regular file"),
            Case("repair DIR/millions", 2, "ranks", "'1000000000'"),
            Case("-o DIR/millions -s 5 --seed 1 --resume", 2, "ranks", "'1000000000'"),
            Case("verify DIR/seedless", 2, "spec: seed", "'null'"),
        ]

        /// Those that ranks say together: of each way to come to an end, in the gate, one.
        private static let together: [Case] = {
            let ends = [
                "-o DIR/f -s 0", "-o DIR/f -s 1k --frobnicate", "-o DIR/f -s", "-s 1k",
                "-o DIR/missing/f -s 1k", "-o DIR/exists -s 1k", "-o DIR/f -s 1k --report DIR/f",
                "--job DIR/tower.yaml -o DIR/f", "verify DIR/truncated", "verify DIR/missing",
            ]
            let some = cases.filter { ends.contains($0.words) }
            precondition(some.count == ends.count, "the cases have changed")
            return TestForm.cases(
                some, more: cases.filter { !ends.contains($0.words) },
                of: "ranksSayItOnceAndLeaveWithOneStatus")
        }()

        private func prepare(_ folder: Folder) throws {
            try folder.write("precious", to: "exists")
            try folder.write("size: 1k\ndedup_ration: 2\n", to: "unknown.yaml")
            try folder.write("size: [1k\n", to: "broken.yaml")
            try folder.write("size: much\n", to: "value.yaml")
            try folder.write("size: 1k\n", to: "good.yaml")
            try folder.write("something else", to: "taken.dgen.json")
            let floors = (1...12).map { "y\($0): &a\($0) [*a\($0 - 1), *a\($0 - 1)]\n" }
            let tower = "x: &a0 [x, x]\n" + floors.joined()
            try folder.write(
                tower + String(repeating: "# \n", count: 8) + "? *a12\n: 1\n", to: "tower.yaml")
            try #require(mkfifo(folder.file("pipe.dgen.json"), 0o600) == 0)
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("zeros.dgen.json"), withDestinationPath: "/dev/zero")
            for (link, target) in [("nowhere", "gone"), ("link", "exists")] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.file(link), withDestinationPath: folder.file(target))
            }
            let spec = """
                "spec": {"size": 5, "seed": 1, "dedup_ratio": 1, "compress_ratio": 65,
                "dedup_unit": 1048576, "compress_unit": 1024, "fill": "backref"}
                """
            // 65 is more than a grain of 1024 bytes can hold.
            let right = spec.replacing("65", with: "1", maxReplacements: 1)
            let manifests = [
                ("unknown", #"{"format": "dgen/3", "status": "complete", \#(spec)}"#),
                ("truncated", #"{"format": "dgen/1", "status": "complete", "spec": {"size":"#),
                ("unreadable", #"{"format": "dgen/1", "status": "complete", \#(spec)}"#),
                (
                    "millions",
                    #"{"format": "dgen/1", "status": "writing", \#(right), "layout": "per-rank", "#
                        + #""ranks": 1000000000, "align": 1}"#
                ),
                (
                    "seedless",
                    #"{"format": "dgen/1", "status": "complete", \#(right)}"#.replacing(
                        "\"seed\": 1", with: "\"seed\": null")
                ),
            ]
            for (name, manifest) in manifests {
                try folder.write("12345", to: name)
                try folder.write(manifest, to: name + ".dgen.json")
            }
        }

        @Test(arguments: cases)
        func oneLineAndTheDocumentedStatus(wrong: Case) throws {
            try expectRefused(wrong, ranks: 1)
        }

        @Test(arguments: together)
        func ranksSayItOnceAndLeaveWithOneStatus(wrong: Case) throws {
            try expectRefused(wrong, ranks: 3)
        }

        private func expectRefused(_ wrong: Case, ranks: Int) throws {
            let folder = try Folder()
            try prepare(folder)
            let before = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            let words = wrong.words.replacing("DIR", with: folder.path).split(separator: " ")
                .map(String.init)
            let outcome = ranks == 1 ? try Launch.alone(words) : try Launch.ranks(ranks, words)
            #expect(outcome.status == wrong.status, "\(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            for word in wrong.says {
                let word = word.replacing("DIR", with: folder.path)
                #expect(outcome.complaints.first?.contains(word) == true, "\(outcome.error)")
            }
            #expect(outcome.output.isEmpty)
            if ranks == 1 {
                #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
            }
            let after = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            #expect(before == after, "files appeared or went")
            #expect(try folder.text("exists") == "precious")
        }

        /// Commands and options that end a run in each way that there is, and its status.
        private static let ends: [Case] = {
            let some = [
                Case("--help", 0), Case("-o DIR/f -s 1k --frobnicate", 2, "frobnicate"),
                Case("-o DIR/f -s 0", 2, "size"), Case("verify DIR/missing", 3, "no such file"),
                Case("verify DIR/short", 1),
            ]
            let more = [
                Case("--version", 0), Case("plan -s 1k", 0), Case("plan -s 12XB", 2, "size"),
                Case("info --numa-node 77", 2, "numa_node"),
                Case("bench --threads 0", 2, "threads"),
                Case("-o DIR/f -s", 2, "Missing value"), Case("-s 1k", 2, "output"),
                Case("-o DIR/exists -s 1k", 2, "--overwrite"), Case("-o DIR/new -s 1k", 0),
                Case("-o DIR/missing/f -s 1k", 3, "no such directory"),
                Case("test -o DIR/t -s 1k --report DIR/missing/r", 3, "missing/r"),
                Case("repair DIR/missing", 3, "no such file"), Case("repair DIR/short", 0),
                Case("test -o DIR/short -s 5 --seed 1 --phases verify", 1),
            ]
            return TestForm.cases(some, more: more, of: "whoeverLeavesLateSaysNothingMore")
        }()

        /// A launcher ends the ranks that are left once one of them has left with a status; what they do about that must
        /// not be a second line, nor another status.
        @Test(
            arguments: ends,
            TestForm.cases(["0"], more: ["2"], of: "whoeverLeavesLateSaysNothingMore (ranks)"))
        func whoeverLeavesLateSaysNothingMore(end: Case, rank: String) throws {
            let folder = try Folder()
            try prepare(folder)
            let written = try Launch.alone(
                ["-o", folder.file("short"), "-s", "5", "--seed", "1", "--quiet"])
            #expect(written.status == 0, "\(written.error)")
            try folder.truncate("short", to: 3)
            let words = end.words.replacing("DIR", with: folder.path).split(separator: " ")
                .map(String.init)
            let late = [
                "LD_PRELOAD=\(try #require(Faults.library))", "FAULT_CALL=leave",
                "FAULT_RANK=\(rank)",
            ]
            let outcome = try Launch.run(
                Launch.mpirun(3) + ["env"] + late + [Launch.program] + words, seconds: 40)
            #expect(outcome.status == end.status, "\(outcome.status) \(outcome.error)")
            let lines = outcome.complaints
            #expect(lines.count == (end.says.isEmpty ? 0 : 1), "\(outcome.error)")
            for word in end.says {
                #expect(lines.first?.contains(word) == true, "\(outcome.error)")
            }
        }

        @Test func aHintLongerThanTheLibraryTakesIsRefused() throws {
            let folder = try Folder()
            let hint = "key=" + String(repeating: "v", count: 5000)
            let outcome = try Launch.alone(
                ["-o", folder.file("f"), "-s", "1k", "--hint", hint])
            #expect(outcome.status == 2)
            #expect(outcome.complaints.first?.contains("the key at most") == true)
            #expect(!folder.exists("f") && !folder.exists("f.dgen.json"))
        }
    }
}
