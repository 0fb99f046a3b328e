// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc
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
    /// For compressible data.
    private var maker: BlockMaker?
    /// For data of version 2, which needs nothing of the others.
    private var contents: ContentCursor?
    /// For small ranges in a row.
    private var window = Window()
    private let windowBytes: Int
    /// What windows end at.
    private let windowUnit: Int
    /// Where the last call ended.
    private var end = 0
    /// Buffers of this length and more are filled past the caches.
    ///
    /// Half of the last cache, which other processors use too. Measured with `dgen-mpi bench` on a Zen 3
    /// server with 32 MiB: ordinary stores are as fast up to 8 MiB, and leave the bytes where the next
    /// step finds them; from 24 MiB on stores past the caches are 1.05 (incompressible) to 1.5 times as
    /// fast (compress ratio 4).
    static let pastCacheMin: Int = {
        let last = sysconf(Int32(_SC_LEVEL3_CACHE_SIZE))
        // Virtual machines may tell nothing, or the caches of all their processors as one.
        return min(max(last / 2, 8 << 20), 32 << 20)
    }()
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
        self.init(spec, kernel: kernel, isWide: kernel.isWide, logger: logger)
    }

    /// ``init(_:kernel:logger:)``, where a test may use any kernel as wide ones are used.
    package init(
        _ spec: DataSpec, kernel: Kernel, isWide: Bool, logger: Logger = Logger(label: "generator")
    ) {
        precondition(kernel.isSupported, "this machine cannot run the kernel")
        self.spec = spec
        layout = Layout(spec)
        let origin = Xoshiro256PlusPlus(seed: spec.seed)
        cursor = StreamCursor(origin: origin, kernel: kernel, isWide: isWide)
        // More where placing the lanes is a larger part of the work. Incompressible bytes as many as the
        // lanes of one spacing make.
        let windowMax = isWide ? Window.bytesMax : Window.bytesMax / 2
        let lanes = LaneSpacing.ladder(isWide: isWide).lazy.map { 8 * $0.total }.first {
            $0 <= windowMax
        }
        windowBytes = spec.compressRatio == 1 ? lanes ?? windowMax : windowMax
        // No small block is cut, no grain, and no cache line.
        windowUnit =
            spec.composition != nil && spec.dedupUnit <= windowBytes / 2
            ? spec.dedupUnit : spec.compressRatio == 1 ? 64 : spec.compressUnit
        if spec.composition != nil {
            contents = ContentCursor(spec, kernel: kernel, isWide: isWide)
        } else if spec.compressRatio != 1 {
            maker = BlockMaker(
                spec, ratio: spec.compressRatio, origin: origin, kernel: kernel, isWide: isWide)
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
        fill(buffer, at: offset, isPastCache: buffer.count >= Self.pastCacheMin)
    }

    /// ``fill(_:at:)`` for a part of a buffer, which as a whole may be too large for the caches.
    package mutating func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, isPastCache: Bool
    ) {
        requireRange(offset, buffer.count)
        guard let memory = buffer.baseAddress else { return }
        var done = 0
        while let bytes = takeWindow(buffer.count - done, at: offset + done) {
            (memory + done).copyMemory(
                from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
            done += bytes.count
        }
        if done < buffer.count {
            _ = run(
                isPastCache ? .storePastCache : .store, buffer.count - done, at: offset + done,
                memory + done)
            end = offset + buffer.count
        }
        if isPastCache { Use.storesAreVisible() }
    }

    /// Fills `buffer` with the first bytes of the stream of a seed, one word after another.
    ///
    /// They are those of an incompressible data set of one distinct block, or of distinct blocks alone: for so few that
    /// preparing to make them takes longer than this.
    package static func fillStart(_ buffer: UnsafeMutableRawBufferPointer, seed: UInt64) {
        var stream = Xoshiro256PlusPlus(seed: seed)
        let words = buffer.count / 8
        for word in 0..<words {
            buffer.storeBytes(
                of: stream.next().littleEndian, toByteOffset: 8 * word, as: UInt64.self)
        }
        guard words * 8 < buffer.count else { return }
        withUnsafeBytes(of: stream.next().littleEndian) { last in
            UnsafeMutableRawBufferPointer(rebasing: buffer[(words * 8)...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: last[..<(buffer.count % 8)]))
        }
    }

    /// ``fill(_:at:)`` for what nothing follows: no window of bytes that may come next is made.
    package mutating func fillOnce(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        requireRange(offset, buffer.count)
        guard let memory = buffer.baseAddress else { return }
        let isPastCache = buffer.count >= Self.pastCacheMin
        _ = run(isPastCache ? .storePastCache : .store, buffer.count, at: offset, memory)
        end = offset + buffer.count
        if isPastCache { Use.storesAreVisible() }
    }

    /// Fills parts of `buffer`, each with a range of the data set; whole blocks of version 2 are made side by side.
    package mutating func fill(
        _ parts: [(place: Int, range: Range<Int>)], of buffer: UnsafeMutableRawBufferPointer
    ) {
        let unit = spec.dedupUnit
        let areBlocks = parts.allSatisfy {
            $0.range.count % unit == 0 && $0.range.lowerBound % unit == 0
        }
        guard contents != nil, areBlocks, parts.count > 1, let memory = buffer.baseAddress else {
            for (place, range) in parts {
                fill(
                    UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + range.count]),
                    at: range.lowerBound)
            }
            return
        }
        contents?.fill(
            parts.flatMap { (place, range) in
                stride(from: 0, to: range.count, by: unit).map {
                    ((range.lowerBound + $0) / unit, memory + place + $0)
                }
            })
    }

    /// Fills `buffer` with a part of a block of version 2, as it is after its change in a generation.
    mutating func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, madeIn generation: Int
    ) {
        guard let memory = buffer.baseAddress else { return }
        let (block, start) = offset.quotientAndRemainder(dividingBy: spec.dedupUnit)
        contents?.fill(memory, start..<start + buffer.count, ofBlock: block, madeIn: generation)
    }

    /// Compares `buffer` with the bytes of the data set from `offset` on.
    ///
    /// The bytes are made in registers, those of compressible data in the first-level cache, and
    /// stored nowhere else unless some differ.
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
        // What differs is made again, so not too much at once.
        let step = 1 << 20
        for start in stride(from: 0, to: buffer.count, by: step) {
            let part = UnsafeRawBufferPointer(
                rebasing: buffer[start..<min(start + step, buffer.count)])
            if !isEqual(part, at: offset + start) {
                logDifferences(part, at: offset + start, &log)
            }
        }
    }

    /// Whether `buffer` holds the bytes of the data set from `offset` on.
    mutating func isEqual(_ buffer: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard let found = buffer.baseAddress else { return true }
        var isEqual = true
        var done = 0
        while let bytes = takeWindow(buffer.count - done, at: offset + done) {
            let start = bytes.baseAddress.unsafelyUnwrapped
            isEqual = memcmp(start, found + done, bytes.count) == 0 && isEqual
            done += bytes.count
        }
        guard done < buffer.count else { return isEqual }
        end = offset + buffer.count
        // Comparing does not write.
        return run(
            .compare, buffer.count - done, at: offset + done,
            UnsafeMutableRawPointer(mutating: found + done)) && isEqual
    }

    /// Logs every run of bytes in `buffer` that differ.
    private mutating func logDifferences(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, _ log: inout DamageLog
    ) {
        guard let found = buffer.baseAddress else { return }
        let step = 16 << 10
        withUnsafeTemporaryAllocation(byteCount: step, alignment: 64) { scratch in
            guard let expected = scratch.baseAddress else { return }
            for start in stride(from: 0, to: buffer.count, by: step) {
                let count = min(step, buffer.count - start)
                _ = run(.store, count, at: offset + start, expected)
                guard memcmp(expected, found + start, count) != 0 else { continue }
                var index = 0
                while index < count {
                    let first = index
                    while index < count, scratch[index] != buffer[start + index] { index += 1 }
                    if index > first {
                        log.add(offset: offset + start + first, count: index - first)
                    } else {
                        index += 1
                    }
                }
            }
        }
    }

    private func requireRange(_ offset: Int, _ count: Int) {
        precondition(
            offset >= 0 && offset <= spec.size && count <= spec.size - offset,
            "the range lies outside the data set")
    }

    /// At most `count` bytes from `offset` on, out of a window that is made at once.
    ///
    /// Calls in a row are served in small pieces at nearly the speed of large ones, and every byte
    /// is made once. Nil for no bytes, for many, and for those that do not follow the last ones: they
    /// are made where they are wanted.
    @inline(__always)
    private mutating func takeWindow(_ count: Int, at offset: Int) -> UnsafeRawBufferPointer? {
        guard count <= Window.servedMax, count > 0 else { return nil }
        if !window.range.contains(offset) {
            guard offset == end, kernel != .scalar else { return nil }
            makeWindow(at: offset)
        }
        let bytes = window.bytes(count, at: offset)
        end += bytes?.count ?? 0
        return bytes
    }

    private mutating func makeWindow(at offset: Int) {
        let isLast = spec.size - offset <= windowBytes
        let range = offset..<(isLast ? spec.size : (offset + windowBytes) / windowUnit * windowUnit)
        let target = window.replace(with: range)
        _ = run(.store, range.count, at: offset, target)
    }

    /// Uses `count` bytes of the data set from `offset` on.
    ///
    /// - Returns: whether the memory holds these bytes now.
    private mutating func run(
        _ use: Use, _ count: Int, at offset: Int, _ memory: UnsafeMutableRawPointer
    ) -> Bool {
        if contents != nil {
            if isTracing { traceContents(count, at: offset) }
            return contents?.run(use, count, at: offset, memory) ?? false
        }
        if spec.compressRatio == 1, layout.isOneStream, !isTracing {
            return cursor.run(use, count, from: offset, at: memory)
        }
        var isEqual = true
        var done = 0
        while done < count {
            let (block, start) = (offset + done).quotientAndRemainder(dividingBy: spec.dedupUnit)
            let distinct = layout.distinctBlock(ofBlock: block)
            // Distinct blocks follow each other in the stream, up to the last one; one by one where each
            // is logged, or begins with a jump.
            let isJoined = spec.compressRatio == 1 && !isTracing
            let blocks = isJoined ? layout.distinctBlockCount - distinct : 1
            let wanted = count - done
            // A lane for each of eight blocks: they are placed once for all of them.
            let isForLanes = start == 0 && wanted >= 8 * spec.dedupUnit && !isTracing
            if isForLanes, layout.distinctBlockCount - distinct >= 8, maker?.hasLanes == true {
                let areEqual = maker?.run(
                    use, blocksOf: spec.dedupUnit / spec.compressUnit,
                    start: UInt64(distinct) * UInt64(spec.dedupUnit / 8),
                    words: UInt64(spec.dedupUnit / 8), at: memory + done)
                isEqual = areEqual == true && isEqual
                done += 8 * spec.dedupUnit
                continue
            }
            let part =
                blocks > wanted / spec.dedupUnit + 1
                ? wanted : min(blocks * spec.dedupUnit - start, wanted)
            if isTracing {
                logger.trace("block \(block) is \(distinct): \(part) bytes from \(start)")
            }
            let blockStart = distinct * spec.dedupUnit
            let isPartEqual =
                maker?.run(
                    use, start..<start + part, ofBlockAt: blockStart, &cursor, at: memory + done)
                ?? cursor.run(use, part, from: blockStart + start, at: memory + done)
            isEqual = isPartEqual && isEqual
            done += part
        }
        return isEqual
    }

    /// Logs which contents a range holds.
    private func traceContents(_ count: Int, at offset: Int) {
        guard count > 0 else { return }
        let contents = ContentLayout(spec)
        for block in offset / spec.dedupUnit...(offset + count - 1) / spec.dedupUnit {
            let content = contents.content(ofBlock: block)
            logger.trace(
                "block \(block) is \(content.map { "content \($0.number) of generation \($0.generation)" } ?? "zeros")"
            )
        }
    }
}
