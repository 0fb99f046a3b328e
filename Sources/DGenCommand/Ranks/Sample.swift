// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// A few blocks of a data set, one at random out of each of as many parts of equal length, dealt to ranks in file order.
///
/// A damaged block is among them with the same probability wherever it lies, and several ones are missed together no more
/// often than one after the other would be.
struct Sample: RankTransfers {
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

    /// Chooses blocks.
    ///
    /// - Parameters:
    ///   - count: how many; all of them where there are no more.
    ///   - spec: the data set.
    ///   - ranks: who looks at them.
    ///   - transferSize: the most bytes of a transfer.
    ///   - seed: the same blocks for the same seed.
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
        let start = min(range.lowerBound + part * transferSize, range.upperBound)
        return start..<min(start + transferSize, range.upperBound)
    }

    /// The block that is taken out of part `number`.
    private func block(_ number: Int) -> Int {
        let part = parts[number]
        return part.lowerBound + Permutation(count: part.count, seed: seed &+ UInt64(number))[0]
    }

    private func range(ofBlock block: Int) -> Range<Int> {
        let start = block * spec.dedupUnit
        return start..<(spec.size - start < spec.dedupUnit ? spec.size : start + spec.dedupUnit)
    }

    /// At most how probable it is that damage to `blocks` blocks is missed.
    func missProbability(damagedBlocks blocks: Int) -> Double {
        guard count > 0 else { return 1 }
        // Of the longest part; two in the same part are found more often than two in different ones.
        return (0..<64).reduce((result: 1.0, base: 1 - 1 / Double(parts.longest))) { power, bit in
            (
                blocks >> bit & 1 == 1 ? power.result * power.base : power.result,
                power.base * power.base
            )
        }.result
    }

    /// Parts of the data set whose damage is spoken of: one block, and from 0.01 % to 10 % of all.
    var damageOfInterest: [Int] {
        ([1] + [10_000, 1000, 100, 10].map { blockCount / $0 }).filter { $0 > 0 }
            .reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}
