// SPDX-License-Identifier: MIT OR Apache-2.0

/// Every option that a job file or the environment may give, by its name in job files.
///
/// `--dedup-ratio` on the command line, `DGEN_DEDUP_RATIO` in the environment and `dedup_ratio` in a job
/// file are the same option.
enum OptionKey: String, CaseIterable, Codable, CodingKeyRepresentable {
    case size, seed, fill
    case dedupRatio = "dedup_ratio"
    case compressRatio = "compress_ratio"
    case dedupUnit = "dedup_unit"
    case compressUnit = "compress_unit"
    case output, align, collective, hint, ranks, overwrite, progress, report, quiet, verbose
    case transferSize = "transfer_size"
    case spaceCheck = "space_check"
    case threads, watchdog, numa
    case numaNode = "numa_node"
    case phases, keep, preallocate, direct
    case access = "io"
    case repetitions = "repeat"
    case warmUp = "warm_up"
    case freshFile = "fresh_file"
    case readOrder = "read_order"
    case shuffleSeed = "shuffle_seed"
    case dropCache = "drop_cache"
    case timeLimit = "time_limit"
    case layout, segments, strided, order, sync, csv
    case hintsFile = "hints_file"
    case stripeCount = "stripe_count"
    case stripeSize = "stripe_size"
    case queueDepth = "queue_depth"
    case sample, blocks, resume
    case sampleSeed = "sample_seed"
    case alsoKnown = "also_known"

    /// Whether a job file may give a list of values.
    var isList: Bool { [.hint, .phases, .alsoKnown].contains(self) }

    var environmentName: String { "DGEN_" + rawValue.uppercased() }
}
