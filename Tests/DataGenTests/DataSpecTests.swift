// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct DataSpecTests {
    @Test func acceptsTheEdgesOfEveryRange() throws {
        _ = try DataSpec(size: .max, seed: 0)
        _ = try DataSpec(size: 1, seed: 0, dedupRatio: 1_000_000)
        _ = try DataSpec(size: 1, seed: 0, compressRatio: 64)
        _ = try DataSpec(size: 1, seed: 0, compressRatio: 128, compressUnit: 4096)
        _ = try DataSpec(size: 1, seed: 0, dedupUnit: 1 << 30)
        #expect(try DataSpec(size: 1, seed: 0, dedupUnit: 512).compressUnit == 512)
        #expect(try DataSpec(size: 1, seed: 0, dedupUnit: 2048).compressUnit == 1024)
    }

    @Test func refusesWhatLiesOutsideAndNamesTheField() {
        func field(_ make: () throws -> DataSpec) -> String? {
            #expect(throws: InvalidField.self) { _ = try make() }
            do { _ = try make() } catch { return (error as? InvalidField)?.field }
            return nil
        }
        #expect(field { try DataSpec(size: -1, seed: 0) } == "size")
        #expect(field { try DataSpec(size: 1, seed: 0, dedupRatio: 0.999) } == "dedup_ratio")
        #expect(
            field { try DataSpec(size: 1, seed: 0, dedupRatio: 1_000_000.001) } == "dedup_ratio")
        #expect(field { try DataSpec(size: 1, seed: 0, compressRatio: 0.999) } == "compress_ratio")
        #expect(field { try DataSpec(size: 1, seed: 0, compressRatio: 64.001) } == "compress_ratio")
        #expect(field { try DataSpec(size: 1, seed: 0, dedupUnit: 0) } == "dedup_unit")
        #expect(field { try DataSpec(size: 1, seed: 0, dedupUnit: 1000) } == "dedup_unit")
        #expect(
            field { try DataSpec(size: 1, seed: 0, dedupUnit: 1 << 30 + 512) } == "dedup_unit")
        #expect(
            field { try DataSpec(size: 1, seed: 0, dedupUnit: 4096, compressUnit: 1536) }
                == "compress_unit")
        #expect(
            field { try DataSpec(size: 1, seed: 0, compressUnit: 1 << 17) } == "compress_unit")
    }

    @Test(arguments: [
        ("1", 1000), ("2.5", 2500), ("1.333", 1333), ("1000000.000", 1_000_000_000), ("0.5", 500),
        ("007", 7000), ("2.0", 2000),
    ])
    func ratiosAreReadExactly(text: String, thousandths: Int) throws {
        #expect(try Ratio(parsing: text, field: "r").thousandths == thousandths)
    }

    @Test(arguments: [
        "", "nan", "inf", "-1", "+1", "1.0005", "1.", ".5", "1e9", "1,5", " 1", "1.2.3",
        "99999999999999999999", "٣",
    ])
    func otherRatiosAreRefused(text: String) {
        #expect(throws: InvalidField.self) { try Ratio(parsing: text, field: "r") }
    }

    @Test func ratiosPrintShortest() {
        #expect("\(Ratio(thousandths: 1000)) \(Ratio(thousandths: 2500))" == "1 2.5")
        #expect("\(Ratio(thousandths: 1333)) \(Ratio(thousandths: 1001))" == "1.333 1.001")
        #expect("\(Ratio(thousandths: 1010))" == "1.01")
    }

    @Test func expectedStoredBytesFollowTheRatios() throws {
        let mebibyte = 1 << 20
        #expect(
            Layout(try DataSpec(size: 8 * mebibyte, seed: 0, dedupRatio: 2, compressRatio: 4))
                .expectedStoredBytes == mebibyte)
        // A cut last block is a block of its own for a store.
        let cut = Layout(try DataSpec(size: 8 * mebibyte + 5, seed: 0, dedupRatio: 2))
        #expect(cut.distinctBytes == cut.distinctBlockCount * mebibyte + 5)
        #expect(Layout(try DataSpec(size: .max, seed: 0)).expectedStoredBytes == .max)
    }
}

@Suite struct ByteSizeTests {
    @Test(arguments: [
        ("0", 0), ("4096", 4096), ("64KiB", 65536), ("1.5GiB", 1_610_612_736),
        ("10GB", 10_000_000_000), ("4k", 4096), ("4K", 4096), ("2m", 2 << 20), ("1g", 1 << 30),
        ("1t", 1 << 40), ("1TiB", 1 << 40), ("3kb", 3000), ("0.5k", 512), ("12B", 12),
        ("9223372036854775807", Int.max), ("7EiB", 7 << 60), ("1.5KB", 1500),
        ("0.0009765625MiB", 1024),
    ])
    func readsExactly(text: String, bytes: Int) throws {
        #expect(try ByteSize.parse(text, field: "size") == bytes)
    }

    @Test(arguments: [
        "", "12XB", "-1", "1.5", "0.3KiB", "8EiB", "9223372036854775808", "1 GiB", "KiB", "1..5k",
        ".5k", "5.k", "1e3", "0x10", "99999999999999999999999999999999999999999k", "1kk", "٣k",
        "12345678901234567890.12345678901E",
    ])
    func refusesTheRest(text: String) {
        #expect(throws: InvalidField.self) { try ByteSize.parse(text, field: "size") }
    }

    @Test func printsBinaryUnits() {
        #expect(ByteSize.format(512) == "512 B")
        #expect(ByteSize.format(1024) == "1 KiB")
        #expect(ByteSize.format(1536) == "1.50 KiB")
        #expect(ByteSize.format(1 << 30) == "1 GiB")
        #expect(ByteSize.format((1 << 30) + 1) == "1.00 GiB")
        #expect(ByteSize.format(.max) == "7.99 EiB")
    }
}

@Suite struct ShardsTests {
    @Test func coverTheFileInOrderForEverySmallCase() {
        for size in 0...40 {
            for ranks in 1...9 {
                for alignment in 1...6 {
                    let shards = Shards(size: size, ranks: ranks, alignment: alignment)
                    var end = 0
                    for shard in shards {
                        #expect(shard.lowerBound == end)
                        #expect(shard.lowerBound % alignment == 0 || shard.lowerBound == size)
                        end = shard.upperBound
                    }
                    #expect(end == size)
                    let units = shards.map { ($0.count + alignment - 1) / alignment }
                    #expect((units.max() ?? 0) - (units.min() ?? 0) <= 1)
                    #expect(shards.longest == shards.map(\.count).max())
                    for offset in [0, size / 3, size - 1] where size > 0 {
                        #expect(shards[shards.rank(of: offset)].contains(offset))
                    }
                    #expect(shards.occupied == shards.count { !$0.isEmpty })
                }
            }
        }
    }

    @Test func holdForTheLargestFileAndAMillionRanks() {
        let shards = Shards(size: .max, ranks: 1_000_000, alignment: 1 << 20)
        #expect(shards[0].lowerBound == 0)
        #expect(shards[999_999].upperBound == .max)
        #expect(shards[500_000].lowerBound == shards[499_999].upperBound)
    }
}
