// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Logging
import MPI
import NUMA

/// What all commands under MPI have in common: one run of all ranks over one shared file.
final class Job {
    let session: Session
    let settings: Settings
    let watchdog: Watchdog
    let logger = Logger(label: "command")
    let mpiLogger = Logger(label: "mpi")
    private let generatorLogger = Logger(label: "generator")
    /// The most bytes of one MPI-IO call.
    let transferSize: Int
    let hints: [(key: String, value: String)]
    /// How files are written and read.
    let access: Access
    /// Whether the system's caches are passed by.
    private let isDirect: Bool
    let isQuiet: Bool
    let kernel: Kernel
    /// Buffers of each rank, at most, so that bytes are made or compared while others are moved.
    let queueDepth: Int
    /// Whether bytes may be made between transfers where that is faster: nobody asked for something else, and transfers
    /// keep the processor busy.
    private let mayMakeAlone: Bool
    /// Threads that make bytes, at most.
    let threads: Int
    /// Whether a thread may wait awake and take no processor from another.
    private let hasSpareProcessor: Bool
    /// Puts those threads and their memory on memory nodes.
    private let placer: Placer
    private let buffers = TransferBuffers()
    /// How long this thread takes to fill one of them.
    private var fillNanoseconds = 0
    private var generator: ParallelGenerator?
    var report = Report()

    private let progressStyle: Progress.Style
    private let reportPath: String?
    private let sums: Ranks
    private let rollCall: RollCall
    private var result: Table?

    /// A hint that no library knows: one that reports it repeats what it is given.
    private static let probe = (key: "dgen_mpi_no_such_hint", value: "1")
    /// The default of `--transfer-size`, the fastest of those that `make bench` compares.
    static let transferSizeDefault = 1 << 20
    /// The default of `--queue-depth` of a rank with so many processors: with none to spare, overlap only costs.
    static func queueDepthDefault(processors: Int) -> Int { processors > 1 ? 2 : 1 }
    /// The default of `--threads`: where bytes are moved meanwhile, that takes a processor of its own.
    static func threadsDefault(processors: Int, queueDepth: Int) -> Int {
        queueDepth > 1 ? max(1, processors - 1) : processors
    }
    /// How long a thread that makes bytes waits awake, where the rank has several processors: longer, and waking it is
    /// little beside the transfer that it waits for.
    private static let awakeNanoseconds = 2_000_000
    /// The default of `--align`.
    static let alignDefault = 1 << 20
    /// The default of `--watchdog`: longer than a parallel file system takes to recover a server.
    static let watchdogSecondsDefault = 900
    /// How long other ranks have to answer once a failure is known; less where the watchdog has less patience.
    private static let answerSecondsMax = 120.0

    /// Reads the options that all operations share; the same on every rank; collective.
    ///
    /// - Parameters:
    ///   - session: the ranks.
    ///   - settings: the options.
    ///   - reportPath: what ``Report/destination(_:)`` gives.
    /// - Throws: `InvalidField` for the first option that is wrong.
    init(_ session: Session, _ settings: Settings, reportPath: String?) throws {
        self.session = session
        self.settings = settings
        let world = session.world
        isQuiet = try settings.flag(.quiet, default: false)
        transferSize = try settings.transferSize()
        hints = try settings.hints()
        (access, isDirect) = try settings.access()
        // Each node has processors of its own.
        kernel = try session.together { try settings.kernel() }
        let share = try session.threadShare()
        // Who asks for one thread has one processor in mind.
        let processors = try settings.threads(default: share)
        let askedDepth = try settings.queueDepth()
        queueDepth = askedDepth ?? Self.queueDepthDefault(processors: processors)
        mayMakeAlone = askedDepth == nil && !isDirect
        threads = try settings.threads(
            default: Self.threadsDefault(processors: share, queueDepth: queueDepth))
        hasSpareProcessor = processors > 1
        let threads = threads
        placer = Placer(
            try session.together {
                try settings.placement(threads: threads, topology: Topology())
            }, logger: logger)
        progressStyle = try settings.progressStyle()
        self.reportPath = reportPath
        let limit = try settings.watchdogSeconds()
        if let seconds = try settings.timeLimitSeconds() {
            Interruption.stop(afterSeconds: seconds)
        }
        watchdog = Watchdog(place: "rank \(world.rank) on \(session.host)", limitSeconds: limit)
        session.watchdog = watchdog
        sums = try world.duplicate()
        let hosts = try world.combine(Array(session.host.utf8) + [UInt8(ascii: "\n")]) { $0 + $1 }
        rollCall = RollCall(
            on: sums,
            hosts: hosts.split(separator: UInt8(ascii: "\n")).map {
                String(decoding: $0, as: UTF8.self)
            },
            watchdog: watchdog,
            limitSeconds: min(Self.answerSecondsMax, 0.75 * Double(limit)))
        session.rollCall = rollCall
        report.mpi = Report.Launch(
            library: MPIRuntime.libraryVersion, ranks: world.size, nodes: session.nodeCount,
            ranksPerNode: session.ranksPerNode)
        report.threadsPerRank = try world.allReduce(threads, .maximum)
        report.kernel = kernel.rawValue
        report.access = access.rawValue
        report.direct = isDirect
        report.queueDepth = try world.allReduce(queueDepth, .maximum)
        report.hints = Report.Hints(
            requested: Dictionary(hints.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
        logger.info(
            "\(world.size) ranks on \(session.nodeCount) nodes, \(MPIRuntime.libraryVersion)")
    }

    /// Runs `operation` on all ranks and reports how it ended; collective.
    ///
    /// The report exists, valid, from before the first byte on: should the job be killed, it says so.
    func run(_ operation: (Job) throws -> ExitStatus) -> ExitStatus {
        var status: ExitStatus
        var message: String?
        var isReporting = true
        if session.isRoot, let reportPath {
            rollCall.last = { [unowned self] failure in
                report.end(failure.status, error: failure.message)
                // The job ends by what is told then; a report that cannot be written changes nothing.
                try? report.write(to: reportPath)
            }
        }
        do {
            do {
                try writeReport(to: reportPath == "-" ? nil : reportPath)
            } catch {
                isReporting = false
                throw error
            }
            status = try operation(self)
        } catch {
            let failure = Failure(error)
            (status, message) = (failure.status, failure.message)
        }
        if session.isRoot, access == .mpi, reportPath != nil, let fileSystem = report.fileSystem {
            // A fifth of a second, so only for a report, and not while an operation is timed.
            report.mpi?.ioComponent = IOComponents().used(on: fileSystem)
        }
        report.end(status, error: message)
        if let message { complain(message) }
        do {
            if isReporting { try writeReport(to: reportPath) }
            let report = report
            try session.onRoot {
                guard let path = try settings.csvPath() else { return }
                try FileSystem.replace(path, with: Array(OperationsTable.text(report).utf8))
            }
            // After the report: it must not be lost with a reader of stdout that went away.
            try session.onRoot {
                if let result { try StandardOutput.write(result.text.utf8) }
            }
        } catch {
            if message == nil { complain(Failure(error).message) }
            if status == .done { status = Failure(error).status }
        }
        return status
    }

    private func complain(_ message: String) {
        if session.isRoot { StandardError.write("dgen-mpi: error: \(message)\n") }
    }

    private func writeReport(to path: String?) throws {
        let report = report
        try session.onRoot {
            if let path { try report.write(to: path) }
        }
    }

    /// Keeps a result for people, to be printed by rank 0 at the end unless stdout is for the report.
    func show(_ table: Table) {
        if session.isRoot, !isQuiet, reportPath != "-" { result = table }
    }

    /// Adds how many ranks there are, and on how many nodes.
    func addRanks(to table: inout Table) {
        table.row(
            "ranks",
            "\(session.world.size) on \(session.nodeCount) "
                + (session.nodeCount == 1 ? "node" : "nodes"))
    }

    /// Adds who did an operation, and how fast.
    func addRates(of operation: Report.Operation, to table: inout Table) {
        addRanks(to: &table)
        table.row(
            "bandwidth",
            "\(ByteSize.format(Int(operation.bytesPerSecond)))/s (\(operation.seconds.fixed(3)) s)")
    }

    /// The sums that ranks tell each other during an operation.
    func transfers(title: String, totalBytes: Int) -> Agreement {
        let progress =
            session.isRoot ? Progress(progressStyle, title: title, totalBytes: totalBytes) : nil
        return Agreement(
            on: sums, watchdog: watchdog, rollCall: rollCall, progress: progress)
    }

    /// What makes the bytes of `spec` on this rank, its threads on their memory nodes.
    func generator(_ spec: DataSpec) -> ParallelGenerator {
        if let generator, generator.spec == spec { return generator }
        let placer = placer
        placer.pin(thread: 0)
        let new = ParallelGenerator(
            spec, threads: threads, kernel: kernel, logger: generatorLogger,
            prepare: placer.pin(thread:))
        logger.debug("kernel \(kernel.rawValue), \(new.threadCount) threads")
        generator = new
        return new
    }

    /// Buffers for batches, each part of them on the node of the thread that makes it.
    private func transferBuffers(
        _ batches: Batches, _ spec: DataSpec, _ depth: Int
    ) throws -> [UnsafeMutableRawBufferPointer] {
        let generator = generator(spec)
        let (count, bytes) = (min(depth, max(batches.count, 1)), batches.bufferBytes)
        return try buffers.take(count, bytes: bytes, sharers: session.node.size) { buffer in
            placer.place(buffer, parts: generator.parts(of: buffer.count))
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            // Once, so that threads and tables are there.
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(bytes, spec.size)])
            generator.fill(part, at: 0)
            let clock = Stopwatch()
            generator.fill(part, at: 0)
            fillNanoseconds = clock.elapsedNanoseconds
            logger.debug("a buffer of \(bytes) bytes, filled in \(fillNanoseconds) ns")
        }
    }

    /// How files are accessed, for people.
    var accessName: String {
        access == .mpi ? "MPI-IO" : isDirect ? "POSIX with O_DIRECT" : "POSIX"
    }

    /// Opens the files of a data set on all ranks, or on none; collective.
    ///
    /// Where each rank has a file, it opens its own for writing now, and others for reading when it needs them.
    func open(_ files: FileSet, _ mode: SharedFile.Mode) throws -> any DataFile {
        let world = session.world
        // Open MPI's own component crashes where the folder is gone, as one that was removed while the run was in it.
        try session.together { try FileSystem.requireFolder(of: files.path) }
        guard files.layout == .shared else {
            let alone = try Ranks.alone()
            let shards = ShardFiles(files.shards, rank: world.rank, of: world.size) { shard in
                let path = files.path(of: shard)
                let state = try FileSystem.state(path)
                guard state != nil || mode == .update else {
                    throw Failure(.inputOutput, "\(path): no such file")
                }
                // A pipe would be waited for.
                guard state?.isRegular ?? true else {
                    throw Failure(.inputOutput, "\(path): not a regular file")
                }
                return state?.size ?? 0
            } open: { [self] shard in
                let path = files.path(of: shard)
                if access == .posix, mode != .read {
                    try PosixFile.create(path, isNew: mode == .createNew)
                }
                return try open(path, mode, on: alone)
            }
            try session.together {
                if mode == .createNew || mode == .createOrOpen {
                    try shards.open(shard: world.rank)
                }
            }
            return shards
        }
        if access == .posix, mode != .read {
            try session.onRoot {
                try PosixFile.create(files.path, isNew: mode == .createNew)
            }
        }
        return try session.together { try open(files.path, mode, on: world) }
    }

    private func open(
        _ path: String, _ mode: SharedFile.Mode, on ranks: Ranks
    ) throws -> any DataFile {
        try watchdog.during(.open) {
            guard access == .mpi else {
                return try PosixFile(path, mode, isDirect: isDirect)
            }
            do {
                return try ranks.lend { communicator throws(MPIError) in
                    try SharedFile(
                        path, mode, hints: hints.isEmpty ? [] : hints + [Self.probe],
                        on: communicator, logger: mpiLogger)
                }
            } catch {
                // Libraries have no words for much of what the system may say.
                let flags =
                    switch mode {
                    case .read: O_RDONLY
                    case .update: O_RDWR
                    case .createNew, .createOrOpen: O_WRONLY
                    }
                throw FileSystem.reasonNotToOpen(path, flags)
                    ?? Failure(.inputOutput, "\(path): \(error)")
            }
        }
    }

    /// The bytes that an open file, or all files of a data set together, have; collective.
    func fileBytes(_ file: any DataFile, _ layout: FileLayout) throws -> Int {
        let bytes = try session.together { try file.size() }
        guard layout == .perRank else { return bytes }
        // In two halves: files with holes may have more bytes together than there are numbers.
        let halves = try session.world.allReduce([bytes >> 32, bytes & 0xFFFF_FFFF], .sum)
        let high = halves[0] + halves[1] >> 32
        return high >> 31 > 0 ? .max : high << 32 | halves[1] & 0xFFFF_FFFF
    }

    /// `depth` buffers for batches of `spec`, which are made or compared beside the thread that moves them; collective.
    ///
    /// - Throws: ``Failure`` where a rank has too little memory for them.
    func relay(
        _ batches: Batches, _ spec: DataSpec, _ side: Relay.Side, depth: Int,
        work: ((Int, UnsafeMutableRawBufferPointer) -> Void)?
    ) throws -> Relay {
        let placer = placer
        let buffers = try session.together { try transferBuffers(batches, spec, depth) }
        return Relay(
            buffers, count: batches.count, side,
            ownNanoseconds: mayMakeAlone ? fillNanoseconds : nil,
            awakeNanoseconds: hasSpareProcessor ? Self.awakeNanoseconds : 0,
            prepare: { placer.pin(thread: 0) }, work: work)
    }

    /// Notes what the library says of an open file; collective.
    func noteHints(of file: any DataFile) throws {
        var reported = Dictionary(
            try session.together { try file.reportedHints() }.map { ($0.key, $0.value) },
            uniquingKeysWith: { $1 })
        let repeats = reported.removeValue(forKey: Self.probe.key) != nil
        report.hints?.reported = reported
        guard !hints.isEmpty, report.hints?.reportIsEcho != repeats else { return }
        report.hints?.reportIsEcho = repeats
        if session.isRoot, repeats {
            logger.warning(
                """
                hints: \(MPIRuntime.libraryVersion) reports whatever it is given, so that a hint is \
                reported does not prove that it is followed
                """)
        }
    }

    /// Notes what is wrong with a file, and what has become of it; collective.
    func note(_ found: Comparison.Found, _ diagnosing: DamageSearch) throws {
        let log = found.log
        report.damage = try diagnosing.run(log.ranges)
        report.damageRanges = log.rangeCount
        report.damageBytes = log.rangeBytes
        report.wrongBytes = log.wrongBytes
        report.firstWrongOffset = log.firstOffset
        report.fileBytes = found.fileBytes
    }

    /// The most damaged ranges that a table lists.
    private static let rangesPrinted = 20

    /// Adds what is wrong, and what has become of it.
    func addDamage(to table: inout Table) {
        guard let first = report.damage.first else { return }
        table.row("first wrong", "offset \(first.offset)")
        table.row("wrong bytes", "\(report.wrongBytes)")
        table.row("damaged ranges", "\(report.damageRanges)")
        for range in report.damage.prefix(Self.rangesPrinted) {
            table.row(
                "",
                "offset \(range.offset), length \(range.bytes), \(range.wrongBytes) wrong: \(range.text)"
            )
            guard logger.logLevel <= .info else { continue }
            table.row("", "  expected \(range.expected)")
            table.row("", "  found    \(range.found.isEmpty ? "nothing" : range.found)")
        }
        if report.damageRanges > Self.rangesPrinted {
            table.row("", "and \(report.damageRanges - Self.rangesPrinted) more")
        }
    }

    /// Fills in the times of an operation; collective.
    func measure(_ operation: inout Report.Operation, _ times: Times, bytes: Int) throws {
        let slowest = try session.largest(times.generateNanoseconds + times.transferNanoseconds)
        let all = try session.world.allReduce(
            [
                try times.total(onNode: session.node), times.openNanoseconds,
                times.generateNanoseconds, times.transferNanoseconds, times.syncNanoseconds,
                times.closeNanoseconds,
            ], .maximum
        ).map { Double($0) / 1e9 }
        operation.slowestRank = slowest.rank
        operation.slowestNode = String(
            decoding: try session.world.broadcast(
                Array(session.host.utf8), from: slowest.rank), as: UTF8.self)
        operation.bytes = bytes
        operation.seconds = all[0]
        operation.bytesPerSecond = all[0] > 0 ? Double(bytes) / all[0] : 0
        operation.openSeconds = all[1]
        operation.generateSeconds = all[2]
        operation.transferSeconds = all[3]
        operation.syncSeconds = all[4]
        operation.closeSeconds = all[5]
        operation.latencyNs = try times.latencies.merged(over: session.world)
        logger.debug(
            """
            \(operation.operation): generated for \(Double(times.generateNanoseconds) / 1e9) s, \
            transferred for \(Double(times.transferNanoseconds) / 1e9) s
            """)
    }
}
