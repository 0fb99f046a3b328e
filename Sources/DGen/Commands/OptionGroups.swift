// SPDX-License-Identifier: MIT OR Apache-2.0
// Options that several commands have. Values stay texts here; Settings reads them. A property has the name of its row.

import ArgumentParser
import Options

struct SpecOptions: ParsableArguments {
    @Option(.size) var size: String?
    @Option(.seed) var seed: String?
    @Option(.profile) var profile: String?
    @Option(.dedupRatio) var dedupRatio: String?
    @Option(.compressRatio) var compressRatio: String?
    @Option(.dedupUnit) var dedupUnit: String?
    @Option(.compressUnit) var compressUnit: String?
    @Option(.fill) var fill: String?
    @Option(.copies) var copies: String?
    @Option(.zeros) var zeros: String?
    @Option(.compressMix) var compressMix: String?
    @Option(.run) var run: String?
    @Option(.change) var change: String?
    @Option(.generation) var generation: String?
}

struct ResultOptions: ParsableArguments {
    @Option(help: "Read options from a YAML or JSON file.")
    var job: String?

    @Option(.report) var report: String?
    @Flag(.verbose) var verbose: Bool?
    @Flag(.quiet) var quiet: Bool?
}

struct TransferOptions: ParsableArguments {
    @Option(.transferSize) var transferSize: String?
    @Option(.align) var align: String?
}

struct PlacementOptions: ParsableArguments {
    @Option(.threads) var threads: String?
    @Option(.numa) var numa: String?
    @Option(.numaNode) var numaNode: String?
}

struct RunOptions: ParsableArguments {
    @OptionGroup var transfer: TransferOptions
    @OptionGroup var placement: PlacementOptions

    @Option(.access) var io: String?
    @Flag(.direct) var direct: Bool?
    @Option(.progress) var progress: String?
    @Option(.watchdog) var watchdog: String?
    @Option(.timeLimit) var timeLimit: String?
    @Option(.layout) var layout: String?
    @Option(.queueDepth) var queueDepth: String?
    @Option(.csv) var csv: String?
    @Option(.manifest) var manifest: String?
}

/// What all commands have that run under MPI.
struct SharedOptions: ParsableArguments {
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions
}

struct WriteOptions: ParsableArguments {
    @Option(.output) var output: String?
    @Flag(.collective) var collective: Bool?
    @Option(.segments) var segments: String?
    @Flag(.strided) var strided: Bool?
    @Option(.order) var order: String?
    @Option(.sync) var sync: String?
    @Option(.hint) var hint: [String]
    @Option(.hintsFile) var hintsFile: String?
    @Option(.stripeCount) var stripeCount: String?
    @Option(.stripeSize) var stripeSize: String?
    @Flag(.overwrite) var overwrite: Bool?
    @Flag(.device) var device: Bool?
    @Flag(.spaceCheck) var spaceCheck: Bool?
    @Flag(.preallocate) var preallocate: Bool?
}

struct DamageOptions: ParsableArguments {
    @Option(.alsoKnown) var alsoKnown: [String]
}
