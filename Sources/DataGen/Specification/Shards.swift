// SPDX-License-Identifier: MIT OR Apache-2.0

/// How a file is dealt to ranks: contiguous shards in rank order.
///
/// Boundaries are multiples of the alignment, shard lengths differ by at most one alignment unit, and
/// ranks beyond the last unit have empty shards. O(1) in time and memory for any number of ranks.
public struct Shards: Sendable, Hashable, RandomAccessCollection {
    /// The length of the file in bytes.
    public let size: Int
    /// The number of ranks.
    public let count: Int
    /// What shard boundaries are multiples of, in bytes.
    public let alignment: Int

    private let unitsPerRank: Int
    private let ranksWithOneMore: Int

    /// Deals `size` bytes to `ranks` ranks.
    ///
    /// - Precondition: `size` is not negative, `ranks` and `alignment` are at least 1.
    public init(size: Int, ranks: Int, alignment: Int) {
        precondition(size >= 0 && ranks >= 1 && alignment >= 1, "shards need positive numbers")
        self.size = size
        count = ranks
        self.alignment = alignment
        let units = size / alignment + (size % alignment == 0 ? 0 : 1)
        (unitsPerRank, ranksWithOneMore) = units.quotientAndRemainder(dividingBy: ranks)
        precondition(start(of: ranks) == size, "shards make up the whole file")
    }

    /// The index of rank 0.
    public var startIndex: Int { 0 }
    /// One past the last rank.
    public var endIndex: Int { count }

    /// The byte range of the file that belongs to `rank`.
    public subscript(rank: Int) -> Range<Int> {
        precondition(indices.contains(rank), "no such rank")
        return start(of: rank)..<start(of: rank + 1)
    }

    private func start(of rank: Int) -> Int {
        let unit = rank * unitsPerRank + Swift.min(rank, ranksWithOneMore)
        // The end of the last unit may lie past the end of the file, and past 2^63.
        let (start, overflow) = unit.multipliedReportingOverflow(by: alignment)
        return overflow ? size : Swift.min(start, size)
    }

    /// The rank whose shard has the byte at `offset`.
    ///
    /// - Precondition: `offset` lies within the file.
    public func rank(of offset: Int) -> Int {
        precondition((0..<size).contains(offset), "no such byte")
        let unit = offset / alignment
        let longer = ranksWithOneMore * (unitsPerRank + 1)
        let rank =
            unit < longer
            ? unit / (unitsPerRank + 1) : ranksWithOneMore + (unit - longer) / unitsPerRank
        assert(self[rank].contains(offset), "a byte lies in the shard of its rank")
        return rank
    }

    /// The length of the longest shard in bytes: that of rank 0.
    public var longest: Int { self[0].count }

    /// The number of ranks that have at least one byte.
    public var occupied: Int {
        unitsPerRank > 0 ? count : ranksWithOneMore
    }
}
