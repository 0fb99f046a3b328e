// SPDX-License-Identifier: MIT OR Apache-2.0
// The command line: what can be said, and who does it. Values stay texts here; Settings reads them.

import ArgumentParser
import DataGen

/// The root command.
struct DGen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dgen-mpi",
        abstract: "Writes and verifies one shared file of test data, with any number of MPI ranks.",
        discussion: """
            The bytes depend on the specification alone: size, seed, ratios, units and fill. Any number \
            of ranks, any transfer size and any machine make the same file, so any later run can verify \
            it.

            Options may also be given in a job file (--job FILE, YAML, names in snake_case) and in the \
            environment (DGEN_SIZE, DGEN_DEDUP_RATIO, ...). The command line goes before the \
            environment, the environment before the job file.

            Exit status: 0 done, 1 data differs from its specification, 2 usage or configuration, \
            3 I/O failed, 4 MPI or launcher, 5 interrupted.
            """,
        version: Version.current,
        subcommands: [
            GenerateCommand.self, VerifyCommand.self, RepairCommand.self, TestCommand.self,
            PlanCommand.self, BenchCommand.self, InfoCommand.self,
        ],
        defaultSubcommand: GenerateCommand.self)
}

/// A subcommand, as the texts that were given for its options.
protocol GivesOptions {
    var given: [(OptionKey, String?)] { get }
    var job: String? { get }
    var hint: [String] { get }
    var alsoKnown: [String] { get }
}

extension GivesOptions {
    var hint: [String] { [] }
    var alsoKnown: [String] { [] }

    var commandLine: Settings.Given {
        var options: Settings.Given = [:]
        for (key, text) in given {
            if let text { options[key] = [text] }
        }
        if !hint.isEmpty { options[.hint] = hint }
        if !alsoKnown.isEmpty { options[.alsoKnown] = alsoKnown }
        return options
    }
}

/// A subcommand that all ranks run together.
protocol RunsUnderMPI: GivesOptions {
    func run(_ job: Job) throws -> ExitStatus
}

/// A subcommand that one process runs, with a result for people and for programs.
protocol RunsAlone: GivesOptions {
    func result(_ settings: Settings) throws -> (table: Table, json: any Encodable)
}

struct SpecOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: "Length of the data set: 4096, 64KiB, 1.5GiB, 10GB, or k m g t (binary).")
    var size: String?

    @Option(help: "Seed of the stream, 0 to 2^64 - 1 (default: drawn at random and printed).")
    var seed: String?

    @Option(
        help: "Logical blocks per distinct block, 1 to 1000000, at most 3 decimals (default: 1).")
    var dedupRatio: String?

    @Option(
        help:
            "Bytes per compressed byte, 1 to 64 for the default unit, at most 3 decimals (default: 1)."
    )
    var compressRatio: String?

    @Option(help: "Block, the unit of deduplication: a multiple of 512 to 1 GiB (default: 1MiB).")
    var dedupUnit: String?

    @Option(
        help: """
            Grain, the unit of compression: a multiple of 64, 512 to 65536, that divides the block \
            (default: 1024).
            """)
    var compressUnit: String?

    @Option(help: "What the compressible part is: backref or zeros (default: backref).")
    var fill: String?

    var given: [(OptionKey, String?)] {
        [
            (.size, size), (.seed, seed), (.dedupRatio, dedupRatio),
            (.compressRatio, compressRatio), (.dedupUnit, dedupUnit),
            (.compressUnit, compressUnit), (.fill, fill),
        ]
    }
}

struct ResultOptions: ParsableArguments {
    @Option(help: "Read options from a YAML or JSON file.")
    var job: String?

    @Option(help: "Write the result as JSON to a file, or to stdout with '-'.")
    var report: String?

    @Flag(name: .shortAndLong, help: "Log what starts and ends; short for DGEN_LOG=info.")
    var verbose = false

    @Flag(help: "No table, no progress, errors only.")
    var quiet = false

    var given: [(OptionKey, String?)] {
        [(.report, report), (.verbose, verbose ? "true" : nil), (.quiet, quiet ? "true" : nil)]
    }
}

struct TransferOptions: ParsableArguments {
    @Option(
        name: .shortAndLong, help: "Bytes of one MPI-IO call, at most 1 GiB (default: 1MiB).")
    var transferSize: String?

    @Option(
        help:
            "Shard boundaries are multiples of this; the stripe size is a good choice (default: 1MiB)."
    )
    var align: String?

    var given: [(OptionKey, String?)] { [(.transferSize, transferSize), (.align, align)] }
}

struct PlacementOptions: ParsableArguments {
    @Option(
        help: "Threads of each rank that make bytes (default: the rank's share of its processors).")
    var threads: String?

    @Option(
        help: """
            Keep threads and memory on memory nodes: auto (where there are several), force or off \
            (default: auto).
            """)
    var numa: String?

    @Option(help: "Keep them all on this memory node.")
    var numaNode: String?

    var given: [(OptionKey, String?)] {
        [(.threads, threads), (.numa, numa), (.numaNode, numaNode)]
    }
}

struct RunOptions: ParsableArguments {
    @OptionGroup var transfer: TransferOptions
    @OptionGroup var placement: PlacementOptions

    @Option(help: "How the file is accessed: mpi (MPI-IO) or posix (default: mpi).")
    var io: String?

    @Flag(
        inversion: .prefixedNo,
        help: "With --io posix: past the caches of the system, with O_DIRECT (default: no).")
    var direct: Bool?

    @Option(help: "Progress on stderr: auto, bar, lines, json or none (default: auto).")
    var progress: String?

    @Option(
        help:
            "End the job when one step takes longer than this many seconds; 0: never (default: 900)."
    )
    var watchdog: String?

    @Option(
        help: "Stop after this time with status 5: 90s, 30m, 2h or 1:30:00 (default: no limit).")
    var timeLimit: String?

    @Option(
        help: """
            Into how many files: shared (one) or per-rank (one for each rank, FILE.00000000 and so on) \
            (default: shared, or what the manifest says).
            """)
    var layout: String?

    @Option(
        help: """
            Buffers of each rank, so that bytes are made or compared while others are moved; 1: one \
            after the other (default: 2 where the rank has several processors, otherwise 1).
            """)
    var queueDepth: String?

    @Option(help: "Write the operations as a table to this CSV file too.")
    var csv: String?

    var given: [(OptionKey, String?)] {
        transfer.given + placement.given + [
            (.progress, progress), (.watchdog, watchdog), (.timeLimit, timeLimit),
            (.access, io), (.direct, direct?.description), (.layout, layout),
            (.queueDepth, queueDepth), (.csv, csv),
        ]
    }
}

/// How a file is written.
struct WriteOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The file to write; its manifest is FILE.dgen.json.")
    var output: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Write with collective MPI-IO calls, and read back what they stored (default: no).")
    var collective: Bool?

    @Option(
        help: "Cut the data set to that many segments, and deal each to the ranks (default: 1).")
    var segments: String?

    @Flag(
        inversion: .prefixedNo,
        help: "The transfers of all ranks take turns in the file (default: no).")
    var strided: Bool?

    @Option(help: "Each rank's transfers in sequential or random order (default: sequential).")
    var order: String?

    @Option(
        help: """
            When data goes to stable storage while the clock runs: none, end or each (after each \
            transfer) (default: end).
            """)
    var sync: String?

    @Option(name: .customLong("hint"), help: "An MPI-IO hint, KEY=VALUE; may be repeated.")
    var hint: [String] = []

    @Option(help: "Read hints from a file, KEY=VALUE or KEY VALUE a line; --hint goes before it.")
    var hintsFile: String?

    @Option(help: "Stripes of the file, -1 for all targets: by lfs on Lustre, and as a hint.")
    var stripeCount: String?

    @Option(help: "Bytes of a stripe, a multiple of 64KiB; also the default of --align.")
    var stripeSize: String?

    @Flag(inversion: .prefixedNo, help: "Replace an existing file (default: no).")
    var overwrite: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: "Refuse when the file system has less room than the data set (default: yes).")
    var spaceCheck: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: "Have the file system reserve the room before the first byte (default: no).")
    var preallocate: Bool?

    var given: [(OptionKey, String?)] {
        [
            (.output, output), (.collective, collective?.description),
            (.overwrite, overwrite?.description), (.spaceCheck, spaceCheck?.description),
            (.preallocate, preallocate?.description), (.segments, segments),
            (.strided, strided?.description), (.order, order), (.sync, sync),
            (.hintsFile, hintsFile), (.stripeCount, stripeCount), (.stripeSize, stripeSize),
        ]
    }
}

struct GenerateCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Write a data set into one shared file (the default).")

    @Flag(
        inversion: .prefixedNo,
        help: """
            Finish a file that an earlier run did not: what is right stays, what is not is written; from \
            the start where there is no file (default: no).
            """)
    var resume: Bool?

    @OptionGroup(title: "File") var write: WriteOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var hint: [String] { write.hint }
    var given: [(OptionKey, String?)] {
        write.given + spec.given + run.given + result.given + [(.resume, resume?.description)]
    }

    func run(_ job: Job) throws -> ExitStatus {
        // Where no subcommand is named, the job file may say what to do.
        let isNamed = Main.words.dropFirst().first == Self.configuration.commandName
        switch isNamed ? .generate : job.settings.operation ?? .generate {
        case .generate: return try Generate.run(job)
        case .verify: return try Verify(job).run()
        case .repair: return try Repair(job).run()
        case .test: return try FileTest(job).run()
        }
    }
}

/// Which blocks are looked at, and what damage is told by.
struct DamageOptions: ParsableArguments {
    @Option(
        help: """
            The seed of a data set that may have been in the file before, so that its bytes are known; may be \
            repeated.
            """)
    var alsoKnown: [String] = []
}

struct VerifyCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Regenerate a data set and compare a file with it.",
        discussion: """
            What the file should hold is read from its manifest, FILE.dgen.json; options go before it. \
            Without a manifest give --size, --seed and whatever else was not left at its default.
            """)

    @Argument(help: "The file to verify.")
    var path: String?

    @Option(
        help: "Look at this part of the blocks only, drawn at random: 0.01 or 1% (default: all).")
    var sample: String?

    @Option(help: "Look at so many blocks only, drawn at random (default: all).")
    var blocks: String?

    @Option(help: "What decides which blocks (default: drawn at random and printed).")
    var sampleSeed: String?

    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var alsoKnown: [String] { damage.alsoKnown }
    var given: [(OptionKey, String?)] {
        spec.given + run.given + result.given + [
            (.output, path), (.sample, sample), (.blocks, blocks), (.sampleSeed, sampleSeed),
        ]
    }

    func run(_ job: Job) throws -> ExitStatus { try Verify(job).run() }
}

struct RepairCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Write what differs from its specification anew, and leave the rest.",
        discussion: """
            What the file should hold is read from its manifest, FILE.dgen.json, or given as options, as for \
            verify. What was written is read again. A file that an interrupted run left is finished, with \
            any number of ranks.
            """)

    @Argument(help: "The file to repair.")
    var path: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Refuse when the file system has less room than is missing (default: yes).")
    var spaceCheck: Bool?

    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var alsoKnown: [String] { damage.alsoKnown }
    var given: [(OptionKey, String?)] {
        spec.given + run.given + result.given + [
            (.output, path), (.spaceCheck, spaceCheck?.description),
        ]
    }

    func run(_ job: Job) throws -> ExitStatus { try Repair(job).run() }
}

struct TestCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Write, read back and verify a file over and over, with statistics.",
        discussion: """
            Each rank reads what a rank on another node wrote, where there are several nodes. The file is \
            removed afterwards, unless it differs from its specification or --keep is given.
            """)

    @Option(help: "What is done, in this order: write,read,verify (the default) or a part of it.")
    var phases: String?

    @Option(name: .customLong("repeat"), help: "How often (default: 1).")
    var repetitions: String?

    @Option(help: "How often before that, without being counted (default: 0).")
    var warmUp: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Write a new file each time, not the same one over (default: yes).")
    var freshFile: Bool?

    @Flag(inversion: .prefixedNo, help: "Leave the file there (default: no).")
    var keep: Bool?

    @Option(
        help: """
            Who reads what: shift (what the next node wrote), shuffle or same (what it wrote itself) \
            (default: shift).
            """)
    var readOrder: String?

    @Option(help: "What shuffle deals by (default: 0).")
    var shuffleSeed: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Ask each node to forget the file before it is read (default: no).")
    var dropCache: Bool?

    @OptionGroup(title: "File") var write: WriteOptions
    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var hint: [String] { write.hint }
    var alsoKnown: [String] { damage.alsoKnown }
    var given: [(OptionKey, String?)] {
        write.given + spec.given + run.given + result.given + [
            (.phases, phases), (.repetitions, repetitions), (.warmUp, warmUp),
            (.freshFile, freshFile?.description), (.keep, keep?.description),
            (.readOrder, readOrder), (.shuffleSeed, shuffleSeed),
            (.dropCache, dropCache?.description),
        ]
    }

    func run(_ job: Job) throws -> ExitStatus { try FileTest(job).run() }
}

struct PlanCommand: ParsableCommand, RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Print shards, blocks and the expected stored size; touches nothing.")

    @OptionGroup(title: "Data") var spec: SpecOptions

    @Option(name: .shortAndLong, help: "Ranks to plan for (default: 1).")
    var ranks: String?

    @OptionGroup var transfer: TransferOptions
    @OptionGroup(title: "Result") var output: ResultOptions

    var job: String? { output.job }
    var given: [(OptionKey, String?)] {
        spec.given + transfer.given + output.given + [(.ranks, ranks)]
    }

    func result(_ settings: Settings) throws -> (table: Table, json: any Encodable) {
        let plan = try Plan(settings)
        return (plan.table, plan)
    }
}

struct InfoCommand: ParsableCommand, RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Print version, kernels, processors, memory nodes and the MPI library.",
        discussion: """
            With --threads, --numa or --numa-node it also fills a buffer as a run with these options \
            would, and prints where threads and pages are then.
            """)

    @Option(help: "Read memory nodes from a copy of another machine's /sys and /proc.")
    var sysRoot = "/"

    @OptionGroup(title: "Placement") var placement: PlacementOptions
    @OptionGroup(title: "Result") var output: ResultOptions

    var job: String? { output.job }
    var given: [(OptionKey, String?)] { placement.given + output.given }

    func result(_ settings: Settings) throws -> (table: Table, json: any Encodable) {
        let info = try Info(settings, root: sysRoot)
        return (info.table, info)
    }
}

struct BenchCommand: ParsableCommand, RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast bytes are made in memory; no file, no MPI.",
        discussion: """
            Every combination of the lists is measured, with memset and memcpy beside it; a list is \
            given as 64KiB,1MiB. Rates are medians over the repeats, in GB/s (10^9 bytes per second).
            """)

    @Option(help: "What to time: fill, compare, random (default: all three).")
    var operations: String?

    @Option(help: "Kernels (default: all that this machine can run, or DGEN_KERNEL).")
    var kernels: String?

    @Option(help: "Numbers of threads (default: 1 and the processors of this process).")
    var threads: String?

    @Option(help: "Sizes of the buffer, 1 to 1GiB (default: 100,4KiB,64KiB,1MiB,256MiB).")
    var bufferSizes: String?

    @Option(help: "Compress ratios (default: 1,2,4,10).")
    var compressRatios: String?

    @Option(help: "Dedup ratios (default: 1,2).")
    var dedupRatios: String?

    @Option(name: .customLong("repeat"), help: "Rounds over all cases, 1 to 1000 (default: 7).")
    var repeats: String?

    @Option(help: "Milliseconds for a case in each round, 1 to 10000 (default: 10).")
    var milliseconds: String?

    @OptionGroup(title: "Result") var output: ResultOptions

    var job: String? { output.job }
    var given: [(OptionKey, String?)] { output.given }

    func result(_ settings: Settings) throws -> (table: Table, json: any Encodable) {
        let bench = try Bench(BenchOptions(self, settings))
        return (bench.table, bench)
    }
}
