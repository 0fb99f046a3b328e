// SPDX-License-Identifier: MIT OR Apache-2.0
// Options that several commands have. Values stay texts here; Settings reads them.

import ArgumentParser

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

/// Which blocks are looked at, and what damage is told by.
struct DamageOptions: ParsableArguments {
    @Option(
        help: """
            The seed of a data set that may have been in the file before, so that its bytes are known; may be \
            repeated.
            """)
    var alsoKnown: [String] = []
}
