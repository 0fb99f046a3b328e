// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Compressible data with lanes. A run of grains is cut into stretches, one for each lane. Lanes make their
// random bytes some rows ahead into a scratch memory in the first-level cache; from there each grain
// is put together, a whole vector at a time, and used once. So no random byte is made that is not
// needed, and nothing is read back from memory that may lie beyond the caches.

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
}

/// Grains in a row that eight lanes share.
public struct GrainRun: Sendable {
    /// How random bytes are dealt to grains.
    public let shape: GrainShape
    /// The number of the first grain in its block.
    public let first: Int
    /// Grains for each lane.
    public let countPerLane: Int

    /// Describes `countPerLane` grains for each of the lanes, from grain `first` of a block on.
    public init(_ shape: GrainShape, first: Int, countPerLane: Int, isAlternating: Bool) {
        self.shape = shape
        self.first = first
        self.countPerLane = countPerLane
        self.isAlternating = isAlternating
        rowsPerRound = max(4, (8 * (shape.wordsPerGrain.quotient + 1) + 63) / 64)
    }

    /// Whether rows and grains are made in turn even where nothing goes past the caches.
    ///
    /// A lane's steps wait for each other; putting grains together fills that time, where there are
    /// registers for both.
    public let isAlternating: Bool
    /// Rows of 64 bytes that every lane makes while each uses some grains, one at least.
    @usableFromInline let rowsPerRound: Int

    /// Rows that lanes are ahead: memory that was just written in other pieces is slow to read.
    @inlinable static var rowsAhead: Int { 2 }

    /// Bytes of scratch memory that the lanes need.
    public var scratchBytes: Int { 8 * scratchBytesPerLane }

    /// Rows that may be left over.
    @inlinable var leftRows: Int { rowsPerRound + Self.rowsAhead }

    /// Rows for which there is room after what is left over of a grain.
    @inlinable var roomRows: Int { max(3 * rowsPerRound, 16) }

    /// What may be left over of a grain, rows, and a vector on both sides; an odd number of cache lines,
    /// so that lanes do not share a cache set.
    @inlinable var scratchBytesPerLane: Int { 64 * ((leftRows + roomRows + 2) | 1) }

    /// Rows that the lane with the most random words needs.
    @inlinable @inline(always) var rowCount: Int {
        var most = 0
        for lane in 0..<8 {
            let grain = first + lane * countPerLane
            most = max(
                most, shape.words(inFirst: grain + countPerLane) - shape.words(inFirst: grain))
        }
        return (most + 7) / 8
    }
}

extension Lanes {
    /// Where a lane is in its grains.
    @usableFromInline
    struct Progress {
        /// Where rows go when there is no room behind the last ones; a cache line begins here.
        @usableFromInline let base: UnsafeMutableRawPointer
        /// So far `end` may go before the next visit.
        @usableFromInline let limit: UnsafeMutableRawPointer
        /// The random bytes that no grain has yet: from here,
        @usableFromInline var start: UnsafeMutableRawPointer
        /// to here, where a cache line begins.
        @usableFromInline var end: UnsafeMutableRawPointer
        /// The place of the next grain.
        @usableFromInline var place: UnsafeMutableRawPointer
        @usableFromInline var grainsLeft: Int
        /// (grains before the next one) * numerator modulo denominator.
        @usableFromInline var remainder: Int

        @inlinable @inline(always)
        init(
            _ run: GrainRun, lane: Int, at memory: UnsafeMutableRawPointer,
            scratch: UnsafeMutableRawPointer
        ) {
            let grain = run.first + lane * run.countPerLane
            base = scratch + (lane * run.scratchBytesPerLane + 64 * (run.leftRows + 1))
            limit = base + 64 * (run.roomRows - run.rowsPerRound)
            start = base
            end = base
            place = memory + lane * run.countPerLane * run.shape.grainBytes
            grainsLeft = run.countPerLane
            remainder = grain * run.shape.numerator % run.shape.denominator
        }
    }

    /// Uses whole grains of one block in a row, the lanes standing at the first random word of their
    /// first grain.
    ///
    /// - Parameters:
    ///   - use: what happens to the grains.
    ///   - memory: of any alignment; of 8 for ``Use/storePastCache``.
    ///   - run: the grains.
    ///   - scratch: ``GrainRun/scratchBytes`` bytes, aligned to 64.
    ///   - words: the words that every lane has moved on by.
    /// - Returns: whether the memory holds these grains now.
    @inlinable @inline(always)
    package mutating func run(
        _ use: Use, at memory: UnsafeMutableRawPointer, _ run: GrainRun,
        scratch: UnsafeMutableRawPointer, words: inout Int
    ) -> Bool {
        // A loop for each, so that nothing is decided within.
        switch use {
        case .store: loop(.store, memory, run, scratch, &words)
        case .storePastCache: loop(.storePastCache, memory, run, scratch, &words)
        case .compare: loop(.compare, memory, run, scratch, &words)
        }
    }

    @inlinable @inline(always)
    mutating func loop(
        _ use: Use, _ memory: UnsafeMutableRawPointer, _ run: GrainRun,
        _ scratch: UnsafeMutableRawPointer, _ words: inout Int
    ) -> Bool {
        withUnsafeTemporaryAllocation(of: Progress.self, capacity: 8) { progress in
            for lane in 0..<8 {
                progress.initializeElement(
                    at: lane, to: Progress(run, lane: lane, at: memory, scratch: scratch))
            }
            var difference = Vector.zero
            var rowsLeft = run.rowCount
            words = 8 * rowsLeft
            let perRound = run.rowsPerRound
            @inline(always) func make(_ rows: Int) {
                makeAhead(min(rows, rowsLeft), progress)
                rowsLeft -= min(rows, rowsLeft)
            }
            // What goes past the caches takes its time too.
            let isAlternating = use == .storePastCache || run.isAlternating
            var isFirst = true
            var isDone = false
            while !isDone {
                isDone = true
                for lane in 0..<8 {
                    let due =
                        isAlternating
                        ? (lane + 1) * perRound / 8 - lane * perRound / 8
                        : lane == 0 ? perRound : 0
                    make(isFirst ? due + GrainRun.rowsAhead : due)
                    isFirst = false
                    Self.put(&progress[lane], use, run.shape, &difference)
                    if progress[lane].grainsLeft > 0 { isDone = false }
                }
            }
            return cvector_is_zero(difference) != 0
        }
    }

    /// Adds `rows` rows to the scratch memory of every lane.
    @inlinable @inline(always)
    mutating func makeAhead(_ rows: Int, _ progress: UnsafeMutableBufferPointer<Progress>) {
        guard rows > 0 else { return }
        // Held in registers for the length of the loop.
        var lanes = self
        let p0 = progress[0].end, p1 = progress[1].end, p2 = progress[2].end, p3 = progress[3].end
        let p4 = progress[4].end, p5 = progress[5].end, p6 = progress[6].end, p7 = progress[7].end
        for offset in stride(from: 0, to: 64 * rows, by: 64) {
            let made = lanes.nextRows()
            cvector_store(p0 + offset, made.0)
            cvector_store(p1 + offset, made.1)
            cvector_store(p2 + offset, made.2)
            cvector_store(p3 + offset, made.3)
            cvector_store(p4 + offset, made.4)
            cvector_store(p5 + offset, made.5)
            cvector_store(p6 + offset, made.6)
            cvector_store(p7 + offset, made.7)
        }
        for lane in 0..<8 { progress[lane].end += 64 * rows }
        self = lanes
    }

    /// Uses as many grains of a lane as it has random bytes for.
    @inlinable @inline(always)
    static func put(
        _ progress: inout Progress, _ use: Use, _ shape: GrainShape, _ difference: inout Vector
    ) {
        let (quotient, step) = shape.wordsPerGrain
        var place = progress.place
        var source = progress.start
        var remainder = progress.remainder
        var grainsLeft = progress.grainsLeft
        while grainsLeft > 0 {
            let carried = remainder &+ step >= shape.denominator
            let random = 8 &* (carried ? quotient &+ 1 : quotient)
            guard random <= progress.end - source else { break }
            putGrain(from: source, random, use, at: place, shape, &difference)
            remainder &+= carried ? step &- shape.denominator : step
            source += random
            place += shape.grainBytes
            grainsLeft &-= 1
        }
        progress.place = place
        progress.remainder = remainder
        progress.grainsLeft = grainsLeft
        if grainsLeft == 0 {
            // Other lanes may still need rows; these are nobody's.
            progress.start = progress.base
            progress.end = progress.base
        } else if progress.end > progress.limit {
            // What is left over goes before the base, and the next rows follow it.
            let left = progress.end - source
            let start = progress.base - left
            var offset = 0
            while offset < left {
                cvector_store(start + offset, cvector_load(source + offset))
                offset &+= 64
            }
            progress.start = start
            progress.end = progress.base
        } else {
            progress.start = source
        }
    }

    /// Uses one grain.
    ///
    /// - Parameters:
    ///   - source: its random bytes, with 64 bytes of anything on both sides.
    ///   - random: how many.
    ///   - use: what happens to the grain.
    ///   - place: its place, of any alignment.
    ///   - shape: the grain.
    ///   - difference: gets the bits that differ.
    @inlinable @inline(always)
    static func putGrain(
        from source: UnsafeMutableRawPointer, _ random: Int, _ use: Use,
        at place: UnsafeMutableRawPointer, _ shape: GrainShape, _ difference: inout Vector
    ) {
        // What follows the random bytes repeats what lies `period` before it: the largest odd multiple
        // of 8 that is not above `random`.
        let period = random & 8 == 8 ? random : random &- 8
        // Words up to a boundary of 64 bytes, vectors, words again: a vector that lies on two cache lines
        // costs twice, and cannot go past the caches.
        let misalignment = Int(bitPattern: place) & 63
        let head = misalignment & 7 == 0 ? (64 &- misalignment) & 63 : 0
        let end = head == 0 ? shape.grainBytes : shape.grainBytes &- 64 &+ head
        let shortest = shape.isZeroFilled ? 0 : period
        putWords(from: source, random, shortest, 0, head, use, at: place, &difference)
        if shape.isZeroFilled {
            putZeros(from: source, random, head, end, use, at: place, &difference)
        } else if period >= 64 {
            putPeriods(from: source, random, period, head, end, use, at: place, &difference)
        } else {
            putShortPeriods(from: source, random, period, head, end, use, at: place, &difference)
        }
        putWords(from: source, random, shortest, end, shape.grainBytes, use, at: place, &difference)
    }

    /// The word of a grain at `offset`; `period` is 0 where the rest is zeros.
    @inlinable @inline(always)
    static func word(
        _ offset: Int, from source: UnsafeMutableRawPointer, _ random: Int, _ period: Int
    ) -> UInt64 {
        guard offset < random || period > 0 else { return 0 }
        let from =
            offset < random ? offset : random &- period &+ (offset &- random) % period
        return source.load(fromByteOffset: from, as: UInt64.self)
    }

    /// Uses the words of a grain from `first` to `end`.
    @inlinable @inline(always)
    static func putWords(
        from source: UnsafeMutableRawPointer, _ random: Int, _ period: Int, _ first: Int,
        _ end: Int, _ use: Use, at place: UnsafeMutableRawPointer, _ difference: inout Vector
    ) {
        var offset = first
        while offset < end {
            use.apply(
                word: word(offset, from: source, random, period), at: place + offset, &difference)
            offset &+= 8
        }
    }

    /// Uses the vectors of a grain whose rest is zeros, from `head` to `end`.
    @inlinable @inline(always)
    static func putZeros(
        from source: UnsafeMutableRawPointer, _ random: Int, _ head: Int, _ end: Int, _ use: Use,
        at place: UnsafeMutableRawPointer, _ difference: inout Vector
    ) {
        var offset = head
        let whole = min(random, end)
        while offset &+ 64 <= whole {
            use.apply(cvector_load(source + offset), at: place + offset, &difference)
            offset &+= 64
        }
        if offset < whole {
            let last = cvector_join(random &- offset, cvector_load(source + offset), Vector.zero)
            use.apply(last, at: place + offset, &difference)
            offset &+= 64
        }
        while offset < end {
            use.apply(Vector.zero, at: place + offset, &difference)
            offset &+= 64
        }
    }

    /// Uses the vectors of a grain that repeats at least a vector, from `head` to `end`.
    @inlinable @inline(always)
    static func putPeriods(
        from source: UnsafeMutableRawPointer, _ random: Int, _ period: Int, _ head: Int, _ end: Int,
        _ use: Use, at place: UnsafeMutableRawPointer, _ difference: inout Vector
    ) {
        var offset = head
        // Where in the random bytes the vector at `offset` begins.
        var from = head
        while offset < end {
            let ahead = source + (from &- offset)
            let stop = min(end, offset &+ ((random &- from) & ~63))
            from &+= stop &- offset
            while offset < stop {
                use.apply(cvector_load(ahead + offset), at: place + offset, &difference)
                offset &+= 64
            }
            guard offset < end else { return }
            // The end of the random bytes, and again what follows `period` before it. Joined in
            // registers: memory that was just written in parts would have to settle first.
            let joined = cvector_join(
                random &- from, cvector_load(source + from), cvector_load(source + (from &- period))
            )
            use.apply(joined, at: place + offset, &difference)
            offset &+= 64
            from &+= 64 &- period
        }
    }

    /// Uses the vectors of a grain that repeats less than a vector, from `head` to `end`.
    @inlinable @inline(always)
    static func putShortPeriods(
        from source: UnsafeMutableRawPointer, _ random: Int, _ period: Int, _ head: Int, _ end: Int,
        _ use: Use, at place: UnsafeMutableRawPointer, _ difference: inout Vector
    ) {
        // The first vector, then one of `period` / 8 vectors after the other, again and again.
        let count = period &>> 3
        var index = -1
        while index < count {
            let first = head &+ 64 &* (index &+ 1)
            var vector = Vector.zero
            for element in 0..<8 {
                vector[element] = word(first &+ 8 &* element, from: source, random, period)
            }
            let stop = index < 0 ? min(end, first &+ 64) : end
            var offset = first
            while offset < stop {
                use.apply(vector, at: place + offset, &difference)
                offset &+= 64 &* count
            }
            index &+= 1
        }
    }

    /// ``run(_:at:_:scratch:words:)`` for any processor of the architecture.
    public mutating func runBaseline(
        _ use: Use, at memory: UnsafeMutableRawPointer, _ run: GrainRun,
        scratch: UnsafeMutableRawPointer, words: inout Int
    ) -> Bool {
        self.run(use, at: memory, run, scratch: scratch, words: &words)
    }
}
