// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct SampledPatternTests {
    @Test func aBlockOfEachPartIsChosenAsOftenAsAnyOther() throws {
        // Parts of every small length, equal and unequal.
        for (blocks, count) in [
            (7, 1), (3, 1), (10, 1), (2, 1), (20, 2), (21, 3), (23, 3), (100, 9),
        ] {
            let spec = try DataSpec(size: blocks * 512, seed: 0, dedupUnit: 512)
            let parts = Shards(size: blocks, ranks: count, alignment: 1)
            let seeds = 4000
            // Seeds in a row, and seeds that differ in their highest bits only.
            for shift in [0, 40] {
                var chosen = [Int](repeating: 0, count: blocks)
                var pairs: [Int: Int] = [:]
                for seed in 0..<seeds {
                    let sample = SampledPattern(
                        count, of: spec, ranks: 1, transferSize: 512,
                        seed: UInt64(seed) << UInt64(shift))
                    let here = (0..<sample.transfersPerRank).map {
                        sample[$0, 0].lowerBound / 512
                    }
                    #expect(here.count == count)
                    for (number, block) in here.enumerated() {
                        #expect(parts[number].contains(block))
                        chosen[block] += 1
                    }
                    if count > 1 { pairs[here[0] * blocks + here[1], default: 0] += 1 }
                }
                for part in parts {
                    let deviation = chiSquare(chosen[part], of: seeds)
                    #expect(deviation < limit(part.count), "\(blocks), \(count), \(chosen)")
                }
                // What is chosen of one part says nothing of the next.
                guard count > 1 else { continue }
                let cells = parts[0].flatMap { first in
                    parts[1].map { pairs[first * blocks + $0, default: 0] }
                }
                #expect(
                    chiSquare(cells[...], of: seeds) < limit(cells.count), "\(blocks), \(count)"
                )
            }
        }
    }

    private func chiSquare(_ counts: ArraySlice<Int>, of all: Int) -> Double {
        let expected = Double(all) / Double(counts.count)
        return counts.reduce(0) {
            $0 + (Double($1) - expected) * (Double($1) - expected) / expected
        }
    }

    /// Five standard deviations above what is expected of so many cells.
    private func limit(_ cells: Int) -> Double {
        Double(cells - 1) + 5 * (2 * Double(max(2, cells - 1))).squareRoot() + 5
    }

    /// All ways to choose one block of each part, and all ways to damage some blocks.
    @Test(arguments: [(6, 1), (6, 2), (7, 2), (7, 3), (8, 3), (5, 5), (9, 4)])
    func noDamageIsMissedMoreOftenThanTold(blocks: Int, count: Int) throws {
        let spec = try DataSpec(size: blocks * 512 - 3, seed: 0, dedupUnit: 512)
        let sample = SampledPattern(count, of: spec, ranks: 1, transferSize: 512, seed: 0)
        let parts = Shards(size: blocks, ranks: count, alignment: 1)
        for damage in 0..<1 << blocks {
            // Each part is missed, or not, whatever becomes of the others.
            let missed = parts.reduce(1.0) { all, part in
                all * Double(part.count { damage >> $0 & 1 == 0 }) / Double(part.count)
            }
            let told = sample.missProbability(damagedBlocks: damage.nonzeroBitCount)
            #expect(missed <= told, "\(damage)")
            #expect(told <= 1)
            if damage.nonzeroBitCount == 1, blocks % count == 0 {
                #expect(told - missed < 1e-9)
            }
        }
    }

    @Test func whatIsToldOfVeryManyBlocksIsABoundToo() throws {
        let spec = try DataSpec(size: .max, seed: 0, dedupUnit: 512)
        let sample = SampledPattern(3, of: spec, ranks: 1, transferSize: 512, seed: 0)
        var last = 1.0
        for shift in 0..<54 {
            let told = sample.missProbability(damagedBlocks: 1 << shift)
            // e^x > 1 + x, from the other side: (1 - 1/n)^d > 1 - d/n.
            let longest = ((1 << 54) / 3 + 1).doubled
            #expect(told > 1 - (1 << shift).doubled / longest || told == 1 || shift > 52)
            #expect(told <= last && told > 0)
            last = told
        }
        #expect(last < 0.3)
    }

    @Test func whatIsPrintedIsRoundedUp() {
        for (value, text) in [
            (0.0, "0"), (1, "1"), (74.01, "74.1"), (74, "74"), (96.9001, "97"), (99.91, "100"),
            (0.012345, "0.0124"), (12.34, "12.4"), (1e-9, "1e-09"), (1.001e-9, "1.01e-09"),
        ] {
            #expect(value.significantRoundedUp(3) == text)
        }
    }

    @Test func theLargestDataSetHasALastTransfer() throws {
        let spec = try DataSpec(size: .max, seed: 0, dedupUnit: 1 << 30)
        for transferSize in [512, 1_000_000, 1 << 30] {
            for ranks in [1, 3, 1000] {
                let sample = SampledPattern(
                    .max, of: spec, ranks: ranks, transferSize: transferSize, seed: 1)
                let all = sample.transfersPerRank
                let ends = (max(0, all - 4000)..<all).map { sample[$0, ranks - 1].upperBound }
                #expect(ends.max() == .max)
                #expect(sample.bytes == .max)
                let shards = Shards(size: .max, ranks: ranks, alignment: 1 << 20)
                for cut in [Cut.segments(1), .segments(7), .strided] {
                    let pattern = DealtPattern(shards, transferSize: transferSize, cut: cut)
                    let rank = pattern.rank(of: .max - 1)
                    #expect(pattern.write(of: .max - 1).upperBound == .max)
                    #expect(pattern[pattern.transfersPerRank - 1, rank].upperBound == .max)
                }
            }
        }
    }
}

extension Int {
    fileprivate var doubled: Double { Double(self) }
}
