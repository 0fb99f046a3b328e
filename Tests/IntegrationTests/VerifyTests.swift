// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// What verification says of damage, whoever looks.
    @Suite struct VerifyTests {
        private func makeFile(_ folder: Folder, _ options: [String] = []) throws {
            let outcome = try Launch.ranks(
                2, ["-o", folder.file("f"), "-s", "5000000", "--seed", "7"] + options)
            #expect(outcome.status == 0, "\(outcome.error)")
        }

        /// Where the damage is that a report lists, and how much.
        private func ranges(_ report: [String: Any]) throws -> [[String: Int]] {
            let damage = try #require(report["damage"] as? [[String: Any]])
            let wanted = ["offset", "bytes", "wrong_bytes"]
            return damage.map { range in
                range.filter { wanted.contains($0.key) }.compactMapValues { $0 as? Int }
            }
        }

        @Test(
            arguments: TestForm.cases(
                [1, 3, 8], more: [2, 4, 64], of: "damageIsTheSameForEveryRankCount"))
        func damageIsTheSameForEveryRankCount(ranks: Int) throws {
            let folder = try Folder()
            try makeFile(folder)
            // A single byte; a run over a boundary of shards of 4 KiB; two near; two a grain apart.
            for offset in [100] + Array(40_900..<41_000) + [1_000_000, 1_000_900]
                + [2_000_000, 2_002_000, 4_999_999]
            {
                try folder.flip("f", at: offset)
            }
            let outcome = try Launch.ranks(
                ranks,
                [
                    "verify", folder.file("f"), "--align", "4KiB", "-t", "4000",
                    "--report", folder.file("r"),
                ], seconds: 120)
            #expect(outcome.status == 1, "\(outcome.error)")
            let report = try folder.json("r")
            let damage = try ranges(report)
            #expect(
                damage == [
                    ["offset": 100, "bytes": 1, "wrong_bytes": 1],
                    ["offset": 40_900, "bytes": 100, "wrong_bytes": 100],
                    ["offset": 1_000_000, "bytes": 901, "wrong_bytes": 2],
                    ["offset": 2_000_000, "bytes": 1, "wrong_bytes": 1],
                    ["offset": 2_002_000, "bytes": 1, "wrong_bytes": 1],
                    ["offset": 4_999_999, "bytes": 1, "wrong_bytes": 1],
                ])
            #expect(report["damage_ranges"] as? Int == 6)
            #expect(report["damage_bytes"] as? Int == 1005)
            #expect(report["wrong_bytes"] as? Int == 106)
        }

        /// What lies behind the end of a file is told by arithmetic.
        @Test(
            arguments: TestForm.cases(
                [("shared", 1), ("per-rank", 3)], more: [("shared", 3), ("per-rank", 1)],
                of: "aShortFileTakesNoLongerWhateverItShouldBe"))
        func aShortFileTakesNoLongerWhateverItShouldBe(layout: String, ranks: Int) throws {
            let folder = try Folder()
            let size = Int.max
            let manifest = """
                {"format": "dgen/1", "status": "complete", "layout": "\(layout)", "ranks": 2,
                "align": 4096, "spec": {"size": \(size), "seed": 1, "dedup_ratio": 1,
                "compress_ratio": 1, "dedup_unit": 1048576, "compress_unit": 1024,
                "fill": "backref"}}
                """
            try folder.write(manifest, to: "f.dgen.json")
            for name in layout == "shared" ? ["f"] : ["f.00000000", "f.00000001"] {
                try folder.write("", to: name)
            }
            let outcome = try Launch.ranks(
                ranks, ["verify", folder.file("f"), "--report", folder.file("r")], seconds: 30)
            #expect(outcome.status == 1, "\(outcome.error)")
            let report = try folder.json("r")
            #expect(
                try ranges(report) == [["offset": 0, "bytes": size, "wrong_bytes": size]])
        }

        @Test(
            arguments: TestForm.cases(
                [1, 5], more: [2], of: "whatFollowsAShortFileIsStillCompared"))
        func whatFollowsAShortFileIsStillCompared(ranks: Int) throws {
            let folder = try Folder()
            let written = try Launch.ranks(
                3, ["-o", folder.file("f"), "-s", "9MiB", "--seed", "7", "--layout", "per-rank"])
            #expect(written.status == 0, "\(written.error)")
            try folder.truncate("f.00000001", to: 1_000_000)
            try folder.flip("f.00000002", at: 5)
            if ranks == 1 {
                let pipe = folder.file("p.00000001")
                try folder.write(folder.text("f.dgen.json"), to: "p.dgen.json")
                try FileManager.default.copyItem(
                    atPath: folder.file("f.00000000"), toPath: folder.file("p.00000000"))
                try #require(mkfifo(pipe, 0o600) == 0)
                let refused = try Launch.alone(["verify", folder.file("p")], seconds: 30)
                #expect(refused.status == 3)
                #expect(refused.error.contains("p.00000001: not a regular file"))
            }
            let outcome = try Launch.ranks(
                ranks,
                ["verify", folder.file("f"), "-t", "60000", "--report", folder.file("r")])
            #expect(outcome.status == 1, "\(outcome.error)")
            let (end, missing) = (4_145_728, 2_145_728)
            #expect(
                try ranges(try folder.json("r")) == [
                    ["offset": end, "bytes": missing, "wrong_bytes": missing],
                    ["offset": 6 << 20 | 5, "bytes": 1, "wrong_bytes": 1],
                ])
        }

        @Test func aRangeOverWholeShardsIsOneRange() throws {
            let folder = try Folder()
            try makeFile(folder)
            let handle = try #require(FileHandle(forUpdatingAtPath: folder.file("f")))
            try handle.seek(toOffset: 1_000_000)
            try handle.write(contentsOf: Data(repeating: 0, count: 3_000_000))
            try handle.close()
            for ranks in [1, 8] {
                let outcome = try Launch.ranks(
                    ranks,
                    ["verify", folder.file("f"), "--align", "1000", "--report", folder.file("r")])
                #expect(outcome.status == 1)
                let damage = try ranges(try folder.json("r"))
                #expect(damage.count == 1)
                // One byte in 256 is zero by chance, at the edges too.
                let range = try #require(damage.first)
                #expect((1_000_000..<1_000_010).contains(try #require(range["offset"])))
                #expect((2_999_980...3_000_000).contains(try #require(range["bytes"])))
                #expect((2_980_000..<2_996_000).contains(try #require(range["wrong_bytes"])))
            }
        }

        @Test func damageIsListedUpToABoundAndCountedBeyond() throws {
            let folder = try Folder()
            try makeFile(folder)
            for offset in stride(from: 0, to: 5_000_000, by: 2500) {
                try folder.flip("f", at: offset)
            }
            let outcome = try Launch.ranks(
                3, ["verify", folder.file("f"), "--align", "64KiB", "--report", folder.file("r")])
            #expect(outcome.status == 1)
            #expect(outcome.output.contains("and 1980 more"), "\(outcome.output)")
            let report = try folder.json("r")
            #expect((report["damage"] as? [Any])?.count == 1000)
            #expect(report["damage_ranges"] as? Int == 2000)
            #expect(report["wrong_bytes"] as? Int == 2000)
        }

        @Test(
            arguments: TestForm.cases(
                [3], more: [1, 8], of: "aShortFileIsReportedAndItsMissingBytesAreWrong"))
        func aShortFileIsReportedAndItsMissingBytesAreWrong(ranks: Int) throws {
            let folder = try Folder()
            try makeFile(folder)
            try folder.truncate("f", to: 3_000_001)
            let outcome = try Launch.ranks(
                ranks,
                ["verify", folder.file("f"), "--align", "4096", "--report", folder.file("r")])
            #expect(outcome.status == 1)
            #expect(outcome.output.contains("short by 1999999"), "\(outcome.output)")
            let report = try folder.json("r")
            #expect(report["file_bytes"] as? Int == 3_000_001)
            #expect(report["first_wrong_offset"] as? Int == 3_000_001)
            #expect(report["wrong_bytes"] as? Int == 1_999_999)
            #expect(report["damage_ranges"] as? Int == 1)
        }

        @Test func aLongFileIsReported() throws {
            let folder = try Folder()
            try makeFile(folder)
            try folder.truncate("f", to: 5_000_003)
            let outcome = try Launch.ranks(2, ["verify", folder.file("f"), "--report", "-"])
            #expect(outcome.status == 1)
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            #expect(report["file_bytes"] as? Int == 5_000_003)
            #expect(report["wrong_bytes"] as? Int == 0)
            #expect(report["status"] as? String == "mismatch")
        }

        @Test(
            arguments: TestForm.cases(
                [(1, 2), (4097, 8), (1_500_001, 4)], more: [(9, 3), (3_145_731, 7)],
                of: "theSearchComesToItsEndWhateverSizeAndRanksAre"))
        func theSearchComesToItsEndWhateverSizeAndRanksAre(size: Int, ranks: Int) throws {
            let folder = try Folder()
            let made = try Launch.alone(["-o", folder.file("f"), "-s", "\(size)", "--seed", "7"])
            #expect(made.status == 0, "\(made.error)")
            // Of no origin, so that it is looked for everywhere.
            let count = min(size, 300)
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * $0 * 31 + 165) }
            let handle = try #require(FileHandle(forUpdatingAtPath: folder.file("f")))
            try handle.seek(toOffset: UInt64((size - count) / 2))
            try handle.write(contentsOf: Data(bytes))
            try handle.close()
            let outcome = try Launch.ranks(
                ranks, ["verify", folder.file("f"), "--report", folder.file("r")])
            #expect(outcome.status == 1, "\(outcome.error)")
            #expect(try ranges(try folder.json("r")).count == 1)
        }

        @Test func filesThatAreTooLongTogetherAreToldLikeAnyOther() throws {
            let folder = try Folder()
            let made = try Launch.ranks(
                2, ["-o", folder.file("f"), "-s", "3000001", "--seed", "7", "--layout", "per-rank"])
            #expect(made.status == 0, "\(made.error)")
            for name in ["f.00000000", "f.00000001"] { try folder.truncate(name, to: .max) }
            for ranks in [1, 2] {
                let outcome = try Launch.ranks(ranks, ["verify", folder.file("f")])
                #expect(outcome.status == 1, "\(outcome.error)")
                #expect(outcome.output.contains("long by"), "\(outcome.output)")
            }
        }

        /// What a report and its table say of many damages, held against the file.
        @Test(arguments: [1, 3])
        func whatIsSaidOfDamageIsTrue(ranks: Int) throws {
            let folder = try Folder()
            try makeFile(folder, ["--overwrite", "-t", "100000"])
            let right = try Data(contentsOf: URL(filePath: folder.file("f")))
            var found = right
            // 15 unknown bytes behind zeros; misplaced bytes behind unknown ones; both of them long; single bits, many of them.
            let unknown = Data((0..<100).map { UInt8($0 * 7 % 251 + 1) })
            found.replaceSubrange(100_352..<100_864, with: Data(count: 512))
            found.replaceSubrange(100_864..<100_879, with: unknown.prefix(15))
            found.replaceSubrange(200_000..<200_011, with: unknown.prefix(11))
            found.replaceSubrange(200_011..<206_000, with: right[3_000_000..<3_005_989])
            found.replaceSubrange(400_000..<800_000, with: right[4_000_000..<4_400_000])
            for offset in 1_000_000..<1_400_000 { found[offset] ^= 1 << UInt8(offset % 8) }
            found[2_000_000] ^= 4
            try found.write(to: URL(filePath: folder.file("f")))
            let outcome = try Launch.ranks(
                ranks, ["verify", folder.file("f"), "--report", folder.file("r")])
            #expect(outcome.status == 1)
            let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
            #expect(
                damage.compactMap { $0["kind"] as? String } == [
                    "mixed", "mixed", "misplaced", "bit_flips", "bit_flips",
                ])
            func parts(_ index: Int) -> [[String: Any]] {
                damage[index]["parts"] as? [[String: Any]] ?? []
            }
            #expect(parts(0).map { $0["kind"] as? String } == ["zeros", "foreign"])
            #expect(parts(0).map { $0["bytes"] as? Int } == [512, 15])
            #expect(parts(1).map { $0["kind"] as? String } == ["foreign", "misplaced"])
            #expect(parts(1).last?["source_offset"] as? Int == 3_000_000)
            #expect(parts(1).last?["offset"] as? Int == 200_011)
            #expect(damage[2]["source_offset"] as? Int == 4_000_000)
            #expect(damage[2]["sampled"] as? Bool == true)
            #expect(damage[3]["sampled"] as? Bool == true)
            let flipped = try #require(damage[3]["flipped_bits"] as? Int)
            #expect((1..<400_000).contains(flipped))
            let table = outcome.output
            #expect(table.contains("at least \(flipped) flipped bits"), "\(table)")
            #expect(damage[4]["sampled"] == nil)
            #expect(table.contains(": 1 flipped bit: 2000000.2, block 1, written by rank 0"))
        }

        @Test func theManifestIsNotNeededWhereOptionsSayTheSame() throws {
            let folder = try Folder()
            try makeFile(folder, ["--compress-ratio", "1.5"])
            try FileManager.default.removeItem(atPath: folder.file("f.dgen.json"))
            let spec = ["-s", "5000000", "--seed", "7", "--compress-ratio", "1.5"]
            #expect(try Launch.ranks(2, ["verify", folder.file("f")] + spec).status == 0)
            let other = try Launch.ranks(
                2, ["verify", folder.file("f"), "-s", "5000000", "--seed", "7"])
            #expect(other.status == 1)
            let missing = try Launch.ranks(2, ["verify", folder.file("f"), "-s", "5000000"])
            #expect(missing.status == 2)
            #expect(missing.complaints.count == 1, "\(missing.error)")
        }

        /// What an option says of the data set is followed, or refused where the manifest says otherwise.
        @Test func noOptionOfTheDataSetIsPassedOver() throws {
            let folder = try Folder()
            for (name, words) in [
                ("whole", ["--segments", "3", "--align", "4096"]), ("turns", ["--strided"]),
                ("parts", ["--layout", "per-rank", "--align", "4096"]),
            ] {
                let written = try Launch.ranks(
                    2, ["-o", folder.file(name), "-s", "100000", "--seed", "1", "--quiet"] + words)
                #expect(written.status == 0, "\(written.error)")
            }
            try folder.write("segments: 3\n", to: "segments.yaml")
            try folder.write("strided: true\n", to: "strided.yaml")
            func status(
                _ words: String, _ environment: [String: String] = [:]
            ) throws -> Int32 {
                let words = words.replacing("DIR", with: folder.path).split(separator: " ")
                let outcome = try Launch.alone(words.map(String.init), environment: environment)
                #expect(outcome.complaints.count == (outcome.status > 1 ? 1 : 0))
                return outcome.status
            }
            for (words, expected) in [
                ("verify DIR/parts", 0), ("verify DIR/parts --layout per-rank", 0),
                ("verify DIR/parts --layout shared", 3), ("verify DIR/whole --layout shared", 0),
                ("verify DIR/whole --layout per-rank", 3), ("verify DIR/whole --align 512", 0),
                ("verify DIR/whole --seed 2", 1),
                ("verify DIR/whole --job DIR/segments.yaml", 0),
                ("verify DIR/turns --job DIR/segments.yaml", 2),
                ("verify DIR/parts --job DIR/segments.yaml", 2),
                ("repair DIR/turns --job DIR/strided.yaml", 0),
                ("repair DIR/whole --job DIR/strided.yaml", 2),
                ("repair DIR/parts --layout shared", 2), ("repair DIR/whole --seed 2", 2),
            ] as [(String, Int32)] {
                #expect(try status(words) == expected, "\(words)")
            }
            #expect(try status("verify DIR/whole", ["DGEN_SEGMENTS": "4"]) == 2)
            #expect(try status("verify DIR/whole", ["DGEN_LAYOUT": "per-rank"]) == 3)
            // The file that was asked for is the one that is looked at.
            try folder.write("other bytes", to: "parts")
            #expect(try status("verify DIR/parts --layout shared") == 1)
            #expect(try status("verify DIR/parts") == 0)
        }
    }
}
