// SPDX-License-Identifier: MIT OR Apache-2.0

import Xoshiro

/// A shuffled order of 0 ..< count, any place of which is found in constant time: a Feistel network over the next
/// power of 4, walked until it is back in range (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
struct Permutation {
    private let count: Int
    private let halfBits: Int
    private let keys: [UInt64]

    /// An order that is the same for the same `count` and `seed`.
    init(count: Int, seed: UInt64) {
        precondition(count >= 1, "a permutation needs a place")
        self.count = count
        halfBits = max(1, (Int.bitWidth - (count - 1).leadingZeroBitCount + 1) / 2)
        keys = (1...4).map { SplitMix64.mixed(seed &+ $0 &* SplitMix64.step) }
    }

    /// What stands at `place`.
    subscript(place: Int) -> Int { walk(from: place, keys) }

    /// Where `value` stands.
    func place(of value: Int) -> Int { walk(from: value, nil) }

    /// - Complexity: O(1) on average: at least a quarter of the network's values are in range.
    private func walk(from start: Int, _ forward: [UInt64]?) -> Int {
        var value = UInt64(start)
        repeat {
            value = forward == nil ? backward(value) : self.forward(value)
        } while value >= count
        return Int(value)
    }

    private func forward(_ value: UInt64) -> UInt64 {
        var (left, right) = halves(value)
        for key in keys { (left, right) = (right, left ^ round(right, key)) }
        return left << UInt64(halfBits) | right
    }

    private func backward(_ value: UInt64) -> UInt64 {
        var (left, right) = halves(value)
        for key in keys.reversed() { (left, right) = (right ^ round(left, key), left) }
        return left << UInt64(halfBits) | right
    }

    private var mask: UInt64 { 1 << UInt64(halfBits) - 1 }

    private func halves(_ value: UInt64) -> (UInt64, UInt64) {
        (value >> UInt64(halfBits) & mask, value & mask)
    }

    private func round(_ half: UInt64, _ key: UInt64) -> UInt64 {
        SplitMix64.mixed(half ^ key) & mask
    }
}
