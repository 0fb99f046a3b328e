// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc
internal import Xoshiro

/// A place in a stream, cheap to move on from.
struct StreamCursor: Sendable {
    private let kernel: Kernel
    private let spacings: [LaneSpacing]
    private var origin: Xoshiro256PlusPlus
    private var generator: Xoshiro256PlusPlus
    /// The number of the output that comes next.
    private var position: UInt64 = 0
    private var known: KnownJumps
    /// Lanes of each spacing that have been used, which are cheaper to move than to place.
    private var placed: [PlacedLanes?]

    private struct PlacedLanes {
        var first: Lanes
        /// Where there are sixteen.
        var second: Lanes?
        /// The number of the output that comes next in lane 0.
        var position: UInt64
        /// Its own, so that jumps of lanes and of the generator do not displace each other.
        var known: KnownJumps
    }

    init(origin: Xoshiro256PlusPlus, kernel: Kernel, isWide: Bool) {
        self.kernel = kernel
        spacings = LaneSpacing.ladder(isWide: isWide)
        self.origin = origin
        generator = origin
        known = KnownJumps(kernel)
        placed = Array(repeating: nil, count: spacings.count)
    }

    /// Goes on with the stream that begins at `origin`.
    mutating func restart(at origin: Xoshiro256PlusPlus) {
        self.origin = origin
        generator = origin
        position = 0
        for index in placed.indices { placed[index] = nil }
    }

    /// Moves to output number `target`.
    ///
    /// - Complexity: O(1); some tens of nanoseconds for a distance that recurs, two microseconds for
    ///   another one.
    private mutating func seek(to target: UInt64) {
        guard target != position else { return }
        if target < position {
            generator = origin
            position = 0
        }
        let distance = target - position
        position = target
        if distance < 128 {
            for _ in 0..<distance { _ = generator.next() }
        } else {
            known.jump(&generator, by: distance)
        }
    }

    /// Uses `count` bytes of the stream from byte `start` on, for memory of any alignment.
    ///
    /// Stops before an output that was used in part, so that the next byte needs no jump back.
    ///
    /// - Returns: whether the memory holds these bytes now.
    mutating func run(
        _ use: Use, _ count: Int, from start: Int, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        var place = memory
        var left = count
        var word = UInt64(start / 8)
        var isEqual = true
        let skipped = start % 8
        if skipped > 0 {
            seek(to: word)
            let part = min(8 - skipped, left)
            isEqual = runPart(use, skipped..<skipped + part, at: place)
            place += part
            left -= part
            word += 1
            guard left > 0 else { return isEqual }
        }
        if kernel != .scalar, left >= 8 * LaneSpacing.totalMin + 64 {
            // Up to a cache line, so that no vector lies on two.
            let head = -Int(bitPattern: place) & 63
            let isAligned = head % 8 == 0
            if isAligned, head > 0 {
                seek(to: word)
                isEqual = runWords(use, head / 8, at: place) && isEqual
                place += head
                left -= head
                word += UInt64(head / 8)
            }
            let laneUse = !isAligned && use == .storePastCache ? Use.store : use
            for (index, spacing) in spacings.enumerated() {
                while left >= 8 * spacing.total {
                    isEqual = runLanes(laneUse, index, spacing, from: word, at: place) && isEqual
                    place += 8 * spacing.total
                    left -= 8 * spacing.total
                    word += UInt64(spacing.total)
                }
            }
        }
        seek(to: word)
        isEqual = runWords(use, left / 8, at: place) && isEqual
        if left % 8 > 0 {
            isEqual = runPart(use, 0..<left % 8, at: place + left / 8 * 8) && isEqual
        }
        return isEqual
    }

    /// Uses as many outputs as the lanes cover.
    private mutating func runLanes(
        _ use: Use, _ index: Int, _ spacing: LaneSpacing, from start: UInt64,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        if start < placed[index]?.position ?? .max {
            seek(to: start)
            let first = Lanes(
                first: generator, doublings: spacing.doublings.prefix(3), jump: kernel.jump)
            var second: Lanes?
            if spacing.laneCount == 16 {
                var lanes = first
                kernel.jump(&lanes, spacing.doublings[3])
                second = lanes
            }
            placed[index] = PlacedLanes(
                first: first, second: second, position: start, known: KnownJumps(kernel))
        }
        guard var moved = placed[index].take() else { return true }
        let distance = start - moved.position
        let isEqual: Bool
        if var second = moved.second.take() {
            if distance > 0 { moved.known.jump(&moved.first, &second, by: distance) }
            isEqual = kernel.run(&moved.first, &second, use, at: memory, spacing)
            // The last lane stands at the end of what was used.
            generator = second.generator(ofLane: 7)
            moved.second = second
        } else {
            if distance > 0 { moved.known.jump(&moved.first, by: distance) }
            isEqual = kernel.run(&moved.first, use, at: memory, spacing)
            generator = moved.first.generator(ofLane: 7)
        }
        position = start + UInt64(spacing.total)
        moved.position = start + UInt64(spacing.distance)
        placed[index] = consume moved
        return isEqual
    }

    private mutating func runWords(
        _ use: Use, _ words: Int, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        // Held in registers for the length of the loop.
        var local = generator
        var difference: UInt64 = 0
        if use == .compare {
            for index in 0..<words {
                difference |=
                    local.next().littleEndian
                    ^ memory.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
            }
        } else {
            for index in 0..<words {
                memory.storeBytes(
                    of: local.next().littleEndian, toByteOffset: 8 * index, as: UInt64.self)
            }
        }
        generator = local
        position += UInt64(words)
        return difference == 0
    }

    /// Uses some bytes of the next output; takes it when its last byte is among them.
    private mutating func runPart(
        _ use: Use, _ part: Range<Int>, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        var ahead = generator
        let word = ahead.next().littleEndian
        if part.upperBound == 8 {
            generator = ahead
            position += 1
        }
        return withUnsafeBytes(of: word) { bytes in
            let source = bytes.baseAddress.unsafelyUnwrapped + part.lowerBound
            guard use != .compare else { return memcmp(memory, source, part.count) == 0 }
            memory.copyMemory(from: source, byteCount: part.count)
            return true
        }
    }
}
