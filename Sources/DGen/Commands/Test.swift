// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import MPI

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

/// `dgen-mpi test`: writes, reads and verifies a file over and over, and says how fast.
struct FileTest {
    /// What is done with the file.
    enum Phase: String, CaseIterable {
        case write, read, verify
    }

    private let job: Job
    private let writing: DataSetWriter
    private let phases: [Phase]
    private let repetitions: Int
    private let warmUps: Int
    private let isFreshFile: Bool
    private let keeps: Bool
    private let dropsCache: Bool
    private let order: ReadOrder
    private let shuffleSeed: UInt64

    private var session: Session { job.session }
    private var path: String { writing.path }

    /// Reads the options; the same on every rank; collective.
    init(_ job: Job) throws {
        self.job = job
        let settings = job.settings
        writing = try DataSetWriter(job, isTest: true)
        phases = try settings.phases()
        repetitions = try settings.repetitions()
        warmUps = try settings.warmUps()
        isFreshFile = try settings.flag(.freshFile, default: true)
        keeps = try settings.flag(.keep, default: false)
        dropsCache = try settings.flag(.dropCache, default: false)
        order = try settings.choice(.readOrder, default: .shift)
        shuffleSeed = try settings.shuffleSeed()
        guard phases.contains(.write) || settings.has(.seed) else {
            throw Failure(
                .usage, "seed: missing; a test that does not write needs that of the file")
        }
    }

    /// Runs all phases of all repetitions; collective.
    func run() throws -> ExitStatus {
        job.report.path = path
        job.report.spec = EncodedSpec(writing.spec)
        let writes = phases.contains(.write)
        if !writes { try requireFile() }
        var isWritten = false
        var isRight = true
        for iteration in -warmUps..<repetitions where isRight {
            for phase in phases where isRight {
                if phase == .write, isWritten, isFreshFile {
                    try writing.remove()
                    isWritten = false
                }
                job.logger.info("\(phase) \(iteration): \(path)")
                isRight = try run(phase, iteration, over: isWritten)
                isWritten = isWritten || phase == .write
            }
        }
        job.show(table(isRight: isRight))
        // A file with damage is evidence.
        if isWritten, isRight, !keeps { try writing.remove() }
        return isRight ? .done : .mismatch
    }

    private func requireFile() throws {
        job.report.fileSystem = try session.onRoot {
            let first = writing.files.path(of: 0)
            guard try FileSystem.state(first)?.isRegular == true else {
                throw Failure(
                    .inputOutput, "\(first): no such file; a test that does not write reads one")
            }
            return FileSystem.type(first)
        }
        try Sharing(job, writing.files).prove(isReading: true)
    }

    /// One phase; false where the file is not what it should be.
    ///
    /// Warm-ups are not reported.
    private func run(_ phase: Phase, _ iteration: Int, over isOurs: Bool) throws -> Bool {
        var operation: Report.Operation
        var isRight = true
        switch phase {
        case .write:
            operation = try writing.write(iteration: iteration, over: isOurs)
        case .read, .verify:
            operation = Report.Operation(operation: phase.rawValue, iteration: iteration)
            operation.transferSize = job.transferSize
            isRight = try read(phase, &operation)
        }
        if iteration >= 0 { job.report.operations.append(operation) }
        return isRight
    }

    private func read(_ phase: Phase, _ operation: inout Report.Operation) throws -> Bool {
        operation.collective = writing.isCollective
        var times = Times()
        let found = try order.deal(
            session, seed: shuffleSeed &+ UInt64(bitPattern: Int64(operation.iteration))
        ) { readers in
            operation.readersOnOwnNode = readers.onOwnNode
            if dropsCache {
                let files = writing.files
                try files.dropCache(of: files.shards[readers.ranks.rank], session)
            }
            return try Comparison(
                job, writing.files, writing.spec, title: phase.rawValue, pattern: writing.pattern,
                readers: readers.ranks, isCollective: writing.isCollective,
                compares: phase == .verify
            ).run(&times)
        }
        try job.measure(&operation, times, bytes: min(writing.spec.size, found.fileBytes))
        let isRight = found.isRight(writing.spec)
        if !isRight { try job.note(found, diagnosing) }
        return isRight
    }

    /// What damage is explained by: the ranks of this run have written the file, unless it was there before.
    private var diagnosing: DamageSearch {
        get throws {
            let seeds = try job.settings.alsoKnown()
            return DamageSearch(
                job, writing.files, writing.spec,
                earlier: try seeds.map { try writing.spec.withSeed($0) },
                writtenAs: phases.contains(.write) ? writing.pattern : nil)
        }
    }

    private func table(isRight: Bool) -> Table {
        let spec = writing.spec
        var table = Table()
        table.row("tested", path)
        table.row("size", "\(ByteSize.format(spec.size)) (\(spec.size) bytes)")
        table.row("seed", "\(spec.seed)")
        job.addRanks(to: &table)
        table.row("transfers", writing.accessName)
        writing.addHints(to: &table)
        if let reader = job.report.operations.last(where: { $0.readersOnOwnNode != nil }) {
            let own = reader.readersOnOwnNode ?? 0
            table.row(
                "read order",
                "\(order.rawValue), \(own) of \(session.world.size) ranks read what their own node "
                    + "wrote" + (own > 0 && !dropsCache ? ": from its cache, maybe" : ""))
        }
        let heads = ["runs", "median", "least", "most", "deviation", "slowest rank"]
        table.row("phase", Self.line(heads))
        let summaries = Report.summary(of: job.report.operations)
        for phase in Phase.allCases where phases.contains(phase) {
            let name = phase.rawValue
            guard let summary = summaries[name] else { continue }
            let slowest = job.report.operations.filter { $0.operation == name }
                .max { $0.seconds < $1.seconds }
            let rates = [
                summary.median, summary.minimum, summary.maximum, summary.standardDeviation,
            ]
            table.row(
                name,
                Self.line(
                    ["\(summary.count)"] + rates.map { ByteSize.format(Int($0)) + "/s" } + [
                        slowest.map { "\($0.slowestRank) on \($0.slowestNode)" } ?? ""
                    ]))
        }
        let latencies = job.report.operations.filter { $0.iteration == repetitions - 1 }
        for operation in latencies {
            guard let latency = operation.latencyNs else { continue }
            let values = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max]
            table.row(
                "\(operation.operation) latency",
                zip(["p50", "p90", "p99", "p99.9", "max"], values)
                    .map { "\($0) \((Double($1) / 1e6).fixed(3)) ms" }.joined(separator: ", "))
        }
        if phases.contains(.verify) {
            table.row(
                "result", isRight ? "every byte is right" : "DIFFERS from its specification")
            job.addDamage(to: &table)
        }
        return table
    }

    /// Texts in columns, flush right but for the last one.
    private static func line(_ cells: [String]) -> String {
        let padded = cells.dropLast().enumerated().map { index, text in
            String(repeating: " ", count: max(0, (index == 0 ? 4 : 14) - text.count)) + text
        }
        return (padded + [cells.last ?? ""]).joined(separator: "  ")
    }
}
