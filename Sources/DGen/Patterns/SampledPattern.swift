// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Xoshiro

/// A few blocks of a data set, one at random out of each of as many parts of equal length, dealt to ranks in file order.
///
/// Every block of a part is chosen with the same probability, whatever is chosen of other parts: a damaged block is missed no
/// more often than in the longest part, and several ones no more often than one after the other would be.
struct SampledPattern: AccessPattern {
    /// How many blocks there are.
    let blockCount: Int
    /// How many of them are looked at.
    let count: Int
    /// What decides which ones.
    let seed: UInt64
    let transferSize: Int
    private let spec: DataSpec
    private let transfersPerBlock: Int
    private let parts: Shards
    private let shares: Shards

    /// Chooses so many blocks, or all of them where there are no more; the same ones for the same seed.
    init(_ count: Int, of spec: DataSpec, ranks: Int, transferSize: Int, seed: UInt64) {
        self.spec = spec
        self.seed = seed
        blockCount = Layout(spec).blockCount
        self.count = min(count, blockCount)
        self.transferSize = min(transferSize, spec.dedupUnit)
        transfersPerBlock = spec.dedupUnit.dividedRoundingUp(by: self.transferSize)
        parts = Shards(size: blockCount, ranks: max(1, self.count), alignment: 1)
        shares = Shards(size: self.count, ranks: ranks, alignment: 1)
    }

    var transfersPerRank: Int { shares.longest * transfersPerBlock }

    var longestTransfer: Int { min(transferSize, spec.size) }

    var bytes: Int {
        guard count > 0 else { return 0 }
        let last = range(ofBlock: block(count - 1))
        return (count - 1) * spec.dedupUnit + last.count
    }

    subscript(index: Int, rank: Int) -> Range<Int> {
        let (number, part) = index.quotientAndRemainder(dividingBy: transfersPerBlock)
        let share = shares[rank]
        guard number < share.count else { return spec.size..<spec.size }
        let range = range(ofBlock: block(share.lowerBound + number))
        // The end may be the largest offset that there is.
        let start = range.lowerBound + min(part * transferSize, range.count)
        return start..<start + min(transferSize, range.upperBound - start)
    }

    /// The block that is taken out of part `number`: any of them for as many of all seeds.
    private func block(_ number: Int) -> Int {
        let part = parts[number]
        // Numbers of which each is any one for one of all seeds.
        let first = SplitMix64.mixed(SplitMix64.mixed(seed &+ SplitMix64.step) ^ UInt64(number))
        var draws = SplitMix64(seed: first &- SplitMix64.step)
        // Without the bias of a remainder.
        return part.lowerBound + Int.random(in: 0..<part.count, using: &draws)
    }

    private func range(ofBlock block: Int) -> Range<Int> {
        let start = block * spec.dedupUnit
        return start..<(spec.size - start < spec.dedupUnit ? spec.size : start + spec.dedupUnit)
    }

    /// At most how probable it is that damage to `blocks` blocks is missed.
    func missProbability(damagedBlocks blocks: Int) -> Double {
        guard count > 0, blocks > 0 else { return 1 }
        guard parts.longest > 1 else { return 0 }
        // Of the longest part; two in the same part are found more often than two in different ones. What is lost by rounding
        // is made up for, so that it is a bound.
        let one = log1p(-1 / Double(parts.longest)) * (1 - 0x1p-48)
        return max(1e-300, min(1, exp(Double(blocks) * one) * (1 + 0x1p-48)))
    }

    /// Parts of the data set whose damage is spoken of: one block, and from 0.01 % to 10 % of all.
    var damageOfInterest: [Int] {
        ([1] + [10_000, 1000, 100, 10].map { blockCount / $0 }).filter { $0 > 0 }
            .reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}
