// SPDX-License-Identifier: MIT OR Apache-2.0

/// The generator that turns one 64-bit seed into the state of a larger one.
///
/// Every seed, 0 included, gives a full period of 2^64 outputs. FORMAT.md section 1 fixes its three
/// constants: they influence every byte of every data set.
///
/// Source: Guy L. Steele Jr., Doug Lea, Christine H. Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014, with the finaliser that Sebastiano Vigna published as `splitmix64.c`.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    /// What the state grows by with each output: 2^64 by the golden ratio.
    @usableFromInline package static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    private var state: UInt64

    /// Starts the sequence of `seed`.
    public init(seed: UInt64) {
        state = seed
    }

    /// Returns the next of the 2^64 outputs.
    public mutating func next() -> UInt64 {
        state &+= Self.step
        return Self.mixed(state)
    }

    /// Output number `index`, the first of which is number 0, of the sequence of `seed`: `mix` of FORMAT.md section 8.
    @inlinable @inline(always)
    package static func output(_ index: UInt64, of seed: UInt64) -> UInt64 {
        mixed(seed &+ (index &+ 1) &* step)
    }

    /// The finaliser: another number for each.
    @inlinable @inline(always)
    package static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z &>> 31)
    }
}
