// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Compressible data with lanes. A run of grains is cut into stretches, one for each lane, and the lanes make
// grain after grain together. Their rows go to where they belong at once, as often as the grain
// repeats them, so that nothing waits for memory: no byte is made that is not needed, and none is
// read back soon. Where rows are stored askew, they spill over the ends of a copy or of a grain; that is
// mended some grains later, when what it takes has left the processor's store queue.

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

/// What is prepared for grains of one shape.
public struct GrainPlan: Sendable {
    /// How the derived bytes of a grain come about.
    @usableFromInline
    enum Method: Sendable {
        /// Rows are stored a period on, again and again.
        case copied
        /// Each vector is a choice of the sixteen words that a grain begins with.
        case chosen
        /// They are zeros.
        case zeros
    }

    /// The grains.
    public let shape: GrainShape
    /// Bytes from the start of a grain to where a cache line begins.
    public private(set) var head: Int
    @usableFromInline let method: Method
    /// For ``Method/chosen``, the words of every vector from `head` on, and of the last vector; for
    /// grains with the fewer random words, and then for those with one more.
    @usableFromInline private(set) var choices: [Lanes.Vector]

    /// Prepares for grains `head` bytes before a cache line; nil for grains that lanes cannot make.
    ///
    /// - Parameters:
    ///   - shape: the grains.
    ///   - head: 0 to 56.
    ///   - isWide: whether the processor chooses words of two vectors in one instruction.
    public init?(_ shape: GrainShape, head: Int, isWide: Bool) {
        precondition(head % 8 == 0 && (0..<64).contains(head), "a head is less than a cache line")
        let least = shape.wordsPerGrain.quotient
        let most = shape.wordsPerGrain.remainder == 0 ? least : least + 1
        // A row may lie on two grains, and go on for another in derived bytes.
        guard least >= 9, 8 * most + 64 <= shape.grainBytes else { return nil }
        method = shape.isZeroFilled ? .zeros : isWide && most <= 16 ? .chosen : .copied
        self.shape = shape
        self.head = head
        choices = method == .chosen ? Self.choices(shape, head: head) : []
    }

    /// Prepares for another head.
    public mutating func move(head: Int) {
        self.head = head
        if method == .chosen { choices = Self.choices(shape, head: head) }
    }

    /// Bytes after which the derived part of a grain repeats (FORMAT.md section 4).
    @inlinable @inline(always)
    static func period(words: Int) -> Int { 8 &* (words & 1 == 1 ? words : words &- 1) }

    private static func choices(_ shape: GrainShape, head: Int) -> [Lanes.Vector] {
        let least = shape.wordsPerGrain.quotient
        let offsets = (0..<shape.grainBytes / 64).map { head + 64 * $0 } + [shape.grainBytes - 64]
        return (least...least + 1).flatMap { words in
            let period = period(words: words) / 8
            return offsets.map { offset in
                var choice = Lanes.Vector.zero
                for element in 0..<8 {
                    let word = offset / 8 + element
                    choice[element] = UInt64(
                        word < words ? word : words - period + (word - words) % period)
                }
                return choice
            }
        }
    }

    /// Rounds for which there is room besides the memory that is filled: a grain is used two rounds
    /// after it was made, and the next one has begun by then.
    @inlinable static var rooms: Int { 4 }

    /// Bytes of memory that a run needs besides that of the grains.
    public var scratchBytes: Int { 64 + 8 * Self.rooms * shape.grainBytes }
}

/// Grains in a row that eight lanes share.
public struct GrainRun: Sendable {
    /// What was prepared for them.
    public let plan: GrainPlan
    /// The number of the first grain in its block.
    public let first: Int
    /// Grains.
    public let count: Int
    /// Grains for each lane but the last, which has the rest, one at least.
    public let countPerLane: Int

    /// Describes `count` grains, as ``most(of:)`` gives them, from grain `first` of a block on.
    public init(_ plan: GrainPlan, first: Int, count: Int) {
        precondition(count >= 8 && count == Self.most(of: count), "every lane needs a grain")
        self.plan = plan
        self.first = first
        self.count = count
        // An odd number, if it can be: else the places that are stored to fall on one set of the
        // first-level cache.
        let share = (count + 7) / 8
        countPerLane = 7 * (share | 1) < count ? share | 1 : share
    }

    /// The most of `count` grains that eight lanes share so that the last one has no more than others,
    /// and at least one.
    public static func most(of count: Int) -> Int {
        7 * ((count + 7) / 8) < count ? count : count / 8 * 8
    }

    /// Grains of a lane.
    @inlinable
    func count(ofLane lane: Int) -> Int { min(countPerLane, count - lane * countPerLane) }
}

extension Lanes {
    /// A place and the random words of the grain there.
    @usableFromInline typealias Grain = (place: UnsafeMutableRawPointer, words: Int)

    /// Where a lane is in its grains.
    @usableFromInline
    struct Strand {
        /// The grain that is being made.
        @usableFromInline var grain: Grain
        /// The grains of one, two and three rounds ago.
        @usableFromInline var past: (Grain, Grain, Grain)
        /// Where the lane's first row would be, counted back from the grain, and from the next one.
        @usableFromInline var base: UnsafeMutableRawPointer
        @usableFromInline var nextBase: UnsafeMutableRawPointer
        /// Bytes after which the grain repeats, and where a copy of a row may begin at most.
        @usableFromInline var period = 0
        @usableFromInline var limit: UnsafeMutableRawPointer
        /// The words of the lane up to the end of the grain.
        @usableFromInline var end = 0
        /// Where the next grain belongs.
        @usableFromInline var target: UnsafeMutableRawPointer
        /// Grains after this one.
        @usableFromInline var grainsLeft: Int
        /// (grains before the next one) * numerator modulo denominator.
        @usableFromInline var remainder: Int

        @inlinable @inline(always)
        init(
            _ run: GrainRun, lane: Int, target: UnsafeMutableRawPointer,
            first: UnsafeMutableRawPointer
        ) {
            let shape = run.plan.shape
            grain = (first, 0)
            past = (grain, grain, grain)
            limit = first
            base = first
            nextBase = first
            self.target = target
            grainsLeft = run.count(ofLane: lane)
            remainder = (run.first + lane * run.countPerLane) * shape.numerator % shape.denominator
        }

        /// Goes on to the next grain, which is made at `place`; the one after it will be at `next`.
        @inlinable @inline(always)
        mutating func advance(
            _ shape: GrainShape, to place: UnsafeMutableRawPointer,
            next: UnsafeMutableRawPointer
        ) {
            let (quotient, step) = shape.wordsPerGrain
            let carried = remainder &+ step >= shape.denominator
            remainder &+= carried ? step &- shape.denominator : step
            let words = carried ? quotient &+ 1 : quotient
            past = (grain, past.0, past.1)
            grain = (place, words)
            period = GrainPlan.period(words: words)
            limit = place + (shape.grainBytes &- 64)
            base = nextBase
            end &+= words
            nextBase = next - 8 &* end
            target += shape.grainBytes
            grainsLeft &-= 1
        }
    }

    /// Uses whole grains of one block in a row, the lanes standing at the first random word of their
    /// first grain.
    ///
    /// - Parameters:
    ///   - use: what happens to the grains.
    ///   - memory: of any alignment; of 8 for ``Use/storePastCache``.
    ///   - run: the grains; planned for the head of `memory` with ``Use/store``, for 0 otherwise.
    ///   - scratch: ``GrainPlan/scratchBytes`` bytes, aligned to 64.
    ///   - words: gets the words that every lane has moved on by.
    /// - Returns: whether the memory holds these grains now.
    @inlinable @inline(always)
    package mutating func run(
        _ use: Use, at memory: UnsafeMutableRawPointer, _ run: GrainRun,
        scratch: UnsafeMutableRawPointer, words: inout Int
    ) -> Bool {
        // A loop for each, so that nothing is decided within.
        switch (use, run.plan.method) {
        case (.store, .copied): loop(.store, .copied, memory, run, scratch, &words)
        case (.store, .chosen): loop(.store, .chosen, memory, run, scratch, &words)
        case (.store, .zeros): loop(.store, .zeros, memory, run, scratch, &words)
        case (.storePastCache, .copied):
            loop(.storePastCache, .copied, memory, run, scratch, &words)
        case (.storePastCache, .chosen):
            loop(.storePastCache, .chosen, memory, run, scratch, &words)
        case (.storePastCache, .zeros): loop(.storePastCache, .zeros, memory, run, scratch, &words)
        case (.compare, .copied): loop(.compare, .copied, memory, run, scratch, &words)
        case (.compare, .chosen): loop(.compare, .chosen, memory, run, scratch, &words)
        case (.compare, .zeros): loop(.compare, .zeros, memory, run, scratch, &words)
        }
    }

    @inlinable @inline(always)
    mutating func loop(
        _ use: Use, _ method: GrainPlan.Method, _ memory: UnsafeMutableRawPointer,
        _ run: GrainRun, _ scratch: UnsafeMutableRawPointer, _ words: inout Int
    ) -> Bool {
        let shape = run.plan.shape
        // What is stored is made where it belongs; anything else, and what is made after the last grain
        // of a lane, in rooms that are used in turn.
        let rooms = scratch + 64
        @inline(always) func room(_ round: Int, _ lane: Int) -> UnsafeMutableRawPointer {
            rooms + (8 &* (round & (GrainPlan.rooms &- 1)) &+ lane) &* shape.grainBytes
        }
        return withUnsafeTemporaryAllocation(of: Strand.self, capacity: 8) { strands in
            for lane in 0..<8 {
                let target = memory + lane * run.countPerLane * shape.grainBytes
                strands.initializeElement(
                    at: lane,
                    to: Strand(
                        run, lane: lane, target: target,
                        first: use == .store ? target : room(0, lane)))
            }
            var difference = Vector.zero
            // Held in registers for the length of the loop.
            var lanes = self
            var row = 0
            for round in 0..<run.countPerLane &+ 3 {
                var least = Int.max
                var most = 0
                for lane in 0..<8 {
                    let (target, left) = (strands[lane].target, strands[lane].grainsLeft)
                    let isHere = use == .store && left > 0
                    let isNextHere = use == .store && left > 1
                    strands[lane].advance(
                        shape, to: isHere ? target : room(round, lane),
                        next: isNextHere ? target + shape.grainBytes : room(round &+ 1, lane))
                    least = min(least, strands[lane].end)
                    most = max(most, strands[lane].end)
                }
                // Between rows, lanes take turns with their grains before: loads and stores there fill
                // the time in which steps wait for each other.
                let rowCount = round < run.countPerLane ? (most &- row &+ 7) &>> 3 : 0
                var turn = 0
                var lead = 0
                repeat {
                    if rowCount > 0 {
                        let rows = lanes.nextRows()
                        Self.put(rows.0, row, strands[0], method)
                        Self.put(rows.1, row, strands[1], method)
                        Self.put(rows.2, row, strands[2], method)
                        Self.put(rows.3, row, strands[3], method)
                        Self.put(rows.4, row, strands[4], method)
                        Self.put(rows.5, row, strands[5], method)
                        Self.put(rows.6, row, strands[6], method)
                        Self.put(rows.7, row, strands[7], method)
                        if row &+ 8 > least {
                            // It goes on in the next grain, where it is the first row.
                            cvector_store(strands[0].nextBase + 8 &* row, rows.0)
                            cvector_store(strands[1].nextBase + 8 &* row, rows.1)
                            cvector_store(strands[2].nextBase + 8 &* row, rows.2)
                            cvector_store(strands[3].nextBase + 8 &* row, rows.3)
                            cvector_store(strands[4].nextBase + 8 &* row, rows.4)
                            cvector_store(strands[5].nextBase + 8 &* row, rows.5)
                            cvector_store(strands[6].nextBase + 8 &* row, rows.6)
                            cvector_store(strands[7].nextBase + 8 &* row, rows.7)
                        }
                        row &+= 8
                    }
                    lead &+= 8
                    while turn < 8, lead >= rowCount {
                        lead &-= rowCount
                        Self.finish(
                            strands[turn], round, use, method, run.plan,
                            strands[turn].target - 3 &* shape.grainBytes, &difference)
                        turn &+= 1
                    }
                } while turn < 8
            }
            self = lanes
            words = row
            return cvector_is_zero(difference) != 0
        }
    }

    /// Stores a row of a grain, and its copies.
    @inlinable @inline(always)
    static func put(
        _ vector: Vector, _ row: Int, _ strand: Strand, _ method: GrainPlan.Method
    ) {
        var place = strand.base + 8 &* row
        repeat {
            cvector_store(place, vector)
            place += strand.period
        } while method == .copied && place <= strand.limit
    }

    /// Finishes grains of rounds before, and uses what is elsewhere.
    ///
    /// Memory that was stored to a moment ago in other pieces is slow to load from, so there are rounds
    /// between; where a grain goes on to the first-level cache only, fewer.
    @inlinable @inline(always)
    static func finish(
        _ strand: Strand, _ round: Int, _ use: Use, _ method: GrainPlan.Method, _ plan: GrainPlan,
        _ target: UnsafeMutableRawPointer, _ difference: inout Vector
    ) {
        let shape = plan.shape
        switch (use, method) {
        case (.store, .copied):
            if round > 1 { finish(strand.past.1, method, plan) }
            if round > 2 { finishEnd(strand.past.2, shape) }
        case (_, .copied):
            if round > 0 { finish(strand.past.0, method, plan) }
            if round > 1 { finishEnd(strand.past.1, shape) }
        case (_, .chosen), (_, .zeros):
            if round > 1 { finish(strand.past.1, method, plan) }
        }
        if use != .store, round > 1, strand.grainsLeft > -3 {
            Self.use(strand.past.1.place, use, at: target, shape.grainBytes, &difference)
        }
    }

    /// Gives a grain what its rows did not.
    @inlinable @inline(always)
    static func finish(_ grain: Grain, _ method: GrainPlan.Method, _ plan: GrainPlan) {
        let (place, words) = grain
        let last = place + (plan.shape.grainBytes &- 64)
        switch method {
        case .copied:
            // The last row of a copy went on into the next one, which has no first row yet.
            let period = GrainPlan.period(words: words)
            let start = place + (8 &* words &- period)
            let first = cvector_load(start)
            var copy = start + period
            while copy <= last {
                cvector_store(copy, first)
                copy += period
            }
        case .chosen:
            plan.choices.withUnsafeBufferPointer { choices in
                let count = plan.shape.grainBytes &>> 6
                let isFewer = words == plan.shape.wordsPerGrain.quotient
                let numbers = choices.baseAddress.unsafelyUnwrapped + (isFewer ? 0 : count &+ 1)
                let first = cvector_load(place)
                let second = cvector_load(place + 64)
                // A grain begins with more random words than a vector has.
                var index = plan.head == 0 ? 1 : 0
                var target = place + (plan.head &+ 64 &* index)
                while target <= last {
                    cvector_store(target, cvector_choose(numbers[index], first, second))
                    index &+= 1
                    target += 64
                }
                cvector_store(last, cvector_choose(numbers[count], first, second))
            }
        case .zeros:
            let random = 8 &* words
            cvector_store(place + random, Vector.zero)
            var target = place + (plan.head &+ ((random &- plan.head &+ 63) & ~63))
            while target <= last {
                cvector_store(target, Vector.zero)
                target += 64
            }
            cvector_store(last, Vector.zero)
        }
    }

    /// Gives a grain its end, in which the first row of the next one began.
    @inlinable @inline(always)
    static func finishEnd(_ grain: Grain, _ shape: GrainShape) {
        let last = grain.place + (shape.grainBytes &- 64)
        cvector_store(last, cvector_load(last - GrainPlan.period(words: grain.words)))
    }

    /// Uses a grain that was made elsewhere.
    @inlinable @inline(always)
    static func use(
        _ grain: UnsafeMutableRawPointer, _ use: Use, at target: UnsafeMutableRawPointer,
        _ count: Int, _ difference: inout Vector
    ) {
        // Past the caches go whole cache lines; what is before and after them are words.
        let head = use == .storePastCache ? -Int(bitPattern: target) & 63 : 0
        var offset = 0
        while offset < head {
            let word = grain.load(fromByteOffset: offset, as: UInt64.self)
            use.apply(word: word, at: target + offset, &difference)
            offset &+= 8
        }
        while offset &+ 64 <= count {
            if use == .compare { cvector_prefetch(target + offset + 2 &* count) }
            use.apply(cvector_load(grain + offset), at: target + offset, &difference)
            offset &+= 64
        }
        while offset < count {
            let word = grain.load(fromByteOffset: offset, as: UInt64.self)
            use.apply(word: word, at: target + offset, &difference)
            offset &+= 8
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
