// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How the hot loop works, in three steps:
// 1. Eight lanes step at once, lane i standing `distance` outputs after lane i - 1 in the one stream.
// 2. Eight steps give an 8 x 8 matrix with a lane a column; transposed, each row is eight consecutive
//    outputs of one lane.
// 3. Row i goes to the place of lane i in memory: eight stores, each of 64 consecutive bytes.
// Where a vector takes several registers there are too few for eight steps: four steps give two 4 x 4
// matrices, one in each half of the vectors, and their rows are 32 bytes.
// After `distance` steps the eight stretches have met, and the bytes are those of the scalar stream.

public import CVector

/// Eight places in one stream that step together.
public struct Lanes: Sendable {
    /// One word of every lane.
    public typealias Vector = SIMD8<UInt64>
    /// Eight words of every lane.
    @usableFromInline
    typealias Matrix = (Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector)
    /// Two matrices of four words by four, in the lower and the upper halves of four vectors.
    @usableFromInline
    typealias HalfMatrices = (Vector, Vector, Vector, Vector)

    // Word w of the state of every lane, lane i in element i.
    @usableFromInline var state: (Vector, Vector, Vector, Vector)

    /// Places lane i at i times a distance after `first`.
    ///
    /// - Parameters:
    ///   - first: where lane 0 stands.
    ///   - doublings: the jumps by 1, 2 and 4 distances.
    ///   - jump: ``jump(_:)`` as it is compiled for this processor.
    /// - Complexity: O(1): three jumps of all lanes, some microseconds.
    public init(
        first: Xoshiro256PlusPlus, doublings: some Collection<JumpPolynomial>,
        jump: (inout Lanes, JumpPolynomial) -> Void
    ) {
        let words = first.state
        state = (
            Vector(repeating: words.0), Vector(repeating: words.1), Vector(repeating: words.2),
            Vector(repeating: words.3)
        )
        // A lane's number in binary says which jumps it takes part in.
        for (bit, polynomial) in doublings.enumerated() {
            var jumped = self
            jump(&jumped, polynomial)
            for lane in 0..<8 where (lane >> bit) & 1 == 1 {
                set(lane: lane, words: jumped.words(ofLane: lane))
            }
        }
    }

    /// States of a single set bit each, to see what a linear map makes of it.
    init(bits: Range<Int>) {
        state = (.zero, .zero, .zero, .zero)
        for (lane, bit) in bits.enumerated() {
            var words = SIMD4<UInt64>.zero
            words[bit / 64] = 1 << UInt64(bit % 64)
            set(lane: lane, words: words)
        }
    }

    /// The state of one lane.
    func words(ofLane lane: Int) -> SIMD4<UInt64> {
        SIMD4(state.0[lane], state.1[lane], state.2[lane], state.3[lane])
    }

    /// Gives one lane another state.
    mutating func set(lane: Int, words: SIMD4<UInt64>) {
        (state.0[lane], state.1[lane], state.2[lane], state.3[lane]) = (
            words[0], words[1], words[2], words[3]
        )
    }

    /// Moves one lane on by some outputs, one by one.
    public mutating func step(lane: Int, count: Int) {
        var generator = generator(ofLane: lane)
        for _ in 0..<count { _ = generator.next() }
        (state.0[lane], state.1[lane], state.2[lane], state.3[lane]) = generator.state
    }

    /// The generator that continues where lane `index` stands.
    public func generator(ofLane index: Int) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus(
            state: (state.0[index], state.1[index], state.2[index], state.3[index]))
    }

    /// Moves all lanes on by the same number of outputs.
    ///
    /// Horner's scheme, two coefficients at a time: 256 steps, with one of four prepared sums added after
    /// every second.
    ///
    /// - Complexity: O(1): a third to half a microsecond.
    @inlinable @inline(always)
    package mutating func jump(_ polynomial: JumpPolynomial) {
        withUnsafeTemporaryAllocation(of: Lanes.self, capacity: 4) { sums in
            prepareSums(sums)
            var lanes = Lanes.zero
            for index in 0..<4 {
                var word = polynomial.words[3 &- index]
                for _ in 0..<32 {
                    lanes.stepTwice(adding: sums[Int(word &>> 62)])
                    word &<<= 2
                }
            }
            self = lanes
        }
    }

    /// ``jump(_:)`` of sixteen lanes, in little more time than eight take: their steps alternate.
    @inlinable @inline(always)
    package static func jump(
        _ first: inout Lanes, _ second: inout Lanes, _ polynomial: JumpPolynomial
    ) {
        // Two, as so much at most comes from the stack.
        withUnsafeTemporaryAllocation(of: Lanes.self, capacity: 4) { sums in
            withUnsafeTemporaryAllocation(of: Lanes.self, capacity: 4) { otherSums in
                first.prepareSums(sums)
                second.prepareSums(otherSums)
                var (a, b) = (Lanes.zero, Lanes.zero)
                for index in 0..<4 {
                    var word = polynomial.words[3 &- index]
                    for _ in 0..<32 {
                        a.stepTwice(adding: sums[Int(word &>> 62)])
                        b.stepTwice(adding: otherSums[Int(word &>> 62)])
                        word &<<= 2
                    }
                }
                (first, second) = (a, b)
            }
        }
    }

    /// The sums that two coefficients of a polynomial choose from: of nothing, of these lanes, of the
    /// lanes a step on, and of both.
    @inlinable @inline(always)
    func prepareSums(_ sums: UnsafeMutableBufferPointer<Lanes>) {
        var next = self
        _ = next.next()
        sums.initializeElement(at: 0, to: Lanes.zero)
        sums.initializeElement(at: 1, to: self)
        sums.initializeElement(at: 2, to: next)
        sums.initializeElement(at: 3, to: Self.sum(self, next))
    }

    @inlinable @inline(always)
    mutating func stepTwice(adding sum: Lanes) {
        _ = next()
        _ = next()
        self = Self.sum(self, sum)
    }

    /// Not a state of the generator, but the neutral one of their sums.
    @inlinable @inline(always)
    package static var zero: Lanes { Lanes(state: (.zero, .zero, .zero, .zero)) }

    @inlinable @inline(always)
    init(state: (Vector, Vector, Vector, Vector)) {
        self.state = state
    }

    /// The sum over GF(2) of two states in every lane.
    @inlinable @inline(always)
    static func sum(_ left: Lanes, _ right: Lanes) -> Lanes {
        Lanes(
            state: (
                cvector_xor(left.state.0, right.state.0), cvector_xor(left.state.1, right.state.1),
                cvector_xor(left.state.2, right.state.2), cvector_xor(left.state.3, right.state.3)
            ))
    }

    /// One step of ``Xoshiro256PlusPlus`` in every lane.
    @inlinable @inline(always)
    package mutating func next() -> Vector {
        let output = cvector_add(
            cvector_rotate_left_23(cvector_add(state.0, state.3)), state.0)
        // The same assignments, each from the words before: no word waits for two others.
        state = (
            cvector_xor3(state.3, state.1, state.0),
            cvector_xor3(state.2, state.0, state.1),
            cvector_xor3(state.2, state.0, cvector_shift_left_17(state.1)),
            cvector_rotate_left_45(cvector_xor(state.3, state.1))
        )
        return output
    }

    /// Uses the next `distance` outputs of every lane: 8 `distance` words in a row at `memory`.
    ///
    /// The loop that every instruction set shares: each of them is a target whose functions call
    /// these, and compile them in.
    ///
    /// - Parameters:
    ///   - use: what happens to the words.
    ///   - memory: of any alignment; of 64 for ``Use/storePastCache``.
    ///   - distance: outputs between lanes, a multiple of 8.
    /// - Returns: whether the memory holds these words now.
    @inlinable @inline(always)
    package mutating func run(
        _ use: Use, at memory: UnsafeMutableRawPointer, distance: Int
    ) -> Bool {
        let stretch = 8 * distance
        let places = InRow(start: memory, stretch: stretch)
        // A loop for each, so that nothing is decided within.
        return switch use {
        case .store: loop(.store, places, stretch)
        case .storePastCache: loop(.storePastCache, places, stretch)
        case .compare: loop(.compare, places, stretch)
        }
    }

    /// ``run(_:at:distance:)`` with sixteen lanes, the second eight following the first.
    ///
    /// The steps of one lane wait for each other; a second group of lanes uses that time where there
    /// are registers for both.
    @inlinable @inline(always)
    package static func run(
        _ first: inout Lanes, _ second: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer,
        distance: Int
    ) -> Bool {
        let stretch = 8 * distance
        let near = InRow(start: memory, stretch: stretch)
        let far = InRow(start: memory + 8 &* stretch, stretch: stretch)
        return switch use {
        case .store: loop(&first, &second, .store, near, far, stretch)
        case .storePastCache: loop(&first, &second, .storePastCache, near, far, stretch)
        case .compare: loop(&first, &second, .compare, near, far, stretch)
        }
    }

    /// Uses the next `count` outputs of every lane, each at a place of its own.
    ///
    /// - Parameters:
    ///   - use: what happens to the words.
    ///   - places: of eight lanes, of any alignment; of 64 for ``Use/storePastCache``.
    ///   - count: outputs of a lane, a multiple of 8.
    /// - Returns: whether the memory holds these words now.
    @inlinable @inline(always)
    package mutating func run(
        _ use: Use, at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
    ) -> Bool {
        switch use {
        case .store: loop(.store, Scattered(places), 8 * count)
        case .storePastCache: loop(.storePastCache, Scattered(places), 8 * count)
        case .compare: loop(.compare, Scattered(places), 8 * count)
        }
    }

    /// ``run(_:at:count:)`` with sixteen lanes, and as many places.
    @inlinable @inline(always)
    package static func run(
        _ first: inout Lanes, _ second: inout Lanes, _ use: Use,
        at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
    ) -> Bool {
        let (near, far) = (Scattered(places), Scattered(places + 8))
        return switch use {
        case .store: loop(&first, &second, .store, near, far, 8 * count)
        case .storePastCache: loop(&first, &second, .storePastCache, near, far, 8 * count)
        case .compare: loop(&first, &second, .compare, near, far, 8 * count)
        }
    }

    @inlinable @inline(always)
    mutating func loop(_ use: Use, _ places: some LanePlaces, _ stretch: Int) -> Bool {
        // Held in registers for the length of the loop.
        var lanes = self
        var difference = Vector.zero
        for offset in stride(from: 0, to: stretch, by: 64) {
            lanes.useEight(use, at: places, offset, &difference)
        }
        self = lanes
        return cvector_is_zero(difference) != 0
    }

    @inlinable @inline(always)
    static func loop(
        _ first: inout Lanes, _ second: inout Lanes, _ use: Use, _ near: some LanePlaces,
        _ far: some LanePlaces, _ stretch: Int
    ) -> Bool {
        var (a, b) = (first, second)
        var difference = Vector.zero
        for offset in stride(from: 0, to: stretch, by: 64) {
            // Their steps alternate: what one group waits for, the other does meanwhile.
            let a0 = a.next(), b0 = b.next(), a1 = a.next(), b1 = b.next()
            let a2 = a.next(), b2 = b.next(), a3 = a.next(), b3 = b.next()
            let a4 = a.next(), b4 = b.next(), a5 = a.next(), b5 = b.next()
            let a6 = a.next(), b6 = b.next(), a7 = a.next(), b7 = b.next()
            use.apply(
                rows: transposed((a0, a1, a2, a3, a4, a5, a6, a7)), at: near, offset, &difference)
            use.apply(
                rows: transposed((b0, b1, b2, b3, b4, b5, b6, b7)), at: far, offset, &difference)
        }
        (first, second) = (a, b)
        return cvector_is_zero(difference) != 0
    }

    /// Uses the next eight outputs of every lane, so many bytes after the place of each.
    @inlinable @inline(always)
    mutating func useEight(
        _ use: Use, at places: some LanePlaces, _ offset: Int, _ difference: inout Vector
    ) {
        // What goes past the caches goes by whole lines: half ones take twice as long.
        if cvector_is_one_register() != 0 || use == .storePastCache {
            use.apply(rows: nextRows(), at: places, offset, &difference)
        } else {
            use.apply(halfRows: nextHalfRows(), at: places, offset, &difference)
            use.apply(halfRows: nextHalfRows(), at: places, offset &+ 32, &difference)
        }
    }

    /// The next eight outputs of every lane: row i is that of lane i.
    @inlinable @inline(always)
    mutating func nextRows() -> Matrix {
        Self.transposed((next(), next(), next(), next(), next(), next(), next(), next()))
    }

    /// The next four outputs of every lane: row i is that of lane i, then that of lane 4 + i.
    @inlinable @inline(always)
    mutating func nextHalfRows() -> HalfMatrices {
        Self.halfTransposed((next(), next(), next(), next()))
    }

    /// The first two stages of a transpose, of four steps.
    @inlinable @inline(always)
    static func halfTransposed(_ a: HalfMatrices) -> HalfMatrices {
        let b0 = cvector_even_lanes(a.0, a.1), b1 = cvector_odd_lanes(a.0, a.1)
        let b2 = cvector_even_lanes(a.2, a.3), b3 = cvector_odd_lanes(a.2, a.3)
        return (
            cvector_even_pairs(b0, b2), cvector_even_pairs(b1, b3),
            cvector_odd_pairs(b0, b2), cvector_odd_pairs(b1, b3)
        )
    }

    /// The rows of eight steps.
    @inlinable @inline(always)
    static func transposed(_ a: Matrix) -> Matrix {
        let c = halfTransposed((a.0, a.1, a.2, a.3))
        let d = halfTransposed((a.4, a.5, a.6, a.7))
        return (
            cvector_low_halves(c.0, d.0), cvector_low_halves(c.1, d.1),
            cvector_low_halves(c.2, d.2), cvector_low_halves(c.3, d.3),
            cvector_high_halves(c.0, d.0), cvector_high_halves(c.1, d.1),
            cvector_high_halves(c.2, d.2), cvector_high_halves(c.3, d.3)
        )
    }
}

/// Where the bytes of eight lanes go.
@usableFromInline
protocol LanePlaces {
    /// The memory so many bytes after the place of a lane.
    subscript(_ lane: Int, _ offset: Int) -> UnsafeMutableRawPointer { get }
}

/// Places that lie one after another.
@usableFromInline
struct InRow: LanePlaces {
    @usableFromInline let start: UnsafeMutableRawPointer
    @usableFromInline let stretch: Int

    @inlinable @inline(always)
    init(start: UnsafeMutableRawPointer, stretch: Int) {
        self.start = start
        self.stretch = stretch
    }

    @inlinable @inline(always)
    subscript(lane: Int, offset: Int) -> UnsafeMutableRawPointer {
        start + offset + lane &* stretch
    }
}

/// Places anywhere.
@usableFromInline
struct Scattered: LanePlaces {
    @usableFromInline let places: UnsafePointer<UnsafeMutableRawPointer>

    @inlinable @inline(always)
    init(_ places: UnsafePointer<UnsafeMutableRawPointer>) { self.places = places }

    @inlinable @inline(always)
    subscript(lane: Int, offset: Int) -> UnsafeMutableRawPointer { places[lane] + offset }
}

/// What happens to the bytes that lanes make.
public enum Use: Sendable {
    /// They are written.
    case store
    /// They are written past the caches, in whole cache lines; ``storesAreVisible()`` goes after.
    case storePastCache
    /// They are compared with what is there.
    case compare

    /// Does that with one vector; `difference` gets the bits that differ.
    @inlinable @inline(always)
    func apply(
        _ vector: Lanes.Vector, at place: UnsafeMutableRawPointer, _ difference: inout Lanes.Vector
    ) {
        switch self {
        case .store: cvector_store(place, vector)
        case .storePastCache: cvector_store_past_cache(place, vector)
        case .compare:
            difference = cvector_or(difference, cvector_xor(vector, cvector_load(place)))
        }
    }

    /// Does that with the rows of eight lanes, so many bytes after the place of each.
    @inlinable @inline(always)
    func apply(
        rows: Lanes.Matrix, at places: some LanePlaces, _ offset: Int,
        _ difference: inout Lanes.Vector
    ) {
        apply(rows.0, at: places[0, offset], &difference)
        apply(rows.1, at: places[1, offset], &difference)
        apply(rows.2, at: places[2, offset], &difference)
        apply(rows.3, at: places[3, offset], &difference)
        apply(rows.4, at: places[4, offset], &difference)
        apply(rows.5, at: places[5, offset], &difference)
        apply(rows.6, at: places[6, offset], &difference)
        apply(rows.7, at: places[7, offset], &difference)
    }

    /// Does that with half rows of eight lanes.
    @inlinable @inline(always)
    func apply(
        halfRows rows: Lanes.HalfMatrices, at places: some LanePlaces, _ offset: Int,
        _ difference: inout Lanes.Vector
    ) {
        apply(halves: rows.0, at: places[0, offset], places[4, offset], &difference)
        apply(halves: rows.1, at: places[1, offset], places[5, offset], &difference)
        apply(halves: rows.2, at: places[2, offset], places[6, offset], &difference)
        apply(halves: rows.3, at: places[3, offset], places[7, offset], &difference)
    }

    /// Does that with the two halves of a vector, not past the caches.
    @inlinable @inline(always)
    func apply(
        halves vector: Lanes.Vector, at low: UnsafeMutableRawPointer,
        _ high: UnsafeMutableRawPointer, _ difference: inout Lanes.Vector
    ) {
        switch self {
        case .store, .storePastCache: cvector_store_halves(low, high, vector)
        case .compare:
            let found = cvector_load_halves(low, high)
            difference = cvector_or(difference, cvector_xor(vector, found))
        }
    }

    /// Does that with one word.
    @inlinable @inline(always)
    func apply(
        word: UInt64, at place: UnsafeMutableRawPointer, _ difference: inout Lanes.Vector
    ) {
        switch self {
        case .store, .storePastCache: place.storeBytes(of: word, as: UInt64.self)
        case .compare: difference[0] |= word ^ place.loadUnaligned(as: UInt64.self)
        }
    }

    /// Makes all stores of this thread past the caches visible to others.
    public static func storesAreVisible() { cvector_fence() }
}

/// The level of x86-64, 1 to 4, that this processor and operating system support; 0 on other
/// architectures.
public let processorLevel = Int(cvector_x86_level())
