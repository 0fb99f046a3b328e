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
