// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// A permutation of the numbers below a count that keeps runs of neighbours together (FORMAT.md section 8).
///
/// Six rounds of a Feistel network on the bits of a number, again and again until the result is in range: both directions in
/// constant time and memory, some nanoseconds, whatever the count.
package struct Scatter: Sendable {
    /// How many numbers there are.
    package let count: Int
    /// Numbers that stay neighbours.
    package let run: Int

    /// Runs that are permuted; numbers after these stay where they are.
    private let runs: UInt64
    private let lowBits: UInt64
    private let highBits: UInt64
    private let keys: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    private static let multiplier: UInt64 = 0xD134_2543_DE82_EF95

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
    @inline(__always)
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
    @inline(__always)
    private func replaced(_ number: Int, _ other: (UInt64) -> UInt64) -> Int {
        let (quotient, rest) =
            run == 1 ? (number, 0) : number.quotientAndRemainder(dividingBy: run)
        var index = UInt64(quotient)
        guard index < runs, runs > 1 else { return number }
        repeat { index = other(index) } while index >= runs
        return Int(index) * run + rest
    }

    @inline(__always)
    private func parts(_ number: UInt64) -> (low: UInt64, high: UInt64) {
        (number & ((1 &<< lowBits) &- 1), number &>> lowBits)
    }

    /// Some bits that depend on a part and the key of a round; none of no bits.
    @inline(__always)
    private func hash(_ part: UInt64, _ key: UInt64, _ bits: UInt64) -> UInt64 {
        // Of no bits, by two shifts: one by 64 would be none.
        (((part ^ key) &* Self.multiplier) &>> 1) &>> (63 &- bits)
    }
}
