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

/// The transfers of each rank in groups that are made or compared at once: what is made at once is made faster.
struct Batches {
    private let transfers: any RankTransfers
    /// The most transfers of one group.
    private let size: Int

    /// Few enough to stay in the second-level cache until they are moved.
    private static let bytesMax = 256 << 10

    /// Groups transfers.
    ///
    /// - Parameters:
    ///   - transfers: what each rank moves.
    ///   - size: how many are a group; if not given, as many as stay in the cache, where they are small.
    init(_ transfers: any RankTransfers, of size: Int? = nil) {
        self.transfers = transfers
        self.size =
            size ?? max(1, min(Self.bytesMax / transfers.transferSize, transfers.transfersPerRank))
    }

    /// How many groups there are.
    var count: Int { transfers.transfersPerRank.dividedRoundingUp(by: size) }

    /// The bytes of a buffer for a group.
    var bufferBytes: Int {
        max(size > 1 ? size * transfers.transferSize : transfers.longestTransfer, 1)
    }

    /// The rounds of group number `index`: `size` of them but for the last.
    func rounds(_ index: Int) -> Range<Int> {
        index * size..<min((index + 1) * size, transfers.transfersPerRank)
    }

    /// The bytes of a rank's group.
    ///
    /// Ranges of the data set, and where they begin in a buffer that has a place for each transfer. Transfers that follow
    /// one another are one range.
    func ranges(_ index: Int, _ rank: Int) -> [(place: Int, range: Range<Int>)] {
        var ranges: [(place: Int, range: Range<Int>)] = []
        for (number, round) in rounds(index).enumerated() {
            let (place, range) = (number * transfers.transferSize, transfers[round, rank])
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
}
