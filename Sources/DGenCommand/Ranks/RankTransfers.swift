// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// Which bytes of a data set each rank moves, transfer by transfer; O(1) in time and memory.
protocol RankTransfers {
    /// The most bytes of a transfer.
    var transferSize: Int { get }
    /// The transfers of every rank; some of them may be empty.
    var transfersPerRank: Int { get }
    /// The bytes of the longest transfer of any rank.
    var longestTransfer: Int { get }
    /// The bytes of all transfers of all ranks.
    var bytes: Int { get }
    /// Transfer number `index` of a rank, in the order in which it goes through them.
    subscript(index: Int, rank: Int) -> Range<Int> { get }
}

extension RankTransfers {
    /// Transfers that are made or compared at once, where they are small: what is made at once is made faster.
    var batch: Int { max(1, min(Self.batchBytes / transferSize, transfersPerRank)) }

    /// Few enough to stay in the second-level cache until they are moved.
    private static var batchBytes: Int { 256 << 10 }

    /// The rounds of batch number `index`, `batch` of them but for the last.
    func rounds(ofBatch index: Int) -> Range<Int> {
        index * batch..<min((index + 1) * batch, transfersPerRank)
    }

    /// How many batches there are.
    var batchCount: Int { transfersPerRank.dividedRoundingUp(by: batch) }

    /// The bytes of a rank's batch.
    ///
    /// Ranges of the data set, and where they begin in a buffer that has a place for each transfer. Transfers that follow
    /// one another are one range.
    func ranges(ofBatch index: Int, _ rank: Int) -> [(place: Int, range: Range<Int>)] {
        var ranges: [(place: Int, range: Range<Int>)] = []
        for (number, round) in rounds(ofBatch: index).enumerated() {
            let (place, range) = (number * transferSize, self[round, rank])
            if let last = ranges.last, last.range.upperBound == range.lowerBound,
                last.place + last.range.count == place
            {
                ranges[ranges.count - 1].range = last.range.lowerBound..<range.upperBound
            } else if !range.isEmpty {
                ranges.append((place, range))
            }
        }
        return ranges
    }

    /// The bytes of a buffer for a batch.
    var batchBufferBytes: Int { batch > 1 ? batch * transferSize : longestTransfer }
}
