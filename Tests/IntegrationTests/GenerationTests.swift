// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Data sets of copies, zeros, mixed ratios and a history, damaged with bytes of their other generations.
    ///
    /// What should be said of damage is found by comparing the files of all generations, block by block.
    @Suite struct GenerationTests {
        private static let block = 4096
        private static let blockCount = 402
        private static let size = 401 * block + 700
        private static let generation = 5
        private static let spec = [
            "-s", "\(size)", "--seed", "8", "--dedup-unit", "\(block)", "--copies", "2:30%,5:10%",
            "--zeros", "5%", "--compress-mix", "1:50%,2:50%", "--run", "2",
            "--change", "50%:30%,30%:4%",
        ]

        /// The files of all generations up to one that is later than that of the tests.
        private struct History {
            // The leak sanitizer does not see what a `Data` keeps that is there to the end.
            private let files: [[UInt8]]
            /// The blocks that hold what each block does, itself among them, in ascending order.
            let holders: [[Int]]
            /// For each generation, since which one each block has held what it holds.
            private let since: [[Int]]

            init() throws {
                let folder = try Folder()
                files = try (0...8).map { generation in
                    let name = "g\(generation)"
                    let outcome = try Launch.alone(
                        ["-o", folder.file(name), "--generation", "\(generation)", "--quiet"]
                            + GenerationTests.spec)
                    try #require(outcome.status == 0, "\(outcome.error)")
                    let found = try Data(contentsOf: URL(filePath: folder.file(name)))
                    // All at once: byte by byte takes a minute.
                    return [UInt8](unsafeUninitializedCapacity: found.count) { bytes, count in
                        count = found.copyBytes(to: bytes)
                    }
                }
                // Once for all tests: to copy and compare blocks takes long under the address sanitizer.
                let datas = files.map { Data($0) }
                let blocks = (0..<GenerationTests.blockCount).map {
                    datas[GenerationTests.generation][GenerationTests.range($0)]
                }
                let all = Dictionary(grouping: blocks.indices) { blocks[$0] }
                holders = blocks.map { all[$0] ?? [] }
                since = datas.indices.reduce(into: []) { since, generation in
                    since.append(
                        blocks.indices.map { block in
                            let range = GenerationTests.range(block)
                            guard generation > 0 else { return 0 }
                            let isSame = datas[generation][range] == datas[generation - 1][range]
                            return isSame ? since[generation - 1][block] : generation
                        })
                }
            }

            var right: Data { file(of: GenerationTests.generation) }

            func file(of generation: Int) -> Data { Data(files[generation]) }

            func bytes(_ block: Int, in generation: Int) -> Data {
                Data(files[generation][GenerationTests.range(block)])
            }

            /// The generation since which a block has held what it holds in another one.
            func made(_ block: Int, in generation: Int) -> Int { since[generation][block] }

            func isZeros(_ block: Int) -> Bool {
                let found = bytes(block, in: GenerationTests.generation)
                return found == Data(count: found.count)
            }

            /// How many blocks of another generation are not as they should be, by the generation in which they were made.
            func stale(in generation: Int) -> [String: Int] {
                holders.indices.reduce(into: [:]) { counts, block in
                    let now = made(block, in: GenerationTests.generation)
                    let then = made(block, in: generation)
                    guard then != now else { return }
                    counts["\(made(block, in: generation))", default: 0] += 1
                }
            }
        }

        private static let history = Result { try History() }

        private static func range(_ block: Int) -> Range<Int> {
            block * Self.block..<min((block + 1) * Self.block, size)
        }

        /// What is put into a file, and what should be said of it.
        private struct Planted {
            let offset: Int
            let bytes: Data
            let kind: String
            var generation: Int?
            var staleBlocks: [String: Int]?
            var sourceOffset: Int?
            var sourceBlocks: Int?
            var bits: [[String: Int]]?
        }

        /// A set as it should be, by several ranks; the names of its files.
        private func write(_ folder: Folder, _ layout: String) throws -> [String] {
            let outcome = try Launch.ranks(
                3,
                [
                    "-o", folder.file("f"), "--generation", "\(Self.generation)", "--layout",
                    layout, "--align", "64KiB", "--quiet",
                ] + Self.spec)
            try #require(outcome.status == 0, "\(outcome.error)")
            return layout == "shared" ? ["f"] : (0..<3).map { "f.0000000\($0)" }
        }

        private func bytes(_ folder: Folder, _ names: [String]) throws -> Data {
            try names.reduce(into: Data()) {
                $0 += try Data(contentsOf: URL(filePath: folder.file($1)))
            }
        }

        /// Deals bytes to the files of a data set, each as long as it is.
        private func put(_ bytes: Data, _ folder: Folder, _ names: [String]) throws {
            var start = 0
            for name in names {
                let end = start + (try folder.size(name))
                try bytes[start..<end].write(to: URL(filePath: folder.file(name)))
                start = end
            }
            #expect(start == bytes.count)
        }

        private func damage(_ folder: Folder) throws -> [[String: Any]] {
            try #require(try folder.json("r")["damage"] as? [[String: Any]])
        }

        /// One damage of each kind, none next to another one.
        private func everyKind(_ history: History) throws -> [Planted] {
            var free = Set(history.holders.indices)
            /// A block that is as wanted, with right ones around it.
            func take(_ count: Int = 1, where isWanted: (Int) -> Bool) throws -> Int {
                let found = try #require(
                    history.holders.indices.first { block in
                        let blocks = block - 1...block + count
                        return blocks.allSatisfy {
                            free.contains($0) || $0 < 0 || $0 >= Self.blockCount
                        }
                            && isWanted(block)
                    })
                free.subtract(found - 1...found + count)
                return found
            }
            func made(_ block: Int, _ generation: Int) -> Int {
                history.made(block, in: generation)
            }
            func copies(_ block: Int) -> Int { history.holders[block].count }
            let now = Self.generation
            var all: [Planted] = []

            // The last block is short, and changes.
            let last = try take { $0 == Self.blockCount - 1 && made($0, now) > 0 }
            all.append(
                Planted(
                    offset: last * Self.block, bytes: history.bytes(last, in: 0), kind: "stale",
                    generation: 0))
            // The first version of a block that has had several, the one before, and one that follows.
            for before in [0, 3] {
                let block = try take { made($0, now) > 3 && made($0, 3) > 0 }
                all.append(
                    Planted(
                        offset: block * Self.block, bytes: history.bytes(block, in: before),
                        kind: "stale", generation: made(block, before)))
            }
            let next = try take { made($0, 8) > now }
            all.append(
                Planted(
                    offset: next * Self.block, bytes: history.bytes(next, in: 8), kind: "stale",
                    generation: made(next, 8)))
            // Two neighbours that were made in different generations, and a half of a block.
            let two = try take(2) {
                $0 < 400 && min(made($0, now), made($0 + 1, now)) > 3
                    && made($0, 3) != made($0 + 1, 3)
            }
            all.append(
                Planted(
                    offset: two * Self.block,
                    bytes: history.bytes(two, in: 3) + history.bytes(two + 1, in: 3), kind: "stale",
                    staleBlocks: ["\(made(two, 3))": 1, "\(made(two + 1, 3))": 1]))
            let half = try take { made($0, now) > 4 }
            all.append(
                Planted(
                    offset: half * Self.block + 1024,
                    bytes: history.bytes(half, in: 4).dropFirst(1024).prefix(2048), kind: "stale",
                    generation: made(half, 4)))
            // Contents that five blocks hold by right, or two, or one: in place of another one, and of zeros.
            for (count, isOverZeros) in [(5, false), (2, false), (1, false), (5, true)] {
                let source = try #require(
                    history.holders.indices.first { copies($0) == count && made($0, now) > 0 })
                let block = try take {
                    isOverZeros ? history.isZeros($0) : copies($0) == (count == 1 ? 2 : 1)
                }
                let lowest = try #require(history.holders[source].first)
                all.append(
                    Planted(
                        offset: block * Self.block, bytes: history.bytes(source, in: now),
                        kind: "misplaced", sourceOffset: lowest * Self.block,
                        sourceBlocks: count > 1 ? count : nil))
            }
            // A few bytes of zeros' place, which are nowhere; zeros in the place of data; a bit.
            let zeros = try take { history.isZeros($0) }
            all.append(
                Planted(
                    offset: zeros * Self.block + 1000,
                    bytes: Data((0..<100).map { UInt8($0 * 7 % 251 + 1) }), kind: "foreign"))
            let lost = try take { copies($0) == 2 }
            all.append(
                Planted(
                    offset: lost * Self.block, bytes: Data(count: Self.block), kind: "zeros"))
            for isZeros in [false, true] {
                let block = try take { history.isZeros($0) == isZeros }
                let place = block * Self.block + 1234
                all.append(
                    Planted(
                        offset: place, bytes: Data([history.right[place] ^ 8]), kind: "bit_flips",
                        bits: [["offset": place, "bit": 3]]))
            }
            return all.sorted { $0.offset < $1.offset }
        }

        @Test(
            arguments: TestForm.cases(
                [("shared", 3), ("per-rank", 2)], more: [("shared", 1), ("per-rank", 5)],
                of: "everyKindIsNamedAndMended"))
        func everyKindIsNamedAndMended(layout: String, ranks: Int) throws {
            let history = try Self.history.get()
            let folder = try Folder()
            let names = try write(folder, layout)
            #expect(try bytes(folder, names) == history.right)
            let planted = try everyKind(history)
            let right = history.right
            var found = right
            for one in planted {
                found.replaceSubrange(one.offset..<one.offset + one.bytes.count, with: one.bytes)
            }
            try put(found, folder, names)

            let verified = try Launch.ranks(
                ranks, ["verify", folder.file("f"), "-t", "100000", "--report", folder.file("r")])
            #expect(verified.status == 1, "\(verified.error)")
            let damage = try damage(folder)
            try #require(damage.count == planted.count, "\(verified.output)")
            var wrongBytes = 0
            for (said, one) in zip(damage, planted) {
                let what = "\(one.kind) at \(one.offset): \(said)"
                let wrong = (one.offset..<one.offset + one.bytes.count).filter {
                    found[$0] != right[$0]
                }
                let first = try #require(wrong.first), last = try #require(wrong.last)
                wrongBytes += wrong.count
                #expect(said["kind"] as? String == one.kind, "\(what)")
                #expect(said["offset"] as? Int == first, "\(what)")
                #expect(said["bytes"] as? Int == last + 1 - first, "\(what)")
                #expect(said["wrong_bytes"] as? Int == wrong.count, "\(what)")
                #expect(said["block"] as? Int == first / Self.block, "\(what)")
                #expect(said["generation"] as? Int == one.generation, "\(what)")
                #expect(said["stale_blocks"] as? [String: Int] == one.staleBlocks, "\(what)")
                #expect(
                    said["source_offset"] as? Int
                        == one.sourceOffset.map { $0 + first - one.offset }, "\(what)")
                #expect(said["source_blocks"] as? Int == one.sourceBlocks, "\(what)")
                #expect(said["bits"] as? [[String: Int]] == one.bits, "\(what)")
                #expect(said["seed"] == nil, "\(what)")
            }
            let report = try folder.json("r")
            #expect(report["wrong_bytes"] as? Int == wrongBytes)
            var stale: [String: Int] = [:]
            for one in planted {
                stale.merge(one.staleBlocks ?? [:], uniquingKeysWith: +)
                if let generation = one.generation { stale["\(generation)", default: 0] += 1 }
            }
            #expect(report["stale_blocks"] as? [String: Int] == stale)
            #expect(verified.output.contains(", as in 4 other blocks, "), "\(verified.output)")

            let repaired = try Launch.ranks(
                ranks, ["repair", folder.file("f"), "--report", folder.file("r")])
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try bytes(folder, names) == history.right)
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            let anew = try #require(operations.first?["repaired_bytes"] as? Int)
            // Right bytes by chance aside, what was wrong and no more.
            #expect(anew >= wrongBytes && anew < wrongBytes * 11 / 10, "\(anew), \(wrongBytes)")
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
        }

        /// All bytes are of another generation than the manifest says.
        @Test(
            arguments: TestForm.cases(
                [8], more: [0, 4, 6], of: "blocksAreCountedByGenerationAlsoInSamples"))
        func blocksAreCountedByGenerationAlsoInSamples(held: Int) throws {
            let history = try Self.history.get()
            let folder = try Folder()
            let names = try write(folder, "shared")
            try put(history.file(of: held), folder, names)
            let words = ["verify", folder.file("f"), "--report", folder.file("r")]
            let asked = try Launch.ranks(2, words + ["--generation", "\(held)"])
            #expect(asked.status == 0, "\(asked.error)")

            #expect(try Launch.ranks(3, words).status == 1)
            let expected = history.stale(in: held)
            #expect(!expected.isEmpty)
            #expect(try folder.json("r")["stale_blocks"] as? [String: Int] == expected)
            #expect(try damage(folder).allSatisfy { $0["kind"] as? String == "stale" })

            for ranks in [1, 2] {
                let sampled = try Launch.ranks(
                    ranks, words + ["--sample", "50%", "--sample-seed", "3"])
                #expect(sampled.status == 1, "\(sampled.error)")
                let report = try folder.json("r")
                let sample = try #require(report["sample"] as? [String: Any])
                #expect(sample["of_blocks"] as? Int == Self.blockCount)
                var counted: [String: Int] = [:]
                for range in try damage(folder) {
                    #expect(range["kind"] as? String == "stale")
                    let first = try #require(range["block"] as? Int)
                    for block in first...(range["last_block"] as? Int ?? first) {
                        counted["\(history.made(block, in: held))", default: 0] += 1
                        #expect(
                            history.bytes(block, in: held)
                                != history.bytes(block, in: Self.generation))
                    }
                }
                #expect(report["stale_blocks"] as? [String: Int] == counted)
                // About half, with six standard deviations to either side.
                let (all, some) = (expected.values.reduce(0, +), counted.values.reduce(0, +))
                #expect(abs(Double(2 * some - all)) < 6 * Double(all).squareRoot(), "\(some)")
            }
            let repaired = try Launch.ranks(2, ["repair", folder.file("f"), "--quiet"])
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try bytes(folder, names) == history.right)
        }

        @Test(
            arguments: TestForm.cases(
                ["per-rank"], more: ["shared"], of: "whatIsCutOffIsFinishedAsThatGeneration"))
        func whatIsCutOffIsFinishedAsThatGeneration(layout: String) throws {
            let history = try Self.history.get()
            let folder = try Folder()
            let names = try write(folder, layout)
            // What has been written is of the generation before in part, and ends within a block.
            try put(history.file(of: 4), folder, names)
            let manifest = try folder.text("f.dgen.json")
            try folder.write(manifest.replacing("complete", with: "writing"), to: "f.dgen.json")
            let cut = try #require(names.last)
            try folder.truncate(cut, to: try folder.size(cut) - 100_001)
            if names.count > 1 {
                try FileManager.default.removeItem(atPath: folder.file(names[0]))
            }
            let words = ["-o", folder.file("f"), "--resume"] + Self.spec + ["--generation"]
            let other = try Launch.ranks(2, words + ["4"])
            #expect(other.status == 2)
            #expect(other.complaints.count == 1, "\(other.error)")
            for ranks in [2, 5] {
                let resumed = try Launch.ranks(ranks, words + ["\(Self.generation)"])
                #expect(resumed.status == 0, "\(resumed.error)")
                #expect(try bytes(folder, names) == history.right)
                #expect(try folder.json("f.dgen.json")["status"] as? String == "complete")
                // The second time there is nothing to do.
                let nothing = "0 bytes in 0 ranges"
                #expect(resumed.output.contains(nothing) == (ranks == 5), "\(resumed.output)")
            }
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
        }
    }
}
