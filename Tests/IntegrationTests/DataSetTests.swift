// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport
import Vectors

/// Everything that starts programs: as many at a time as the machine has processors, since they wait a lot.
@Suite struct Integration {}

extension Integration {
    /// The promise: the same specification, the same bytes.
    @Suite struct DataSetTests {
        /// Reference data sets of several MiB, with and without reduction.
        static let vectors = Vectors.shared.dataSets.filter { $0.spec.size >= 2_000_000 }

        private func options(_ spec: Vectors.Spec) -> [String] {
            [
                "-s", "\(spec.size)", "--seed", "\(spec.seed)",
                "--dedup-ratio", "\(spec.dedupRatio)", "--compress-ratio", "\(spec.compressRatio)",
                "--dedup-unit", "\(spec.dedupUnit)", "--compress-unit", "\(spec.compressUnit)",
                "--fill", spec.fill,
            ]
        }

        /// Ranks, bytes of a transfer, and whether they write together.
        private static let ways: [(ranks: Int, transfer: String, isTogether: Bool)] = {
            let transfers = ["4KiB", "64KiB", "1000000", "64MiB"]
            let all = [1, 2, 3, 5, 8].flatMap { ranks in
                transfers.flatMap { [(ranks, $0, false), (ranks, $0, true)] }
            }
            // Each number of ranks and each transfer in both modes.
            let some = [1, 2, 3, 5, 8].enumerated().flatMap { index, ranks in
                [(ranks, transfers[index % 4], false), (ranks, transfers[(index + 2) % 4], true)]
            }
            let others = all.filter { way in !some.contains { $0 == way } }
            return TestForm.cases(
                some, more: others, of: "sameFileForEveryRankCountAndTransferSize")
        }()

        @Test(arguments: ways)
        func sameFileForEveryRankCountAndTransferSize(
            way: (ranks: Int, transfer: String, isTogether: Bool)
        ) throws {
            let folder = try Folder()
            // Each combination takes other vectors, so that all are made, and all run counts too.
            let number = (way.ranks * 5 + way.transfer.count) % Self.vectors.count
            let vector = Self.vectors[number]
            // Small alignment gives every rank a shard of its own.
            let mode = way.isTogether ? ["--collective", "--align", "4KiB"] : ["--align", "1MiB"]
            let outcome = try Launch.ranks(
                way.ranks,
                ["-o", folder.file("f"), "-t", way.transfer] + mode + options(vector.spec))
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try folder.sha256("f") == vector.sha256, "\(vector.spec)")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "complete")
        }

        private static let largeJobs: [([String], String?)] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            return TestForm.cases(
                [(["--collective"], first)],
                more: [([], first)]
                    + (first == last ? [] : [([], last), (["--collective"], last)]),
                of: "sixtyFourRanksMakeTheSameFile")
        }()

        @Test(arguments: largeJobs)
        func sixtyFourRanksMakeTheSameFile(mode: [String], component: String?) throws {
            let folder = try Folder()
            let vector = try #require(Self.vectors.last)
            let outcome = try Launch.ranks(
                64,
                ["-o", folder.file("f"), "-t", "8KiB", "--align", "8KiB"] + mode
                    + options(vector.spec),
                component: component, seconds: 120)
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try folder.sha256("f") == vector.sha256)
        }

        /// All vectors are made by the tests of the generator too.
        private static let written: [Int] = {
            let all = Array(Vectors.shared.dataSets.indices)
            let some = all.filter { $0 % 7 == 3 }
            return TestForm.cases(
                some, more: all.filter { !some.contains($0) }, of: "everyVectorIsWrittenAndVerified"
            )
        }()

        @Test(arguments: written)
        func everyVectorIsWrittenAndVerified(index: Int) throws {
            let folder = try Folder()
            let vector = Vectors.shared.dataSets[index]
            let written = try Launch.ranks(
                2, ["-o", folder.file("f"), "--align", "4096"] + options(vector.spec))
            #expect(written.status == 0, "\(written.error)")
            #expect(try folder.sha256("f") == vector.sha256)
            let verified = try Launch.ranks(3, ["verify", folder.file("f"), "--align", "512"])
            #expect(verified.status == 0, "\(verified.error)")
        }

        /// A reference data set of version 2, and the ranks that write it.
        private static let ofVersion2: [(index: Int, ranks: Int)] = {
            let counts = [1, 2, 3, 5]
            let all = Vectors2.shared.sets.indices.flatMap { index in
                counts.map { (index: index, ranks: $0) }
            }
            // Plain, by ratio, by classes, small blocks: each by another number of ranks.
            let some = [(2, 5), (4, 2), (6, 3), (8, 1)]
            return TestForm.cases(
                all.filter { way in some.contains { $0 == way } },
                more: all.filter { way in !some.contains { $0 == way } },
                of: "everyVectorOfVersion2IsWrittenAndVerified")
        }()

        @Test(arguments: ofVersion2)
        func everyVectorOfVersion2IsWrittenAndVerified(way: (index: Int, ranks: Int)) throws {
            let folder = try Folder()
            let vector = Vectors2.shared.sets[way.index]
            let mode = way.index % 2 == 0 ? ["--collective"] : []
            let written = try Launch.ranks(
                way.ranks,
                ["-o", folder.file("f"), "--align", "4096", "-t", "100000"] + mode
                    + options(vector.spec))
            #expect(written.status == 0, "\(written.error)")
            #expect(try folder.sha256("f") == vector.sha256, "\(vector.name)")
            let manifest = try folder.json("f.dgen.json")
            #expect(manifest["format"] as? String == "dgen/2")
            #expect(manifest["status"] as? String == "complete")
            let verified = try Launch.ranks(
                way.ranks % 3 + 1, ["verify", folder.file("f"), "--align", "512"])
            #expect(verified.status == 0, "\(verified.error)")
        }

        private func options(_ spec: Vectors2.Spec) -> [String] {
            /// A decimal number, of thousandths or millionths.
            func decimal(_ value: Int, _ unit: Int) -> String {
                "\(value / unit).\(String("\(unit + value % unit)".dropFirst()))"
            }
            func classes(_ pairs: [[Int]], unit: Int) -> String {
                pairs.map {
                    let value = unit == 1 ? "\($0[0])" : decimal($0[0], unit)
                    return "\(value):\(decimal($0[1], 1_000_000))"
                }.joined(separator: ",")
            }
            let given: [(String, String?)] = [
                ("size", "\(spec.size.value)"), ("seed", "\(spec.seed.value)"),
                ("dedup-unit", "\(spec.block)"), ("compress-unit", spec.grain.map { "\($0)" }),
                ("fill", spec.fill), ("dedup-ratio", spec.dedup.map { decimal($0, 1000) }),
                ("copies", spec.copies.map { classes($0, unit: 1) }),
                ("zeros", spec.zeros.map { decimal($0, 1_000_000) }),
                ("compress-mix", spec.compress.map { classes($0, unit: 1000) }),
                ("run", spec.run.map { "\($0)" }),
                ("change", spec.change.map { classes($0, unit: 1_000_000) }),
                ("generation", spec.generation.map { "\($0)" }),
            ]
            return given.flatMap { name, value in value.map { ["--\(name)", $0] } ?? [] }
        }

        @Test(arguments: ["scalar", "baseline", "x86-v3", "x86-v4"])
        func kernelsMakeTheSameFile(kernel: String) throws {
            let folder = try Folder()
            let vector = try #require(Self.vectors.first { $0.spec.compressRatio == 1 })
            let outcome = try Launch.ranks(
                2, ["-o", folder.file("f"), "--report", folder.file("r")] + options(vector.spec),
                environment: ["DGEN_KERNEL": kernel])
            // A processor without the instructions refuses, and says which it has.
            guard outcome.status != 2 else {
                #expect(outcome.complaints.first?.contains("DGEN_KERNEL") == true)
                return
            }
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try folder.sha256("f") == vector.sha256)
            #expect(try folder.json("r")["kernel"] as? String == kernel)
        }

        @Test func sixtyFourRanksWriteAGibibyteAndSevenFindASingleFlippedByte() throws {
            let folder = try Folder()
            let written = try Launch.ranks(
                64,
                [
                    "-o", folder.file("f"), "-s", "1GiB", "--seed", "42", "--dedup-ratio", "2.5",
                    "--compress-ratio", "1.5",
                ], seconds: 180)
            #expect(written.status == 0, "\(written.error)")
            #expect(try folder.size("f") == 1 << 30)
            #expect(try Launch.ranks(7, ["verify", folder.file("f")]).status == 0)
            let offsets = [153_391_689, (1 << 30) - 1, 0, 1, 1 << 29]
            for offset in TestForm.isWhole ? offsets : Array(offsets.prefix(2)) {
                try folder.flip("f", at: offset, with: 1)
                let outcome = try Launch.ranks(
                    7, ["verify", folder.file("f"), "--report", folder.file("r")])
                #expect(outcome.status == 1, "\(outcome.error)")
                #expect(outcome.output.contains("offset \(offset)\n"), "\(outcome.output)")
                let report = try folder.json("r")
                #expect(report["first_wrong_offset"] as? Int == offset)
                #expect(report["wrong_bytes"] as? Int == 1)
                #expect(report["damage_ranges"] as? Int == 1)
                #expect(report["status"] as? String == "mismatch")
                try folder.flip("f", at: offset, with: 1)
            }
        }
    }
}
