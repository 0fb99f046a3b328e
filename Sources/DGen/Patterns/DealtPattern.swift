// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Xoshiro

/// Which bytes of a data set each rank moves, transfer by transfer.
///
/// The data set is cut to segments, and each segment is dealt to the ranks in contiguous pieces, in rank order. With one
/// segment a rank has one shard; with as many as it has transfers, the transfers of all ranks take turns. All transfers
/// of all ranks together are the data set, each byte once. O(1) in time and memory.
struct DealtPattern: AccessPattern {
    let transferSize: Int
    private let ranks: Int
    private let segments: Shards
    /// What the borders of pieces are multiples of, from the start of their segment.
    private let pieceAlignment: Int
    private let transfersPerPiece: Int
    /// How a segment is dealt that is as long as the first; all but the last few are.
    private let longPieces: Shards
    let order: Order
    let cut: Cut
    private let seed: UInt64

    /// Deals as many bytes as `shards` has to its ranks, by its alignment; `seed` decides the random order, which differs from
    /// rank to rank.
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
        longPieces = Shards(
            size: segments.longest, ranks: shards.count, alignment: pieceAlignment)
        transfersPerPiece = max(1, longPieces.longest.dividedRoundingUp(by: transferSize))
    }

    var transfersPerRank: Int { segments.count * transfersPerPiece }

    var bytes: Int { segments.size }

    var longestTransfer: Int { min(transferSize, longPieces.longest) }

    subscript(index: Int, rank: Int) -> Range<Int> {
        let place = order == .sequential ? index : permutation(of: rank)[index]
        let (number, part) = place.quotientAndRemainder(dividingBy: transfersPerPiece)
        return transfer(part, of: piece(segment: number, rank: rank))
    }

    /// Transfer number `part` of a piece; empty past its end, which may be the largest offset that there is.
    private func transfer(_ part: Int, of piece: Range<Int>) -> Range<Int> {
        let (done, isLarge) = part.multipliedReportingOverflow(by: transferSize)
        let start = isLarge || done > piece.count ? piece.upperBound : piece.lowerBound + done
        return start..<start + min(transferSize, piece.upperBound - start)
    }

    /// The range that a rank goes through from its begin to its end; nil where it goes to and fro.
    func straightRange(of rank: Int) -> Range<Int>? {
        cut == .segments(1) && order == .sequential ? longPieces[rank] : nil
    }

    /// The piece of a segment that the byte at `offset` lies in, and whose it is.
    private func piece(of offset: Int) -> (rank: Int, range: Range<Int>) {
        let number = segments.rank(of: offset)
        let segment = segments[number]
        let rank = pieces(of: segment).rank(of: offset - segment.lowerBound)
        return (rank, piece(segment: number, rank: rank))
    }

    /// How many segments the data set is cut to.
    var segmentCount: Int { segments.count }

    /// What a rank moves of a segment, in a row.
    func piece(segment: Int, rank: Int) -> Range<Int> {
        let segment = segments[segment]
        let piece = pieces(of: segment)[rank]
        return segment.lowerBound + piece.lowerBound..<segment.lowerBound + piece.upperBound
    }

    /// What a rank moves of all segments together.
    ///
    /// - Returns: the bytes, and the transfers that are not empty.
    /// - Complexity: O(log of the number of segments).
    func share(of rank: Int) -> (bytes: Int, transfers: Int) {
        var (bytes, transfers, first) = (0, 0, 0)
        // Segments get no longer, and few lengths differ: of each, how many there are.
        while first < segments.count {
            let length = segments[first].count
            var (low, high) = (first, segments.count - 1)
            while low < high {
                let middle = low + (high - low + 1) / 2
                if segments[middle].count == length { low = middle } else { high = middle - 1 }
            }
            let piece = pieces(of: segments[first])[rank].count
            bytes += (low + 1 - first) * piece
            transfers += (low + 1 - first) * piece.dividedRoundingUp(by: transferSize)
            first = low + 1
        }
        return (bytes, transfers)
    }

    /// The ranks that have any bytes: those of the first segment, the longest one.
    var occupied: Int { longPieces.occupied }

    /// The rank that moves the byte at `offset`.
    func rank(of offset: Int) -> Int { piece(of: offset).rank }

    /// Whether one rank moves all bytes of `range`, in one piece.
    func isOneRanks(_ range: Range<Int>) -> Bool {
        range.isEmpty || piece(of: range.lowerBound).range.upperBound >= range.upperBound
            || ranks == 1
    }

    /// The transfer that moves the byte at `offset`.
    func write(of offset: Int) -> Range<Int> {
        let piece = piece(of: offset).range
        return transfer((offset - piece.lowerBound) / transferSize, of: piece)
    }

    /// How a segment is dealt to the ranks.
    private func pieces(of segment: Range<Int>) -> Shards {
        segment.count == longPieces.size
            ? longPieces : Shards(size: segment.count, ranks: ranks, alignment: pieceAlignment)
    }

    /// The random order of a rank.
    private func permutation(of rank: Int) -> Permutation {
        Permutation(
            count: transfersPerRank, seed: seed &+ UInt64(rank) &* SplitMix64.step)
    }
}

extension Int {
    func dividedRoundingUp(by divisor: Int) -> Int {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return quotient + (remainder > 0 ? 1 : 0)
    }
}
