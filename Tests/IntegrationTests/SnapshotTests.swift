// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// What storage may make of a data set in time: each fault is named, with its place and its generations.
    @Suite struct SnapshotTests {
        private static let block = 16 << 10
        private static let size = 300 * block + 700
        private static let (from, to) = (3, 4)
        private static let spec = [
            "-s", "\(size)", "--seed", "11", "--dedup-unit", "\(block)", "--copies", "2:20%",
            "--zeros", "3%", "--compress-mix", "1:50%,2:50%", "--change", "60%:30%",
        ]

        /// The data set in all generations up to the last one, in a folder of its own.
        private struct History {
            let folder: Folder
            private(set) var all: [Data] = []

            init() throws {
                folder = try Folder()
                for generation in 0...to {
                    let made = try Launch.alone(
                        ["-o", folder.file("g"), "--generation", "\(generation)", "--overwrite"]
                            + ["--quiet"] + spec)
                    try #require(made.status == 0, "\(made.error)")
                    all.append(try Data(contentsOf: URL(filePath: folder.file("g"))))
                }
            }

            var old: Data { all[from] }
            var new: Data { all[to] }

            var blocks: [Range<Int>] {
                stride(from: 0, to: size, by: block).map { $0..<min($0 + block, size) }
            }

            /// Whole blocks that differ between the first and the last generation.
            var changed: [Range<Int>] {
                blocks.filter { $0.count == block && old[$0] != new[$0] }
            }

            /// The generation in which what a block holds in one was made.
            func made(_ generation: Int, _ range: Range<Int>) -> Int {
                var made = generation
                while made > 0, all[made - 1][range] == all[generation][range] { made -= 1 }
                return made
            }

            /// The data in the midst of an update: blocks of both generations.
            func mixed(_ numbers: inout RandomNumbers) -> Data {
                var found = old
                for range in changed where numbers.number(below: 2) == 0 {
                    found[range] = new[range]
                }
                return found
            }

            /// What `verify` says of bytes that are there.
            func verify(_ found: Data, _ ranks: Int, status: Int32) throws -> [String: Any] {
                try found.write(to: URL(filePath: folder.file("f")))
                try folder.write(folder.text("g.dgen.json"), to: "f.dgen.json")
                return try verify("f", ranks, status: status)
            }

            func verify(_ name: String, _ ranks: Int, status: Int32) throws -> [String: Any] {
                let outcome = try Launch.ranks(
                    ranks,
                    [
                        "verify", folder.file(name), "--from", "\(from)", "-t", "100000",
                        "--report", folder.file("r"),
                    ])
                #expect(outcome.status == status, "\(outcome.error) \(outcome.output)")
                return try folder.json("r")
            }

            /// Every block that is wholly of one generation is said to be, where it is; returns the others.
            func expectPlaces(
                _ report: [String: Any], _ found: Data, _ note: Comment
            ) throws -> [Range<Int>] {
                let map = try #require(report["map"] as? [String: Any])
                #expect(map["stretch_bytes"] as? Int == block)
                let stretches = try #require(map["stretches"] as? [[String: Any]])
                #expect(stretches.map { $0["offset"] as? Int } == blocks.map(\.lowerBound), note)
                var others: [Range<Int>] = []
                for (range, stretch) in zip(blocks, stretches) {
                    let generations = stretch["generations"] as? [String: Int]
                    let isOld = found[range] == old[range]
                    let isNew = found[range] == new[range]
                    if isOld, isNew {
                        #expect(stretch["unchanged"] as? Int == range.count, note)
                    } else if isOld || isNew {
                        let made = self.made(isOld ? from : to, range)
                        #expect(generations == ["\(made)": range.count], note)
                    } else {
                        others.append(range)
                        let damage = stretch["damage"] as? [String: Int]
                        #expect(damage?.values.reduce(0, +) == range.count, note)
                    }
                }
                return others
            }

            /// The one wrong block is torn, nowhere but at a place, or at one that cannot be told from it.
            func expectTorn(
                _ report: [String: Any], _ found: Data, _ range: Range<Int>, at place: Int,
                newFirst: Bool, _ note: Comment
            ) throws {
                let others = try expectPlaces(report, found, note)
                #expect(others == [range], note)
                let history = try #require(report["history"] as? [String: Any])
                let torn = place % 512 == 0 ? "torn_aligned" : "torn_unaligned"
                for kind in ["torn_aligned", "torn_unaligned", "older", "newer", "foreign"] {
                    #expect(history[kind] as? Int == (kind == torn ? 1 : 0), "\(kind) \(note)")
                }
                let one = try #require((history["blocks"] as? [[String: Any]])?.first)
                #expect(one["offset"] as? Int == range.lowerBound, note)
                #expect(one["kind"] as? String == "torn", note)
                let (head, tail) = newFirst ? (to, from) : (from, to)
                #expect(one["generation"] as? Int == made(head, range), note)
                #expect(one["next_generation"] as? Int == made(tail, range), note)
                let told = try #require(one["torn_at"] as? Int)
                #expect(place % 512 > 0 || told == place, note)
                let border = range.lowerBound + told
                let first = range.lowerBound..<border
                let second = border..<range.upperBound
                #expect(all[head][first] == found[first], note)
                #expect(all[tail][second] == found[second], note)
            }
        }

        /// How often each fault is planted.
        private static let rounds = TestForm.rounds(1, whole: 20)

        /// One write stopped in the midst of its block.
        @Test(arguments: [512, 4096]) func aTornWriteIsNamed(unit: Int) throws {
            let history = try History()
            var numbers = RandomNumbers()
            for round in 0..<Self.rounds {
                var found = history.mixed(&numbers)
                let range = history.changed[numbers.number(below: history.changed.count)]
                let place = unit * (1 + numbers.number(below: Self.block / unit - 1))
                let newFirst = numbers.number(below: 2) == 0
                let (head, tail) =
                    newFirst ? (history.new, history.old) : (history.old, history.new)
                let border = range.lowerBound + place
                found[range.lowerBound..<border] = head[range.lowerBound..<border]
                found[border..<range.upperBound] = tail[border..<range.upperBound]
                let report = try history.verify(found, 1 + round % 3, status: 1)
                try history.expectTorn(
                    report, found, range, at: place, newFirst: newFirst,
                    "at \(place) of block \(range.lowerBound / Self.block), \(numbers)")
            }
        }

        /// A cache goes on serving what was there before the first generation: a block, or a page of one.
        @Test(arguments: [true, false]) func anEarlierGenerationIsNamed(isWhole: Bool) throws {
            let history = try History()
            var numbers = RandomNumbers()
            for round in 0..<Self.rounds {
                var found = history.mixed(&numbers)
                let source = history.all[numbers.number(below: Self.from)]
                let stale = history.blocks.filter {
                    $0.count == Self.block && source[$0] != history.old[$0]
                }
                let range = stale[numbers.number(below: stale.count)]
                let start = range.lowerBound + 4096 * (1 + numbers.number(below: 2))
                let place = isWhole ? range : start..<start + 4096
                let before = found
                found[place] = source[place]
                let report = try history.verify(found, 1 + round % 3, status: 1)
                let note: Comment = "\(place), \(numbers)"
                #expect(try history.expectPlaces(report, found, note) == [range], note)
                let told = try #require(report["history"] as? [String: Any])
                #expect(told["older"] as? Int == (isWhole ? 1 : 0), note)
                #expect(told["foreign"] as? Int == (isWhole ? 0 : 1), note)
                for kind in ["torn_aligned", "torn_unaligned", "newer"] {
                    #expect(told[kind] as? Int == 0, note)
                }
                let blocks = try #require(told["blocks"] as? [[String: Any]])
                let damage = try #require(report["damage"] as? [[String: Any]])
                let generation = history.all.firstIndex { $0[range] == source[range] }
                if isWhole {
                    #expect(damage.isEmpty, note)
                    #expect(blocks.map { $0["kind"] as? String } == ["older"], note)
                    #expect(blocks.first?["offset"] as? Int == range.lowerBound, note)
                    #expect(blocks.first?["generation"] as? Int == generation, note)
                } else {
                    #expect(blocks.isEmpty, note)
                    #expect(damage.map { $0["kind"] as? String } == ["stale"], note)
                    let first = place.first { found[$0] != before[$0] }
                    #expect(damage.first?["offset"] as? Int == first, note)
                    #expect(damage.first?["generation"] as? Int == generation, note)
                }
            }
        }

        /// A snapshot of which one part was taken before an update, and the other after it.
        @Test(arguments: [Self.block, 512, 1]) func aSnapshotOfTwoTimesIsNamed(unit: Int) throws {
            let history = try History()
            var numbers = RandomNumbers()
            for round in 0..<Self.rounds {
                let range = history.changed[numbers.number(below: history.changed.count)]
                var place = unit == Self.block ? 0 : unit * numbers.number(below: Self.block / unit)
                // An odd byte is at no sector; a part of a few bytes does not tell what it is of.
                if unit == 1 { place |= 1 }
                if unit < Self.block { place = max(place, unit == 1 ? 9 : unit) }
                if unit == 1 { place = min(place, Self.block - 9) }
                let border = range.lowerBound + place
                let newFirst = numbers.number(below: 2) == 0
                let (head, tail) =
                    newFirst ? (history.new, history.old) : (history.old, history.new)
                let found = head[..<border] + tail[border...]
                let note: Comment = "at \(border), \(numbers)"
                let report = try history.verify(
                    found, 1 + round % 3, status: unit == Self.block ? 0 : 1)
                if unit == Self.block {
                    #expect(try history.expectPlaces(report, found, note).isEmpty, note)
                } else {
                    try history.expectTorn(
                        report, found, range, at: place, newFirst: newFirst, note)
                }
            }
        }

        /// A snapshot of a data set that is being updated: of two writers, each held in the midst of a block.
        @Test func aSnapshotOfAnUpdateIsNamed() throws {
            let history = try History()
            let folder = history.folder
            var numbers = RandomNumbers()
            for round in 0..<Self.rounds {
                try history.old.write(to: URL(filePath: folder.file("u")))
                let manifest = try folder.text("g.dgen.json")
                    .replacing("\"generation\" : 4", with: "\"generation\" : 3")
                try folder.write(manifest, to: "u.dgen.json")
                let held = Self.size * 7 / 10
                let faults = try Faults.environment(
                    "write", "stop", folder.file("u"), from: numbers.number(below: held))
                let outcome = try Launch.run(
                    [
                        "bash", "-c",
                        Launch.waiting + #"""
                            folder=$1; shift
                            rm -f "$folder"/pid.*
                            "$@" &
                            for rank in 0 1; do
                                until test -s "$folder/pid.$rank"; do sleep 0.01; done
                                until_state T "$(cat "$folder/pid.$rank")"
                            done
                            cp "$folder/u" "$folder/snapshot"
                            cp "$folder/u.dgen.json" "$folder/snapshot.dgen.json"
                            kill -CONT $(cat "$folder"/pid.*)
                            wait $!
                            """#, "bash", folder.path,
                    ]
                        + Launch.noting(
                            folder, Launch.mpirun(2) + ["env"] + faults.map { "\($0)=\($1)" })
                        + ["update", folder.file("u"), "--by", "1", "-t", "512", "--io", "posix"],
                    seconds: 60)
                #expect(outcome.status == 0, "\(outcome.error)")
                #expect(try Data(contentsOf: URL(filePath: folder.file("u"))) == history.new)
                let found = try Data(contentsOf: URL(filePath: folder.file("snapshot")))
                let torn = history.blocks.filter {
                    found[$0] != history.old[$0] && found[$0] != history.new[$0]
                }
                let note: Comment = "\(faults), \(numbers)"
                let report = try history.verify(
                    "snapshot", 1 + round % 3, status: torn.isEmpty ? 0 : 1)
                #expect(try history.expectPlaces(report, found, note) == torn, note)
                let told = try #require(report["history"] as? [String: Any])
                #expect(told["torn_aligned"] as? Int == torn.count, note)
                let blocks = try #require(told["blocks"] as? [[String: Any]])
                #expect(blocks.map { $0["offset"] as? Int } == torn.map(\.lowerBound), note)
                for (one, range) in zip(blocks, torn) {
                    let written = range.last { found[$0] != history.old[$0] }
                    let end = (written ?? 0) + 1 - range.lowerBound
                    #expect(one["torn_at"] as? Int == (end + 511) / 512 * 512, note)
                    #expect(one["generation"] as? Int == Self.to, note)
                    let before = history.made(Self.from, range)
                    #expect(one["next_generation"] as? Int == before, note)
                }
            }
        }
    }
}
