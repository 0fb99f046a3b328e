// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Damage called what it is in real files, looked for in samples, and mended.
    @Suite struct RepairTests {
        private static let size = 5_000_000
        private static let spec = ["-s", "\(size)", "--compress-ratio", "1.5"]

        private func write(_ folder: Folder, _ words: [String], ranks: Int = 2) throws {
            let outcome = try Launch.ranks(
                ranks, ["-o", folder.file("f"), "--align", "64KiB"] + Self.spec + words)
            try #require(outcome.status == 0, "\(outcome.error)")
        }

        private func bytes(_ folder: Folder, _ name: String = "f") throws -> Data {
            try Data(contentsOf: URL(filePath: folder.file(name)))
        }

        private func put(_ bytes: Data, _ folder: Folder, at offset: Int) throws {
            let handle = try #require(FileHandle(forUpdatingAtPath: folder.file("f")))
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: bytes)
            try handle.close()
        }

        private func damage(_ folder: Folder) throws -> [[String: Any]] {
            try #require(try folder.json("r")["damage"] as? [[String: Any]])
        }

        @Test func linksLeadToTheFileOrAreRefused() throws {
            let folder = try Folder()
            try write(folder, ["--seed", "1"])
            let whole = try folder.sha256("f")
            try FileManager.default.moveItem(atPath: folder.file("f"), toPath: folder.file("real"))
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("f"), withDestinationPath: "real")
            try folder.flip("real", at: 1_000_000)
            #expect(try Launch.ranks(2, ["repair", folder.file("f"), "--quiet"]).status == 0)
            #expect(try folder.sha256("real") == whole)
            // A link that leads nowhere makes no file where it points to.
            try FileManager.default.removeItem(atPath: folder.file("real"))
            for words in [["repair", folder.file("f")], ["-o", folder.file("f"), "--resume"]] {
                let refused = try Launch.ranks(2, words)
                #expect([2, 3].contains(refused.status), "\(words): \(refused.error)")
                #expect(refused.complaints.count == 1, "\(refused.error)")
                #expect(!folder.exists("real"), "\(words)")
            }
        }

        @Test func aFileThatAnotherRunHoldsIsLeftAsItIs() throws {
            for layout in ["shared", "per-rank"] {
                let folder = try Folder()
                try write(folder, ["--seed", "1", "--layout", layout])
                let first = layout == "shared" ? "f" : "f.00000000"
                // Too long, so that there is something to cut.
                let handle = try #require(FileHandle(forUpdatingAtPath: folder.file(first)))
                try handle.seekToEnd()
                try handle.write(contentsOf: Data("more".utf8))
                try handle.close()
                let before = try folder.sha256(first)
                let held = try Launch.run(
                    ["flock", folder.file(first)] + Launch.mpirun(2)
                        + [Launch.program, "repair", folder.file("f"), "--quiet"])
                #expect(held.status == 3, "\(layout): \(held.error)")
                #expect(held.complaints.first?.contains("another run") == true, "\(held.error)")
                #expect(try folder.sha256(first) == before, "\(layout)")
                let repaired = try Launch.ranks(2, ["repair", folder.file("f"), "--quiet"])
                #expect(repaired.status == 0, "\(layout): \(repaired.error)")
                #expect(try folder.sha256(first) != before, "\(layout)")
            }
        }

        @Test(
            arguments: TestForm.cases(
                [1, 3], more: [2, 4], of: "everyKindIsNamedWithItsOriginAndMended"))
        func everyKindIsNamedWithItsOriginAndMended(ranks: Int) throws {
            let folder = try Folder()
            // Bytes of two data sets that were there before: one that the manifest remembers, one that the user does.
            try write(folder, ["--seed", "1"])
            let first = try bytes(folder)
            try write(folder, ["--seed", "2", "--overwrite"], ranks: 3)
            let right = try bytes(folder), whole = try folder.sha256("f")
            let stranger = try Folder()
            try write(stranger, ["--seed", "77"])
            let other = try bytes(stranger)

            try put(Data(count: 3000), folder, at: 10_000)
            try put(first[200_000..<300_000], folder, at: 200_000)
            try put(other[400_000..<400_600], folder, at: 400_000)
            try put(right[4_000_003..<4_002_003], folder, at: 600_000)
            try folder.flip("f", at: 800_000, with: 0b0100_0001)
            var numbers = RandomNumbers()
            print("everyKindIsNamedWithItsOriginAndMended: \(numbers)")
            let garbage = Data(
                (0..<500).map { _ in UInt8.random(in: .min ... .max, using: &numbers) })
            try put(garbage, folder, at: 900_100)
            // The first transfer of rank 1, of 1 MiB, of which the first sectors only were written.
            let torn = (26 << 16) + 100 * 512
            let rest = (26 << 16) + (1 << 20) - torn
            let newer = Data(
                (0..<rest).map { _ in UInt8.random(in: .min ... .max, using: &numbers) })
            try put(newer, folder, at: torn)
            try folder.truncate("f", to: 4_900_000)

            let verified = try Launch.ranks(
                ranks,
                [
                    "verify", folder.file("f"), "--also-known", "77", "-v", "-t", "100000",
                    "--report", folder.file("r"),
                ])
            #expect(verified.status == 1, "\(verified.error)")
            let found = try damage(folder)
            let kinds = [
                "zeros", "stale", "stale", "misplaced", "bit_flips", "foreign", "torn", "truncated",
            ]
            #expect(found.map { $0["kind"] as? String } == kinds)
            #expect(found[1]["seed"] as? Int == 1)
            #expect(found[2]["seed"] as? Int == 77)
            let moved = try #require(found[3]["offset"] as? Int)
            #expect(found[3]["source_offset"] as? Int == moved + 4_000_003 - 600_000)
            #expect(found[4]["flipped_bits"] as? Int == 2)
            let bits = try #require(found[4]["bits"] as? [[String: Int]])
            #expect(
                bits == [["offset": 800_000, "bit": 0], ["offset": 800_000, "bit": 6]])
            #expect(found[6]["torn_at"] as? Int == torn)
            #expect(found[7]["offset"] as? Int == 4_900_000)
            for range in found {
                let offset = try #require(range["offset"] as? Int)
                #expect(range["block"] as? Int == offset / (1 << 20))
                // Three ranks have written it, in shards of whole units of 64 KiB.
                #expect(range["rank"] as? Int == [0, 26, 52].lastIndex { $0 << 16 <= offset })
                let expected = try #require(range["expected"] as? String)
                let shown = right[offset..<offset + expected.count / 2]
                #expect(
                    expected == shown.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
            }
            #expect(verified.output.contains("stale: the bytes of seed 77"), "\(verified.output)")
            #expect(verified.output.contains("found    nothing"), "\(verified.output)")

            let repaired = try Launch.ranks(
                ranks, ["repair", folder.file("f"), "-t", "300000", "--report", folder.file("r")])
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try folder.sha256("f") == whole)
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            let anew = try #require(operations.first?["repaired_bytes"] as? Int)
            // What was right stayed: some right bytes by chance aside, what was damaged and no more.
            #expect(anew > 100_000 && anew < 700_000 + rest)
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
        }

        @Test(
            arguments: TestForm.cases(
                [(["--io", "mpi"], "shared"), (["--io", "posix"], "per-rank")],
                more: [(["--io", "mpi"], "per-rank"), (["--io", "posix"], "shared")],
                of: "aRunThatWasCutOffIsFinishedByAnyNumberOfRanks"))
        func aRunThatWasCutOffIsFinishedByAnyNumberOfRanks(io: [String], layout: String) throws {
            let folder = try Folder()
            let words = ["--seed", "3", "--layout", layout] + io
            try write(folder, words, ranks: 3)
            let names = layout == "shared" ? ["f"] : (0..<3).map { "f.0000000\($0)" }
            let whole = try names.map { try folder.sha256($0) }
            // As a run leaves it that was killed: the manifest says so, one part is there, another one is not.
            let manifest = try folder.text("f.dgen.json")
            try folder.write(manifest.replacing("complete", with: "writing"), to: "f.dgen.json")
            if layout == "shared" {
                try folder.truncate("f", to: 2_000_000)
            } else {
                try FileManager.default.removeItem(atPath: folder.file(names[0]))
                try folder.truncate(names[2], to: 0)
            }
            for ranks in [2, 5] {
                let resumed = try Launch.ranks(
                    ranks,
                    ["-o", folder.file("f"), "--resume", "-t", "64KiB"] + Self.spec + io)
                #expect(resumed.status == 0, "\(resumed.error)")
                #expect(try names.map { try folder.sha256($0) } == whole)
                #expect(try folder.json("f.dgen.json")["status"] as? String == "complete")
                #expect(try folder.json("f.dgen.json")["ranks"] as? Int == 3)
                // The second time there is nothing to do.
                let nothing = "0 bytes in 0 ranges"
                #expect(resumed.output.contains(nothing) == (ranks == 5), "\(resumed.output)")
            }
        }

        @Test func resumeBeginsWhereThereIsNothingAndChangesNothingElse() throws {
            let folder = try Folder()
            let words = ["-o", folder.file("f"), "--resume", "--seed", "4"]
            #expect(try Launch.ranks(2, words + Self.spec).status == 0)
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
            for wrong in [["-s", "4k"], Self.spec + ["--seed", "5"], Self.spec + ["--overwrite"]] {
                let refused = try Launch.ranks(2, words + wrong)
                #expect(refused.status == 2, "\(wrong)")
                #expect(refused.complaints.count == 1, "\(refused.error)")
            }
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
            // A longer file is cut.
            try put(Data("tail".utf8), folder, at: Self.size)
            #expect(try Launch.ranks(2, ["repair", folder.file("f")]).status == 0)
            #expect(try folder.size("f") == Self.size)
            let missing = try Launch.ranks(2, ["repair", folder.file("g")])
            #expect(missing.status == 3)
            #expect(missing.complaints.first?.contains("no such file") == true)
        }

        @Test(
            arguments: TestForm.cases(
                [3], more: [1],
                of: "aSampleFindsWhatIsDamagedInManyBlocksAndSaysWhatItMayMiss"))
        func aSampleFindsWhatIsDamagedInManyBlocksAndSaysWhatItMayMiss(ranks: Int) throws {
            let folder = try Folder()
            try write(folder, ["--seed", "6", "--dedup-unit", "4KiB"])
            let all = ["verify", folder.file("f"), "--report", folder.file("r")]
            let right = try Launch.ranks(ranks, all + ["--sample", "5%", "--sample-seed", "1"])
            #expect(right.status == 0, "\(right.error)")
            #expect(right.output.contains("every byte of the sample is right"), "\(right.output)")
            let sample = try #require(try folder.json("r")["sample"] as? [String: Any])
            #expect(sample["blocks"] as? Int == 62)
            #expect(sample["of_blocks"] as? Int == 1221)
            let missed = try #require(sample["missed"] as? [[String: Any]])
            let one = try #require(missed.first?["probability"] as? Double)
            #expect(abs(one - (1 - 1 / 20.0)) < 1e-9, "one of a part of 20 blocks")
            let tenth = try #require(missed.last?["probability"] as? Double)
            #expect(tenth < 0.002, "122 blocks")
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            #expect(operations.first?["bytes"] as? Int == 62 * 4096)
            // Every second block.
            for block in stride(from: 0, to: 1220, by: 2) {
                try folder.flip("f", at: block * 4096 + 77)
            }
            let wrong = try Launch.ranks(ranks, all + ["--blocks", "100", "--sample-seed", "2"])
            #expect(wrong.status == 1)
            let report = try folder.json("r")
            let damage = try #require(report["damage"] as? [[String: Any]])
            #expect(damage.count == report["damage_ranges"] as? Int)
            #expect((20...80).contains(damage.count), "about half of them: \(damage.count)")
            #expect(damage.allSatisfy { ($0["offset"] as? Int ?? 0) % 8192 == 77 })
            // The same seed looks at the same blocks, whoever looks.
            let again = try Launch.ranks(
                4 - ranks, all + ["--blocks", "100", "--sample-seed", "2"])
            #expect(again.status == 1)
            #expect(try folder.json("r")["damage_ranges"] as? Int == damage.count)
            for words in [
                ["--sample", "2"], ["--blocks", "0"], ["--sample", "1%", "--blocks", "1"],
            ] {
                #expect(try Launch.alone(all + words).status == 2)
            }
        }

        @Test func noFileIsWritableForAllWhateverTheUmaskAndTheManifestIsNoWayOut() throws {
            let folder = try Folder()
            for io in ["mpi", "posix"] {
                let outcome = try Launch.run([
                    "sh", "-c", #"umask 000; exec "$@""#, "sh", Launch.program, "-o",
                    folder.file(io), "-s", "100000", "--io", io, "--report", folder.file("r"),
                    "--csv", folder.file("c"),
                ])
                #expect(outcome.status == 0, "\(outcome.error)")
                for name in [io, io + ".dgen.json", "r", "c"] {
                    let attributes = try FileManager.default.attributesOfItem(
                        atPath: folder.file(name))
                    let mode = try #require(attributes[.posixPermissions] as? Int)
                    #expect(mode & 0o002 == 0, "\(name): \(String(mode, radix: 8))")
                }
            }
            // Names in a manifest lead nowhere: files are those beside it.
            let outside = try Folder()
            try outside.write("precious", to: "data")
            try write(folder, ["--seed", "9", "--layout", "per-rank"])
            let manifest = try folder.text("f.dgen.json")
            try folder.write(
                manifest.replacing(
                    "f.00000000",
                    with: "../"
                        + FileManager.default.displayName(
                            atPath: outside.path) + "/data"), to: "f.dgen.json")
            try FileManager.default.removeItem(atPath: folder.file("f.00000001"))
            #expect(try Launch.ranks(2, ["repair", folder.file("f")]).status == 0)
            #expect(try outside.text("data") == "precious")
            #expect(folder.exists("f.00000001"))
        }
    }
}
