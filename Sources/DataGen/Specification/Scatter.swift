// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// A permutation of the numbers below a count that keeps runs of neighbours together (FORMAT.md section 8).
///
/// Six rounds of a Feistel network on the bits of a number, again and again until the result is in range: both directions in
/// constant time and memory, some nanoseconds, whatever the count.
package struct Scatter: Sendable, Hashable {
    /// How many numbers there are.
    package let count: Int
    /// Numbers that stay neighbours.
    package let run: Int

    /// Runs that are permuted; numbers after these stay where they are.
    private let runs: UInt64
    private let lowBits: UInt64
    private let highBits: UInt64
    private let keys: SIMD8<UInt64>

    private static let multiplier: UInt64 = 0xD134_2543_DE82_EF95

    /// The permutation of a key.
    package init(key: UInt64, count: Int, run: Int) {
        self.count = count
        self.run = run
        runs = UInt64(count / run)
        let bits = runs < 2 ? 2 : UInt64(64 - (runs - 1).leadingZeroBitCount)
        lowBits = bits / 2
        highBits = bits - lowBits
        var keys = SIMD8<UInt64>.zero
        for round in 0..<6 { keys[round] = SplitMix64.output(UInt64(round), of: key) }
        self.keys = keys
    }

    /// Where a number goes.
    package func callAsFunction(_ number: Int) -> Int {
        replaced(number) { run in
            var (low, high) = parts(run)
            for round in stride(from: 0, to: 6, by: 2) {
                high ^= hash(low, round, highBits)
                low ^= hash(high, round + 1, lowBits)
            }
            return high &<< lowBits | low
        }
    }

    /// Which number goes to a place.
    package func inverse(_ place: Int) -> Int {
        replaced(place) { run in
            var (low, high) = parts(run)
            for round in stride(from: 4, through: 0, by: -2) {
                low ^= hash(high, round + 1, lowBits)
                high ^= hash(low, round, highBits)
            }
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

    private func parts(_ number: UInt64) -> (low: UInt64, high: UInt64) {
        (number & ((1 &<< lowBits) &- 1), number &>> lowBits)
    }

    /// Some bits that depend on a part and the key of a round; none of no bits.
    private func hash(_ part: UInt64, _ round: Int, _ bits: UInt64) -> UInt64 {
        ((part ^ keys[round]) &* Self.multiplier) >> (64 - bits)
    }
}
