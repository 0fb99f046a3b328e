// SPDX-License-Identifier: MIT OR Apache-2.0

public import CVector

/// How the random bytes of a data set are dealt to its grains (FORMAT.md section 4).
public struct GrainShape: Sendable {
    /// Bytes of a grain, a multiple of 64.
    public let grainBytes: Int
    /// The first k grains of a block hold k `numerator` / `denominator` random words.
    public let numerator: Int
    /// See ``numerator``.
    public let denominator: Int
    /// Whether the rest of a grain is zeros; a repeated back-reference otherwise.
    public let isZeroFilled: Bool
    /// Whole random words of every grain, and what is left of them as a part of the denominator.
    @usableFromInline let wordsPerGrain: (quotient: Int, remainder: Int)

    /// Describes the grains of a data set; every grain begins with at least one random word.
    public init(grainBytes: Int, numerator: Int, denominator: Int, isZeroFilled: Bool) {
        precondition(numerator >= denominator, "every grain needs a random word")
        self.grainBytes = grainBytes
        self.numerator = numerator
        self.denominator = denominator
        self.isZeroFilled = isZeroFilled
        wordsPerGrain = numerator.quotientAndRemainder(dividingBy: denominator)
    }

    /// `W(k)` / 8 of FORMAT.md: the random words that the first `grains` grains of a block hold.
    @inlinable
    public func words(inFirst grains: Int) -> Int { grains * numerator / denominator }

    /// The most random words that `grains` grains in a row hold, wherever they are.
    @inlinable @inline(always)
    func wordsMax(in grains: Int) -> Int { (grains * numerator + denominator - 1) / denominator }
}

/// Where every vector of a grain comes from, prepared for grains of one shape and alignment.
///
/// Vectors are made for whole cache lines of the memory; where a grain begins and ends elsewhere, an *edge*
/// is a vector that overlaps others. Everything is there twice: for grains with the fewer random words, and for those
/// with one more.
public struct GrainPlan: Sendable {
    /// A part of a grain that is random words in a row, and the vector in which the next one begins.
    @usableFromInline
    struct Segment: Sendable {
        /// Bytes of the vectors of this segment alone.
        @usableFromInline var byteCount = 0
        /// For the vector that it shares with the next one or with zeros, the mask of its words; 0 for none.
        @usableFromInline var maskOffset = 0
    }

    /// The first or the last vector of a grain.
    @usableFromInline
    struct Edge: Sendable {
        /// Bytes from the first random word to the words that the vector begins with.
        @usableFromInline var source = 0
        /// The mask of those.
        @usableFromInline var maskOffset = 0
        /// The same for the others, where they are not zeros: a period before; where there are none, as `source`,
        /// since nothing may be loaded from beyond the slots.
        @usableFromInline var restSource = 0
    }

    /// How a grain is made.
    @usableFromInline
    enum Method: Sendable {
        /// Each vector is a choice of the sixteen words that a grain begins with.
        case chosen
        /// Vectors are pieces of segments that lie in a row.
        case segments
        /// After the first segment come zeros.
        case zeros
    }

    /// The grains.
    public let shape: GrainShape
    /// Bytes from the start of a grain to where a cache line begins.
    public private(set) var head: Int
    @usableFromInline let method: Method
    @usableFromInline private(set) var segments: [Segment] = []
    /// The first and the last vector.
    @usableFromInline private(set) var edges: [Edge] = []
    /// What is looked up while grains are made.
    ///
    /// For segments, the numbers of the words that begin 0 to 7 words into a vector, and masks of the first
    /// 0 to 8 words; for choices, the numbers of the words of each vector.
    @usableFromInline private(set) var tables: [Lanes.Vector] = []

    /// Prepares for grains `head` bytes before a cache line; nil for grains that lanes cannot make.
    ///
    /// - Parameters:
    ///   - shape: the grains.
    ///   - head: 0 to 56.
    ///   - isWide: whether the processor chooses words of two vectors in one instruction.
    public init?(_ shape: GrainShape, head: Int, isWide: Bool) {
        let least = shape.wordsPerGrain.quotient
        method = shape.isZeroFilled ? .zeros : isWide && least < 16 ? .chosen : .segments
        // No vector has words of three segments.
        guard method != .segments || least >= 9 else { return nil }
        self.shape = shape
        self.head = head
        move(head: head)
    }

    /// Prepares for another head.
    public mutating func move(head: Int) {
        precondition(head % 8 == 0 && (0..<64).contains(head), "a head is less than a cache line")
        self.head = head
        let least = shape.wordsPerGrain.quotient
        let last = shape.grainBytes - 64
        if method == .chosen {
            let places = Array(stride(from: head, through: last, by: 64)) + [0, last]
            tables = [least, least + 1].flatMap { words in
                places.map { numbers(at: $0 / 8, words: words) }
            }
            segments = [Segment(), Segment()]
        } else {
            tables =
                (0..<8).map { shift in
                    Lanes.Vector((0..<8).map { UInt64($0 + shift) })
                }
                + (0...8).map { words in
                    Lanes.Vector((0..<8).map { $0 < words ? .max : 0 })
                }
            let (fewer, more) = (segments(words: least), segments(words: least + 1))
            let count = max(fewer.count, more.count)
            segments = [fewer, more].flatMap {
                $0 + Array(repeating: Segment(), count: count - $0.count)
            }
        }
        edges = [least, least + 1].flatMap { words in
            [0, last / 8].map { edge(at: $0, words: words) }
        }
    }

    /// Words after which the derived part of a grain repeats (FORMAT.md section 4).
    @inlinable @inline(always)
    static func period(words: Int) -> Int { words & 1 == 1 ? words : words &- 1 }

    /// The random word that word `index` of a grain is.
    private static func randomWord(of index: Int, words: Int) -> Int {
        let period = period(words: words)
        return index < words ? index : words - period + (index - words) % period
    }

    private func numbers(at index: Int, words: Int) -> Lanes.Vector {
        Lanes.Vector((index..<index + 8).map { UInt64(Self.randomWord(of: $0, words: words)) })
    }

    private func edge(at index: Int, words: Int) -> Edge {
        let source =
            shape.isZeroFilled ? min(index, words) : Self.randomWord(of: index, words: words)
        let count = min(words - source, 8)
        let rest = count < 8 ? source - Self.period(words: words) : source
        return Edge(source: 8 * source, maskOffset: 64 * count, restSource: 8 * rest)
    }

    private func segments(words: Int) -> [Segment] {
        var segments: [Segment] = []
        var index = head / 8
        let end = index + (shape.grainBytes / 8 - index) / 8 * 8
        var limit = words
        while index < end, method == .segments || segments.isEmpty {
            var segment = Segment(byteCount: 64 * ((min(limit, end) - index) / 8))
            index += segment.byteCount / 8
            if index < min(limit, end) {
                segment.maskOffset = 64 * (limit - index)
                index += 8
            }
            segments.append(segment)
            limit += Self.period(words: words)
        }
        return segments
    }

    /// Where the masks are in the tables.
    @inlinable static var maskOffset: Int { 8 * 64 }

    /// Calls `body` with the two kinds of grains and the rest of `memory`.
    ///
    /// At the start of it are the tables, aligned as they are not in an array, and the kinds, which the compiler shall
    /// take from there, and not choose between field by field.
    @inlinable @inline(always)
    func withKinds(
        in memory: UnsafeMutableRawPointer,
        _ body: (UnsafePointer<GrainKind>, UnsafeMutableRawPointer) -> Bool
    ) -> Bool {
        for (index, vector) in tables.enumerated() {
            cvector_store(memory + 64 &* index, vector)
        }
        precondition(
            2 * MemoryLayout<GrainKind>.stride <= Self.kindBytes, "there is room for the kinds")
        let kinds = (memory + 64 &* tables.count).bindMemory(to: GrainKind.self, capacity: 2)
        return segments.withUnsafeBufferPointer { segments in
            for index in 0..<2 {
                (kinds + index).initialize(
                    to: GrainKind(self, index, segments, tables: memory))
            }
            return body(UnsafePointer(kinds), memory + tableBytes)
        }
    }

    /// Bytes of the tables and kinds.
    @usableFromInline var tableBytes: Int { 64 * tables.count + Self.kindBytes }

    @inlinable static var kindBytes: Int { 512 }

    /// Bytes from the rows of one lane to those of the next: before them is the last row of the round
    /// before, and around both what is loaded beyond and not taken.
    @usableFromInline var slotBytes: Int { 64 * ((shape.wordsMax(in: 1) + 7) / 8 + 3) }

    /// Bytes of memory that a run needs besides that of the grains.
    public var scratchBytes: Int { tableBytes + 192 + 16 * slotBytes }
}

/// What the hot loop needs to know of the grains with the fewer random words, or of the others.
@usableFromInline
struct GrainKind {
    @inlinable static var copiesMax: Int { 8 }

    @usableFromInline let randomBytes: Int
    /// Bytes after which the derived part repeats.
    @usableFromInline let periodBytes: Int
    /// Bytes of the words that a grain begins with and does not repeat: 0 or 8.
    @usableFromInline let skippedBytes: Int
    /// How often the first vector of a grain is there in full; 0 for more than ``copiesMax``.
    @usableFromInline let copies: Int
    /// From the start of a grain to its last vector of random words, and to the last one that is there as often as
    /// the first one, and not once less.
    @usableFromInline let lastRowOffset: Int
    @usableFromInline let lastLongRowOffset: Int
    @usableFromInline let head: Int
    /// From the start of a grain to its last vector.
    @usableFromInline let lastOffset: Int
    @usableFromInline let segments: UnsafePointer<GrainPlan.Segment>
    @usableFromInline let segmentsEnd: UnsafePointer<GrainPlan.Segment>
    @usableFromInline let numbers: UnsafeMutableRawPointer
    @usableFromInline let edges: (GrainPlan.Edge, GrainPlan.Edge)

    @inlinable @inline(always)
    init(
        _ plan: GrainPlan, _ index: Int, _ segments: UnsafeBufferPointer<GrainPlan.Segment>,
        tables: UnsafeMutableRawPointer
    ) {
        let words = plan.shape.wordsPerGrain.quotient + index
        randomBytes = 8 * words
        periodBytes = 8 * GrainPlan.period(words: words)
        head = plan.head
        lastOffset = plan.shape.grainBytes - 64
        skippedBytes = randomBytes - periodBytes
        let copies = lastOffset / periodBytes + 1
        self.copies = (2...Self.copiesMax).contains(copies) ? copies : 0
        lastRowOffset = (randomBytes - 1) / 64 * 64
        lastLongRowOffset = min(lastRowOffset, lastOffset % periodBytes / 64 * 64)
        let count = segments.count / 2
        self.segments = segments.baseAddress.unsafelyUnwrapped + count * index
        segmentsEnd = self.segments + count
        numbers = tables + plan.tables.count / 2 * 64 * index
        // Not the array's subscript: compiled for a newer processor, it would be there for the whole program to use.
        edges = plan.edges.withUnsafeBufferPointer { ($0[2 * index], $0[2 * index + 1]) }
    }
}

/// Grains that eight lanes share.
public struct GrainRun: Sendable {
    /// What was prepared for them.
    public let plan: GrainPlan
    /// The number of the first grain in its block.
    public let first: Int
    /// Grains.
    public let count: Int
    /// Grains for each lane but the last, which has the rest, one at least.
    public let countPerLane: Int
    /// Whether each lane has a block of its own, and not a part of one that all share.
    public let hasBlocks: Bool
    /// How often all of this is there, with other lanes and places.
    public let groupCount: Int

    /// Describes whole blocks of `countPerBlock` grains: eight for each group, one for each lane.
    public init(_ plan: GrainPlan, countPerBlock: Int, groups: Int = 1) {
        groupCount = groups
        self.plan = plan
        first = 0
        count = 8 * countPerBlock
        countPerLane = countPerBlock
        hasBlocks = true
    }

    /// Describes `count` grains, as ``most(of:)`` gives them, from grain `first` of a block on.
    public init(_ plan: GrainPlan, first: Int, count: Int) {
        precondition(count >= 8 && count == Self.most(of: count), "every lane needs a grain")
        self.plan = plan
        self.first = first
        self.count = count
        hasBlocks = false
        groupCount = 1
        let least = (count + 7) / 8
        // Lanes that stand whole pages apart would store to one set of the caches.
        let laneBytes = least * plan.shape.grainBytes
        let isAligned = laneBytes >= 1 << 16 && laneBytes % 4096 == 0 && plan.method == .segments
        countPerLane = isAligned && 7 * (least + 1) < count ? least + 1 : least
    }

    /// The most of `count` grains that eight lanes share so that the last one has no more than others,
    /// and at least one.
    public static func most(of count: Int) -> Int {
        7 * ((count + 7) / 8) < count ? count : count / 8 * 8
    }
}
