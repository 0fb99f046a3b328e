// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Testing

@testable import DGen

@Suite struct PatternTests {
    private static let cuts: [DealtPattern.Cut] = [
        .segments(1), .segments(2), .segments(7), .segments(1 << 40), .strided,
    ]

    /// The transfers of all ranks.
    private func transfers(_ pattern: DealtPattern, ranks: Int) -> [[Range<Int>]] {
        (0..<ranks).map { rank in
            (0..<pattern.transfersPerRank).map { pattern[$0, rank] }
        }
    }

    @Test(arguments: cuts)
    func allTransfersTogetherAreTheDataSetEachByteOnce(cut: DealtPattern.Cut) {
        for size in [1, 7, 100, 4096, 5000] {
            for ranks in [1, 2, 3, 8] {
                for (alignment, transfer) in [(1, 100), (64, 100), (100, 64), (10_000, 333)] {
                    for order in DealtPattern.Order.allCases {
                        let pattern = DealtPattern(
                            Shards(size: size, ranks: ranks, alignment: alignment),
                            transferSize: transfer, cut: cut, order: order, seed: 3)
                        let all = transfers(pattern, ranks: ranks)
                        #expect(all.joined().allSatisfy { $0.count <= pattern.longestTransfer })
                        #expect(pattern.longestTransfer <= transfer)
                        let inOrder = all.joined().filter { !$0.isEmpty }
                            .sorted { $0.lowerBound < $1.lowerBound }
                        var end = 0
                        for range in inOrder {
                            #expect(range.lowerBound == end)
                            end = range.upperBound
                        }
                        #expect(end == size)
                    }
                }
            }
        }
    }

    @Test(arguments: cuts)
    func theTransferOfAByteIsTheOneThatMovesIt(cut: DealtPattern.Cut) {
        for (alignment, transfer) in [(1, 100), (64, 100), (100, 64), (10_000, 333)] {
            let pattern = DealtPattern(
                Shards(size: 5000, ranks: 3, alignment: alignment), transferSize: transfer,
                cut: cut)
            for (rank, ranges) in transfers(pattern, ranks: 3).enumerated() {
                for range in ranges {
                    for offset in range {
                        #expect(pattern.write(of: offset) == range)
                        #expect(pattern.rank(of: offset) == rank)
                    }
                    #expect(pattern.isOneRanks(range))
                }
            }
        }
    }

    @Test func aPatternOfOneSegmentIsTheShards() {
        let shards = Shards(size: 1_000_000, ranks: 3, alignment: 4096)
        let pattern = DealtPattern(shards, transferSize: 50_000)
        for rank in 0..<3 {
            let mine = (0..<pattern.transfersPerRank).map { pattern[$0, rank] }
            #expect(mine.first?.lowerBound == shards[rank].lowerBound)
            #expect(mine.last?.upperBound == shards[rank].upperBound)
        }
    }

    @Test func transfersOfAllRanksTakeTurns() {
        let pattern = DealtPattern(
            Shards(size: 1000, ranks: 3, alignment: 1 << 20), transferSize: 100, cut: .strided)
        #expect(pattern.transfersPerRank == 4)
        #expect(
            (0..<4).map { pattern[$0, 1] } == [100..<200, 400..<500, 700..<800, 1000..<1000])
        #expect(pattern[3, 0] == 900..<1000)
    }

    @Test func aRandomOrderIsAnotherOneForEachRankAndSeed() {
        let shards = Shards(size: 400, ranks: 4, alignment: 1)
        func order(_ rank: Int, seed: UInt64) -> [Int] {
            let pattern = DealtPattern(shards, transferSize: 1, order: .random, seed: seed)
            return (0..<100).map { pattern[$0, rank].lowerBound - 100 * rank }
        }
        #expect(order(0, seed: 1) == order(0, seed: 1))
        #expect(order(0, seed: 1) != order(0, seed: 2))
        #expect(order(0, seed: 1) != order(1, seed: 1))
        #expect(order(0, seed: 1) != Array(0..<100))
        #expect(order(0, seed: 1).sorted() == Array(0..<100))
    }

    @Test func theLargestDataSetIsDealtInConstantTime() {
        let shards = Shards(size: .max, ranks: 1_000_000, alignment: 1 << 20)
        for cut in Self.cuts {
            let pattern = DealtPattern(shards, transferSize: 1 << 30, cut: cut, order: .random)
            #expect(pattern[0, 0].count <= 1 << 30)
            #expect(pattern[pattern.transfersPerRank - 1, 999_999].upperBound <= .max)
        }
    }
}

@Suite struct SampleTests {
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
                for cut in [DealtPattern.Cut.segments(1), .segments(7), .strided] {
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

@Suite struct BatchesTests {
    @Test func ranksInStepAgreeAfterTwoMiBAndAtTheEnd() {
        func ends(transferSize: Int, depth: Int) -> [Int] {
            let shards = Shards(size: 5 << 20, ranks: 1, alignment: 1)
            let pattern = DealtPattern(shards, transferSize: transferSize)
            let batches = Batches(pattern, depth: depth)
            return (0..<pattern.transfersPerRank).filter { batches.endsStretch($0) }
        }
        // Whatever the depth, which may differ between ranks.
        for depth in [1, 2] {
            #expect(ends(transferSize: 64 << 10, depth: depth) == [31, 63, 79])
            #expect(ends(transferSize: 400 << 10, depth: depth) == [4, 9, 12])
            #expect(ends(transferSize: 1 << 20, depth: depth) == [1, 3, 4])
            #expect(ends(transferSize: 4 << 20, depth: depth) == [0, 1])
        }
    }
}

@Suite struct RelayTests {
    @Test(arguments: [1, 2, 5, 200])
    func whatIsMadeBeforeIsTakenInOrder(depth: Int) {
        let relay = Relay(buffers(depth), count: 100, .beforeTaken) { index, buffer in
            buffer.storeBytes(of: index, as: Int.self)
        }
        for index in 0..<100 {
            #expect(relay.take().load(as: Int.self) == index)
            relay.giveBack()
        }
        relay.finish()
        #expect(relay.workNanoseconds > 0)
    }

    @Test(arguments: [1, 2, 5, 200], [0, 1, 3, 60, 100])
    func allThatWasGivenBackIsWorkedOnInOrder(depth: Int, taken: Int) {
        nonisolated(unsafe) var seen: [Int] = []
        let relay = Relay(buffers(depth), count: 100, .afterGivenBack) { index, buffer in
            #expect(buffer.load(as: Int.self) == index)
            seen.append(index)
        }
        for index in 0..<taken {
            relay.take().storeBytes(of: index, as: Int.self)
            relay.giveBack()
        }
        relay.finish()
        #expect(seen == Array(0..<taken))
    }

    @Test(arguments: [1, 2, 5], [0, 1, 60])
    func whoStopsEarlyDoesNotWaitForEver(depth: Int, taken: Int) {
        let relay = Relay(buffers(depth), count: 100, .beforeTaken) { _, _ in }
        for _ in 0..<taken {
            _ = relay.take()
            relay.giveBack()
        }
        relay.finish()
    }

    /// A thread of which the owner is told that it is slow, and one of which it is told that it is not.
    @Test(arguments: [2, 5, 200], [0, Int.max / 2])
    func aSlowThreadIsLetGo(depth: Int, ownNanoseconds: Int) {
        nonisolated(unsafe) var ownItems = 0
        let owner = pthread_self()
        let relay = Relay(
            buffers(depth), count: 100, .beforeTaken, ownNanoseconds: ownNanoseconds
        ) { index, buffer in
            let clock = Stopwatch()
            while clock.elapsedNanoseconds < 1000 {}
            buffer.storeBytes(of: index, as: Int.self)
            if pthread_equal(pthread_self(), owner) != 0 { ownItems += 1 }
        }
        for index in 0..<100 {
            #expect(relay.take().load(as: Int.self) == index)
            relay.giveBack()
        }
        relay.finish()
        // What the thread was ahead is not made again.
        let least = ownNanoseconds == 0 ? max(0, 100 - 4 - depth) : 0
        #expect(ownItems >= least)
        #expect(ownNanoseconds == 0 || ownItems == 0)
        #expect(relay.isOwnerAlone == (ownNanoseconds == 0))
    }

    private func buffers(_ count: Int) -> [UnsafeMutableRawBufferPointer] {
        (0..<count).map { _ in .allocate(byteCount: 8, alignment: 8) }
    }
}

@Suite struct HintsFileTests {
    @Test func linesAreHintsAndCommentsAreNone() {
        let text = """
            # of ROMIO
            cb_nodes 4
            romio_cb_write=enable   # and so
              striping_unit \t 1048576

            name two words
            """
        #expect(
            HintsFile.texts(text) == [
                "cb_nodes=4", "romio_cb_write=enable", "striping_unit=1048576",
                "name=two words",
            ])
        #expect(HintsFile.texts("") == [])
    }
}
