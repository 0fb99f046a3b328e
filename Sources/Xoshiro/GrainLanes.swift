// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Compressible data with lanes. A run of grains is cut into stretches, one for each lane. In each round,
// 1. all lanes together make the random words for the next round, rows of eight, into a slot for each
//    lane in the first-level cache: no word that is not needed;
// 2. a grain of each lane is taken, vector by vector, from the slot of the round before: a load, or where a
//    period ends a choice of two, that goes where it belongs.
// So nothing is read back while it waits in the processor's store queue, memory is touched once and in whole
// vectors, and all uses of the bytes are alike.

public import CVector

extension Lanes {
    /// Uses whole grains of one block in a row, or of blocks that lanes have for themselves, each lane standing at the first
    /// random word of its first grain.
    ///
    /// - Parameters:
    ///   - lanes: one for each group of the run; the last one moves on.
    ///   - use: what happens to the grains.
    ///   - places: where the grains of each lane go, group by group; of any alignment, the same for all, and of 8 for
    ///     ``Use/storePastCache``.
    ///   - run: the grains, planned for the head of these.
    ///   - scratch: ``GrainPlan/scratchBytes`` bytes, aligned to 64.
    ///   - words: gets the words that every lane of the last group has moved on by.
    /// - Returns: whether the memory holds these grains now.
    @inlinable @inline(always)
    package static func run(
        _ lanes: UnsafeMutablePointer<Lanes>, _ use: Use,
        at places: UnsafePointer<UnsafeMutableRawPointer>, _ run: GrainRun,
        scratch: UnsafeMutableRawPointer, words: inout Int
    ) -> Bool {
        // A loop for each, so that nothing is decided within.
        switch (use, run.plan.method) {
        case (.store, .chosen): loop(lanes, .store, .chosen, places, run, scratch, &words)
        case (.store, .segments): loop(lanes, .store, .segments, places, run, scratch, &words)
        case (.store, .zeros): loop(lanes, .store, .zeros, places, run, scratch, &words)
        case (.storePastCache, .chosen):
            loop(lanes, .storePastCache, .chosen, places, run, scratch, &words)
        case (.storePastCache, .segments):
            loop(lanes, .storePastCache, .segments, places, run, scratch, &words)
        case (.storePastCache, .zeros):
            loop(lanes, .storePastCache, .zeros, places, run, scratch, &words)
        case (.compare, .chosen): loop(lanes, .compare, .chosen, places, run, scratch, &words)
        case (.compare, .segments): loop(lanes, .compare, .segments, places, run, scratch, &words)
        case (.compare, .zeros): loop(lanes, .compare, .zeros, places, run, scratch, &words)
        }
    }

    /// How far a lane is in its grains.
    @usableFromInline
    struct Progress {
        /// The random words of the next grain: in the rows of this round, or the row before.
        @usableFromInline var source: UnsafeMutableRawPointer
        /// (grains before the next one) * numerator modulo denominator.
        @usableFromInline var remainder: Int

        @inlinable @inline(always)
        init(source: UnsafeMutableRawPointer, remainder: Int) {
            self.source = source
            self.remainder = remainder
        }
    }

    @inlinable @inline(always)
    static func loop(
        _ groups: UnsafeMutablePointer<Lanes>, _ use: Use, _ method: GrainPlan.Method,
        _ allPlaces: UnsafePointer<UnsafeMutableRawPointer>,
        _ run: GrainRun, _ scratch: UnsafeMutableRawPointer, _ made: inout Int
    ) -> Bool {
        let shape = run.plan.shape
        let slotBytes = run.plan.slotBytes
        let setBytes = 8 &* slotBytes
        let (step, denominator) = (shape.wordsPerGrain.remainder, shape.denominator)
        return run.plan.withKinds(in: scratch) { kinds, slotMemory in
            withUnsafeTemporaryAllocation(of: Progress.self, capacity: 8) { buffer in
                let progress = buffer.baseAddress.unsafelyUnwrapped
                // Slots of this round, and of the next one.
                var slots = slotMemory + 128
                var nextSlots = slots + setBytes
                run.begin(progress, slots: nextSlots)
                // Held in registers for the length of the loop.
                var lanes = groups[0]
                var difference = Vector.zero
                var words = 0
                var rowBytes = 0
                var (group, places) = (0, allPlaces)
                // Of the grains that each lane has of its block.
                var round = -1
                while group < run.groupCount {
                    let isLast = round &+ 1 == run.countPerLane
                    // No lane has used less than one word of that, so a row holds what a round leaves.
                    var needed = shape.wordsMax(in: min(round &+ 2, run.countPerLane))
                    if isLast, group &+ 1 < run.groupCount {
                        // Rows for the next round are of other streams.
                        lanes = groups[group &+ 1]
                        words = 0
                        needed = shape.wordsMax(in: 1)
                    }
                    let nextRowBytes = 8 &* ((needed &- words &+ 7) & ~7)
                    words &+= nextRowBytes &>> 3
                    let lanesHere = run.laneCount(inRound: round)
                    let toNext = nextSlots - slots
                    // Grains of this round and rows for the next one take turns: loads and stores fill the
                    // time in which steps wait for each other.
                    var offset = 0
                    var lane = round < 0 ? 8 : 0
                    let done = round &* shape.grainBytes
                    var lead = 0
                    repeat {
                        if offset < nextRowBytes {
                            lanes.useEight(
                                .store, at: InRow(start: nextSlots, stretch: slotBytes), offset,
                                &difference)
                            offset &+= 64
                        }
                        lead &+= 512
                        while lane < 8, lead >= nextRowBytes {
                            lead &-= nextRowBytes
                            let place = progress + lane
                            // The kind by its number: what is chosen by a condition is chosen field by field.
                            let excess = place.pointee.remainder &+ step &- denominator
                            let isFewer = excess &>> 63
                            let kind = kinds + (1 &+ isFewer)
                            let source = place.pointee.source
                            if lane < lanesHere {
                                use.apply(
                                    kind, method, tables: scratch, from: source,
                                    at: places[lane] + done,
                                    &difference)
                            }
                            place.pointee.source =
                                source + (kind.pointee.randomBytes &+ toNext &- rowBytes)
                            place.pointee.remainder = excess &+ (denominator & isFewer)
                            lane &+= 1
                        }
                    } while lane < 8 || offset < nextRowBytes
                    // The last row goes with what is left of it.
                    for lane in 0..<8 {
                        let slot = slots + lane &* slotBytes
                        cvector_store(slot + (toNext &- 64), cvector_load(slot + (rowBytes &- 64)))
                    }
                    if isLast {
                        group &+= 1
                        places += 8
                        round = -1
                        run.begin(progress, slots: nextSlots)
                    }
                    swap(&slots, &nextSlots)
                    rowBytes = nextRowBytes
                    round &+= 1
                }
                groups[run.groupCount &- 1] = lanes
                made = words
                return cvector_is_zero(difference) != 0
            }
        }
    }
}

extension GrainRun {
    /// Prepares every lane.
    @inlinable @inline(always)
    func begin(
        _ progress: UnsafeMutablePointer<Lanes.Progress>, slots: UnsafeMutableRawPointer
    ) {
        let shape = plan.shape
        var remainder = first * shape.numerator % shape.denominator
        let step = hasBlocks ? 0 : countPerLane * shape.numerator % shape.denominator
        for lane in 0..<8 {
            (progress + lane).initialize(
                to: Lanes.Progress(
                    source: slots + lane &* plan.slotBytes, remainder: remainder))
            remainder &+= step
            if remainder >= shape.denominator { remainder &-= shape.denominator }
        }
    }

    /// Lanes that have a grain in a round: the last one may have fewer.
    @inlinable @inline(always)
    func laneCount(inRound round: Int) -> Int {
        7 &* countPerLane &+ round < count ? 8 : 7
    }
}

/// Words in a row, from anywhere in a slot.
///
/// Loads that lie on two cache lines are what costs most, so with AVX-512 only whole lines are loaded, and
/// vectors are chosen of two.
@usableFromInline
struct WordStream {
    /// The line in which the next vector begins, or where lines are not loaded, that vector.
    @usableFromInline var place: UnsafeRawPointer
    @usableFromInline var line: Lanes.Vector
    @usableFromInline let numbers: Lanes.Vector

    @inlinable @inline(always)
    init(at start: UnsafeRawPointer, tables: UnsafeRawPointer) {
        place = cvector_line(start)
        line = cvector_load_line(place)
        // 64 bytes of numbers for each word.
        numbers = cvector_load(tables + (8 &* Int(bitPattern: start) & 0x1C0))
    }

    /// The vector so many vectors on; in ascending order, from 0 on.
    @inlinable @inline(always)
    mutating func vector(_ index: Int) -> Lanes.Vector {
        let nextLine = cvector_load_line(place + (64 &* index &+ 64))
        let vector = cvector_load_across(place + 64 &* index, numbers, line, nextLine)
        line = nextLine
        return vector
    }

    /// The vector before.
    @inlinable @inline(always)
    mutating func previous() -> Lanes.Vector {
        place -= 64
        let previousLine = cvector_load_line(place)
        let vector = cvector_load_across(place, numbers, previousLine, line)
        line = previousLine
        return vector
    }

    /// Goes on after so many vectors.
    @inlinable @inline(always)
    mutating func advance(_ count: Int) { place += 64 &* count }
}

extension GrainPlan.Edge {
    /// The vector of a grain whose random words begin at `source`.
    @inlinable @inline(always)
    func vector(
        _ source: UnsafeMutableRawPointer, _ method: GrainPlan.Method, _ tables: UnsafeRawPointer
    ) -> Lanes.Vector {
        let mask = cvector_load(tables + (GrainPlan.maskOffset &+ maskOffset))
        let begin = cvector_load(source + self.source)
        let rest = method == .zeros ? Lanes.Vector.zero : cvector_load(source + restSource)
        return cvector_select(mask, begin, rest)
    }
}

extension Use {
    /// Does that with a grain whose random words begin at `source`.
    @inlinable @inline(always)
    func apply(
        _ kind: UnsafePointer<GrainKind>, _ method: GrainPlan.Method,
        tables: UnsafeMutableRawPointer, from source: UnsafeMutableRawPointer,
        at target: UnsafeMutableRawPointer, _ difference: inout Lanes.Vector
    ) {
        let last = target + kind.pointee.lastOffset
        if self == .compare {
            // The lines of the grain after the next.
            var place = target + 2 &* (kind.pointee.lastOffset &+ 64)
            let end = place + kind.pointee.lastOffset
            while place <= end {
                cvector_prefetch(place)
                place += 64
            }
        }
        if self == .store, method == .segments, kind.pointee.copies > 0 {
            Self.storeCopies(kind, tables: tables, from: source, at: target)
            return
        }
        var place = target + kind.pointee.head
        if method == .chosen {
            let first = cvector_load(source)
            let second = cvector_load(source + 64)
            var numbers = UnsafeRawPointer(kind.pointee.numbers)
            while place <= last {
                apply(cvector_choose(cvector_load(numbers), first, second), at: place, &difference)
                numbers += 64
                place += 64
            }
            guard kind.pointee.head > 0 else { return }
            applyEdges(
                cvector_choose(cvector_load(numbers), first, second),
                cvector_choose(cvector_load(numbers + 64), first, second),
                head: kind.pointee.head, at: target, last: last, &difference)
            return
        }
        let masks = tables + GrainPlan.maskOffset
        let back = 0 &- kind.pointee.periodBytes
        // From the place of a vector to its words.
        var distance = source - target
        var stream = WordStream(at: place + distance, tables: tables)
        var segment = kind.pointee.segments
        let end = kind.pointee.segmentsEnd
        while segment < end {
            let next = place + segment.pointee.byteCount
            while place + 64 < next {
                apply(stream.vector(0), at: place, &difference)
                apply(stream.vector(1), at: place + 64, &difference)
                stream.advance(2)
                place += 128
            }
            if place < next {
                apply(stream.vector(0), at: place, &difference)
                stream.advance(1)
                place += 64
            }
            let maskOffset = segment.pointee.maskOffset
            distance &+= back
            if maskOffset > 0 {
                let begin = stream.vector(0)
                var end = Lanes.Vector.zero
                if method == .segments {
                    stream = WordStream(at: place + distance, tables: tables)
                    end = stream.vector(0)
                    stream.advance(1)
                }
                let vector = cvector_select(cvector_load(masks + maskOffset), begin, end)
                apply(vector, at: place, &difference)
                place += 64
            } else {
                stream = WordStream(at: place + distance, tables: tables)
            }
            segment += 1
        }
        if method == .zeros {
            while place <= last {
                apply(Lanes.Vector.zero, at: place, &difference)
                place += 64
            }
        }
        guard kind.pointee.head > 0 else { return }
        applyEdges(
            kind.pointee.edges.0.vector(source, method, tables),
            kind.pointee.edges.1.vector(source, method, tables),
            head: kind.pointee.head, at: target, last: last, &difference)
    }

    /// Stores every vector of random words as often as the grain repeats it.
    ///
    /// Fewer instructions than by segments, where memory is in the caches and vectors may lie on two lines.
    /// They go from the last to the first: what the last one has of the next grain is stored over.
    @inlinable @inline(always)
    static func storeCopies(
        _ kind: UnsafePointer<GrainKind>, tables: UnsafeRawPointer,
        from source: UnsafeMutableRawPointer, at target: UnsafeMutableRawPointer
    ) {
        // Loops of known lengths.
        switch kind.pointee.copies {
        case 2: storeCopies(kind, 2, tables, source, target)
        case 3: storeCopies(kind, 3, tables, source, target)
        case 4: storeCopies(kind, 4, tables, source, target)
        case 5: storeCopies(kind, 5, tables, source, target)
        case 6: storeCopies(kind, 6, tables, source, target)
        case 7: storeCopies(kind, 7, tables, source, target)
        default: storeCopies(kind, GrainKind.copiesMax, tables, source, target)
        }
    }

    @inlinable @inline(always)
    static func storeCopies(
        _ kind: UnsafePointer<GrainKind>, _ copies: Int, _ tables: UnsafeRawPointer,
        _ source: UnsafeMutableRawPointer, _ target: UnsafeMutableRawPointer
    ) {
        let period = kind.pointee.periodBytes
        @inline(always) func store(
            _ vector: Lanes.Vector, _ place: UnsafeMutableRawPointer, _ copies: Range<Int>
        ) {
            for copy in copies { cvector_store(place + copy &* period, vector) }
        }
        var offset = kind.pointee.lastRowOffset
        var stream = WordStream(at: source + (offset &+ 64), tables: tables)
        while offset > kind.pointee.lastLongRowOffset {
            store(stream.previous(), target + offset, 0..<copies &- 1)
            offset &-= 64
        }
        while offset > 0 {
            store(stream.previous(), target + offset, 0..<copies)
            offset &-= 64
        }
        cvector_store(target, stream.previous())
        // A grain begins with a word that is not repeated where their number is even.
        let skipped = kind.pointee.skippedBytes
        store(cvector_load(source + skipped), target + skipped, 1..<copies)
        cvector_store(
            target + kind.pointee.lastOffset, kind.pointee.edges.1.vector(source, .segments, tables)
        )
    }

    /// Does that with the first and the last vector of a grain, of which whole cache lines are done.
    @inlinable @inline(always)
    func applyEdges(
        _ firstVector: Lanes.Vector, _ lastVector: Lanes.Vector, head: Int,
        at target: UnsafeMutableRawPointer, last: UnsafeMutableRawPointer,
        _ difference: inout Lanes.Vector
    ) {
        guard self == .storePastCache else {
            apply(firstVector, at: target, &difference)
            apply(lastVector, at: last, &difference)
            return
        }
        // A vector would take lines back into the caches.
        for word in 0..<head &>> 3 {
            apply(word: firstVector[word], at: target + 8 &* word, &difference)
        }
        for word in head &>> 3..<8 {
            apply(word: lastVector[word], at: last + 8 &* word, &difference)
        }
    }
}
