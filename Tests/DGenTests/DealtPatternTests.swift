// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct DealtPatternTests {
    private static let cuts: [Cut] = [
        .segments(1), .segments(2), .segments(7), .segments(1 << 40), .strided,
    ]

    /// The transfers of all ranks.
    private func transfers(_ pattern: DealtPattern, ranks: Int) -> [[Range<Int>]] {
        (0..<ranks).map { rank in
            (0..<pattern.transfersPerRank).map { pattern[$0, rank] }
        }
    }

    @Test(arguments: cuts)
    func allTransfersTogetherAreTheDataSetEachByteOnce(cut: Cut) {
        for size in [1, 7, 100, 4096, 5000] {
            for ranks in [1, 2, 3, 8] {
                for (alignment, transfer) in [(1, 100), (64, 100), (100, 64), (10_000, 333)] {
                    for order in Order.allCases {
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
    func theTransferOfAByteIsTheOneThatMovesIt(cut: Cut) {
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

    @Test(.timeLimit(.minutes(5)), arguments: cuts)
    func theLargestDataSetIsDealtInConstantTime(cut: Cut) {
        let shards = Shards(size: .max, ranks: 1_000_000, alignment: 1 << 20)
        let pattern = DealtPattern(shards, transferSize: 1 << 30, cut: cut, order: .random)
        for offset in [0, 1 << 40, Int.max / 2, .max - 1] {
            let transfer = pattern.write(of: offset)
            #expect(transfer.contains(offset))
            #expect(transfer.count <= 1 << 30)
            let rank = pattern.rank(of: offset)
            #expect(pattern.rank(of: transfer.lowerBound) == rank)
            #expect(pattern.rank(of: transfer.upperBound - 1) == rank)
        }
        #expect(pattern.write(of: .max - 1).upperBound == .max)
    }
}
