// SPDX-License-Identifier: MIT OR Apache-2.0

import Xoshiro

/// A place in the stream of a seed, cheap to move on from.
struct StreamCursor: Sendable {
    private let origin: Xoshiro256PlusPlus
    private var generator: Xoshiro256PlusPlus
    /// The number of the output that comes next.
    private var position: UInt64 = 0
    /// The last distance jumped and its polynomial: from block to block it is always the same.
    private var known: (distance: UInt64, polynomial: JumpPolynomial)

    init(seed: UInt64) {
        origin = Xoshiro256PlusPlus(seed: seed)
        generator = origin
        known = (0, JumpPolynomial(steps: 0))
    }

    /// Moves to output number `target`.
    ///
    /// - Complexity: O(1); about a microsecond for a distance that was just used, up to ten for
    ///   another one.
    mutating func seek(to target: UInt64) {
        guard target != position else { return }
        if target < position {
            generator = origin
            position = 0
        }
        let distance = target - position
        position = target
        if distance < 256 {
            for _ in 0..<distance { _ = generator.next() }
            return
        }
        if distance != known.distance {
            known = (distance, JumpPolynomial(steps: distance))
        }
        generator.jump(known.polynomial)
    }

    /// Writes `count` bytes of the stream from byte `start` on to `target`, any alignment.
    ///
    /// Stops before an output that was used in part, so that the next byte needs no jump back.
    mutating func write(_ count: Int, from start: Int, to target: UnsafeMutableRawPointer) {
        seek(to: UInt64(start / 8))
        var target = target
        var count = count
        let skipped = start % 8
        if skipped > 0 {
            let part = min(8 - skipped, count)
            writePart(skipped..<skipped + part, to: target)
            target += part
            count -= part
            guard count > 0 else { return }
        }
        let words = count / 8
        // Held in registers for the length of the loop.
        var local = generator
        for index in 0..<words {
            target.storeBytes(
                of: local.next().littleEndian, toByteOffset: 8 * index, as: UInt64.self)
        }
        generator = local
        position += UInt64(words)
        let rest = count % 8
        if rest > 0 { writePart(0..<rest, to: target + 8 * words) }
    }

    /// Writes some bytes of the next output; takes it when its last byte is among them.
    private mutating func writePart(_ part: Range<Int>, to target: UnsafeMutableRawPointer) {
        var ahead = generator
        let word = ahead.next().littleEndian
        withUnsafeBytes(of: word) { bytes in
            target.copyMemory(
                from: bytes.baseAddress.unsafelyUnwrapped + part.lowerBound, byteCount: part.count)
        }
        if part.upperBound == 8 {
            generator = ahead
            position += 1
        }
    }
}
