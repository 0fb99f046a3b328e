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

    /// No bytes.
    var nothing: Range<Int> { spec.size..<spec.size }

    /// Writes of a rank, those among them that have no block counted too.
    func count(ofRank rank: Int) -> Int { shares[rank].count * transfersPerBlock }

    subscript(index: Int, rank: Int) -> Range<Int> {
        let (number, part) = index.quotientAndRemainder(dividingBy: transfersPerBlock)
        let share = shares[rank]
        guard number < share.count, let block = changed[share.lowerBound + number] else {
            return nothing
        }
        let range = changed.range(ofBlock: block)
        let start = range.lowerBound + min(part * transferSize, range.count)
        return start..<start + min(transferSize, range.upperBound - start)
    }
}

/// What the ranks of an update have written, each in its order, dealt to other ranks: whole ones, in turn.
struct ReplayPattern: AccessPattern {
    let update: UpdatePattern
    private let writers: Int
    private let readers: Int

    init(_ update: UpdatePattern, writers: Int, readers: Int) {
        self.update = update
        self.writers = writers
        self.readers = readers
    }

    var transferSize: Int { update.transferSize }
    var longestTransfer: Int { update.longestTransfer }
    var bytes: Int { update.bytes }
    var transfersPerRank: Int { (writers + readers - 1) / readers * update.transfersPerRank }

    /// Whose write is looked at, and which of them it is; nil for none.
    func write(_ index: Int, _ reader: Int) -> (writer: Int, round: Int)? {
        let (turn, round) = index.quotientAndRemainder(dividingBy: update.transfersPerRank)
        let writer = turn * readers + reader
        return writer < writers && round < update.count(ofRank: writer) ? (writer, round) : nil
    }

    subscript(index: Int, rank: Int) -> Range<Int> {
        write(index, rank).map { update[$0.round, $0.writer] } ?? update.nothing
    }
}
