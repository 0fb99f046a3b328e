// SPDX-License-Identifier: MIT OR Apache-2.0

/// A range of a data set that is not as specified.
public struct Damage: Sendable, Hashable {
    /// The offset of its first wrong byte.
    public var offset: Int
    /// Its length in bytes, from the first wrong byte to the last.
    public var bytes: Int
    /// How many of its bytes are wrong.
    public var wrongBytes: Int

    /// The offset past its last wrong byte.
    public var end: Int { offset + bytes }

    /// Describes a range.
    public init(offset: Int, bytes: Int, wrongBytes: Int) {
        self.offset = offset
        self.bytes = bytes
        self.wrongBytes = wrongBytes
    }
}

/// Collects wrong bytes, in file order, into joined ranges.
///
/// Two wrong bytes belong to one range when fewer than ``gap`` right bytes lie between them, so that
/// what was damaged at once is reported at once although some bytes are right by chance. Keeps the
/// first ranges and counts all of them: memory is bounded whatever the damage.
public struct DamageLog: Sendable, Equatable {
    /// Right bytes that end a range.
    public let gap: Int
    /// The most ranges that ``ranges`` keeps.
    public let limit: Int
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
    public mutating func add(offset: Int, count: Int) {
        wrongBytes += count
        if var joined = last, offset - joined.end < gap {
            rangeBytes += offset + count - joined.end
            joined.bytes = offset + count - joined.offset
            joined.wrongBytes += count
            last = joined
            if rangeCount <= limit { ranges[rangeCount - 1] = joined }
        } else {
            let new = Damage(offset: offset, bytes: count, wrongBytes: count)
            last = new
            rangeBytes += count
            rangeCount += 1
            if rangeCount <= limit { ranges.append(new) }
        }
    }

    /// Adds the ranges of a log that begins where this one ends.
    ///
    /// - Precondition: `later` kept as many ranges as this log may.
    public mutating func append(_ later: DamageLog) {
        precondition(later.limit >= limit, "a log that kept too few ranges cannot be appended")
        guard var first = later.ranges.first, let lastOfLater = later.last else { return }
        wrongBytes += later.wrongBytes
        rangeBytes += later.rangeBytes
        var rest = later.ranges[...]
        if var joined = last, first.offset - joined.end < gap {
            rangeBytes += first.offset - joined.end
            joined.bytes = first.end - joined.offset
            joined.wrongBytes += first.wrongBytes
            if rangeCount <= limit { ranges[rangeCount - 1] = joined }
            first = joined
            rest = rest.dropFirst()
            rangeCount -= 1
        }
        rangeCount += later.rangeCount
        ranges += rest.prefix(limit - ranges.count)
        last = later.rangeCount == 1 ? first : lastOfLater
    }
}
