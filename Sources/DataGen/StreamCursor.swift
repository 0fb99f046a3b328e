// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// A place in the stream of a seed, cheap to move on from.
struct StreamCursor: Sendable {
    private let kernel: Kernel
    private let origin: Xoshiro256PlusPlus
    private var generator: Xoshiro256PlusPlus
    /// The number of the output that comes next.
    private var position: UInt64 = 0
    private var known = KnownJumps()
    /// Lanes that have been used, which are cheaper to move than to place.
    private var placed: PlacedLanes?

    private struct PlacedLanes {
        var lanes: Lanes
        /// The number of the output that comes next in lane 0.
        var position: UInt64
        /// Outputs between lanes.
        let distance: Int
        /// Its own, so that jumps of lanes and of the generator do not displace each other.
        var known = KnownJumps()
    }

    init(seed: UInt64, kernel: Kernel) {
        self.kernel = kernel
        origin = Xoshiro256PlusPlus(seed: seed)
        generator = origin
    }

    /// Moves to output number `target`.
    ///
    /// - Complexity: O(1); about a microsecond for a distance that was just used, up to ten for
    ///   another one.
    private mutating func seek(to target: UInt64) {
        guard target != position else { return }
        if target < position {
            generator = origin
            position = 0
        }
        let distance = target - position
        position = target
        if distance < 256 {
            for _ in 0..<distance { _ = generator.next() }
        } else {
            generator.jump(known.polynomial(of: distance))
        }
    }

    /// Writes `count` bytes of the stream from byte `start` on to `target`, any alignment.
    ///
    /// Stops before an output that was used in part, so that the next byte needs no jump back.
    mutating func write(_ count: Int, from start: Int, to target: UnsafeMutableRawPointer) {
        var target = target
        var count = count
        var word = UInt64(start / 8)
        let skipped = start % 8
        if skipped > 0 {
            seek(to: word)
            let part = min(8 - skipped, count)
            writePart(skipped..<skipped + part, to: target)
            target += part
            count -= part
            word += 1
            guard count > 0 else { return }
        }
        if kernel != .scalar {
            for spacing in LaneSpacing.ladder {
                while count >= 8 * spacing.total {
                    writeLanes(spacing, from: word, to: target)
                    target += 8 * spacing.total
                    count -= 8 * spacing.total
                    word += UInt64(spacing.total)
                }
            }
        }
        seek(to: word)
        writeWords(count / 8, to: target)
        if count % 8 > 0 { writePart(0..<count % 8, to: target + count / 8 * 8) }
    }

    /// Writes as many outputs as eight lanes cover.
    private mutating func writeLanes(
        _ spacing: LaneSpacing, from start: UInt64, to target: UnsafeMutableRawPointer
    ) {
        if placed?.distance != spacing.distance || start < placed?.position ?? 0 {
            seek(to: start)
            placed = PlacedLanes(
                lanes: Lanes(first: generator, doublings: spacing.doublings, jump: kernel.jump),
                position: start,
                distance: spacing.distance)
        }
        guard var moved = placed.take() else { return }
        if start > moved.position {
            kernel.jump(&moved.lanes, moved.known.polynomial(of: start - moved.position))
        }
        kernel.write(&moved.lanes, to: target, spacing)
        moved.position = start + UInt64(spacing.distance)
        // The last lane stands at the end of what was written.
        generator = moved.lanes.generator(ofLane: 7)
        position = start + UInt64(spacing.total)
        placed = consume moved
    }

    private mutating func writeWords(_ words: Int, to target: UnsafeMutableRawPointer) {
        // Held in registers for the length of the loop.
        var local = generator
        for index in 0..<words {
            target.storeBytes(
                of: local.next().littleEndian, toByteOffset: 8 * index, as: UInt64.self)
        }
        generator = local
        position += UInt64(words)
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
