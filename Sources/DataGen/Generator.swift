// SPDX-License-Identifier: MIT OR Apache-2.0

#if canImport(Glibc)
    internal import Glibc
#endif
public import Logging
internal import Xoshiro

/// Makes, or compares, any byte range of a data set, in any memory.
///
/// Memory is constant: the state of the stream, no table that grows with the size of the data set.
/// Going on where the last call ended costs nothing; any other place costs some microseconds.
///
/// A value that remembers its place: give every thread a copy of its own.
public struct Generator: Sendable {
    /// What the bytes are.
    public let spec: DataSpec
    /// Where they come from.
    public let layout: Layout

    /// What they are made with.
    public let kernel: Kernel

    private var cursor: StreamCursor
    /// For compressible data, unless the kernel has no lanes.
    private var grains: GrainCursor?
    private let logger: Logger
    /// Decided once, so that a disabled level costs one predictable branch a block.
    private let isTracing: Bool

    /// A generator for the data set of `spec`.
    ///
    /// - Parameters:
    ///   - spec: what the bytes are.
    ///   - kernel: how they are made; the bytes are the same.
    ///   - logger: gets a line for each block at trace level.
    /// - Precondition: this machine supports `kernel`.
    /// - Complexity: O(1), whatever the size.
    public init(
        _ spec: DataSpec, kernel: Kernel = .fastest, logger: Logger = Logger(label: "generator")
    ) {
        precondition(kernel.isSupported, "this machine cannot run the kernel")
        self.spec = spec
        layout = Layout(spec)
        cursor = StreamCursor(seed: spec.seed, kernel: kernel)
        if spec.compressRatio != 1, kernel != .scalar {
            grains = GrainCursor(
                seed: spec.seed, kernel: kernel,
                shape: GrainShape(
                    grainBytes: spec.compressUnit, numerator: layout.randomNumerator,
                    denominator: layout.randomDenominator, isZeroFilled: spec.fill == .zeros))
        }
        self.logger = logger
        self.kernel = kernel
        isTracing = logger.logLevel <= .trace
    }

    /// Fills `buffer` with the bytes of the data set from `offset` on.
    ///
    /// - Precondition: `offset` and the length of `buffer` lie within the size of the data set.
    /// - Complexity: O(length of `buffer`), independent of `offset`.
    public mutating func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        requireRange(offset, buffer.count)
        guard let base = buffer.baseAddress else { return }
        var done = 0
        while done < buffer.count {
            let (block, start) = (offset + done).quotientAndRemainder(dividingBy: spec.dedupUnit)
            let count = min(spec.dedupUnit - start, buffer.count - done)
            let distinct = layout.distinctBlock(ofBlock: block)
            if isTracing {
                logger.trace("block \(block) is \(distinct): \(count) bytes from \(start)")
            }
            if spec.compressRatio == 1 {
                cursor.write(count, from: distinct * spec.dedupUnit + start, to: base + done)
            } else {
                fillGrains(
                    of: distinct, range: start..<start + count, to: base + done)
            }
            done += count
        }
    }

    /// Compares `buffer` with the bytes of the data set from `offset` on.
    ///
    /// - Parameters:
    ///   - buffer: what was found, of any alignment.
    ///   - offset: where in the data set it should be from.
    ///   - log: gets every byte that differs; call in ascending order of `offset`.
    /// - Precondition: `offset` and the length of `buffer` lie within the size of the data set.
    /// - Complexity: O(length of `buffer`), independent of `offset`.
    public mutating func compare(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, log: inout DamageLog
    ) {
        requireRange(offset, buffer.count)
        guard let found = buffer.baseAddress else { return }
        // Small enough to stay in the first-level cache.
        let step = 16 << 10
        withUnsafeTemporaryAllocation(byteCount: step, alignment: 64) { scratch in
            guard let expected = scratch.baseAddress else { return }
            var done = 0
            while done < buffer.count {
                let count = min(step, buffer.count - done)
                fill(UnsafeMutableRawBufferPointer(rebasing: scratch[..<count]), at: offset + done)
                if memcmp(expected, found + done, count) != 0 {
                    Self.logDifferences(
                        expected, found + done, count, offset: offset + done, log: &log)
                }
                done += count
            }
        }
    }

    private func requireRange(_ offset: Int, _ count: Int) {
        precondition(
            offset >= 0 && offset <= spec.size && count <= spec.size - offset,
            "the range lies outside the data set")
    }

    /// Writes a range of distinct block `u`, whose grains are each part random, part derived.
    private mutating func fillGrains(
        of u: Int, range: Range<Int>, to target: UnsafeMutableRawPointer
    ) {
        let grain = spec.compressUnit
        var position = range.lowerBound
        while position < range.upperBound {
            let countPerLane = (range.upperBound - position) / grain / 8
            if position % grain == 0, 8 * countPerLane >= GrainCursor.grainsMin, grains != nil {
                grains?.write(
                    first: position / grain, countPerLane: countPerLane,
                    start: UInt64(u * spec.dedupUnit / 8),
                    to: target + (position - range.lowerBound))
                position += 8 * countPerLane * grain
                continue
            }
            let (g, start) = position.quotientAndRemainder(dividingBy: grain)
            let count = min(grain - start, range.upperBound - position)
            let place = target + (position - range.lowerBound)
            if count == grain {
                writeGrain(g, of: u, to: place)
            } else {
                withUnsafeTemporaryAllocation(byteCount: grain, alignment: 64) { scratch in
                    guard let whole = scratch.baseAddress else { return }
                    writeGrain(g, of: u, to: whole)
                    place.copyMemory(from: whole + start, byteCount: count)
                }
            }
            position += count
        }
    }

    private mutating func writeGrain(_ g: Int, of u: Int, to target: UnsafeMutableRawPointer) {
        let before = layout.randomBytes(inFirst: g)
        let random = layout.randomBytes(inFirst: g + 1) - before
        cursor.write(random, from: u * spec.dedupUnit + before, to: target)
        let rest = spec.compressUnit - random
        switch spec.fill {
        case .zeros:
            memset(target + random, 0, rest)
        case .backref:
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

    /// Logs every run of bytes that differ.
    private static func logDifferences(
        _ expected: UnsafeRawPointer, _ found: UnsafeRawPointer, _ count: Int, offset: Int,
        log: inout DamageLog
    ) {
        func differs(_ index: Int) -> Bool {
            expected.load(fromByteOffset: index, as: UInt8.self)
                != found.load(fromByteOffset: index, as: UInt8.self)
        }
        var index = 0
        while index < count {
            guard differs(index) else {
                index += 1
                continue
            }
            let start = index
            while index < count, differs(index) { index += 1 }
            log.add(offset: offset + start, count: index - start)
        }
    }
}
