// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// Which bytes of a data set each rank moves, transfer by transfer.
///
/// The data set is cut to segments, and each segment is dealt to the ranks in contiguous pieces, in rank order. With one
/// segment a rank has one shard; with as many as it has transfers, the transfers of all ranks take turns. All transfers
/// of all ranks together are the data set, each byte once. O(1) in time and memory.
struct Pattern {
    /// In which order a rank goes through its transfers.
    enum Order: String, CaseIterable {
        case sequential, random
    }

    /// How the data set is cut.
    enum Cut: Equatable {
        /// To that many segments.
        case segments(Int)
        /// To as many as each rank has transfers.
        case strided
    }

    /// The most bytes of a transfer.
    let transferSize: Int
    private let ranks: Int
    private let segments: Shards
    /// What the borders of pieces are multiples of, from the start of their segment.
    private let pieceAlignment: Int
    private let transfersPerPiece: Int
    let order: Order
    let cut: Cut
    private let seed: UInt64

    /// Deals a data set.
    ///
    /// - Parameters:
    ///   - shards: its size, the ranks, and the alignment.
    ///   - transferSize: the most bytes of a transfer.
    ///   - cut: how it is cut.
    ///   - order: the order of each rank's transfers.
    ///   - seed: decides the random order, which differs from rank to rank.
    init(
        _ shards: Shards, transferSize: Int, cut: Cut = .segments(1), order: Order = .sequential,
        seed: UInt64 = 0
    ) {
        self.transferSize = transferSize
        self.order = order
        self.cut = cut
        self.seed = seed
        ranks = shards.count
        switch cut {
        case .segments(let count):
            pieceAlignment = shards.alignment
            // No more than there are units to deal.
            let units = shards.size.dividedRoundingUp(by: pieceAlignment)
            segments = Shards(
                size: shards.size, ranks: max(1, min(count, units)), alignment: pieceAlignment)
        case .strided:
            pieceAlignment = transferSize
            let (turn, isLarge) = transferSize.multipliedReportingOverflow(by: ranks)
            let alignment = isLarge ? Int.max : turn
            segments = Shards(
                size: shards.size, ranks: max(1, shards.size.dividedRoundingUp(by: alignment)),
                alignment: alignment)
        }
        let pieceMax = Shards(
            size: segments.longest, ranks: shards.count, alignment: pieceAlignment
        ).longest
        transfersPerPiece = max(1, pieceMax.dividedRoundingUp(by: transferSize))
    }

    /// The transfers of every rank; some of them may be empty.
    var transfersPerRank: Int { segments.count * transfersPerPiece }

    /// Transfers that are made or compared at once, where they are small: what is made at once is made faster.
    var batch: Int { max(1, min(Self.batchBytes / transferSize, transfersPerRank)) }

    /// Few enough to stay in the second-level cache until they are moved.
    private static let batchBytes = 256 << 10

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

    /// The bytes of the longest transfer of any rank.
    var longestTransfer: Int {
        min(
            transferSize,
            Shards(size: segments.longest, ranks: ranks, alignment: pieceAlignment).longest)
    }

    /// Transfer number `index` of a rank, in the order in which it goes through them.
    subscript(index: Int, rank: Int) -> Range<Int> {
        let place = order == .sequential ? index : permutation(of: rank)[index]
        let (number, part) = place.quotientAndRemainder(dividingBy: transfersPerPiece)
        let segment = segments[number]
        let piece = Shards(size: segment.count, ranks: ranks, alignment: pieceAlignment)[rank]
        let start = min(piece.lowerBound + part * transferSize, piece.upperBound)
        let end = min(start + transferSize, piece.upperBound)
        return segment.lowerBound + start..<segment.lowerBound + end
    }

    /// The random order of a rank.
    private func permutation(of rank: Int) -> Permutation {
        Permutation(
            count: transfersPerRank, seed: seed &+ UInt64(rank) &* 0x9E37_79B9_7F4A_7C15)
    }
}

extension Int {
    func dividedRoundingUp(by divisor: Int) -> Int {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return quotient + (remainder > 0 ? 1 : 0)
    }
}
