// SPDX-License-Identifier: MIT OR Apache-2.0

/// A range of a data set that is not as specified.
public struct Damage: Sendable, Hashable {
    /// The offset of its first wrong byte.
    public var offset: Int
    /// Its length in bytes, from the first wrong byte to the last.
    public var bytes: Int
    /// How many of its bytes are wrong.
    public var wrongBytes: Int
    /// Whether its bytes are not there at all: the file ends before them.
    public var isMissing: Bool

    /// The offset past its last wrong byte.
    public var end: Int { offset + bytes }

    /// Describes a range.
    public init(offset: Int, bytes: Int, wrongBytes: Int, isMissing: Bool = false) {
        self.offset = offset
        self.bytes = bytes
        self.wrongBytes = wrongBytes
        self.isMissing = isMissing
    }
}

/// Collects wrong bytes, in file order, into joined ranges.
///
/// Two wrong bytes belong to one range when fewer than ``gap`` right bytes lie between them, and both are there or both
/// are not, so that what was damaged at once is reported at once although some bytes are right by chance. Keeps the first
/// ranges and counts all of them: memory is bounded whatever the damage.
public struct DamageLog: Sendable, Equatable {
    /// Right bytes that end a range.
    public let gap: Int
    /// The most ranges that ``ranges`` keeps.
    public private(set) var limit: Int
    /// The first ranges, at most ``limit``.
    public private(set) var ranges: [Damage] = []
    /// The last range so far, kept or not.
    public private(set) var last: Damage?
    /// All ranges.
    public private(set) var rangeCount = 0
    /// The lengths of all ranges together.
    public private(set) var rangeBytes = 0
    /// All wrong bytes.
    public private(set) var wrongBytes = 0

    /// An empty log for damage to a data set of `spec`: the gap is a grain.
    ///
    /// It keeps one range at least, whatever the limit.
    public init(_ spec: DataSpec, limit: Int) {
        gap = spec.compressUnit
        self.limit = max(limit, 1)
    }

    /// The offset of the first wrong byte.
    public var firstOffset: Int? { ranges.first?.offset }

    /// Adds a run of `count` wrong bytes at `offset`, which is not before the end of the last.
    public mutating func add(offset: Int, count: Int, isMissing: Bool = false) {
        add(Damage(offset: offset, bytes: count, wrongBytes: count, isMissing: isMissing))
    }

    /// Adds a range that begins after the last, or among its right bytes: those that another log has as wrong.
    private mutating func add(_ new: Damage) {
        wrongBytes += new.wrongBytes
        if var joined = last, joined.isMissing == new.isMissing, new.offset - joined.end < gap {
            let end = max(joined.end, new.end)
            rangeBytes += end - joined.end
            joined.bytes = end - joined.offset
            joined.wrongBytes += new.wrongBytes
            last = joined
            if rangeCount <= limit { ranges[rangeCount - 1] = joined }
        } else {
            last = new
            rangeBytes += new.bytes
            rangeCount += 1
            if rangeCount <= limit { ranges.append(new) }
        }
    }

    /// Adds the ranges of a log that begins where this one ends.
    ///
    /// - Precondition: `later` kept as many ranges as this log may.
    public mutating func append(_ later: DamageLog) {
        precondition(later.limit >= limit, "a log that kept too few ranges cannot be appended")
        guard let first = later.ranges.first else { return }
        add(first)
        wrongBytes += later.wrongBytes - first.wrongBytes
        rangeBytes += later.rangeBytes - first.bytes
        rangeCount += later.rangeCount - 1
        ranges += later.ranges.dropFirst().prefix(limit - ranges.count)
        if later.rangeCount > 1 { last = later.last }
    }

    /// Adds the ranges of a log of other bytes of the same data set, wherever they lie between those of this one.
    ///
    /// Ranges of both are joined where both still have them: past ``limit``, what lies between those of the other log is
    /// counted as both logs counted it.
    ///
    /// - Precondition: `other` kept as many ranges as this log may.
    public mutating func merge(_ other: DamageLog) {
        precondition(other.limit >= limit, "a log that kept too few ranges cannot be merged")
        guard let first = other.firstOffset, let lastOfOther = other.last else { return }
        guard let firstHere = firstOffset, let lastHere = last else { return append(other) }
        if first >= lastHere.end { return append(other) }
        if firstHere >= lastOfOther.end {
            let after = self
            self = other.keeping(limit)
            return append(after)
        }
        let all = (ranges + other.ranges).sorted { $0.offset < $1.offset }
        var merged = DamageLog(gap: gap, limit: .max)
        for range in all { merged.add(range) }
        merged.rangeCount += rangeCount - ranges.count + other.rangeCount - other.ranges.count
        merged.rangeBytes = rangeBytes + other.rangeBytes + merged.rangeBytes
        merged.rangeBytes -= all.reduce(0) { $0 + $1.bytes }
        merged.wrongBytes = wrongBytes + other.wrongBytes
        // Where the last range was not kept, nothing can be joined to it; a kept one may have been joined.
        if let last = merged.last {
            let later = lastHere.end > lastOfOther.end ? lastHere : lastOfOther
            merged.last = later.end > last.end ? later : last
        }
        self = merged.keeping(limit)
    }

    /// A log like this one, of nothing.
    var emptied: DamageLog { DamageLog(gap: gap, limit: limit) }

    /// The same log with a smaller limit.
    private func keeping(_ limit: Int) -> DamageLog {
        var log = self
        log.limit = limit
        log.ranges = Array(ranges.prefix(limit))
        return log
    }

    private init(gap: Int, limit: Int) {
        self.gap = gap
        self.limit = limit
    }

    /// The log as numbers, to be told to other processes: ``init(_:numbers:limit:)`` reads them.
    public var numbers: [Int] {
        let all = ranges + (last.map { [$0] } ?? [])
        return [rangeCount, rangeBytes, wrongBytes]
            + all.flatMap { [$0.offset, $0.bytes, $0.wrongBytes, $0.isMissing ? 1 : 0] }
    }

    /// The log that ``numbers`` describes.
    ///
    /// - Parameters:
    ///   - spec: the data set.
    ///   - numbers: of a log with the same limit.
    ///   - limit: the most ranges that are kept.
    public init(_ spec: DataSpec, numbers: [Int], limit: Int) {
        self.init(spec, limit: limit)
        (rangeCount, rangeBytes, wrongBytes) = (numbers[0], numbers[1], numbers[2])
        let all = stride(from: 3, to: numbers.count, by: 4).map {
            Damage(
                offset: numbers[$0], bytes: numbers[$0 + 1], wrongBytes: numbers[$0 + 2],
                isMissing: numbers[$0 + 3] == 1)
        }
        ranges = Array(all.dropLast())
        last = all.last
    }
}
