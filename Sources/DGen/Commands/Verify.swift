// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import MPI
import Options

struct VerifyCommand: RunsUnderMPI {
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

    private var path: String { subject.path }

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let (settings, session) = (execution.settings, execution.session)
        subject = try StoredDataSet(
            execution.run, settings, missing: "verify: missing; give the file to verify")
        execution.report.describe(subject)
        let spec = subject.spec
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

    func run() throws(Failure) -> ExitStatus {
        let (spec, pipeline) = (subject.spec, execution.pipeline)
        execution.logger.info("verify \(path): \(spec.size) bytes, seed \(spec.seed)")
        try subject.requireFiles(execution.run) { execution.report.fileSystem = $0 }
        if try Failure.reading(execution.settings[.consistent]) { return try replay() }
        let pattern: any AccessPattern =
            sample ?? DealtPattern(subject.shards, transferSize: pipeline.transferSize)
        let found = try Comparison(
            pipeline: pipeline, files: subject.files, spec: spec, title: "verify", pattern: pattern
        ).run(note: execution.note)
        var measurement = try found.times.measurement(
            of: "verify", bytes: min(pattern.bytes, found.fileBytes), execution.run)
        measurement.transferSize = pipeline.transferSize
        execution.report.operations = [measurement]
        let search = subject.damageSearch(pipeline, isOfSample: sample != nil)
        execution.report.note(found, try search.findings(found.log.ranges), of: search)
        let isRight = found.isRight(spec)
        execution.logger.info("verify \(path): \(isRight ? "every byte is right" : "differs")")
        execution.show(table(found, measurement, isRight: isRight))
        return isRight ? .done : .mismatch
    }

    /// Looks at what an update that was cut off has written.
    private func replay() throws(Failure) -> ExitStatus {
        guard sample == nil else {
            throw Failure(OptionRow.consistent.refusal("true", "it without a sample"))
        }
        let found = try Consistency(execution.pipeline, subject).run(note: execution.note)
        var measurement = try found.times.measurement(
            of: "verify", bytes: found.writes * subject.spec.dedupUnit, execution.run)
        measurement.transferSize = execution.pipeline.transferSize
        execution.report.operations = [measurement]
        execution.report.consistency = Report.UpdateConsistency(found)
        var table = Table()
        table.row("verified", path)
        if let doubt = subject.manifest?.doubt { table.row("manifest", doubt) }
        table.row(
            "result",
            found.isRight
                ? "what is there is a prefix of each rank's order, as far as sync points demand"
                : "\(found.wrongRanks) of \(found.ranks) ranks miss what a sync point lay after")
        table.row(
            "updates", "\(found.present) of \(found.writes) are there, \(found.torn) torn")
        for writer in found.writers { table.row("", writer.text) }
        table.addRates(measurement, execution.session)
        execution.show(table)
        return found.isRight ? .done : .mismatch
    }

    private func table(
        _ found: Comparison.Result, _ operation: Measurement, isRight: Bool
    ) -> Table {
        let spec = subject.spec
        var table = Table()
        table.row("verified", path)
        table.row(
            "result",
            !isRight
                ? "DIFFERS from its specification"
                : sample == nil ? "every byte is right" : "every byte of the sample is right")
        table.row("size", bytes: spec.size)
        if found.fileBytes != spec.size {
            let difference = found.fileBytes - spec.size
            table.row(
                "file",
                "has \(found.fileBytes) bytes: "
                    + (difference < 0 ? "short by \(-difference)" : "long by \(difference)"))
        }
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
        table.addDamage(execution.report, isDetailed: execution.isDetailed)
        table.addRates(operation, execution.session)
        table.row(
            "slowest rank",
            "read \(operation.transferSeconds.fixed(3)) s, generate and compare "
                + "\(operation.generateSeconds.fixed(3)) s")
        return table
    }
}
