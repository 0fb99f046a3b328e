// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of options. From a row come what is read and refused, the help, job files and their schema, what `dgen new`
// writes, the reference page, and what Python accepts. `Program` parses the command line by declarations of its own, which
// a test compares with the rows.

package import Checksums
package import DataGen
package import NUMA

extension [Command] {
    fileprivate static let all = Command.allCases
    fileprivate static let ofData = ofFiles + [.plan]
    /// All that say what the bytes are.
    fileprivate static let ofSpec = ofData + [.checksum]
    /// All that ranks do together.
    fileprivate static let ofRuns = ofFiles + [.checksum]
    fileprivate static let ofFiles: [Command] = [.generate, .verify, .repair, .update, .test]
    fileprivate static let ofWriting: [Command] = [.generate, .test]
    fileprivate static let ofStoring = ofWriting + [.update]
    fileprivate static let ofPlacement: [Command] = ofRuns + [.info]
}

/// Options that are about the same.
package struct OptionTopic: Sendable {
    package let title: String
    package let about: String
    package let rows: [OptionRow]
}

extension OptionRow {
    /// The rows of all commands but `bench`, in the order in which people are told of them.
    package static let topics = [
        OptionTopic(title: "Job", about: "What is done.", rows: [.jobName, .operation]),
        OptionTopic(
            title: "Data", about: "What the bytes are. Only these options change them.",
            rows: [
                .size, .seed, .profile, .dedupRatio, .compressRatio, .dedupUnit, .compressUnit,
                .fill, .copies, .zeros, .compressMix, .run, .change, .generation, .by,
            ]),
        OptionTopic(
            title: "File", about: "The file, and how it is written.",
            rows: [
                .output, .layout, .segments, .strided, .order, .collective, .sync, .acknowledge,
                .hint, .hintsFile, .stripeCount, .stripeSize, .overwrite, .device, .manifest,
                .resume, .spaceCheck, .preallocate,
            ]),
        OptionTopic(
            title: "Verification", about: "What is looked at, and what damage is explained by.",
            rows: [
                .sample, .blocks, .sampleSeed, .from, .to, .consistent, .acknowledged, .alsoKnown,
            ]),
        OptionTopic(
            title: "Checksums",
            about:
                "Which checksums are computed, and of what. `checksum` says of any part of the data.",
            rows: [.checksum, .algorithm, .offset, .length, .partSize]),
        OptionTopic(
            title: "Test", about: "What `test` does.",
            rows: [
                .phases, .repetitions, .warmUp, .freshFile, .keep, .readOrder, .shuffleSeed,
                .dropCache, .readers, .consistency, .reads,
            ]),
        OptionTopic(
            title: "Run", about: "How a run goes about it.",
            rows: [
                .access, .direct, .transferSize, .align, .queueDepth, .threads, .numa, .numaNode,
                .timeLimit, .watchdog,
            ]),
        OptionTopic(
            title: "Result", about: "What a run leaves behind.",
            rows: [.report, .csv, .progress, .verbose, .quiet]),
        OptionTopic(
            title: "Launch", about: "How the ranks are started.",
            rows: [
                .ranks, .nodes, .ranksPerNode, .launcher, .launcherArguments, .program,
                .workingDirectory, .modules, .setup, .environment,
            ]),
        OptionTopic(
            title: "Batch", about: "What a batch system is told.",
            rows: [.stopBefore, .account, .partition, .directives]),
    ]

    /// All of them.
    package static let all = topics.flatMap(\.rows)

    /// Those that a profile may give: what data is composed of.
    package static let ofProfile: [OptionRow] = [
        .dedupUnit, .compressUnit, .fill, .copies, .zeros, .compressMix, .run, .change,
    ]

    /// The lists of `bench`, some of which have the name of an option of other commands.
    package static let ofBench = OptionTopic(
        title: "Bench", about: "What `bench` measures: every combination of the lists.",
        rows: [
            .benchOperations, .benchKernels, .benchThreads, .benchBufferSizes,
            .benchCompressRatios, .benchDedupRatios, .benchSets, .benchRepeats,
            .benchMilliseconds,
        ])

    /// What a command takes from a job file and the environment, be it that it only checks it.
    package static func rows(of command: Command?) -> [OptionRow] {
        guard command == .bench else { return all }
        return ofBench.rows + all.filter { !ofBench.rows.contains($0) }
    }

    // Data
    package static let size = Setting(
        "size", .size(), otherwise: "required, or from the manifest", short: "s",
        help: "Length of the data set.", example: "1.5GiB", of: .ofSpec)
    package static let seed = Setting(
        "seed", .seed, otherwise: "drawn at random and printed, or from the manifest",
        help: "Seed of the data set. Another seed makes other bytes that share nothing with these.",
        example: "42", of: .ofSpec)
    package static let profile = Setting(
        "profile", .profile, otherwise: "none",
        help: """
            What measured data is composed of, by name or from a YAML file. That has units, fill, copies, zeros, \
            compress_mix, run and change. What is given elsewhere goes before it, and it goes before a manifest.
            """, example: "archive", of: .ofSpec)
    package static let dedupRatio = Setting(
        "dedup_ratio", .ratio, otherwise: "1, or from the manifest",
        accepted: "1 to 1000000, at most 3 decimals",
        help: "Logical blocks per distinct block.", example: "2.5", of: .ofSpec)
    package static let compressRatio = Setting(
        "compress_ratio", .ratio, otherwise: "1, or from the manifest",
        accepted: "1 to 64 for a grain of 1024 bytes, more for a larger one, at most 3 decimals",
        help: "Bytes per compressed byte.", example: "1.5", of: .ofSpec)
    package static let dedupUnit = Setting(
        "dedup_unit", .size(), otherwise: "1MiB, or from the manifest",
        accepted: "a multiple of 512 up to 1 GiB",
        help: "Length of a block, the unit of deduplication.", example: "64KiB", of: .ofSpec)
    package static let compressUnit = Setting(
        "compress_unit", .size(),
        otherwise: "1024 (512 if 1024 does not divide the block), or from the manifest",
        accepted: "a multiple of 64 from 512 to 65536 that divides the block",
        help: "Length of a grain, the unit of compression.", example: "4096", of: .ofSpec)
    package static let fill = Setting(
        "fill", Kind<DataSpec.Fill>.choice(), otherwise: "backref, or from the manifest",
        help: "The compressible part of each grain: a repetition of its beginning, or zeros.",
        example: "zeros", of: .ofSpec)
    package static let copies = Setting(
        "copies", listOf: .copyClass, shape: .joined, most: Composition.classesMax,
        otherwise: "dedup_ratio for all blocks that are not zeros, or from the manifest",
        accepted: "COPIES:SHARE, separated by commas; 32 classes at most",
        help: """
            Contents that several blocks hold, as `2:29.27%,3:1.95%`. So many copies each, in such a share of all \
            blocks; what is left is unique. Not with `dedup_ratio`.
            """, example: "['2:29.27%', '3:1.95%']", of: .ofSpec)
    package static let zeros = Setting(
        "zeros", .share, otherwise: "none, or from the manifest",
        help: "Share of the blocks that are zeros.", example: "5%", of: .ofSpec)
    package static let compressMix = Setting(
        "compress_mix", listOf: .compressClass, shape: .joined, most: Composition.classesMax,
        otherwise: "compress_ratio for all contents, or from the manifest",
        accepted: "RATIO:SHARE, separated by commas; 32 classes at most, 100% together",
        help: """
            Contents that compress differently, as `1:30%,2:50%,4:20%`. Not with `compress_ratio`.
            """, example: "['1:30%', '2:70%']", of: .ofSpec)
    package static let run = Setting(
        "run", .number(1...Composition.copiesMax), otherwise: "1, or from the manifest",
        help: "Blocks that stay neighbours when blocks are scattered over the data set.",
        example: "16", of: .ofSpec)
    package static let change = Setting(
        "change", listOf: .ring, shape: .joined, most: Composition.ringsMax,
        otherwise: "nothing changes, or from the manifest",
        accepted: "RATE, or SHARE:RATE separated by commas; 8 at most",
        help: """
            What changes from one generation to the next, as `2%` or `10%:15%,90%:0.5%`. The latter is for \
            contents of which some change often and others seldom. All copies of a content change together.
            """, example: "['10%:15%', '90%:0.5%']", of: .ofSpec)
    package static let generation = Setting(
        "generation", .number(0...Composition.generationMax), otherwise: "0, or from the manifest",
        help: "How often the data set has changed. Above 0 only with `change`.", example: "7",
        of: .ofSpec)

    package static let by = Setting(
        "by", .number(1...Composition.generationMax), otherwise: "1 in a test",
        help: """
            How many generations an update goes on from the one that is there. Instead of `generation`, which is where it \
            ends.
            """, example: "1", of: [.update, .test])

    // File
    package static let output = Setting(
        "output", .dataPath, otherwise: "required", short: "o",
        help: """
            The data file. Its manifest is `FILE.dgen.json`. `verify`, `repair` and `update` take it as an \
            argument without a name. Also a block device, `/dev/null`, a pipe, or `-` for stdout.
            """, example: "/scratch/me/data", of: .ofRuns)
    package static let layout = Setting(
        "layout", Kind<FileLayout>.choice(), default: "shared",
        otherwise: "shared, or from the manifest",
        help: """
            One file, or one file for each rank: `FILE.00000000` and so on, each the shard of one rank. Not \
            `per-rank` with `collective`, `segments` or `strided`.
            """, example: "per-rank", of: .ofFiles)
    package static let segments = Setting(
        "segments", .number(1...1 << 40), default: "1",
        help: """
            Cut the data set into that many segments, and deal each to all ranks, as IOR's `-s` does. Not \
            with `strided`.
            """, example: "4", of: .ofWriting)
    package static let strided = Setting(
        flag: "strided", help: "The transfers of all ranks take turns in the file.", of: .ofWriting)
    package static let order = Setting(
        "order", Kind<Order>.choice(), default: "sequential",
        help: "The order of each rank's transfers; `random` goes by `shuffle_seed`.",
        example: "random", of: .ofWriting)
    package static let collective = Setting(
        flag: "collective",
        help: "Collective MPI-IO calls. What they wrote is read back. With `io: mpi` only.",
        of: .ofStoring)
    package static let sync = Setting(
        "sync", .sync, default: "end",
        help: """
            When data goes to stable storage while the clock runs. Once at the end, after each transfer of a \
            rank or every so many of them, or not at all (then afterwards).
            """, example: "each", of: .ofStoring)
    package static let acknowledge = Setting(
        "acknowledge", .path("a folder"), otherwise: "nothing is acknowledged",
        help: """
            A folder in which each rank counts what `sync` has made durable. It should be on another file system. \
            `verify` with `acknowledged` demands what is counted. Each update needs a folder of its own.
            """, example: "/home/me/counters", of: [.update])
    package static let hint = Setting(
        "hint", listOf: .hint, shape: .pairs, accepted: "`KEY=VALUE`; may be repeated",
        help: """
            An MPI-IO hint. A job file has a mapping of keys to values; the environment has a list with \
            commas. With `io: mpi` only.
            """, example: "{striping_factor: 4}", of: .ofStoring)
    package static let hintsFile = Setting(
        "hints_file", .path("a file"), accepted: "a file; `KEY=VALUE` or `KEY VALUE` a line",
        help: "Hints from a file. `hint` overrides them.", example: "hints.txt", of: .ofStoring)
    package static let stripeCount = Setting(
        "stripe_count", .number(-1...2000), otherwise: "the file system's",
        accepted: "-1 (all targets) to 2000",
        help: "Stripes of the file: set by `lfs` on Lustre, and passed on as a hint.", example: "4",
        of: .ofWriting)
    package static let stripeSize = Setting(
        "stripe_size",
        .size(1...(1 << 32) - 1, unit: 64 << 10, accepted: "a multiple of 64 KiB below 4 GiB"),
        otherwise: "the file system's",
        help: "Length of a stripe. It is also the default of `align`.", example: "4MiB",
        of: .ofWriting)
    package static let overwrite = Setting(
        flag: "overwrite", help: "Replace an existing file, and the manifest beside it.",
        of: .ofWriting)
    package static let device = Setting(
        flag: "device",
        help: """
            The output is a block device, whose contents go. Refused where it is in use, and without `overwrite` \
            where not all that is looked at is zero.
            """, of: [.generate, .test, .repair, .update])
    package static let manifest = Setting(
        "manifest", .path("a file"),
        otherwise: "`FILE.dgen.json` beside a file; none for a device or a stream",
        help: """
            Where the manifest of a device or a stream is. A file that is written has its own beside it.
            """, example: "disk.dgen.json", of: .ofRuns)
    package static let resume = Setting(
        flag: "resume",
        help: """
            Finish what an earlier run left, as its manifest says: what is right stays. Starts from the \
            beginning if there is no file. An update is gone through once more.
            """, of: [.generate, .update])
    package static let spaceCheck = Setting(
        flag: "space_check", isOn: true,
        help: """
            Refuse if the file system has less room than is needed. Say no for stores that reduce data.
            """, of: [.generate, .test, .repair])
    package static let preallocate = Setting(
        flag: "preallocate", help: "Have the file system reserve the room before the first byte.",
        of: .ofWriting)

    // Verification
    package static let sample = Setting(
        "sample", .part, otherwise: "all blocks",
        help: "Look at this part of the blocks only, drawn at random. Not with `blocks`.",
        example: "1%", of: [.verify])
    package static let blocks = Setting(
        "blocks", .number(1...Int.max), otherwise: "all blocks",
        help: "Look at so many blocks only, drawn at random.", example: "1000", of: [.verify])
    package static let sampleSeed = Setting(
        "sample_seed", .draw, otherwise: "drawn at random and printed",
        help: "Decides which blocks a sample takes.", example: "1", of: [.verify])
    package static let from = Setting(
        "from", .number(0...Composition.generationMax), otherwise: "one generation only",
        help: """
            Accept each block as it was in any generation from this one to `to`. For data in the midst of an update. Only with \
            `change`, not with `sample` or `blocks`.
            """, example: "6", of: [.verify])
    package static let to = Setting(
        "to", .number(0...Composition.generationMax),
        otherwise: "`generation`, or from the manifest",
        help: "The last generation that is accepted. With `from` only.", example: "7",
        of: [.verify])
    package static let alsoKnown = Setting(
        "also_known", listOf: .seed, most: 64,
        accepted: "0 to 2^64 - 1; may be repeated, 64 at most",
        help: """
            Seed of a data set that may have been in the file before. Its bytes are recognised as `stale`. A job file has a list; the environment has a list with commas.
            """, example: "[41, 43]", of: [.verify, .repair, .test])

    // Checksums
    package static let checksum = Setting(
        "checksum",
        listOf: Kind<ChecksumAlgorithm>.choice(
            of: joinable, accepted: "a list of \(joinable.joined(separator: ", "))"),
        shape: .joined, otherwise: "none",
        accepted: "\(joinable.joined(separator: ", ")), separated by commas",
        help: """
            Checksums of the whole data set. `generate` computes them of the bytes that it writes, for manifest and report; \
            `verify` reads the file and compares nothing but them. Not with `resume`.
            """, example: "[crc64nvme, crc32c]", of: [.generate, .verify])
    package static let algorithm = Setting(
        "algorithm",
        listOf: Kind<ChecksumAlgorithm>.choice(
            accepted:
                "a list of \(ChecksumAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))"),
        shape: .joined, default: "crc64nvme",
        accepted:
            "\(ChecksumAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")), separated by commas",
        help: """
            What is computed. Of these `md5` and `sha256` cannot be joined, so that several ranks compute them only of parts.
            """, example: "[crc64nvme, md5]", of: [.checksum])
    package static let offset = Setting(
        "offset", .size(), default: "0", help: "Where the range begins that is summed up.",
        example: "1GiB", of: [.checksum])
    package static let length = Setting(
        "length", .size(), otherwise: "up to the end of the data set",
        help: "How long it is.", example: "1GiB", of: [.checksum])
    package static let partSize = Setting(
        "part_size", .size(1...Int.max), otherwise: "the range is one part",
        accepted: "64KiB, 1.5GiB, ...; at most \(ChecksumPlan.Parts.countMax) parts",
        help: "Length of each part of the range, as of an upload in parts.", example: "8MiB",
        of: [.checksum])

    /// Checksums of a whole that ranks can compute in parts.
    private static let joinable = ChecksumAlgorithm.allCases.filter { $0.code != nil }
        .map(\.rawValue)

    // Test
    package static let consistent = Setting(
        flag: "consistent",
        help: """
            Look at what an update that was cut off has written. It has to be a prefix of each rank's order, as far \
            as its sync points demand.
            """, of: [.verify])
    package static let acknowledged = Setting(
        "acknowledged", .path("a folder"), otherwise: "nothing is demanded",
        help: """
            The folder that an update had as `acknowledge`. Everything that its ranks have counted there has to be in \
            storage.
            """, example: "/home/me/counters", of: [.verify])
    package static let phases = Setting(
        "phases", listOf: Kind<Phase>.choice(accepted: "a list of write, update, read and verify"),
        shape: .joined, default: "write,read,verify",
        accepted:
            "`write`, `update`, `read`, `verify`, separated by commas; each as often as it is named",
        help: "What is done with the file, in this order. A job file may have a list.",
        example: "[write, read]", of: [.test])
    package static let repetitions = Setting(
        "repeat", .number(1...1_000_000), default: "1",
        help: "How often the phases are gone through.", example: "3", of: [.test])
    package static let warmUp = Setting(
        "warm_up", .number(0...1000), default: "0",
        help: "How often they are gone through before that, without being counted.", example: "1",
        of: [.test])
    package static let freshFile = Setting(
        flag: "fresh_file", isOn: true,
        help: "Write a new file each time. Say no to write the same file over.", of: [.test])
    package static let keep = Setting(
        flag: "keep", help: "Leave the file there.", of: [.test])
    package static let readOrder = Setting(
        "read_order", Kind<ReadOrder>.choice(), default: "shift",
        help: "Who reads what: what a rank on the next node wrote, any rank at random, or itself.",
        example: "shuffle", of: [.test])
    package static let shuffleSeed = Setting(
        "shuffle_seed", .draw, default: "0",
        help: """
            Decides how `read_order: shuffle` deals, `order: random` shuffles, and where `readers` read.
            """,
        example: "1", of: [.test])
    package static let dropCache = Setting(
        flag: "drop_cache", help: "Ask each node to forget the file before it is read.",
        of: [.test])

    package static let readers = Setting(
        "readers", .number(1...1_000_000), otherwise: "all ranks write",
        help: """
            Ranks that read while the others update, and look at what they see. They are on other nodes than the \
            writers where possible. Fewer than all ranks, and not with `collective`.
            """, example: "2", of: [.test])
    package static let consistency = Setting(
        "consistency", Kind<VisibilityRule>.choice(), default: "posix",
        help: """
            What `readers` must see. That is writes that have returned, what was written to a file that was closed \
            before they open it, or what was brought to stable storage.
            """, example: "sync", of: [.test])
    package static let reads = Setting(
        "reads", .number(0...1_000_000_000), default: "1000",
        help: "How often each of the `readers` reads once everything is written.", example: "1000",
        of: [.test])

    // Run
    package static let access = Setting(
        "io", Kind<Access>.choice(), default: "mpi",
        otherwise: "mpi; posix for a device, a stream and `/dev/null`",
        help: "MPI-IO, or system calls of each rank.", example: "posix", of: .ofFiles)
    package static let direct = Setting(
        flag: "direct",
        help: """
            Go past the caches of the system (`O_DIRECT`). With `io: posix` only; transfers and alignment are \
            then multiples of 4096.
            """, of: .ofFiles)
    package static let transferSize = Setting(
        "transfer_size", .size(1...OptionLimits.transferBytes),
        default: "\(OptionLimits.transferBytesDefault >> 20)MiB", short: "t",
        help: "The most bytes of one call.", example: "4MiB", of: .ofData)
    package static let align = Setting(
        "align", .size(1...1 << 40), otherwise: "the stripe size if it is known, otherwise 1MiB",
        help: "Shard boundaries are multiples of this. The stripe size is a good choice.",
        example: "1MiB", of: .ofData)
    package static let queueDepth = Setting(
        "queue_depth", .number(1...64),
        otherwise: """
            2 if the rank has more than one CPU, otherwise 1; falls back to 1 at run time if generating on \
            another CPU turns out slower
            """,
        help:
            "Buffers of each rank, so that bytes are generated or compared while others are moved.",
        example: "2", of: .ofFiles)
    package static let threads = Setting(
        "threads", .number(1...4096),
        otherwise: "the rank's share of its processors, less one if transfers overlap generation",
        help: "Threads of each rank that generate bytes.", example: "4", of: .ofPlacement)
    package static let numa = Setting(
        "numa", Kind<Placement.Mode>.choice(), default: "auto",
        otherwise: "auto: where there are several memory nodes",
        help: "Keep threads and memory on memory nodes.", example: "force", of: .ofPlacement)
    package static let numaNode = Setting(
        "numa_node", .number(0...65535),
        accepted: "0 to 65535: a node with processors that the process may use",
        help: "Keep all of them on this memory node. Not with `numa: off`.", example: "0",
        of: .ofPlacement)
    package static let timeLimit = Setting(
        "time_limit", .duration,
        help: """
            Stop after this time with status 5. Batch scripts also take the limit of the job from it.
            """, example: "30m", of: .ofRuns)
    package static let watchdog = Setting(
        // Longer than a parallel file system takes to recover a server.
        "watchdog", .number(0...1_000_000), default: "900",
        accepted: "0 to 1000000 seconds; 0: no limit",
        help: """
            End the job if one step takes longer. Time in which the process is suspended does not count.
            """, example: "300", of: .ofRuns)

    // Result
    package static let report = Setting(
        "report", .path("a file, or - for stdout"), help: "Write the result as JSON.",
        example: "data.json", of: .all)
    package static let csv = Setting(
        "csv", .path("a file"), help: "Write the operations as a table for spreadsheets.",
        example: "data.csv", of: .ofFiles)
    package static let progress = Setting(
        "progress", Kind<ProgressStyle>.choice(), default: "auto",
        help: "Progress on stderr. `mpirun` hides the terminal, so give `bar` there.",
        example: "lines", of: .ofRuns)
    package static let verbose = Setting(
        flag: "verbose", short: "v", help: "Log what starts and ends; short for `DGEN_LOG=info`.",
        of: .all)
    package static let quiet = Setting(
        flag: "quiet", help: "No table, no progress, errors only.", of: .all)

    // Launch: what those who start a job are told. `plan` has the number of ranks too.
    package static let jobName = Setting(
        "name", .word, otherwise: "the name of the file",
        help: "What the job or campaign is called.", example: "my-campaign")
    package static let operation = Setting(
        "operation", Kind<Operation>.choice(), otherwise: "generate", help: "What the job does.",
        example: "generate")
    package static let ranks = Setting(
        "ranks", .number(1...1_000_000_000), default: "1", short: "r",
        help: "Ranks to plan for. In a job file also how many ranks `dgen` starts.", example: "4",
        of: [.plan])
    package static let nodes = Setting(
        "nodes", .number(1...1_000_000), help: "Nodes that the ranks are dealt to.", example: "2")
    package static let ranksPerNode = Setting(
        "ranks_per_node", .number(1...1_000_000), help: "Ranks on each node, at most.",
        example: "2")
    package static let launcher = Setting(
        "launcher", .launcher, otherwise: "mpirun",
        help: "The launcher; places of a command line: {ranks}, {nodes}, {ranks_per_node}.",
        example: "srun")
    package static let launcherArguments = Setting(
        "launcher_arguments", listOf: .line("a list of lines"), shape: .list,
        help: "More arguments of the launcher.", example: "[--oversubscribe]")
    package static let program = Setting(
        "program", .line(), otherwise: "dgen-mpi", help: "The program, if not `dgen-mpi`.",
        example: "/opt/dgen-mpi/bin/dgen-mpi")
    package static let workingDirectory = Setting(
        "working_directory", .line(), otherwise: "the folder that the job is started from",
        help: "Where relative paths begin.", example: "/scratch/me")
    package static let modules = Setting(
        "modules", listOf: .line("a list of lines"), shape: .list, help: "Modules to load.",
        example: "[openmpi]")
    package static let setup = Setting(
        "setup", listOf: .line("a list of lines"), shape: .list,
        help: "Lines of shell to run before, as they stand.", example: "['ulimit -n 4096']")
    package static let environment = Setting(
        mapping: "environment", help: "Variables to set.", example: "{OMPI_MCA_io: romio321}")
    package static let stopBefore = Setting(
        "stop_before", .duration,
        help: "How long before the limit the job is told to stop by itself.", example: "60s")
    package static let account = Setting(
        "account", .line(), help: "The account that pays.", example: "project")
    package static let partition = Setting(
        "partition", .line(), help: "The partition or queue.", example: "batch")
    package static let directives = Setting(
        "directives", listOf: .line("a list of lines"), shape: .list,
        help: "More options of the batch system.", example: "[--constraint=cpu]")

    // Bench
    package static let benchOperations = Setting(
        "operations", listOf: Kind<BenchOperation>.choice(accepted: "fill, compare, random"),
        shape: .joined, default: "fill,compare,random", help: "What to time.", example: "[fill]",
        of: [.bench])
    package static let benchKernels = Setting(
        "kernels",
        listOf: Kind<Kernel>.choice(
            of: Kernel.supported.map(\.rawValue),
            accepted: Kernel.supported.map(\.rawValue).joined(separator: ", ")),
        shape: .joined, otherwise: "all that this machine can run, or `DGEN_KERNEL`",
        accepted: "a list of those that this machine can run", help: "Kernels to measure.",
        example: "[scalar]", of: [.bench])
    package static let benchThreads = Setting(
        "threads", listOf: .number(1...4096), shape: .joined,
        otherwise: "1 and the processors of this process", help: "Numbers of threads.",
        example: "[1, 2]", of: [.bench])
    package static let benchBufferSizes = Setting(
        "buffer_sizes", listOf: .size(1...1 << 30), shape: .joined,
        default: "100,4KiB,64KiB,1MiB,256MiB", help: "Sizes of the buffer.", example: "[1MiB]",
        of: [.bench])
    package static let benchCompressRatios = Setting(
        "compress_ratios", listOf: .ratio, shape: .joined, default: "1,2,4,10",
        help: "Compress ratios.", example: "[1, 1.5]", of: [.bench])
    package static let benchDedupRatios = Setting(
        "dedup_ratios", listOf: .ratio, shape: .joined, default: "1,2", help: "Dedup ratios.",
        example: "[1, 2]", of: [.bench])
    package static let benchSets = Setting(
        "sets", listOf: Kind<BenchSet>.choice(accepted: "stream, scattered, small, mixed"),
        shape: .joined, default: "stream",
        help: """
            Kinds of data: version 1, scattered blocks of 4 KiB, of 512 bytes, and blocks of 4 KiB with copies, \
            zeros and several ratios.
            """, example: "[stream, mixed]", of: [.bench])
    package static let benchRepeats = Setting(
        "repeat", .number(1...1000), default: "7", help: "Rounds over all cases.", example: "3",
        of: [.bench])
    package static let benchMilliseconds = Setting(
        "milliseconds", .number(1...10000), default: "10",
        help: "Milliseconds for a case in each round.", example: "10", of: [.bench])
}
