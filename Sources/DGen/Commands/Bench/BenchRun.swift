// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options

/// One case, ready to be measured.
struct BenchRun {
    let `case`: Bench.Case
    private let buffer: UnsafeMutableRawBufferPointer
    private let other: UnsafeMutableRawBufferPointer
    private let generator: ParallelGenerator
    private let pool: WorkerPool
    private let spec: DataSpec
    private var offset = 0
    private var numbers = UInt64(1)

    /// The end of the data set: far enough that every word of an offset counts.
    private static let size = 1 << 62

    init(_ benchCase: Bench.Case) throws(InvalidField) {
        `case` = benchCase
        let set = BenchSet(rawValue: benchCase.set) ?? .stream
        spec = try DataSpec(
            size: Self.size, seed: 1,
            dedupRatio: Ratio(floatLiteral: benchCase.dedupRatio),
            compressRatio: Ratio(floatLiteral: benchCase.compressRatio),
            dedupUnit: set.block, composition: set.composition)
        generator = ParallelGenerator(
            spec, threads: benchCase.threads,
            kernel: Kernel(rawValue: benchCase.kernel) ?? .scalar)
        pool = WorkerPool(count: benchCase.operation.isOurs ? 1 : benchCase.threads)
        buffer = BenchMemory.buffer(0, benchCase.bufferBytes)
        other = BenchMemory.buffer(1, benchCase.bufferBytes)
        // Pages that were never written are all the same one.
        if benchCase.operation == .memcpy, let start = other.baseAddress {
            memset(start, 0xA5, other.count)
        }
    }

    /// Bytes per second over at least `seconds`.
    mutating func sample(seconds: Double) -> Double {
        switch `case`.operation {
        case .fill:
            return timed(seconds) { $0.generator.fill($0.buffer, at: $0.advance()) }
        case .random:
            return timed(seconds) { run in
                let last = Self.size - run.buffer.count
                // A generator of a few instructions (Knuth): choosing the offset must not count.
                run.numbers = run.numbers &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                run.generator.fill(run.buffer, at: Int(run.numbers >> 1) % last)
            }
        case .compare: return compared(seconds)
        case .memset:
            return timed(seconds) { run in
                run.split { part, _ in
                    if let start = part.baseAddress { memset(start, 0x5A, part.count) }
                }
            }
        case .memcpy:
            return timed(seconds) { run in
                run.split { part, other in
                    if let start = part.baseAddress, let source = other.baseAddress {
                        memcpy(start, source, part.count)
                    }
                }
            }
        }
    }

    private mutating func advance() -> Int {
        defer { offset += buffer.count }
        if offset > Self.size - buffer.count { offset = 0 }
        return offset
    }

    private mutating func timed(_ seconds: Double, _ call: (inout Self) -> Void) -> Double {
        var calls = 0
        var batch = 1
        let watch = Stopwatch()
        var elapsed = 0.0
        repeat {
            for _ in 0..<batch { call(&self) }
            calls += batch
            elapsed = watch.elapsedSeconds
            // Reading the clock must not count.
            if elapsed < seconds / 20 { batch *= 2 }
        } while elapsed < seconds
        return Double(calls) * Double(buffer.count) / elapsed
    }

    private mutating func compared(_ seconds: Double) -> Double {
        var bytes = 0
        var nanoseconds = 0
        // So much is filled at once, and compared buffer by buffer.
        let writer = generator
        let reader = ParallelGenerator(spec, threads: `case`.threads, kernel: writer.kernel)
        let chunk = max(buffer.count, min(1 << 20, BenchMemory.bytes) / buffer.count * buffer.count)
        let memory = BenchMemory.buffer(0, chunk)
        var log = DamageLog(spec, limit: 1)
        repeat {
            writer.fill(memory, at: offset)
            let watch = Stopwatch()
            for start in stride(from: 0, to: chunk, by: buffer.count) {
                reader.compare(
                    UnsafeRawBufferPointer(rebasing: memory[start..<start + buffer.count]),
                    at: offset + start, log: &log)
            }
            nanoseconds += watch.elapsedNanoseconds
            bytes += chunk
            offset += chunk
        } while Double(nanoseconds) < seconds * 1e9
        precondition(log.rangeCount == 0, "what was filled does not compare equal")
        return Double(bytes) / Double(nanoseconds) * 1e9
    }

    /// Gives each thread a part of the buffer, and of the other one.
    private func split(
        _ work:
            @escaping @Sendable (
                UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer
            ) -> Void
    ) {
        guard pool.count > 1 else { return work(buffer, other) }
        let shards = Shards(size: buffer.count, ranks: pool.count, alignment: 4096)
        // Each thread has a part of its own.
        nonisolated(unsafe) let (buffer, other) = (buffer, other)
        pool.run {
            let part = shards[$0]
            work(
                UnsafeMutableRawBufferPointer(rebasing: buffer[part]),
                UnsafeMutableRawBufferPointer(rebasing: other[part]))
        }
    }
}

/// The memory of all cases: they are measured one after the other.
enum BenchMemory {
    static let bytes = 1 << 30
    // Mapped, so that pages which no case touches cost nothing.
    nonisolated(unsafe) private static let memory = [map(), map()]

    private static func map() -> UnsafeMutableRawPointer {
        guard
            let memory = mmap(
                nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0), memory != MAP_FAILED
        else { preconditionFailure("no address space for the benchmark") }
        return memory
    }

    /// The beginning of one of two, 0 or 1.
    static func buffer(_ index: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory[index], count: count)
    }
}

extension BenchSet {
    fileprivate var block: Int {
        switch self {
        case .stream: DataSpec.dedupUnitDefault
        case .scattered, .mixed: 4096
        case .small: 512
        }
    }

    fileprivate var composition: Composition? {
        switch self {
        case .stream: return nil
        case .scattered, .small: return Composition(run: 1)
        case .mixed:
            func share(_ perCent: Int) -> Share { Share(millionths: perCent * 10_000) }
            return Composition(
                copies: [
                    .init(copies: 2, share: share(29)), .init(copies: 3, share: share(2)),
                    .init(copies: 16, share: share(12)), .init(copies: 7040, share: share(1)),
                ],
                zeros: share(5),
                compressMix: [
                    .init(ratio: 1, share: share(30)), .init(ratio: 2, share: share(50)),
                    .init(ratio: 4, share: share(20)),
                ],
                run: 16,
                change: [
                    .init(share: share(10), rate: share(15)),
                    .init(share: share(90), rate: share(1)),
                ], generation: 7)
        }
    }
}
