// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation

/// Numbers at random that a failing test can have again: with the seed that its message gives, as `DGEN_TEST_SEED`.
///
/// A small linear congruential generator, so that the tests do not lean on what they test.
package struct RandomNumbers: RandomNumberGenerator, CustomStringConvertible {
    /// What the environment asks for.
    package static let wanted = ProcessInfo.processInfo.environment["DGEN_TEST_SEED"].map { text in
        guard let seed = UInt64(text) else { preconditionFailure("DGEN_TEST_SEED: '\(text)'") }
        return seed
    }

    /// Where the numbers come from.
    package let seed: UInt64
    private var state: UInt64

    /// Takes the seed of the environment, or else `seed`, or else any.
    package init(seed: UInt64? = nil) {
        self.seed = Self.wanted ?? seed ?? .random(in: 0...UInt64(UInt32.max))
        state = self.seed
        // Seeds that follow each other would begin alike.
        for _ in 0..<4 { _ = next() }
    }

    package mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 32) | (state << 32)
    }

    /// A number below `bound`, or 0.
    package mutating func number(below bound: Int) -> Int {
        Int.random(in: 0..<max(bound, 1), using: &self)
    }

    /// What a failure says of them.
    package var description: String { "DGEN_TEST_SEED=\(seed)" }
}
