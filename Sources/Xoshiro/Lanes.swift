// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How the hot loop works, in three steps:
// 1. Eight lanes step at once, lane i standing `distance` outputs after lane i - 1 in the one stream.
// 2. Eight steps give an 8 x 8 matrix with a lane a column; transposed, each row is eight consecutive
//    outputs of one lane.
// 3. Row i goes to the place of lane i in memory: eight stores, each of 64 consecutive bytes.
// After `distance` steps the eight stretches have met, and the bytes are those of the scalar stream.

public import CVector

/// Eight places in one stream that step together.
public struct Lanes: Sendable {
    /// One word of every lane.
    public typealias Vector = SIMD8<UInt64>

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
        first: Xoshiro256PlusPlus, doublings: [JumpPolynomial],
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
                state.0[lane] = jumped.state.0[lane]
                state.1[lane] = jumped.state.1[lane]
                state.2[lane] = jumped.state.2[lane]
                state.3[lane] = jumped.state.3[lane]
            }
        }
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
    /// - Complexity: O(1): 256 steps, each with a conditional addition.
    @inlinable @inline(__always)
    package mutating func jump(_ polynomial: JumpPolynomial) {
        var lanes = self
        var sum = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        for index in 0..<4 {
            var word = polynomial.words[index]
            for _ in 0..<64 {
                // All ones where the coefficient is set: no branch to mispredict.
                let mask = 0 &- (word & 1)
                word &>>= 1
                sum.0 = cvector_xor(sum.0, cvector_and(lanes.state.0, mask))
                sum.1 = cvector_xor(sum.1, cvector_and(lanes.state.1, mask))
                sum.2 = cvector_xor(sum.2, cvector_and(lanes.state.2, mask))
                sum.3 = cvector_xor(sum.3, cvector_and(lanes.state.3, mask))
                _ = lanes.next()
            }
        }
        state = sum
    }

    /// One step of ``Xoshiro256PlusPlus`` in every lane.
    @inlinable @inline(__always)
    package mutating func next() -> Vector {
        let output = cvector_add(
            cvector_rotate_left_23(cvector_add(state.0, state.3)), state.0)
        let t = cvector_shift_left_17(state.1)
        state.2 = cvector_xor(state.2, state.0)
        state.3 = cvector_xor(state.3, state.1)
        state.1 = cvector_xor(state.1, state.2)
        state.0 = cvector_xor(state.0, state.3)
        state.2 = cvector_xor(state.2, t)
        state.3 = cvector_rotate_left_45(state.3)
        return output
    }

    /// Writes the next `distance` outputs of every lane: 8 `distance` words in a row at `target`.
    ///
    /// The loop that every instruction set shares: each of them is a target whose one function calls
    /// this one, and compiles it in.
    ///
    /// - Parameters:
    ///   - target: memory of any alignment.
    ///   - distance: outputs between lanes, a multiple of 8.
    @inlinable @inline(__always)
    package mutating func write(to target: UnsafeMutableRawPointer, distance: Int) {
        // Held in registers for the length of the loop.
        var lanes = self
        let stretch = 8 * distance
        for offset in stride(from: 0, to: stretch, by: 64) {
            let rows = lanes.nextRows()
            let place = target + offset
            cvector_store(place, rows.0)
            cvector_store(place + stretch, rows.1)
            cvector_store(place + 2 * stretch, rows.2)
            cvector_store(place + 3 * stretch, rows.3)
            cvector_store(place + 4 * stretch, rows.4)
            cvector_store(place + 5 * stretch, rows.5)
            cvector_store(place + 6 * stretch, rows.6)
            cvector_store(place + 7 * stretch, rows.7)
        }
        self = lanes
    }

    /// Eight steps, transposed: row i is the next eight outputs of lane i.
    @inlinable @inline(__always)
    mutating func nextRows() -> (
        Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector
    ) {
        let a0 = next(), a1 = next(), a2 = next(), a3 = next()
        let a4 = next(), a5 = next(), a6 = next(), a7 = next()

        let b0 = cvector_even_lanes(a0, a1), b1 = cvector_odd_lanes(a0, a1)
        let b2 = cvector_even_lanes(a2, a3), b3 = cvector_odd_lanes(a2, a3)
        let b4 = cvector_even_lanes(a4, a5), b5 = cvector_odd_lanes(a4, a5)
        let b6 = cvector_even_lanes(a6, a7), b7 = cvector_odd_lanes(a6, a7)

        let c0 = cvector_even_pairs(b0, b2), c2 = cvector_odd_pairs(b0, b2)
        let c1 = cvector_even_pairs(b1, b3), c3 = cvector_odd_pairs(b1, b3)
        let c4 = cvector_even_pairs(b4, b6), c6 = cvector_odd_pairs(b4, b6)
        let c5 = cvector_even_pairs(b5, b7), c7 = cvector_odd_pairs(b5, b7)

        return (
            cvector_low_halves(c0, c4), cvector_low_halves(c1, c5),
            cvector_low_halves(c2, c6), cvector_low_halves(c3, c7),
            cvector_high_halves(c0, c4), cvector_high_halves(c1, c5),
            cvector_high_halves(c2, c6), cvector_high_halves(c3, c7)
        )
    }

    /// ``write(to:distance:)`` for any processor of the architecture.
    public mutating func writeBaseline(to target: UnsafeMutableRawPointer, distance: Int) {
        write(to: target, distance: distance)
    }

    /// ``jump(_:)`` for any processor of the architecture.
    public mutating func jumpBaseline(_ polynomial: JumpPolynomial) {
        jump(polynomial)
    }
}

/// How far lanes stand apart, with the jumps that put them there.
public struct LaneSpacing: Sendable {
    /// Outputs between neighbouring lanes, a multiple of 8.
    public let distance: Int
    /// The jumps by 1, 2 and 4 distances.
    public let doublings: [JumpPolynomial]

    /// Prepares lanes that stand `distance` outputs apart.
    public init(distance: Int) {
        precondition(distance > 0 && distance % 8 == 0, "lanes stand a multiple of 8 apart")
        self.distance = distance
        doublings = Self.doublings(distance: UInt64(distance))
    }

    /// The jumps that put eight lanes `distance` outputs apart.
    public static func doublings(distance: UInt64) -> [JumpPolynomial] {
        [1, 2, 4].map { JumpPolynomial(steps: $0 * distance) }
    }

    /// Outputs that eight lanes cover.
    public var total: Int { 8 * distance }

    /// The spacings in use, the widest first: a little less than powers of two, so that the eight places
    /// that are stored to do not fall on one set of the first-level cache.
    ///
    /// The widest covers just under 1 MiB, the narrowest 16 KiB; below that placing the lanes costs
    /// more than they save.
    public static let ladder = stride(from: 14, through: 8, by: -1).map {
        LaneSpacing(distance: (1 << $0) - 8)
    }
}

/// The level of x86-64, 1 to 4, that this processor and operating system support; 0 on other
/// architectures.
public let processorLevel = Int(cvector_x86_level())
