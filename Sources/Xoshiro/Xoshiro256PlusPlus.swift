// SPDX-License-Identifier: MIT OR Apache-2.0

/// Xoshiro256++, one step at a time: the definition of the truth that every faster kernel is
/// compared with.
///
/// The period is 2^256 - 1 outputs of 64 bits. The generator is a value: a copy continues on its
/// own. It is not for cryptography.
///
/// Source: David Blackman and Sebastiano Vigna, "Scrambled Linear Pseudorandom Number Generators",
/// ACM Transactions on Mathematical Software 47 (2021), and their public `xoshiro256plusplus.c`.
public struct Xoshiro256PlusPlus: RandomNumberGenerator, Sendable, Equatable {
    /// The four words of the state, `s0` to `s3`; never all zero.
    public var state: (UInt64, UInt64, UInt64, UInt64)

    /// Starts the stream of `seed` at output 0: the state is four outputs of ``SplitMix64``.
    public init(seed: UInt64) {
        var mixer = SplitMix64(seed: seed)
        state = (mixer.next(), mixer.next(), mixer.next(), mixer.next())
    }

    /// Starts from a state taken elsewhere.
    ///
    /// - Precondition: at least one word is not zero, since the zero state never leaves itself.
    public init(state: (UInt64, UInt64, UInt64, UInt64)) {
        precondition(state != (0, 0, 0, 0), "the state of Xoshiro256++ must not be all zero")
        self.state = state
    }

    /// Returns the next output and moves on by one step.
    @inlinable
    public mutating func next() -> UInt64 {
        let output = Self.rotateLeft(state.0 &+ state.3, 23) &+ state.0
        let t = state.1 &<< 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= t
        state.3 = Self.rotateLeft(state.3, 45)
        return output
    }

    @inlinable
    static func rotateLeft(_ word: UInt64, _ count: UInt64) -> UInt64 {
        (word &<< count) | (word &>> (64 &- count))
    }

    /// Moves on by the number of steps that `polynomial` stands for.
    ///
    /// - Complexity: O(1): 256 steps, each with a conditional addition of the state.
    public mutating func jump(_ polynomial: JumpPolynomial) {
        var sum: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for index in 0..<4 {
            let word = polynomial.words[index]
            for bit in 0..<UInt64(64) {
                // All ones where the coefficient is set: no branch to mispredict.
                let mask = 0 &- ((word &>> bit) & 1)
                sum.0 ^= state.0 & mask
                sum.1 ^= state.1 & mask
                sum.2 ^= state.2 & mask
                sum.3 ^= state.3 & mask
                _ = next()
            }
        }
        state = sum
    }

    /// Moves on by `steps` outputs without producing them.
    ///
    /// - Complexity: O(log `steps`): some microseconds, whatever the distance.
    public mutating func jump(by steps: UInt64) {
        if steps < 512 {
            for _ in 0..<steps { _ = next() }
        } else {
            jump(JumpPolynomial(steps: steps))
        }
    }

    /// Moves on by 2^128 outputs: 2^128 parallel streams that never meet.
    public mutating func jump() {
        jump(.jump)
    }

    /// Moves on by 2^192 outputs: 2^64 starting points from each of which ``jump()`` makes 2^64
    /// streams.
    public mutating func longJump() {
        jump(.longJump)
    }

    /// Tells whether two generators continue with the same outputs.
    public static func == (left: Self, right: Self) -> Bool {
        left.state == right.state
    }
}
