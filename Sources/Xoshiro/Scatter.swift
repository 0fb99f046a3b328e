// SPDX-License-Identifier: MIT OR Apache-2.0

public import CVector

/// A permutation of the numbers below a count that keeps runs of neighbours together (FORMAT.md section 8).
///
/// Six rounds of a Feistel network on the bits of a number, again and again until the result is in range: both directions in
/// constant time and memory, some nanoseconds, whatever the count.
@usableFromInline
package struct Scatter: Sendable {
    /// How many numbers there are.
    @usableFromInline package let count: Int
    /// Numbers that stay neighbours.
    @usableFromInline package let run: Int

    /// Runs that are permuted; numbers after these stay where they are.
    @usableFromInline let runs: UInt64
    @usableFromInline let lowBits: UInt64
    @usableFromInline let highBits: UInt64
    @usableFromInline let keys: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    @inlinable static var multiplier: UInt64 { 0xD134_2543_DE82_EF95 }

    /// The permutation of a key.
    package init(key: UInt64, count: Int, run: Int) {
        self.count = count
        self.run = run
        runs = UInt64(count / run)
        let bits = runs < 2 ? 2 : UInt64(64 - (runs - 1).leadingZeroBitCount)
        lowBits = bits / 2
        highBits = bits - lowBits
        let keys = (0..<6).map { SplitMix64.output($0, of: key) }
        self.keys = (keys[0], keys[1], keys[2], keys[3], keys[4], keys[5])
    }

    /// Where a number goes.
    @inlinable @inline(always)
    package func callAsFunction(_ number: Int) -> Int {
        replaced(number) { run in
            var (low, high) = parts(run)
            high ^= hash(low, keys.0, highBits)
            low ^= hash(high, keys.1, lowBits)
            high ^= hash(low, keys.2, highBits)
            low ^= hash(high, keys.3, lowBits)
            high ^= hash(low, keys.4, highBits)
            low ^= hash(high, keys.5, lowBits)
            return high &<< lowBits | low
        }
    }

    /// Which number goes to a place.
    package func inverse(_ place: Int) -> Int {
        replaced(place) { run in
            var (low, high) = parts(run)
            low ^= hash(high, keys.5, lowBits)
            high ^= hash(low, keys.4, highBits)
            low ^= hash(high, keys.3, lowBits)
            high ^= hash(low, keys.2, highBits)
            low ^= hash(high, keys.1, lowBits)
            high ^= hash(low, keys.0, highBits)
            return high &<< lowBits | low
        }
    }

    /// A number whose run is replaced by another, as often as it takes to be in range.
    @inlinable @inline(always)
    func replaced(_ number: Int, _ other: (UInt64) -> UInt64) -> Int {
        let (quotient, rest) =
            run == 1 ? (number, 0) : number.quotientAndRemainder(dividingBy: run)
        var index = UInt64(quotient)
        guard index < runs, runs > 1 else { return number }
        repeat { index = other(index) } while index >= runs
        return Int(index) * run + rest
    }

    @inlinable @inline(always)
    func parts(_ number: UInt64) -> (low: UInt64, high: UInt64) {
        (number & ((1 &<< lowBits) &- 1), number &>> lowBits)
    }

    /// Some bits that depend on a part and the key of a round; none of no bits.
    @inlinable @inline(always)
    func hash(_ part: UInt64, _ key: UInt64, _ bits: UInt64) -> UInt64 {
        // Of no bits, by two shifts: one by 64 would be none.
        (((part ^ key) &* Self.multiplier) &>> 1) &>> (63 &- bits)
    }
}

// The same of many numbers: eight take the rounds together, in the lanes of a vector, until the last of them is in range.
extension Scatter {
    /// Where many numbers go.
    ///
    /// - Parameters:
    ///   - numbers: below ``count``; each is replaced by its place.
    ///   - total: how many there are, a multiple of 8.
    ///   - rests: as many words, for use meanwhile.
    ///   - permute: ``permute(_:_:)`` as it is compiled for this processor.
    @inline(__always)
    package func replace(
        _ numbers: UnsafeMutablePointer<UInt64>, _ total: Int, rests: UnsafeMutablePointer<UInt64>,
        permute: (Self, UnsafeMutablePointer<UInt64>, Int) -> Void
    ) {
        guard runs > 1 else { return }
        guard run > 1 else { return permute(self, numbers, total) }
        let length = UInt64(run)
        let bits = UInt64(length.trailingZeroBitCount)
        if length == 1 &<< bits {
            for index in 0..<total {
                rests[index] = numbers[index] & (length &- 1)
                numbers[index] &>>= bits
            }
        } else {
            for index in 0..<total {
                (numbers[index], rests[index]) = numbers[index].quotientAndRemainder(
                    dividingBy: length)
            }
        }
        permute(self, numbers, total)
        for index in 0..<total { numbers[index] = numbers[index] &* length &+ rests[index] }
    }

    /// Permutes many runs, each of which is replaced by its place; those that are not permuted stay.
    @inlinable @inline(always)
    package func permute(_ numbers: UnsafeMutablePointer<UInt64>, _ total: Int) {
        let bound = Lanes.Vector(repeating: runs)
        for start in stride(from: 0, to: total, by: 8) {
            var number = cvector_load(numbers + start)
            var left = cvector_below(number, bound)
            while cvector_is_zero(left) == 0 {
                number = cvector_select(left, rounds(number), number)
                left = cvector_and_not(left, cvector_below(number, bound))
            }
            cvector_store(numbers + start, number)
        }
    }

    @inlinable @inline(always)
    func rounds(_ number: Lanes.Vector) -> Lanes.Vector {
        var high = cvector_shift_right(number, lowBits)
        var low = cvector_xor(number, cvector_shift_left(high, lowBits))
        high = cvector_xor(high, hash(low, keys.0, highBits))
        low = cvector_xor(low, hash(high, keys.1, lowBits))
        high = cvector_xor(high, hash(low, keys.2, highBits))
        low = cvector_xor(low, hash(high, keys.3, lowBits))
        high = cvector_xor(high, hash(low, keys.4, highBits))
        low = cvector_xor(low, hash(high, keys.5, lowBits))
        return cvector_or(cvector_shift_left(high, lowBits), low)
    }

    @inlinable @inline(always)
    func hash(_ part: Lanes.Vector, _ key: UInt64, _ bits: UInt64) -> Lanes.Vector {
        let product = cvector_multiply(
            cvector_xor(part, Lanes.Vector(repeating: key)),
            Lanes.Vector(repeating: Self.multiplier))
        return cvector_shift_right(cvector_shift_right(product, 1), 63 &- bits)
    }
}
