// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc
internal import Xoshiro

/// Makes blocks whose grains are each part random, part derived (FORMAT.md section 4).
struct BlockMaker: Sendable {
    /// Enough for lanes to be worth it, and little enough for the second-level cache.
    private static let packedBytes = 128 << 10

    private let shape: GrainShape
    /// Unless the kernel has no lanes, or lanes cannot make these grains.
    private var grains: GrainCursor?
    /// For the random bytes of grains that are not made with lanes, and how many grains these are.
    private var packed: ScratchMemory
    private let batchCount: Int

    /// Prepares for blocks of the grains of `spec`, compressible by `ratio`, which is above 1.
    init(_ spec: DataSpec, ratio: Ratio, origin: Xoshiro256PlusPlus, kernel: Kernel, isWide: Bool) {
        let (numerator, denominator) = Layout.randomWords(grain: spec.compressUnit, ratio: ratio)
        shape = GrainShape(
            grainBytes: spec.compressUnit, numerator: numerator, denominator: denominator,
            isZeroFilled: spec.fill == .zeros)
        batchCount = max(1, Self.packedBytes / spec.compressUnit)
        packed = ScratchMemory(byteCount: max(Self.packedBytes, spec.compressUnit))
        grains =
            kernel == .scalar
            ? nil : GrainCursor(origin: origin, kernel: kernel, isWide: isWide, shape: shape)
    }

    /// Whether lanes make them.
    var hasLanes: Bool { grains != nil }

    /// Goes on with the stream that begins at `origin`.
    mutating func restart(at origin: Xoshiro256PlusPlus) { grains?.restart(at: origin) }

    /// Uses eight whole blocks in a row, a lane for each, which stand `words` outputs apart in the stream.
    ///
    /// Only where there are lanes.
    mutating func run(
        _ use: Use, blocksOf count: Int, start: UInt64, words: UInt64,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        grains?.run(use, blocksOf: count, start: start, words: words, at: memory) ?? false
    }

    /// Uses groups of eight whole blocks, each from the place of a lane on, and of a place of its own.
    ///
    /// Only where there are lanes.
    mutating func run(
        _ use: Use, blocksOf count: Int, groups: Int, _ lanes: UnsafeMutablePointer<Lanes>,
        at places: UnsafePointer<UnsafeMutableRawPointer>
    ) -> Bool {
        grains?.run(use, blocksOf: count, groups: groups, lanes, at: places) ?? false
    }

    /// Uses a range of a block.
    ///
    /// - Parameters:
    ///   - use: what happens to the bytes.
    ///   - range: in the block.
    ///   - start: the byte of the stream at which the block begins.
    ///   - stream: the same stream that lanes were given.
    ///   - memory: of any alignment.
    /// - Returns: whether the memory holds these bytes now.
    mutating func run(
        _ use: Use, _ range: Range<Int>, ofBlockAt start: Int, _ stream: inout StreamCursor,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        let grain = shape.grainBytes
        var isEqual = true
        var position = range.lowerBound
        while position < range.upperBound {
            let place = memory + (position - range.lowerBound)
            let (g, skipped) = position.quotientAndRemainder(dividingBy: grain)
            let whole = GrainRun.most(of: (range.upperBound - position) / grain)
            if skipped == 0, whole >= GrainCursor.grainsMin, grains != nil {
                let isRunEqual = grains?.run(
                    use, first: g, count: whole, start: UInt64(start / 8), at: place)
                isEqual = isRunEqual == true && isEqual
                position += whole * grain
                continue
            }
            // The random bytes of some grains together, as they lie in the stream.
            let after = (range.upperBound + grain - 1) / grain
            let end = skipped == 0 ? min(after, g + batchCount) : g + 1
            let packed = packed.forWriting()
            let first = 8 * shape.words(inFirst: g)
            _ = stream.run(
                .store, 8 * shape.words(inFirst: end) - first, from: start + first, at: packed)
            var before = first
            for index in g..<end {
                let start = position - index * grain
                let count = min(grain - start, range.upperBound - position)
                let random = 8 * shape.words(inFirst: index + 1) - before
                let isPartEqual = usePart(
                    use, start..<start + count, ofGrainWith: random,
                    from: packed + (before - first),
                    at: memory + (position - range.lowerBound))
                isEqual = isPartEqual && isEqual
                before += random
                position += count
            }
        }
        return isEqual
    }

    /// Uses a part of a grain that begins with the `random` bytes at `source`.
    private func usePart(
        _ use: Use, _ part: Range<Int>, ofGrainWith random: Int, from source: UnsafeRawPointer,
        at place: UnsafeMutableRawPointer
    ) -> Bool {
        if part.count == shape.grainBytes, use != .compare {
            writeGrain(random, from: source, to: place)
            return true
        }
        return withUnsafeTemporaryAllocation(byteCount: shape.grainBytes, alignment: 64) {
            let whole = $0.baseAddress.unsafelyUnwrapped
            writeGrain(random, from: source, to: whole)
            guard use != .compare else {
                return memcmp(place, whole + part.lowerBound, part.count) == 0
            }
            place.copyMemory(from: whole + part.lowerBound, byteCount: part.count)
            return true
        }
    }

    /// Writes a grain that begins with the `random` bytes at `source`.
    private func writeGrain(
        _ random: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer
    ) {
        memcpy(target, source, random)
        let rest = shape.grainBytes - random
        guard !shape.isZeroFilled else {
            memset(target + random, 0, rest)
            return
        }
        // Copying a period that doubles each time gives the repeated back-reference.
        let source = target + (random - Layout.backReferenceDistance(randomBytes: random))
        var period = (target + random) - source
        var done = 0
        while done < rest {
            let count = min(period, rest - done)
            memcpy(target + random + done, source, count)
            done += count
            period += count
        }
    }
}
