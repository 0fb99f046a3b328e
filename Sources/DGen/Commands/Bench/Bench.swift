// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import NUMA
import Options

struct BenchCommand: RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast bytes are made in memory; no file, no MPI.",
        discussion: """
            Every combination of the lists is measured, with memset and memcpy beside it; a list is \
            given as 64KiB,1MiB. Rates are medians over the repeats, in GB/s (10^9 bytes per second).
            """)

    @Option(.benchOperations) var operations: String?
    @Option(.benchKernels) var kernels: String?
    @Option(.benchThreads) var threads: String?
    @Option(.benchBufferSizes) var bufferSizes: String?
    @Option(.benchCompressRatios) var compressRatios: String?
    @Option(.benchDedupRatios) var dedupRatios: String?
    @Option(.benchSets) var sets: String?
    @Option(.benchRepeats) var `repeat`: String?
    @Option(.benchMilliseconds) var milliseconds: String?

    @OptionGroup(title: "Result") var result: ResultOptions

    func answer(_ settings: Settings) throws(Failure) -> any Answer {
        try Failure.reading(Bench(settings))
    }
}

/// `dgen-mpi bench`: how fast bytes are made in memory; no file, no MPI.
///
/// All cases are measured in turn, again and again, so that a machine whose speed drifts treats them
/// alike.
struct Bench: Answer {
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

    struct Case: Encodable {
        let operation: Operation
        var kernel = "libc"
        let threads: Int
        let bufferBytes: Int
        var compressRatio = 1.0
        var dedupRatio = 1.0
        var set = BenchSet.stream.rawValue
        /// Bytes per second: median, least and most of the rounds.
        var median = 0.0
        var minimum = 0.0
        var maximum = 0.0
        /// The median time of one call.
        var nanosecondsPerCall = 0.0

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
    let processors = Processors.usable
    let repeats: Int
    private(set) var cases: [Case] = []

    init(_ settings: Settings) throws(InvalidField) {
        repeats = try settings[.benchRepeats]
        let seconds = Double(try settings[.benchMilliseconds]) / 1000
        var runs = try cases(settings).map { (wanted) throws(InvalidField) in try BenchRun(wanted) }
        var rates = [[Double]](repeating: [], count: runs.count)
        // The first round brings memory and processor into their usual state.
        for round in 0...repeats {
            for index in runs.indices {
                let rate = runs[index].sample(seconds: seconds)
                if round > 0 { rates[index].append(rate) }
            }
        }
        for index in runs.indices {
            var result = runs[index].case
            result.summarise(rates[index])
            cases.append(result)
        }
    }

    /// Every combination of the lists, the C library's functions first of each buffer size.
    private func cases(_ settings: Settings) throws(InvalidField) -> [Case] {
        let operations = try settings[.benchOperations].compactMap {
            Operation(rawValue: $0.rawValue)
        }
        let isForced = settings.environment["DGEN_KERNEL"] != nil
        let kernels =
            try settings.has(.benchKernels)
            ? settings[.benchKernels] : isForced ? [settings.kernel()] : Kernel.supported
        let threads =
            try settings.has(.benchThreads)
            ? settings[.benchThreads] : processors > 1 ? [1, processors] : [1]
        let dedupRatios = try settings[.benchDedupRatios]
        let ratios = try settings[.benchCompressRatios].flatMap { compress in
            dedupRatios.map { (compress, $0) }
        }
        // A mix has ratios of its own.
        let data = try settings[.benchSets].flatMap { set in
            (set == .mixed ? [(1, 1)] : ratios).map { (set, $0, $1) }
        }
        var cases: [Case] = []
        for bytes in try settings[.benchBufferSizes] {
            // Small buffers are filled by one thread anyway.
            for count in threads where count == 1 || bytes >= ParallelGenerator.splitBytesMin {
                for operation in [Operation.memset, .memcpy] {
                    cases.append(Case(operation: operation, threads: count, bufferBytes: bytes))
                }
                for operation in operations {
                    // One length tells what a random position costs.
                    if operation == .random, count > 1 || bytes > 1 << 20 { continue }
                    for kernel in kernels {
                        cases += data.map { set, compress, dedup in
                            Case(
                                operation: operation, kernel: kernel.rawValue, threads: count,
                                bufferBytes: bytes, compressRatio: compress.doubleValue,
                                dedupRatio: dedup.doubleValue, set: set.rawValue)
                        }
                    }
                }
            }
        }
        return cases
    }

    var table: Table {
        var table = Table()
        // Where there is but one kind, its name says nothing.
        let isPlain = cases.allSatisfy { $0.set == BenchSet.stream.rawValue }
        let widths = [-9, -8, 7, 8, 8, 7] + (isPlain ? [] : [-9]) + [7, 7, 7, 9, 9]
        let heads =
            ["operation", "kernel", "threads", "buffer", "compress", "dedup"]
            + (isPlain ? [] : ["set"]) + ["GB/s", "least", "most", "of memset", "per call"]
        table.row(Table.line(heads, widths: widths), "")
        for result in cases {
            let memset = cases.first {
                $0.operation == .memset && $0.threads == result.threads
                    && $0.bufferBytes == result.bufferBytes
            }
            let isOurs = result.operation.isOurs
            let rates = [result.median, result.minimum, result.maximum].map { ($0 / 1e9).fixed(2) }
            table.row(
                Table.line(
                    [
                        result.operation.rawValue, result.kernel, "\(result.threads)",
                        ByteSize.format(result.bufferBytes),
                        isOurs ? "\(result.compressRatio)" : "",
                        isOurs ? "\(result.dedupRatio)" : "",
                    ] + (isPlain ? [] : [isOurs ? result.set : ""]) + rates + [
                        memset.map { (result.median / $0.median).fixed(2) } ?? "",
                        Self.time(result.nanosecondsPerCall),
                    ], widths: widths), "")
        }
        return table
    }

    private static func time(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: "\(nanoseconds.fixed(1)) ns"
        case ..<1e6: "\((nanoseconds / 1e3).fixed(2)) us"
        default: "\((nanoseconds / 1e6).fixed(2)) ms"
        }
    }
}
