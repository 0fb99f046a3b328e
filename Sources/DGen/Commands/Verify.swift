// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import Checksums
import DataGen
import Logging
import MPI
import Options

struct VerifyCommand: MovesData {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Regenerate a data set and compare a file with it.",
        discussion: """
            What the file should hold is read from its manifest, FILE.dgen.json; options go before it. \
            Without a manifest give --size, --seed and whatever else was not left at its default.
            """)

    @Argument(.output) var output: String?

    @Option(.sample) var sample: String?
    @Option(.blocks) var blocks: String?
    @Option(.sampleSeed) var sampleSeed: String?
    @Flag(.consistent) var consistent: Bool?
    @Option(.acknowledged) var acknowledged: String?
    @Option(.from) var from: String?
    @Option(.to) var to: String?
    @Option(.checksum) var checksum: String?

    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup var shared: SharedOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus { try Verify(execution).run() }
}

/// `dgen-mpi verify`: regenerates a data set and compares a file with it, or some blocks of it, with any number of ranks.
struct Verify {
    private let execution: Execution
    private let subject: StoredDataSet
    /// The blocks that are looked at, where not all bytes are.
    private let sample: SampledPattern?
    /// What is verified: the last generation, where blocks may be of several.
    private let spec: DataSpec
    /// The first of these.
    private let from: Int?

    private var path: String { subject.path }

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let (settings, session) = (execution.settings, execution.session)
        subject = try StoredDataSet(
            execution.run, settings, execution.target,
            missing: "verify: missing; give the file to verify")
        let (spec, from) = try Self.generations(subject.spec, settings)
        (self.spec, self.from) = (spec, from)
        execution.report.describe(subject, in: spec)
        let (count, seed) = try Failure.reading(
            (settings.sampleCount(of: Layout(spec).blockCount), settings[.sampleSeed]))
        let drawn = try session.onRoot { seed ?? UInt64.random(in: 0..<(1 << 53)) }
        sample = count.map {
            SampledPattern(
                $0, of: spec, ranks: session.world.size,
                transferSize: execution.pipeline.transferSize, seed: drawn)
        }
        execution.report.sample = sample.map(Report.Sampling.init)
    }

    /// The last generation that blocks may be of, and the first, if they may be of several.
    private static func generations(
        _ spec: DataSpec, _ settings: Settings
    ) throws(Failure) -> (last: DataSpec, first: Int?) {
        let (from, to) = try Failure.reading((settings[.from], settings[.to]))
        func refuse(_ row: OptionRow, _ accepted: String) -> Failure {
            Failure(row.refusal(settings.text(row) ?? "", accepted))
        }
        guard let from else {
            if to != nil { throw refuse(.to, "it with from only") }
            return (spec, nil)
        }
        guard spec.composition?.change != nil else {
            throw refuse(.from, "it for a data set with change only")
        }
        for row in [OptionRow.sample, .blocks] where settings.has(row) {
            throw refuse(row, "none with from")
        }
        if to != nil, settings.has(.generation) { throw refuse(.generation, "none with to") }
        let last = to ?? spec.generation
        guard from <= last else { throw refuse(.from, "0 to \(last), where it ends") }
        return (try Failure.reading(spec.withGeneration(last)), from)
    }

    /// What each rank reads of all blocks: whole ones, where they may be of several generations.
    private var wholePattern: DealtPattern {
        get throws(Failure) {
            let size = execution.pipeline.transferSize
            guard from != nil else { return DealtPattern(subject.shards, transferSize: size) }
            let unit = spec.dedupUnit
            let page = execution.pipeline.access.isDirect ? OptionLimits.directUnit : 1
            let whole = page % unit == 0 ? page : unit
            guard whole % page == 0 else {
                throw Failure(
                    .usage, "from: blocks of \(unit) bytes cannot be read whole with direct")
            }
            return DealtPattern(
                Shards(size: spec.size, ranks: execution.session.world.size, alignment: whole),
                transferSize: max(whole, size / whole * whole))
        }
    }

    func run() throws(Failure) -> ExitStatus {
        let pipeline = execution.pipeline
        execution.logger.info("verify \(path): \(spec.size) bytes, seed \(spec.seed)")
        try subject.requireFiles(execution.run) { execution.report.fileSystem = $0 }
        let (isConsistent, counters) = try Failure.reading(
            (execution.settings[.consistent], execution.settings[.acknowledged]))
        if isConsistent || counters != nil { return try replay(isConsistent, counters) }
        let algorithms = try Failure.reading(execution.settings[.checksum])
        if !algorithms.isEmpty { return try sum(algorithms) }
        let pattern: any AccessPattern = if let sample { sample } else { try wholePattern }
        let found = try Comparison(
            pipeline: pipeline, files: subject.files, spec: spec, title: "verify",
            pattern: pattern, from: from
        ).run(note: execution.note)
        var measurement = try found.times.measurement(
            of: "verify", bytes: min(pattern.bytes, found.fileBytes), execution.run)
        measurement.transferSize = from == nil ? pipeline.transferSize : pattern.transferSize
        execution.report.operations = [measurement]
        let search = subject.damageSearch(
            pipeline, isOfSample: sample != nil || from != nil, in: spec)
        let findings = try findings(found, search)
        execution.report.note(found, findings, of: search)
        if let from, let history = found.history {
            execution.report.history = Report.History(history, from: from, of: spec)
            execution.report.map = Report.Map(history)
        } else if sample == nil {
            execution.report.map = Report.Map(found, findings, of: spec)
        }
        let isRight = found.isRight(spec)
        execution.logger.info("verify \(path): \(isRight ? "every byte is right" : "differs")")
        execution.show(table(found, measurement, isRight: isRight))
        return isRight ? .done : .mismatch
    }

    /// Compares the checksums of the files with those that the data set has, and nothing else.
    private func sum(_ asked: [ChecksumAlgorithm]) throws(Failure) -> ExitStatus {
        let settings = execution.settings
        guard sample == nil, from == nil else {
            throw Failure(settings.refusal(.checksum, "it without a sample and from"))
        }
        let known = subject.manifest?.spec == spec ? subject.manifest?.checksums ?? [] : []
        let algorithms = asked.eachOnce
        let found = try SummedFiles(
            execution.pipeline, subject, spec, algorithms,
            kernel: execution.session.together { try settings.remainderKernel() }
        ).run(note: execution.note)
        var measurement = try found.times.measurement(
            of: "verify", bytes: found.readBytes, execution.run)
        measurement.transferSize = execution.pipeline.transferSize
        execution.report.operations = [measurement]
        execution.report.fileBytes = found.fileBytes
        // What the manifest has was computed as the bytes were made; other checksums are computed here.
        let unknown = algorithms.filter { one in !known.contains { $0.algorithm == one } }
        let computed =
            unknown.isEmpty
            ? []
            : try ComputedChecksums(
                execution.run, settings, spec,
                Failure.reading(ChecksumPlan.Parts(0..<spec.size, of: spec)), unknown
            ).compute()
        let expected = algorithms.compactMap { one in
            (known + computed).first { $0.algorithm == one }
        }
        execution.report.checksums =
            found.isWhole
            ? zip(found.checksums, expected).map { Report.Checksum($0, expected: $1) } : []
        let isRight = found.isWhole && found.checksums == expected
        var table = Table()
        table.row("verified", path)
        table.row(
            "result",
            isRight
                ? "has the checksums of its specification"
                : "DIFFERS from its specification (verify without checksum tells where)")
        table.row("size", bytes: spec.size)
        table.addFileBytes(found.fileBytes, of: spec)
        if let doubt = subject.manifest?.doubt { table.row("manifest", doubt) }
        for (sum, right) in zip(found.checksums, expected) where found.isWhole {
            let isKnown = known.contains(right)
            table.row(
                sum.algorithm.rawValue,
                sum == right
                    ? "\(sum.hex), \(isKnown ? "as its manifest has it" : "as computed")"
                    : "\(sum.hex), not \(right.hex)")
        }
        table.addRates(measurement, execution.session)
        execution.show(table)
        return isRight ? .done : .mismatch
    }

    /// Looks at what an update has written: as far as it got, and as far as it has said so in a folder of `counters`.
    private func replay(_ isConsistent: Bool, _ counters: String?) throws(Failure) -> ExitStatus {
        guard sample == nil, from == nil else {
            let row = isConsistent ? OptionRow.consistent : .acknowledged
            throw Failure(row.refusal(counters ?? "true", "it without a sample and from"))
        }
        guard try Failure.reading(execution.settings[.checksum]).isEmpty else {
            throw Failure(
                execution.settings.refusal(.checksum, "none with consistent and acknowledged"))
        }
        let pipeline = execution.pipeline
        let acknowledged = try counters.map { folder throws(Failure) in
            try AcknowledgedWrites(pipeline, subject, in: folder)
        }
        let found =
            isConsistent ? try Consistency(pipeline, subject).run(note: execution.note) : nil
        let kept = try acknowledged?.run(note: execution.note)
        execution.report.consistency = Report.UpdateConsistency(found, kept)
        var table = Table()
        table.row("verified", path)
        if let doubt = subject.manifest?.doubt { table.row("manifest", doubt) }
        if let found {
            table.row(
                "result",
                found.isRight
                    ? "what is there is a prefix of each rank's order, as far as sync points demand"
                    : "\(found.wrongRanks) of \(found.ranks) ranks miss what a sync point lay after"
            )
            table.row(
                "updates", "\(found.present) of \(found.writes) are there, \(found.torn) torn")
            for writer in found.writers { table.row("", writer.text) }
            try addReplay(of: found.writes, found.times, &table)
        }
        if let kept {
            table.row(found == nil ? "result" : "", kept.text)
            table.row(
                "acknowledged", "\(kept.acknowledged) updates, \(kept.lost) of them are lost")
            for writer in kept.writers { table.row("", writer.text) }
            try addReplay(of: kept.acknowledged, kept.times, &table)
        }
        execution.show(table)
        return found?.isRight ?? true && kept?.isRight ?? true ? .done : .mismatch
    }

    /// Takes note of how fast so many writes were looked at; collective.
    private func addReplay(
        of writes: Int, _ times: Times, _ table: inout Table
    ) throws(Failure) {
        var measurement = try times.measurement(
            of: "verify", bytes: writes * spec.dedupUnit, execution.run)
        measurement.transferSize = execution.pipeline.transferSize
        execution.report.operations.append(measurement)
        table.addRates(measurement, execution.session)
    }

    /// What is wrong, in file order; blocks that are closest to the first of several generations are held against that.
    private func findings(
        _ found: Comparison.Result, _ search: DamageSearch
    ) throws(Failure) -> [DamageSearch.Finding] {
        var findings = try search.findings(found.log.ranges)
        guard let from, let ranges = found.oldestLog?.ranges else { return findings }
        findings += try subject.damageSearch(
            execution.pipeline, isOfSample: true,
            in: try Failure.reading(spec.withGeneration(from))
        ).findings(ranges)
        findings.sort { $0.range.offset < $1.range.offset }
        return Array(findings.prefix(Comparison.rangesMax))
    }

    private func table(
        _ found: Comparison.Result, _ operation: Measurement, isRight: Bool
    ) -> Table {
        var table = Table()
        table.row("verified", path)
        table.row(
            "result",
            !isRight
                ? "DIFFERS from its specification"
                : from != nil
                    ? "every block is wholly of one generation"
                    : sample == nil ? "every byte is right" : "every byte of the sample is right")
        table.row("size", bytes: spec.size)
        table.addFileBytes(found.fileBytes, of: spec)
        if let doubt = subject.manifest?.doubt { table.row("manifest", doubt) }
        if let sample {
            table.row(
                "sample",
                "\(sample.count) of \(sample.blockCount) blocks of "
                    + "\(ByteSize.format(spec.dedupUnit)), seed \(sample.seed)")
            for blocks in sample.damageOfInterest {
                let probability = sample.missProbability(damagedBlocks: blocks)
                table.row(
                    "",
                    "damage to \(blocks) \(blocks == 1 ? "block" : "blocks") is missed with a probability "
                        + "of at most \((100 * probability).significantRoundedUp(3)) %")
            }
        }
        if let history = execution.report.history { table.addHistory(history) }
        table.addDamage(execution.report, isDetailed: execution.isDetailed)
        table.addRates(operation, execution.session)
        table.row(
            "slowest rank",
            "read \(operation.transferSeconds.fixed(3)) s, generate and compare "
                + "\(operation.generateSeconds.fixed(3)) s")
        return table
    }
}

extension Table {
    /// Says how long the files are, where that is not as long as they should be.
    fileprivate mutating func addFileBytes(_ fileBytes: Int, of spec: DataSpec) {
        let difference = fileBytes - spec.size
        guard difference != 0 else { return }
        row(
            "file",
            "has \(fileBytes) bytes: "
                + (difference < 0 ? "short by \(-difference)" : "long by \(difference)"))
    }
}
