// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import NUMA

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
                        for (compress, dedup) in kinds {
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

    private var kinds: [(Ratio, Ratio)] {
        compressRatios.flatMap { compress in dedupRatios.map { (compress, $0) } }
    }
}
