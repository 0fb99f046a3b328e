// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The streams of contents (FORMAT.md section 11): one by one, and eight at a time in the lanes of vectors.

public import CVector

/// The streams of the contents of a data set.
@usableFromInline
package struct ContentStreams: Sendable {
    @usableFromInline let seed: UInt64

    /// Those of a data set by its seed.
    package init(seed: UInt64) { self.seed = seed }

    /// The stream of a content that was changed last in a generation.
    package func callAsFunction(_ number: UInt64, generation: UInt64) -> Xoshiro256PlusPlus {
        let first = SplitMix64.output(2 &* generation, of: seed)
        let second = SplitMix64.output(2 &* generation &+ 1, of: seed)
        let a = SplitMix64.output(number, of: first)
        let b = SplitMix64.output(number, of: second)
        return Xoshiro256PlusPlus(
            state: (
                SplitMix64.output(0, of: a), SplitMix64.output(1, of: a),
                SplitMix64.output(0, of: b), SplitMix64.output(1, of: b)
            ))
    }
}

extension Lanes {
    /// Puts lanes at the beginnings of the streams of contents, eight to each.
    ///
    /// - Parameters:
    ///   - lanes: so many.
    ///   - count: how many these are.
    ///   - streams: of the data set.
    ///   - numbers: of the contents.
    ///   - generations: in which they were changed last; nil for 0.
    @inlinable @inline(always)
    package static func begin(
        _ lanes: UnsafeMutablePointer<Lanes>, _ count: Int, _ streams: ContentStreams,
        _ numbers: UnsafePointer<UInt64>, generations: UnsafePointer<UInt64>?
    ) {
        let seed = Vector(repeating: streams.seed)
        let one = Vector(repeating: 1)
        var first = SplitMix64.output(.zero, of: seed)
        var second = SplitMix64.output(one, of: seed)
        for index in 0..<count {
            if let generations {
                let generation = cvector_load(generations + 8 &* index)
                let even = cvector_add(generation, generation)
                first = SplitMix64.output(even, of: seed)
                second = SplitMix64.output(cvector_add(even, one), of: seed)
            }
            let number = cvector_load(numbers + 8 &* index)
            let a = SplitMix64.output(number, of: first)
            let b = SplitMix64.output(number, of: second)
            lanes[index] = Lanes(
                state: (
                    SplitMix64.output(.zero, of: a), SplitMix64.output(one, of: a),
                    SplitMix64.output(.zero, of: b), SplitMix64.output(one, of: b)
                ))
        }
    }
}

extension SplitMix64 {
    /// ``output(_:of:)`` in every lane.
    @inlinable @inline(always)
    static func output(_ index: Lanes.Vector, of seed: Lanes.Vector) -> Lanes.Vector {
        let steps = cvector_multiply(
            cvector_add(index, Lanes.Vector(repeating: 1)), Lanes.Vector(repeating: step))
        var z = cvector_add(seed, steps)
        z = cvector_multiply(
            cvector_xor(z, cvector_shift_right(z, 30)),
            Lanes.Vector(repeating: 0xBF58_476D_1CE4_E5B9))
        z = cvector_multiply(
            cvector_xor(z, cvector_shift_right(z, 27)),
            Lanes.Vector(repeating: 0x94D0_49BB_1331_11EB))
        return cvector_xor(z, cvector_shift_right(z, 31))
    }
}
