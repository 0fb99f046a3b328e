// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import Vectors

/// Everything that starts programs, one at a time: the machine's processors are few.
@Suite(.serialized) struct Integration {}

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

        @Test(
            arguments: [1, 2, 3, 5, 8], ["4KiB", "64KiB", "1000000", "64MiB"])
        func sameFileForEveryRankCountAndTransferSize(ranks: Int, transfer: String) throws {
            let folder = try Folder()
            // Each combination takes other vectors, so that all are made, and all run counts too.
            let vector = Self.vectors[(ranks * 5 + transfer.count) % Self.vectors.count]
            let modes = [[], ["--collective"]]
            for (index, mode) in modes.enumerated() {
                // Small alignment gives every rank a shard of its own.
                let align = ["--align", index == 0 ? "1MiB" : "4KiB"]
                let outcome = try Launch.ranks(
                    ranks,
                    ["-o", folder.file("f"), "--overwrite", "-t", transfer] + align + mode
                        + options(vector.spec))
                #expect(outcome.status == 0, "\(outcome.error)")
                #expect(try folder.sha256("f") == vector.sha256, "\(mode) \(vector.spec)")
                #expect(try folder.json("f.dgen.json")["status"] as? String == "complete")
            }
        }

        @Test(arguments: [[], ["--collective"]], Launch.components)
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

        @Test(arguments: Vectors.shared.dataSets.indices)
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

        @Test func kernelsMakeTheSameFile() throws {
            let folder = try Folder()
            let vector = try #require(Self.vectors.first { $0.spec.compressRatio == 1 })
            for kernel in ["scalar", "baseline", "x86-v3", "x86-v4"] {
                let outcome = try Launch.ranks(
                    2,
                    ["-o", folder.file("f"), "--overwrite", "--report", folder.file("r")]
                        + options(vector.spec), environment: ["DGEN_KERNEL": kernel])
                // A processor without the instructions refuses, and says which it has.
                if outcome.status == 2 {
                    #expect(outcome.complaints.first?.contains("DGEN_KERNEL") == true)
                    continue
                }
                #expect(outcome.status == 0, "\(outcome.error)")
                #expect(try folder.sha256("f") == vector.sha256)
                #expect(try folder.json("r")["kernel"] as? String == kernel)
            }
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
            for offset in [0, 1, 153_391_689, 1 << 29, (1 << 30) - 1] {
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
            #expect(try Launch.ranks(2, ["verify", folder.file("f")]).status == 0)
        }
    }
}
