// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import NUMA

/// `dgen-mpi bench`: how fast bytes are made in memory; no file, no MPI.
///
/// All cases are measured in turn, again and again, so that a machine whose speed drifts treats them
/// alike.
struct Bench: Encodable {
    /// What is timed.
    enum Operation: String, CaseIterable, Encodable {
        /// Filling a buffer, each call going on where the last one ended.
        case fill
        /// Comparing a buffer with the bytes that it should hold.
        case compare
        /// Filling a buffer from a random offset.
        case random
        /// The C library's, beside it.
        case memset, memcpy

        var isOurs: Bool { self != .memset && self != .memcpy }
    }

    /// One line of the result.
    struct Case: Encodable {
        let operation: Operation
        let kernel: String
        let threads: Int
        let bufferBytes: Int
        let compressRatio: Double
        let dedupRatio: Double
        /// Bytes per second: median, least and most of the rounds.
        var median = 0.0
        var minimum = 0.0
        var maximum = 0.0
        /// The median time of one call.
        var nanosecondsPerCall = 0.0

        init(
            _ operation: Operation, kernel: Kernel?, threads: Int, bufferBytes: Int,
            compressRatio: Ratio = 1, dedupRatio: Ratio = 1
        ) {
            self.operation = operation
            self.kernel = kernel?.rawValue ?? "libc"
            self.threads = threads
            self.bufferBytes = bufferBytes
            self.compressRatio = Double(compressRatio.thousandths) / 1000
            self.dedupRatio = Double(dedupRatio.thousandths) / 1000
        }

        mutating func summarise(_ rates: [Double]) {
            let sorted = rates.sorted()
            median = sorted[sorted.count / 2]
            minimum = sorted[0]
            maximum = sorted[sorted.count - 1]
            nanosecondsPerCall = Double(bufferBytes) / median * 1e9
        }
    }

    let format = "dgen-bench/1"
    let version = Version.current
    let processors: Int
    let repeats: Int
    private(set) var cases: [Case] = []

    /// Measures.
    ///
    /// - Parameter options: what to measure.
    /// - Throws: `InvalidField` for an option that is wrong, ``Failure`` where memory is short.
    init(_ options: BenchOptions) throws {
        processors = options.processors
        repeats = options.repeats
        var runs = try options.cases().map { try BenchRun($0.case, kernel: $0.kernel) }
        var rates = [[Double]](repeating: [], count: runs.count)
        // The first round brings memory and processor into their usual state.
        for round in 0...repeats {
            for index in runs.indices {
                let rate = runs[index].sample(seconds: options.secondsPerSample)
                if round > 0 { rates[index].append(rate) }
            }
        }
        for index in runs.indices {
            var result = runs[index].case
            result.summarise(rates[index])
            cases.append(result)
        }
    }

    var table: Table {
        var table = Table()
        table.row(
            "operation  kernel    threads  buffer     compress  dedup",
            "    GB/s     least      most  of memset    per call")
        for result in cases {
            let name = Self.columns(
                [
                    (result.operation.rawValue, 11), (result.kernel, 10), ("\(result.threads)", 9),
                    (ByteSize.format(result.bufferBytes), 11),
                    (result.operation.isOurs ? "\(result.compressRatio)" : "", 10),
                    (result.operation.isOurs ? "\(result.dedupRatio)" : "", 7),
                ])
            let memset = cases.first {
                $0.operation == .memset && $0.threads == result.threads
                    && $0.bufferBytes == result.bufferBytes
            }
            let share = memset.map { (result.median / $0.median).fixed(2) } ?? ""
            let rates = [result.median, result.minimum, result.maximum].map { ($0 / 1e9).fixed(2) }
            table.row(
                name,
                (rates + [share]).map { Self.right($0, 8) }.joined(separator: "  ")
                    + Self.right(Self.time(result.nanosecondsPerCall), 14))
        }
        return table
    }

    private static func columns(_ texts: [(String, Int)]) -> String {
        texts.map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined()
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func time(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: "\(nanoseconds.fixed(1)) ns"
        case ..<1e6: "\((nanoseconds / 1e3).fixed(2)) us"
        default: "\((nanoseconds / 1e6).fixed(2)) ms"
        }
    }
}

/// What `bench` is to measure: every combination of the lists.
struct BenchOptions {
    var operations = Operation.allCases.filter(\.isOurs)
    var kernels = Kernel.supported
    var threads: [Int]
    var bufferSizes = [100, 4 << 10, 64 << 10, 1 << 20, 256 << 20]
    var compressRatios: [Ratio] = [1, 2, 4, 10]
    var dedupRatios: [Ratio] = [1, 2]
    var repeats = 7
    var secondsPerSample = 0.01
    /// The processors that this process may use.
    let processors: Int

    typealias Operation = Bench.Operation

    /// Reads the lists of the command line.
    init(_ command: BenchCommand, _ settings: Settings) throws {
        processors = Processors.usable
        threads = processors > 1 ? [1, processors] : [1]
        if settings.environment["DGEN_KERNEL"] != nil { kernels = [try settings.kernel()] }
        if let text = command.operations {
            operations = try Self.list(text, "operations", "fill, compare, random") {
                Operation(rawValue: $0).flatMap { $0.isOurs ? $0 : nil }
            }
        }
        if let text = command.kernels {
            let names = Kernel.supported.map(\.rawValue).joined(separator: ", ")
            kernels = try Self.list(text, "kernels", names) {
                Kernel(rawValue: $0).flatMap { $0.isSupported ? $0 : nil }
            }
        }
        if let text = command.threads {
            threads = try Self.list(text, "threads", "1 to 4096") { Self.number($0, 1...4096) }
        }
        if let text = command.bufferSizes {
            bufferSizes = try Self.list(text, "buffer_sizes", "1 B to 1 GiB") {
                let size = try ByteSize.parse($0, field: "buffer_sizes")
                return (1...BenchMemory.bytes).contains(size) ? size : nil
            }
        }
        if let text = command.compressRatios {
            compressRatios = try Self.list(text, "compress_ratios", "1 to 64") {
                try Ratio(parsing: $0, field: "compress_ratios")
            }
        }
        if let text = command.dedupRatios {
            dedupRatios = try Self.list(text, "dedup_ratios", "1 to 1000000") {
                try Ratio(parsing: $0, field: "dedup_ratios")
            }
        }
        repeats =
            try command.repeats.map {
                try Self.one($0, "repeat", "1 to 1000") { Self.number($0, 1...1000) }
            } ?? repeats
        secondsPerSample =
            try command.milliseconds.map {
                try Self.one($0, "milliseconds", "1 to 10000") {
                    Self.number($0, 1...10000).map { Double($0) / 1000 }
                }
            } ?? secondsPerSample
    }

    private static func list<Element>(
        _ text: String, _ field: String, _ accepted: String, _ parse: (String) throws -> Element?
    ) throws -> [Element] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map {
            try one(String($0), field, accepted, parse)
        }
    }

    private static func one<Element>(
        _ text: String, _ field: String, _ accepted: String, _ parse: (String) throws -> Element?
    ) throws -> Element {
        guard let element = try parse(text) else {
            throw InvalidField(field: field, value: text, accepted: accepted)
        }
        return element
    }

    private static func number(_ text: String, _ range: ClosedRange<Int>) -> Int? {
        Int(text).flatMap { range.contains($0) ? $0 : nil }
    }

    /// Everything to measure, the C library's functions first of each buffer size.
    func cases() throws -> [(case: Bench.Case, kernel: Kernel)] {
        var cases: [(case: Bench.Case, kernel: Kernel)] = []
        for bytes in bufferSizes {
            for count in threads {
                // Small buffers are filled by one thread anyway.
                if count > 1, bytes < ParallelGenerator.splitBytesMin { continue }
                for operation in [Operation.memset, .memcpy] {
                    cases.append(
                        (
                            Bench.Case(operation, kernel: nil, threads: count, bufferBytes: bytes),
                            .scalar
                        ))
                }
                for operation in operations {
                    // One length tells what a random position costs.
                    if operation == .random, count > 1 || bytes > 1 << 20 { continue }
                    for kernel in kernels {
                        for (compress, dedup) in kinds(operation) {
                            cases.append(
                                (
                                    Bench.Case(
                                        operation, kernel: kernel, threads: count,
                                        bufferBytes: bytes, compressRatio: compress,
                                        dedupRatio: dedup), kernel
                                ))
                        }
                    }
                }
            }
        }
        return cases
    }

    private func kinds(_ operation: Operation) -> [(Ratio, Ratio)] {
        compressRatios.flatMap { compress in dedupRatios.map { (compress, $0) } }
    }
}

/// One case, ready to be measured.
private struct BenchRun {
    let `case`: Bench.Case
    private let buffer: UnsafeMutableRawBufferPointer
    /// For copying from.
    private let other: UnsafeMutableRawBufferPointer
    private let generator: ParallelGenerator
    private let pool: WorkerPool
    private let spec: DataSpec
    private var offset = 0
    private var numbers = UInt64(1)

    /// The end of the data set: far enough that every word of an offset counts.
    private static let size = 1 << 62

    init(_ benchCase: Bench.Case, kernel: Kernel) throws {
        `case` = benchCase
        spec = try DataSpec(
            size: Self.size, seed: 1,
            dedupRatio: Ratio(floatLiteral: benchCase.dedupRatio),
            compressRatio: Ratio(floatLiteral: benchCase.compressRatio))
        generator = ParallelGenerator(spec, threads: benchCase.threads, kernel: kernel)
        pool = WorkerPool(count: benchCase.operation.isOurs ? 1 : benchCase.threads)
        buffer = BenchMemory.first(benchCase.bufferBytes)
        other = BenchMemory.second(benchCase.bufferBytes)
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
        let memory = BenchMemory.first(chunk)
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
private enum BenchMemory {
    /// The largest buffer.
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

    static func first(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory[0], count: count)
    }

    static func second(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory[1], count: count)
    }
}
