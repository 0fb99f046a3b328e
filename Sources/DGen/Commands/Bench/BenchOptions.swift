// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import NUMA
import Options

/// What `bench` is to measure: every combination of the lists.
struct BenchOptions {
    let operations: [Operation]
    let kernels: [Kernel]
    let threads: [Int]
    let bufferSizes: [Int]
    let compressRatios: [Ratio]
    let dedupRatios: [Ratio]
    let repeats: Int
    let secondsPerSample: Double
    /// The processors that this process may use.
    let processors = Processors.usable

    typealias Operation = Bench.Operation

    /// Reads the lists.
    init(_ settings: Settings) throws {
        operations = try settings[.benchOperations].compactMap { Operation(rawValue: $0.rawValue) }
        let isForced = settings.environment["DGEN_KERNEL"] != nil
        kernels =
            try settings.has(.benchKernels)
            ? settings[.benchKernels] : isForced ? [settings.kernel()] : Kernel.supported
        threads =
            try settings.has(.benchThreads)
            ? settings[.benchThreads] : processors > 1 ? [1, processors] : [1]
        bufferSizes = try settings[.benchBufferSizes]
        compressRatios = try settings[.benchCompressRatios]
        dedupRatios = try settings[.benchDedupRatios]
        repeats = try settings[.benchRepeats]
        secondsPerSample = Double(try settings[.benchMilliseconds]) / 1000
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
