// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// The blocks that differ between two generations of a data set, dealt to ranks in the order in which their contents change.
struct UpdatePattern: AccessPattern {
    let transferSize: Int
    private let changed: ChangedBlocks
    private let spec: DataSpec
    private let transfersPerBlock: Int
    private let shares: Shards

    /// Deals the blocks of `spec` that are not the same in another generation.
    init(_ spec: DataSpec, against generation: Int, ranks: Int, transferSize: Int) {
        self.spec = spec
        changed = ChangedBlocks(of: spec, against: generation)
        self.transferSize = min(transferSize, spec.dedupUnit)
        transfersPerBlock = spec.dedupUnit.dividedRoundingUp(by: self.transferSize)
        shares = Shards(size: changed.count, ranks: ranks, alignment: 1)
    }

    var transfersPerRank: Int { shares.longest * transfersPerBlock }

    var longestTransfer: Int { min(transferSize, spec.size) }

    var bytes: Int {
        let (bytes, isLarge) = changed.count.multipliedReportingOverflow(by: spec.dedupUnit)
        return isLarge ? spec.size : min(bytes, spec.size)
    }

    subscript(index: Int, rank: Int) -> Range<Int> {
        let (number, part) = index.quotientAndRemainder(dividingBy: transfersPerBlock)
        let share = shares[rank]
        guard number < share.count, let block = changed[share.lowerBound + number] else {
            return spec.size..<spec.size
        }
        let range = changed.range(ofBlock: block)
        let start = range.lowerBound + min(part * transferSize, range.count)
        return start..<start + min(transferSize, range.upperBound - start)
    }
}
