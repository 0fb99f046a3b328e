// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Compressible data with lanes. A run of grains is cut into eight stretches, one for each lane. Lanes make
// their random bytes a few KiB ahead into a buffer in the first-level cache; from there each grain
// gets its share, and its rest by a copy of what was just written. So no random byte is made that is not
// needed, and none goes through more than the nearest cache.

public import CVector

/// How the random bytes of a data set are dealt to its grains (FORMAT.md section 4).
public struct GrainShape: Sendable {
    /// Bytes of a grain, a multiple of 64.
    public let grainBytes: Int
    /// The first k grains of a block hold k `numerator` / `denominator` random words.
    public let numerator: Int
    /// See ``numerator``.
    public let denominator: Int
    /// Whether the rest of a grain is zeros; a repeated back-reference otherwise.
    public let isZeroFilled: Bool

    /// Describes the grains of a data set; every grain begins with at least one random word.
    public init(grainBytes: Int, numerator: Int, denominator: Int, isZeroFilled: Bool) {
        precondition(numerator >= denominator, "every grain needs a random word")
        self.grainBytes = grainBytes
        self.numerator = numerator
        self.denominator = denominator
        self.isZeroFilled = isZeroFilled
    }

    /// `W(k)` / 8 of FORMAT.md: the random words that the first `grains` grains of a block hold.
    @inlinable
    public func words(inFirst grains: Int) -> Int { grains * numerator / denominator }
}

extension Lanes {
    /// Rows of 64 bytes that a lane is ahead at most: eight lanes fill two thirds of a small first-level
    /// cache.
    @inlinable static var rowsAhead: Int { 64 }

    /// Bytes of scratch memory that ``writeGrains(to:first:countPerLane:shape:scratch:)`` needs.
    public static func scratchBytes(_ shape: GrainShape) -> Int {
        8 * scratchBytesPerLane(shape)
    }

    /// What a lane makes ahead, what is left over of a grain, and what a copy of whole vectors overruns;
    /// an odd number of cache lines, so that lanes do not share a cache set.
    @inlinable
    static func scratchBytesPerLane(_ shape: GrainShape) -> Int {
        64 * (rowsAhead + shape.grainBytes / 64 | 1) + 128
    }

    /// Where a lane is in its grains.
    @usableFromInline
    struct Progress {
        @usableFromInline let scratch: UnsafeMutableRawPointer
        /// Random bytes in `scratch` that no grain has yet.
        @usableFromInline var availableBytes = 0
        /// The next grain.
        @usableFromInline var target: UnsafeMutableRawPointer
        @usableFromInline var grainsLeft: Int
        /// (grains before the next one) * numerator modulo denominator.
        @usableFromInline var remainder: Int

        @inlinable
        init(
            scratch: UnsafeMutableRawPointer, target: UnsafeMutableRawPointer, grainsLeft: Int,
            remainder: Int
        ) {
            self.scratch = scratch
            self.target = target
            self.grainsLeft = grainsLeft
            self.remainder = remainder
        }
    }

    /// Writes 8 `countPerLane` whole grains of one block in a row, lane i standing at the first random
    /// word of grain `first` + i `countPerLane`.
    ///
    /// - Parameters:
    ///   - target: memory of any alignment.
    ///   - first: the number of the first grain in its block.
    ///   - countPerLane: grains for each lane.
    ///   - shape: how random bytes are dealt to grains.
    ///   - scratch: ``scratchBytes(_:)`` bytes, aligned to 64.
    /// - Returns: the words that every lane has moved on by.
    @inlinable @inline(__always)
    package mutating func writeGrains(
        to target: UnsafeMutableRawPointer, first: Int, countPerLane: Int, shape: GrainShape,
        scratch: UnsafeMutableRawPointer
    ) -> Int {
        let scratchStride = Self.scratchBytesPerLane(shape)
        return withUnsafeTemporaryAllocation(of: Progress.self, capacity: 8) { progress in
            var wordsMax = 0
            for lane in 0..<8 {
                let grain = first + lane * countPerLane
                wordsMax = max(
                    wordsMax,
                    shape.words(inFirst: grain + countPerLane) - shape.words(inFirst: grain))
                progress.initializeElement(
                    at: lane,
                    to: Progress(
                        scratch: scratch + lane * scratchStride,
                        target: target + lane * countPerLane * shape.grainBytes,
                        grainsLeft: countPerLane,
                        remainder: grain * shape.numerator % shape.denominator))
            }
            let rowCount = (wordsMax + 7) / 8
            var rowsDone = 0
            while rowsDone < rowCount {
                let rows = min(Self.rowsAhead, rowCount - rowsDone)
                makeAhead(rows: rows, progress)
                for lane in 0..<8 { Self.place(&progress[lane], shape) }
                rowsDone += rows
            }
            return 8 * rowCount
        }
    }

    /// Adds `rows` rows to the scratch memory of every lane.
    @inlinable @inline(__always)
    mutating func makeAhead(rows: Int, _ progress: UnsafeMutableBufferPointer<Progress>) {
        // Held in registers for the length of the loop.
        var lanes = self
        @inline(__always) func end(_ lane: Int) -> UnsafeMutableRawPointer {
            progress[lane].scratch + progress[lane].availableBytes
        }
        let p0 = end(0), p1 = end(1), p2 = end(2), p3 = end(3)
        let p4 = end(4), p5 = end(5), p6 = end(6), p7 = end(7)
        for offset in stride(from: 0, to: 64 * rows, by: 64) {
            let made = lanes.nextRows()
            cvector_store(p0 + offset, made.0)
            cvector_store(p1 + offset, made.1)
            cvector_store(p2 + offset, made.2)
            cvector_store(p3 + offset, made.3)
            cvector_store(p4 + offset, made.4)
            cvector_store(p5 + offset, made.5)
            cvector_store(p6 + offset, made.6)
            cvector_store(p7 + offset, made.7)
        }
        for lane in 0..<8 { progress[lane].availableBytes += 64 * rows }
        self = lanes
    }

    /// Writes as many grains of a lane as it has random bytes for.
    @inlinable @inline(__always)
    static func place(_ progress: inout Progress, _ shape: GrainShape) {
        let (quotient, step) = shape.numerator.quotientAndRemainder(dividingBy: shape.denominator)
        let grain = shape.grainBytes
        var target = progress.target
        var source = UnsafeRawPointer(progress.scratch)
        var available = progress.availableBytes
        var remainder = progress.remainder
        var grainsLeft = progress.grainsLeft
        while grainsLeft > 0 {
            let carried = remainder + step >= shape.denominator
            let random = 8 * (carried ? quotient + 1 : quotient)
            guard random <= available else { break }
            copy(random, from: source, to: target, mayOverrunTo: grain)
            derive(from: random, to: grain, at: target, shape)
            remainder += carried ? step - shape.denominator : step
            source += random
            available -= random
            target += grain
            grainsLeft -= 1
        }
        // Less than a grain is left over; it goes to the front.
        let left = UnsafeMutableRawPointer(mutating: source)
        if grainsLeft > 0, available > 0 {
            progress.scratch.copyMemory(from: left, byteCount: available)
        }
        progress.target = target
        progress.availableBytes = available
        progress.remainder = remainder
        progress.grainsLeft = grainsLeft
    }

    /// Copies `count` bytes, in whole vectors where that does not pass `limit`: what lies between is
    /// written afterwards.
    @inlinable @inline(__always)
    static func copy(
        _ count: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer,
        mayOverrunTo limit: Int
    ) {
        guard count + 64 <= limit else {
            target.copyMemory(from: source, byteCount: count)
            return
        }
        var offset = 0
        while offset < count {
            cvector_store(target + offset, cvector_load(source + offset))
            offset += 64
        }
    }

    /// Writes the rest of a grain that begins with `random` random bytes.
    @inlinable @inline(__always)
    static func derive(
        from random: Int, to grain: Int, at target: UnsafeMutableRawPointer, _ shape: GrainShape
    ) {
        // The largest odd multiple of 8 that is not above `random`.
        let distance = random & 8 == 8 ? random : random - 8
        guard grain - random >= 64, shape.isZeroFilled || distance >= 64 else {
            var offset = random
            while offset < grain {
                let word =
                    shape.isZeroFilled
                    ? 0 : target.loadUnaligned(fromByteOffset: offset - distance, as: UInt64.self)
                target.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            return
        }
        // Each vector is taken from whole vectors written before: `distance` is a vector at least. The
        // last one ends with the grain and overlaps the one before it.
        var offset = random
        while offset < grain - 64 {
            let vector =
                shape.isZeroFilled ? Vector.zero : cvector_load(target + (offset - distance))
            cvector_store(target + offset, vector)
            offset += 64
        }
        let last = grain - 64
        let vector = shape.isZeroFilled ? Vector.zero : cvector_load(target + (last - distance))
        cvector_store(target + last, vector)
    }

    /// ``writeGrains(to:first:countPerLane:shape:scratch:)`` for any processor of the architecture.
    public mutating func writeGrainsBaseline(
        to target: UnsafeMutableRawPointer, first: Int, countPerLane: Int, shape: GrainShape,
        scratch: UnsafeMutableRawPointer
    ) -> Int {
        writeGrains(
            to: target, first: first, countPerLane: countPerLane, shape: shape, scratch: scratch)
    }
}
