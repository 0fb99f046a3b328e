// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

extension Integration {
    /// Checksums that are computed, written with the data, and held against files.
    @Suite struct ChecksumTests {
        private static let data = [
            "-s", "3000001", "--seed", "7", "--dedup-ratio", "2", "--compress-ratio", "1.5",
            "--dedup-unit", "64KiB", "--transfer-size", "100000", "--quiet",
        ]

        private func sums(_ report: [String: Any]) throws -> [String: String] {
            let list = try #require(report["checksums"] as? [[String: Any]])
            return Dictionary(
                uniqueKeysWithValues: try list.map {
                    (
                        try #require($0["algorithm"] as? String),
                        try #require($0["hex"] as? String)
                    )
                })
        }

        /// CRC-32 as gzip has it in the last bytes of what it writes: of the files, one after another.
        private func gzipped(_ folder: Folder, _ files: String) throws -> String {
            let outcome = try Launch.run([
                "sh", "-c", "cd \"$0\" && cat \(files) | gzip -1 | tail -c 8 | od -An -tx4 -N4",
                folder.path,
            ])
            return outcome.output.filter { !$0.isWhitespace }
        }

        @Test(
            arguments: [
                [], ["--strided"], ["--order", "random"], ["--collective"], ["--segments", "3"],
                ["--layout", "per-rank"], ["--io", "posix", "--threads", "2"],
                ["--queue-depth", "3", "--transfer-size", "4096"],
            ])
        func whatIsWrittenHasTheChecksumThatIsComputed(options: [String]) throws {
            let folder = try Folder()
            let path = folder.file("f")
            let all = ["--checksum", "crc64nvme,crc32,crc32c"]
            let written = try Launch.ranks(
                3, ["-o", path, "--report", folder.file("r")] + Self.data + options + all)
            #expect(written.status == 0, "\(written.error)")
            let report = try sums(try folder.json("r"))
            let files = options.contains("per-rank") ? "f.0*" : "f"
            #expect(report["crc32"] == (try gzipped(folder, files)))
            // The manifest has the same.
            #expect(try sums(try folder.json("f.dgen.json")) == report)
            // Without the file.
            let computed = try Launch.ranks(
                2,
                ["checksum", path, "--algorithm", "crc32,crc64nvme,crc32c"]
                    + ["--quiet", "--report", folder.file("c")])
            #expect(computed.status == 0, "\(computed.error)")
            #expect(try sums(try folder.json("c")) == report)
            let verified = try Launch.ranks(2, ["verify", path] + all)
            #expect(verified.status == 0, "\(verified.output) \(verified.error)")
            #expect(verified.output.contains("as its manifest has it"))
        }

        @Test(arguments: [1, 2, 3, 4])
        func ranksComeToOneChecksum(ranks: Int) throws {
            let folder = try Folder()
            let options = ["-s", "20000001", "--seed", "3", "--quiet"]
            let outcome = try Launch.ranks(
                ranks, ["checksum", "--report", folder.file("r")] + options)
            #expect(outcome.status == 0, "\(outcome.error)")
            // Computed by awscrt of the bytes.
            #expect(try sums(try folder.json("r")) == ["crc64nvme": "27cc8759f947cea7"])
        }

        @Test func aFileIsHeldAgainstItsChecksum() throws {
            let folder = try Folder()
            let path = folder.file("f")
            #expect(try Launch.alone(["-o", path] + Self.data).status == 0)
            let check = ["verify", path, "--checksum", "crc64nvme"]
            let right = try Launch.ranks(2, check)
            #expect(right.status == 0 && right.output.contains("as computed"), "\(right.output)")
            try folder.flip("f", at: 1_234_567, with: 1)
            let wrong = try Launch.ranks(2, check + ["--report", folder.file("r")])
            #expect(wrong.status == 1 && wrong.output.contains("DIFFERS"), "\(wrong.output)")
            let report = try folder.json("r")
            let sum = try #require((report["checksums"] as? [[String: Any]])?.first)
            #expect(sum["hex"] as? String != sum["expected_hex"] as? String)
            try folder.flip("f", at: 1_234_567, with: 1)
            #expect(try Launch.ranks(2, check).status == 0)
            try folder.truncate("f", to: 2_999_999)
            let short = try Launch.ranks(2, check)
            #expect(short.status == 1 && short.output.contains("short by 2"), "\(short.output)")
        }

        /// Also where files are together as long as they should be, and where what is too much lies behind what is right.
        @Test func filesOfAnotherLengthAreFound() throws {
            let folder = try Folder()
            let path = folder.file("f")
            let check = ["verify", path, "--checksum", "crc64nvme"]
            #expect(try Launch.alone(["-o", path] + Self.data).status == 0)
            try folder.truncate("f", to: 3_000_005)
            let long = try Launch.ranks(2, check)
            #expect(long.status == 1 && long.output.contains("long by 4"), "\(long.output)")
            let perRank = ["-o", path, "--overwrite", "--layout", "per-rank"]
            #expect(try Launch.ranks(3, perRank + Self.data).status == 0)
            #expect(try Launch.ranks(2, check).status == 0)
            let bytes = try ["f.00000000", "f.00000001"].map { try folder.size($0) }
            try folder.truncate("f.00000000", to: bytes[0] - 1)
            try folder.truncate("f.00000001", to: bytes[1] + 1)
            let moved = try Launch.ranks(2, check)
            #expect(moved.status == 1 && moved.output.contains("DIFFERS"), "\(moved.output)")
        }

        @Test func theFileOfARankHasTheChecksumOfItsShard() throws {
            let folder = try Folder()
            let path = folder.file("f")
            let perRank = ["-o", path, "--layout", "per-rank", "--align", "64KiB"]
            #expect(try Launch.ranks(3, perRank + Self.data).status == 0)
            var offset = 0
            for name in ["f.00000000", "f.00000001", "f.00000002"] {
                let bytes = try folder.size(name)
                let range = ["--offset", "\(offset)", "--length", "\(bytes)"]
                let outcome = try Launch.alone(
                    ["checksum", path, "--algorithm", "crc32", "--quiet"] + range
                        + ["--report", folder.file("r")])
                #expect(outcome.status == 0, "\(outcome.error)")
                #expect(try sums(try folder.json("r"))["crc32"] == (try gzipped(folder, name)))
                offset += bytes
            }
            #expect(offset == 3_000_001)
        }

        /// One that is right for another data set than the options say is not taken for it.
        @Test func theChecksumOfAManifestIsNotThatOfOtherOptions() throws {
            let folder = try Folder()
            let path = folder.file("f")
            let all = ["--checksum", "crc64nvme"]
            #expect(try Launch.alone(["-o", path] + Self.data + all).status == 0)
            let other = try Launch.alone(["verify", path, "--seed", "8", "--quiet"] + all)
            #expect(other.status == 1, "\(other.error)")
        }

        @Test func partsHaveWhatAnObjectStoreAnswers() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                2,
                [
                    "checksum", "-s", "10000000", "--seed", "1", "--part-size", "4MiB",
                    "--algorithm",
                    "md5,crc64nvme", "--offset", "5", "--report", folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            let report = try folder.json("r")
            let list = try #require(report["checksums"] as? [[String: Any]])
            #expect(list.count == 7)
            #expect(list.last?["bytes"] as? Int == 9_999_995)
            let composites = try #require(report["composites"] as? [[String: Any]])
            #expect(composites.count == 1)
            #expect((composites[0]["text"] as? String)?.hasSuffix("-3") == true)
        }

        @Test(
            arguments: [
                (["--algorithm", "sha256"], "algorithm: sha256"),
                (["--part-size", "1"], "part_size: '1' is not accepted; give at least"),
                (["--offset", "30MB"], "offset: "), (["--length", "30MB"], "length: "),
                (["--algorithm", "crc16"], "algorithm: 'crc16' is not accepted"),
            ])
        func whatCannotBeComputedIsRefused(options: [String], message: String) throws {
            let outcome = try Launch.ranks(2, ["checksum", "-s", "20MB", "--seed", "1"] + options)
            #expect(outcome.status == 2)
            #expect(outcome.complaints.count == 1)
            #expect(outcome.complaints.first?.contains(message) == true, "\(outcome.error)")
        }

        @Test(
            arguments: [
                (["generate", "--resume", "--checksum", "crc32", "-o"], "none with resume"),
                (["generate", "--checksum", "md5", "-o"], "checksum: 'md5' is not accepted"),
                (
                    ["verify", "--blocks", "1", "--checksum", "crc32"],
                    "it without a sample and from"
                ),
                (
                    ["verify", "--consistent", "--checksum", "crc32"],
                    "none with consistent and acknowledged"
                ),
                (
                    ["verify", "--acknowledged", "/tmp", "--checksum", "crc32"],
                    "none with consistent and acknowledged"
                ),
            ])
        func whatIsNotWholeHasNoChecksum(words: [String], message: String) throws {
            let folder = try Folder()
            let path = folder.file("f")
            try #require(try Launch.alone(["-o", path] + Self.data).status == 0)
            let refused = try Launch.alone(words + [path, "--size", "3000001", "--seed", "7"])
            #expect(refused.status == 2, "\(refused.output)")
            #expect(refused.complaints.first?.contains(message) == true, "\(refused.error)")
        }

        /// A generation that is over takes its checksum with it; a repair leaves it there.
        @Test func anUpdateTakesTheChecksumAway() throws {
            let folder = try Folder()
            let path = folder.file("f")
            let words = ["-s", "1MiB", "--seed", "1", "--dedup-unit", "4KiB", "--change", "10%"]
            let all = ["--checksum", "crc32", "--quiet"]
            #expect(try Launch.alone(["-o", path] + words + all).status == 0)
            #expect(try folder.json("f.dgen.json")["checksums"] != nil)
            try folder.flip("f", at: 5)
            #expect(try Launch.alone(["repair", path, "--quiet"]).status == 0)
            #expect(try folder.json("f.dgen.json")["checksums"] != nil)
            #expect(try Launch.alone(["update", path, "--by", "1", "--quiet"]).status == 0)
            #expect(try folder.json("f.dgen.json")["checksums"] == nil)
            let verified = try Launch.alone(["verify", path, "--checksum", "crc32"])
            #expect(verified.status == 0 && verified.output.contains("as computed"))
        }
    }
}
