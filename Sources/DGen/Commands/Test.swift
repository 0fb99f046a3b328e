// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import MPI
import Options

struct TestCommand: MovesData {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Write, read back and verify a file over and over, with statistics.",
        discussion: """
            Each rank reads what a rank on another node wrote, where there are several nodes. The file is \
            removed afterwards, unless it differs from its specification or --keep is given.
            """)

    @Option(.phases) var phases: String?
    @Option(.by) var by: String?
    @Option(.repetitions) var `repeat`: String?
    @Option(.warmUp) var warmUp: String?
    @Flag(.freshFile) var freshFile: Bool?
    @Flag(.keep) var keep: Bool?
    @Option(.readOrder) var readOrder: String?
    @Option(.shuffleSeed) var shuffleSeed: String?
    @Flag(.dropCache) var dropCache: Bool?
    @Option(.readers) var readers: String?
    @Option(.consistency) var consistency: String?
    @Option(.reads) var reads: String?

    @OptionGroup(title: "File") var write: WriteOptions
    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup var shared: SharedOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus {
        var test = try FileTest(execution)
        return try test.run()
    }
}

/// `dgen-mpi test`: writes, reads and verifies a file over and over, and says how fast.
struct FileTest {
    private let execution: Execution
    private let writer: DataSetWriter
    private let phases: [Phase]
    /// How many generations an update goes on.
    private let step: Int
    private let repetitions: Int
    private let dropsCache: Bool
    private let order: ReadOrder
    private let shuffleSeed: UInt64
    /// What is updated while some ranks read it; nil where all write.
    private let besideReaders: UpdateWithReaders?

    /// What the file holds now.
    private var current: DataSpec

    private var session: Session { execution.session }
    private var path: String { writer.path }

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let settings = execution.settings
        guard execution.target.kind != .stream else {
            throw Failure(.usage, "output: a stream can only be written, by generate")
        }
        writer = try DataSetWriter(execution.pipeline, settings, isTest: true)
        (phases, repetitions, dropsCache) = try Failure.reading(
            (settings[.phases], settings[.repetitions], settings[.dropCache]))
        (order, shuffleSeed) = try Failure.reading(
            (settings[.readOrder], settings[.shuffleSeed]))
        guard phases.contains(.write) || settings.has(.seed) else {
            throw Failure(
                .usage, "seed: missing; a test that does not write needs that of the file")
        }
        step = try Failure.reading(settings[.by]) ?? 1
        current = writer.spec
        besideReaders = try Self.readers(execution, writer, phases, seed: shuffleSeed)
        try requireUpdates(settings)
    }

    /// Reads who reads during an update, and what it must see.
    private static func readers(
        _ execution: Execution, _ writer: DataSetWriter, _ phases: [Phase], seed: UInt64
    ) throws(Failure) -> UpdateWithReaders? {
        let (settings, ranks) = (execution.settings, execution.session.world.size)
        func refusal(_ row: OptionRow, _ accepted: String) -> Failure {
            Failure(row.refusal(settings.text(row) ?? "", accepted))
        }
        guard let count = try Failure.reading(settings[.readers]) else {
            for row in [OptionRow.consistency, .reads] where settings.has(row) {
                throw refusal(row, "none without readers")
            }
            return nil
        }
        guard phases.contains(.update) else {
            throw refusal(.readers, "none without a phase update")
        }
        guard count < ranks else {
            throw refusal(.readers, "fewer than the \(ranks == 1 ? "1 rank" : "\(ranks) ranks")")
        }
        guard !writer.isCollective else {
            throw Failure(OptionRow.collective.refusal("true", "it without readers"))
        }
        let (rule, after) = try Failure.reading((settings[.consistency], settings[.reads]))
        return UpdateWithReaders(
            pipeline: execution.pipeline, files: writer.files, claim: writer.claim,
            sync: writer.sync, count: count, rule: rule, readsAfter: after, seed: seed)
    }

    /// Only what this test has written is updated, and only as far as there are generations.
    private func requireUpdates(_ settings: Settings) throws(Failure) {
        let count = phases.filter { $0 == .update }.count
        guard count > 0 else {
            guard !settings.has(.by) else {
                throw Failure(
                    OptionRow.by.refusal(settings.text(.by) ?? "", "none without a phase update"))
            }
            return
        }
        guard phases.first == .write else {
            throw Failure(OptionRow.phases.refusal("update", "it after write"))
        }
        guard writer.spec.composition?.change != nil else {
            throw Failure(.usage, "change: missing; without it there is nothing to update")
        }
        _ = try Failure.reading(
            writer.spec.withGeneration(writer.spec.generation + count * step))
    }

    mutating func run() throws(Failure) -> ExitStatus {
        let (warmUps, isFreshFile, keeps) = try Failure.reading(
            (execution.settings[.warmUp], execution.settings[.freshFile], execution.settings[.keep])
        )
        execution.report.describe(writer)
        let writes = phases.contains(.write)
        if !writes { try requireFile() }
        var isWritten = false
        var isRight = true
        for iteration in -warmUps..<repetitions where isRight {
            for phase in phases where isRight {
                if phase == .write, isWritten, isFreshFile, execution.target.isFile {
                    try writer.remove()
                    isWritten = false
                }
                execution.logger.info("\(phase) \(iteration): \(path)")
                switch phase {
                case .write:
                    try write(iteration, over: isWritten)
                    isWritten = true
                case .update: isRight = try update(iteration)
                case .read, .verify: isRight = try read(phase, iteration)
                }
            }
        }
        execution.show(table(isRight: isRight))
        // A file with damage is evidence.
        if isWritten, isRight, !keeps { try writer.remove() }
        return isRight ? .done : .mismatch
    }

    private func requireFile() throws(Failure) {
        execution.report.fileSystem = try session.onRoot {
            guard execution.target.isFile else { return nil }
            let first = writer.files.path(of: 0)
            guard try FileSystem.state(first)?.isRegular == true else {
                throw Failure(
                    .inputOutput, "\(first): no such file; a test that does not write reads one")
            }
            return FileSystem.type(first)
        }
        try Sharing(run: execution.run, files: writer.files).prove(isReading: true)
    }

    /// Warm-ups are not reported.
    private func report(_ measurement: Measurement) {
        if measurement.iteration >= 0 { execution.report.operations.append(measurement) }
    }

    /// Goes on by some generations; false where somebody who read meanwhile saw what may not be seen.
    private mutating func update(_ iteration: Int) throws(Failure) -> Bool {
        let from = current
        current = try Failure.reading(
            from.withGeneration(from.generation + step))
        if let besideReaders {
            var (measurement, readers) = try besideReaders.run(
                from: from, to: current, iteration: iteration, note: execution.note)
            measurement?.readers = readers
            // A warm-up too, if that is where it was seen.
            if let measurement, iteration >= 0 || !readers.isRight {
                execution.report.operations.append(measurement)
            }
            return readers.isRight
        }
        report(
            try DataSetUpdate(
                execution.pipeline, writer.files, from: from, to: current, writer.claim,
                sync: writer.sync, isCollective: writer.isCollective
            ).write(iteration: iteration, note: execution.note))
        return true
    }

    private mutating func write(_ iteration: Int, over isOurs: Bool) throws(Failure) {
        current = writer.spec
        if !isOurs { try writer.prepare { execution.report.fileSystem = $0 } }
        let result = try writer.writeProven(
            iteration: iteration, over: isOurs, note: execution.note)
        execution.report.stripes = result.stripes
        report(result.measurement)
    }

    /// Reads the file, or verifies it; false where it is not what it should be.
    private func read(_ phase: Phase, _ iteration: Int) throws(Failure) -> Bool {
        let (pipeline, files, spec) = (execution.pipeline, writer.files, current)
        let (found, onOwnNode) = try order.deal(
            session, seed: shuffleSeed &+ UInt64(bitPattern: Int64(iteration))
        ) { readers, onOwnNode throws(Failure) in
            if dropsCache { try files.dropCache(of: files.shards[readers.rank], session) }
            let comparison = Comparison(
                pipeline: pipeline, files: files, spec: spec, title: phase.rawValue,
                pattern: writer.pattern, ranks: readers, isCollective: writer.isCollective,
                compares: phase == .verify)
            return (try comparison.run(note: execution.note), onOwnNode)
        }
        var measurement = try found.times.measurement(
            of: phase.rawValue, iteration, bytes: min(spec.size, found.fileBytes), execution.run)
        measurement.transferSize = pipeline.transferSize
        measurement.collective = writer.isCollective
        measurement.readersOnOwnNode = onOwnNode
        let isRight = found.isRight(spec)
        if !isRight {
            // The ranks of this run have written the file, unless it was there before.
            let earlier = try Failure.reading(
                execution.settings[.alsoKnown].map { seed throws(InvalidField) in
                    try spec.withSeed(seed)
                })
            let search = DamageSearch(
                pipeline: pipeline, files: files, spec: spec, earlier: earlier,
                pattern: phases.contains(.write) ? writer.pattern : nil)
            execution.report.note(found, try search.findings(found.log.ranges), of: search)
        }
        report(measurement)
        return isRight
    }

    private var accessName: String {
        let (pipeline, pattern) = (execution.pipeline, writer.pattern)
        var words = ["\(ByteSize.format(pipeline.transferSize)), \(pipeline.access.name)"]
        if writer.isCollective { words.append("collective") }
        if writer.files.layout == .perRank { words.append("a file for each rank") }
        switch pattern.cut {
        case .segments(1): break
        case .segments(let count): words.append("\(count) segments")
        case .strided: words.append("strided")
        }
        if pattern.order == .random { words.append("random order") }
        if writer.sync != .end { words.append("sync: \(writer.sync.text)") }
        if execution.queueDepth > 1 { words.append("queue depth \(execution.queueDepth)") }
        return words.joined(separator: ", ")
    }

    private func table(isRight: Bool) -> Table {
        let spec = writer.spec
        var table = Table()
        table.row("tested", path)
        table.row("size", bytes: spec.size)
        table.row("seed", "\(spec.seed)")
        table.addRanks(session)
        table.row("transfers", accessName)
        table.addHints(execution.report)
        if let reader = execution.report.operations.last(where: { $0.readersOnOwnNode != nil }) {
            let own = reader.readersOnOwnNode ?? 0
            table.row(
                "read order",
                "\(order.rawValue), \(own) of \(session.world.size) ranks read what their own node "
                    + "wrote" + (own > 0 && !dropsCache ? ": from its cache, maybe" : ""))
        }
        let widths = [4, 14, 14, 14, 14, 0]
        let heads = ["runs", "median", "least", "most", "deviation", "slowest rank"]
        table.row("phase", Table.line(heads, widths: widths))
        let summaries = Report.summary(of: execution.report.operations)
        for phase in Phase.allCases where phases.contains(phase) {
            let name = phase.rawValue
            guard let summary = summaries[name] else { continue }
            let slowest = execution.report.operations.filter { $0.operation == name }
                .max { $0.seconds < $1.seconds }
            let rates = [
                summary.median, summary.minimum, summary.maximum, summary.standardDeviation,
            ]
            table.row(
                name,
                Table.line(
                    ["\(summary.count)"] + rates.map { ByteSize.format(Int($0)) + "/s" } + [
                        slowest.map { "\($0.slowestRank) on \($0.slowestNode)" } ?? ""
                    ], widths: widths))
        }
        let latencies = execution.report.operations.filter { $0.iteration == repetitions - 1 }
        for operation in latencies {
            guard let latency = operation.latencyNs else { continue }
            table.row("\(operation.operation) latency", latency.text)
        }
        let readers = execution.report.operations.compactMap(\.readers)
        table.addReaders(readers)
        if readers.contains(where: { !$0.isRight }) {
            table.row("result", "readers saw what may not be seen")
        } else if phases.contains(.verify) {
            table.row(
                "result", isRight ? "every byte is right" : "DIFFERS from its specification")
            table.addDamage(execution.report, isDetailed: execution.isDetailed)
        }
        return table
    }
}
