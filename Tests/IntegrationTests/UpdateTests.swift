// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Data sets that are brought from one generation to another, in place.
    @Suite struct UpdateTests {
        private static let block = 4096
        private static let size = 1000 * block + 700
        private static let spec = [
            "-s", "\(size)", "--seed", "5", "--dedup-unit", "\(block)", "--copies", "2:30%,5:10%",
            "--zeros", "5%", "--compress-mix", "1:50%,2:50%", "--change", "10%:15%,60%:1%",
        ]

        private func generate(
            _ folder: Folder, _ name: String, _ generation: Int, _ words: [String] = [],
            ranks: Int = 1
        ) throws {
            let outcome = try Launch.ranks(
                ranks,
                ["-o", folder.file(name), "--generation", "\(generation)", "--quiet"] + Self.spec
                    + words)
            try #require(outcome.status == 0, "\(outcome.error)")
        }

        private func bytes(_ folder: Folder, _ names: [String]) throws -> Data {
            try names.reduce(into: Data()) {
                $0 += try Data(contentsOf: URL(filePath: folder.file($1)))
            }
        }

        /// How many blocks of two files differ.
        private func differences(_ one: Data, _ other: Data) -> Int {
            stride(from: 0, to: one.count, by: Self.block).count {
                let end = min($0 + Self.block, one.count)
                return one[$0..<end] != other[$0..<end]
            }
        }

        struct Way: CustomTestStringConvertible {
            let ranks: Int
            let words: [String]
            var layout = "shared"
            var testDescription: String { "\(ranks) \(words) \(layout)" }
        }

        @Test(
            arguments: TestForm.cases(
                [
                    Way(ranks: 1, words: ["-t", "1KiB"]),
                    Way(ranks: 3, words: ["--collective"]),
                    Way(ranks: 4, words: ["--io", "posix", "--sync", "none"]),
                    Way(ranks: 2, words: [], layout: "per-rank"),
                ],
                more: [
                    Way(ranks: 2, words: ["--sync", "every:7"]),
                    Way(ranks: 3, words: ["--sync", "every:7", "--collective"]),
                    Way(ranks: 5, words: ["--collective", "--sync", "each", "-t", "1KiB"]),
                    Way(ranks: 3, words: ["--io", "posix", "--direct", "--queue-depth", "3"]),
                    Way(ranks: 5, words: ["--io", "posix"], layout: "per-rank"),
                ], of: "onlyWhatChangesIsWrittenAndTheResultIsThatGeneration"))
        func onlyWhatChangesIsWrittenAndTheResultIsThatGeneration(way: Way) throws {
            let folder = try Folder()
            let names = way.layout == "shared" ? ["f"] : (0..<3).map { "f.0000000\($0)" }
            try generate(folder, "f", 2, ["--layout", way.layout], ranks: 3)
            var before = try bytes(folder, names)
            for (generation, told) in [(3, ["--by", "1"]), (9, ["--generation", "9"]), (2, [])] {
                try generate(folder, "g", generation, ["--overwrite"])
                let wanted = try bytes(folder, ["g"])
                let to = told.isEmpty ? ["--generation", "2"] : told
                let outcome = try Launch.ranks(
                    way.ranks,
                    ["update", folder.file("f"), "--report", folder.file("r")] + to + way.words)
                #expect(outcome.status == 0, "\(outcome.error)")
                let found = try bytes(folder, names)
                #expect(found == wanted)
                let operations = try #require(
                    try folder.json("r")["operations"] as? [[String: Any]])
                let count = differences(before, found)
                #expect(operations.first?["updated_blocks"] as? Int == count)
                #expect(outcome.output.contains("\(count) blocks"), "\(outcome.output)")
                before = found
                let manifest = try folder.json("f.dgen.json")
                #expect(manifest["status"] as? String == "complete")
                let spec = try #require(manifest["spec"] as? [String: Any])
                #expect(spec["generation"] as? Int == generation)
                let verified = try Launch.ranks(2, ["verify", folder.file("f")])
                #expect(verified.status == 0, "\(verified.error)")
            }
        }

        @Test(
            arguments: TestForm.cases([true], more: [false], of: "whatWasCutOffIsFinishedOrUndone"))
        func whatWasCutOffIsFinishedOrUndone(isShared: Bool) throws {
            let folder = try Folder()
            let layout = ["--layout", isShared ? "shared" : "per-rank"]
            let names = isShared ? ["f"] : ["f.00000000", "f.00000001"]
            let paths = isShared ? folder.file("f") : folder.file("f.00000001")
            try generate(folder, "old", 0)
            try generate(folder, "new", 7)
            let (old, new) = (try bytes(folder, ["old"]), try bytes(folder, ["new"]))
            for isFinished in [true, false] {
                try generate(folder, "f", 0, layout + ["--overwrite"], ranks: 2)
                // In the second rank's half of the file, or of its own.
                let half = isShared ? 3_000_000 : 1_000_000
                let faults = try Faults.environment("write", "EIO", paths, rank: 1, from: half)
                    .map { "\($0)=\($1)" }
                let failed = try Launch.run(
                    Launch.mpirun(2) + ["env"] + faults + [
                        Launch.program, "update", folder.file("f"), "--by", "7", "--io", "posix",
                        "--report", folder.file("r"),
                    ], seconds: 60)
                #expect(failed.status == 3, "\(failed.error)")
                #expect(failed.complaints.count == 1, "\(failed.error)")
                let manifest = try folder.json("f.dgen.json")
                #expect(manifest["status"] as? String == "updating")
                #expect((manifest["update"] as? [String: Any])?["from"] as? Int == 0)
                let spec = try #require(manifest["spec"] as? [String: Any])
                #expect(spec["generation"] as? Int == 7)
                // Some is old, some is new, and whoever verifies it is told.
                let found = try bytes(folder, names)
                #expect(found != old && found != new)
                let verified = try Launch.ranks(1, ["verify", folder.file("f")])
                #expect(verified.status == 1)
                #expect(verified.output.contains("from generation 0 to 7 did not finish"))
                #expect(verified.output.contains("stale"), "\(verified.output)")
                let refused = try Launch.ranks(2, ["update", folder.file("f"), "--by", "1"])
                #expect(refused.status == 2)
                #expect(refused.complaints.first?.contains("--resume finishes it") == true)
                #expect(try bytes(folder, names) == found)
                let words =
                    isFinished
                    ? ["update", folder.file("f"), "--resume"]
                    : ["repair", folder.file("f"), "--generation", "0"]
                let mended = try Launch.ranks(3, words)
                #expect(mended.status == 0, "\(mended.error)")
                #expect(try bytes(folder, names) == (isFinished ? new : old))
                let after = try folder.json("f.dgen.json")
                #expect(after["status"] as? String == "complete")
                #expect(after["update"] == nil)
                #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
            }
        }

        /// A rank that is killed leaves a prefix; a store that says it has what it lost does not.
        @Test(
            arguments: TestForm.cases(
                [("kill", "each"), ("lost", "every:20"), ("kill", "every:20"), ("lost", "end")],
                more: [("lost", "each"), ("kill", "end")], of: "whatIsMissingBeforeASyncIsTold"))
        func whatIsMissingBeforeASyncIsTold(fault: String, sync: String) throws {
            let folder = try Folder()
            try generate(folder, "f", 0)
            // Writes from some offset on, which are scattered over the order of the ranks.
            let faults = try Faults.environment(
                "write", fault, folder.file("f"), rank: 1, from: 3_900_000
            ).map { "\($0)=\($1)" }
            let words = ["update", folder.file("f"), "--by", "7", "--io", "posix", "--sync", sync]
            // A launcher whose rank was killed says so by 137, which would look like a run that was hung.
            let script = #""$@"; status=$?; test $status = 137 && exit 99; exit $status"#
            let outcome = try Launch.run(
                ["sh", "-c", script, "sh"] + Launch.mpirun(3) + ["env"] + faults
                    + [Launch.program] + words, seconds: 60)
            #expect((outcome.status == 0) == (fault == "lost"), "\(outcome.error)")
            var manifest = try folder.json("f.dgen.json")
            if fault == "lost" {
                // As if the power had gone before the run said that it was done.
                manifest["status"] = "updating"
                manifest["update"] = [
                    "from": 0, "ranks": 3, "sync": sync, "transfer_size": 1 << 20,
                ]
                let text = try JSONSerialization.data(withJSONObject: manifest)
                try folder.write(String(decoding: text, as: UTF8.self), to: "f.dgen.json")
            }
            let isRight = fault == "kill" || sync == "end"
            for ranks in [1, 2, 4] {
                let verified = try Launch.ranks(
                    ranks,
                    ["verify", folder.file("f"), "--consistent", "--report", folder.file("r")])
                #expect(verified.status == (isRight ? 0 : 1), "\(verified.output)\(verified.error)")
                let found = try #require(
                    try folder.json("r")["consistency"] as? [String: Any])
                #expect(found["ranks"] as? Int == 3)
                #expect(found["wrong_ranks"] as? Int == (isRight ? 0 : 1))
                #expect(found["torn"] as? Int == 0)
                let writers = try #require(found["writers"] as? [[String: Any]])
                #expect(writers.first?["rank"] as? Int == (isRight ? 0 : 1))
                let says =
                    isRight
                    ? "rank 1: \(writers[1]["present"] ?? 0) of"
                    : "is missing although \(writers[0]["present_after"] ?? 0) is there"
                #expect(verified.output.contains(says), "\(verified.output)")
            }
            #expect(try Launch.ranks(2, ["update", folder.file("f"), "--resume"]).status == 0)
            let nothing = try Launch.ranks(1, ["verify", folder.file("f"), "--consistent"])
            #expect(nothing.status == 2 && nothing.error.contains("does not say 'updating'"))
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
        }

        /// Whatever is in the way is left as it is, and so is what cannot be updated.
        @Test func nothingElseIsWrittenInto() throws {
            let folder = try Folder()
            try generate(folder, "f", 1)
            let manifest = try folder.text("f.dgen.json")
            let precious = Data(repeating: 0x41, count: Self.size)
            func refuse(_ words: [String], _ says: String, status: Int32 = 2) throws {
                let before = try bytes(folder, ["f"])
                let text = try folder.text("f.dgen.json")
                let outcome = try Launch.ranks(2, ["update", folder.file("f")] + words)
                #expect(outcome.status == status, "\(words): \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(words): \(outcome.error)")
                #expect(
                    outcome.complaints.first?.contains(says) == true, "\(words): \(outcome.error)")
                #expect(try bytes(folder, ["f"]) == before, "\(words)")
                #expect(try folder.text("f.dgen.json") == text, "\(words)")
            }
            try refuse([], "generation: missing")
            try refuse(["--by", "1", "--generation", "5"], "none with generation")
            try refuse(["--by", "0"], "by: '0'")
            try refuse(["--by", "1", "--sync", "every:0"], "none, end, each or every:N")
            try refuse(["--by", "1", "--seed", "6"], "another data set")
            try refuse(["--by", "1", "--layout", "per-rank"], "another data set")
            // Of somebody else, and as long.
            try precious.write(to: URL(filePath: folder.file("f")))
            try refuse(["--by", "1"], "none of the bytes")
            try generate(folder, "f", 1, ["--overwrite"])
            try folder.truncate("f", to: Self.size - 1)
            try refuse(["--by", "1"], "repair makes it whole")
            try folder.write(
                manifest.replacing("\"complete\"", with: "\"writing\""), to: "f.dgen.json")
            try refuse(["--by", "1"], "repair finishes it first")
            try FileManager.default.removeItem(atPath: folder.file("f.dgen.json"))
            let unknown = try Launch.ranks(
                2, ["update", folder.file("f"), "--by", "1"] + Self.spec)
            #expect(unknown.status == 2 && unknown.error.contains("has no manifest"))
            // One that has no history.
            let plain = try Launch.ranks(
                1, ["-o", folder.file("p"), "-s", "1MiB", "--seed", "1", "--quiet"])
            try #require(plain.status == 0)
            #expect(try Launch.ranks(1, ["update", folder.file("p"), "--by", "1"]).status == 2)
            #expect(try Launch.ranks(1, ["verify", folder.file("p")]).status == 0)
        }

        @Test func aTestUpdatesWhatItHasWritten() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                3,
                [
                    "test", "-o", folder.file("f"), "--phases", "write,update,verify,update,verify",
                    "--repeat", "2", "--by", "3", "--keep", "--report", folder.file("r"),
                ] + Self.spec)
            #expect(outcome.status == 0, "\(outcome.error)")
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            let names = ["write", "update", "verify", "update", "verify"]
            #expect(operations.map { $0["operation"] as? String } == names + names)
            try generate(folder, "g", 6)
            #expect(try folder.sha256("f") == folder.sha256("g"))
            for (words, says) in [
                (["--phases", "update,verify"], "after write"), (["--by", "2"], "phase update"),
                (["--phases", "write,update", "--change", ""], "change"),
            ] {
                let refused = try Launch.ranks(
                    1, ["test", "-o", folder.file("n")] + Self.spec + words)
                #expect(refused.status == 2, "\(words)")
                #expect(refused.complaints.first?.contains(says) == true, "\(refused.error)")
                #expect(!folder.exists("n"))
            }
        }

        /// Files in the midst of an update: whatever blocks are of is told, by any ranks and in both layouts.
        @Test func blocksOfSeveralGenerationsAreAccepted() throws {
            let folder = try Folder()
            let (from, to) = (3, 5)
            for generation in [0, from, to] {
                try generate(folder, "g\(generation)", generation)
            }
            let (older, old, new) = (
                try bytes(folder, ["g0"]), try bytes(folder, ["g\(from)"]),
                try bytes(folder, ["g\(to)"])
            )
            let block = Self.block
            let changed = stride(from: 0, to: Self.size, by: block).filter {
                old[$0..<min($0 + block, Self.size)] != new[$0..<min($0 + block, Self.size)]
            }
            let lost = try #require(
                stride(from: 0, to: Self.size - block, by: block).first {
                    let range = $0..<$0 + block
                    return older[range] != old[range] && !changed.contains($0)
                })
            for (ranks, layout) in [(1, "shared"), (3, "shared"), (2, "per-rank")] {
                let names = layout == "shared" ? ["f"] : (0..<3).map { "f.0000000\($0)" }
                let words = ["--layout", layout, "--overwrite"]
                try generate(folder, "f", from, words, ranks: 3)
                var found = old
                func put(_ range: Range<Int>, _ data: Data) throws {
                    found[range] = data[range]
                    var start = 0
                    for name in names {
                        let count = try bytes(folder, [name]).count
                        let part = Data(found[start..<start + count])
                        try part.write(to: URL(filePath: folder.file(name)))
                        start += count
                    }
                }
                func verify(_ status: Int32, _ more: [String] = []) throws -> [String: Any] {
                    let outcome = try Launch.ranks(
                        ranks,
                        [
                            "verify", folder.file("f"), "--from", "\(from)", "--to", "\(to)",
                            "--report", folder.file("r"), "-t", "10000",
                        ] + more)
                    #expect(outcome.status == status, "\(outcome.error) \(outcome.output)")
                    return try #require(try folder.json("r")["history"] as? [String: Any])
                }
                func count(_ history: [String: Any], _ name: String) -> Int? {
                    history[name] as? Int
                }
                for start in changed.enumerated().filter({ $0.offset % 2 == 0 }).map(\.element) {
                    let range = start..<min(start + block, Self.size)
                    found[range] = new[range]
                }
                try put(0..<0, new)
                let right = try verify(0, ranks == 1 ? ["--io", "posix"] : [])
                #expect(count(right, "unchanged") == 1001 - changed.count)
                let accepted = try #require(right["accepted"] as? [String: Int])
                #expect(accepted.values.reduce(0, +) == changed.count)
                // Each of these with its place.
                let (torn, cut) = (changed[1], changed[3])
                try put(torn..<torn + 1024, new)
                try put(cut..<cut + 1001, new)
                try put(lost..<lost + block, older)
                found[changed[5] + 7] ^= 4
                try put(0..<0, new)
                let wrong = try verify(1)
                #expect(count(wrong, "torn_aligned") == 1 && count(wrong, "torn_unaligned") == 1)
                #expect(count(wrong, "older") == 1 && count(wrong, "newer") == 0)
                #expect(count(wrong, "foreign") == 1)
                let blocks = try #require(wrong["blocks"] as? [[String: Any]])
                #expect(blocks.map { $0["offset"] as? Int } == [torn, cut, lost].sorted())
                for (place, offset) in [(1024, torn), (1001, cut)] {
                    let one = blocks.first { $0["offset"] as? Int == offset }
                    #expect(one?["torn_at"] as? Int == place)
                }
                let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
                #expect(damage.map { $0["kind"] as? String } == ["bit_flips"])
                #expect(damage.first?["offset"] as? Int == changed[5] + 7)
                // A file that is cut off.
                let last = try #require(names.last)
                let length = try bytes(folder, [last]).count
                try folder.truncate(last, to: length - 5000)
                #expect(count(try verify(1), "foreign") == 1 + 3)
            }
        }

        @Test func generationsThatMakeNoSenseAreRefused() throws {
            let folder = try Folder()
            try generate(folder, "f", 4)
            let plain = try Launch.ranks(
                1, ["-o", folder.file("p"), "-s", "1MiB", "--seed", "1", "--quiet"])
            try #require(plain.status == 0)
            for (name, words, says) in [
                ("f", ["--from", "5"], "from: '5'"), ("f", ["--to", "5"], "to: '5'"),
                ("f", ["--from", "3", "--to", "2"], "from: '3'"),
                ("f", ["--from", "3", "--sample", "1%"], "sample: '1%'"),
                ("f", ["--from", "3", "--to", "5", "--generation", "4"], "generation: '4'"),
                ("p", ["--from", "0"], "change only"),
            ] {
                let refused = try Launch.ranks(2, ["verify", folder.file(name)] + words)
                #expect(refused.status == 2, "\(words)")
                #expect(refused.complaints.count == 1, "\(refused.error)")
                #expect(refused.complaints.first?.contains(says) == true, "\(refused.error)")
            }
        }
    }
}
