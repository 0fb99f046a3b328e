// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import Options

struct RepairCommand: MovesData {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Write what differs from its specification anew, and leave the rest.",
        discussion: """
            What the file should hold is read from its manifest, FILE.dgen.json, or given as options, as for \
            verify. What was written is read again. A file that an interrupted run left is finished, with \
            any number of ranks.
            """)

    @Argument(.output) var output: String?

    @Flag(.device) var device: Bool?
    @Flag(.spaceCheck) var spaceCheck: Bool?

    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup var shared: SharedOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus { try Repair(execution).run() }
}

/// `dgen-mpi repair`: writes what differs from its specification anew, with any number of ranks, and leaves the rest.
struct Repair {
    private let execution: Execution
    private let subject: StoredDataSet
    private let repair: DataSetRepair

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let settings = execution.settings
        subject = try StoredDataSet(
            execution.run, settings, execution.target,
            missing: "repair: missing; give the file to repair")
        execution.report.describe(subject)
        repair = try DataSetRepair(
            execution.pipeline, subject, checksSpace: Failure.reading(settings[.spaceCheck]))
    }

    func run() throws(Failure) -> ExitStatus {
        let (path, spec) = (subject.path, subject.spec)
        execution.logger.info("repair \(path): \(spec.size) bytes, seed \(spec.seed)")
        try repair.prepare { execution.report.fileSystem = $0 }
        let result = try repair.write(note: execution.note)
        execution.report.operations = [result.measurement]
        let search = subject.damageSearch(execution.pipeline)
        execution.report.note(
            result.left, try search.findings(result.left.log.ranges), of: search)
        let isRight = result.left.isRight(spec)
        execution.show(table(result.measurement, isRight: isRight))
        return isRight ? .done : .mismatch
    }

    private func table(_ operation: Measurement, isRight: Bool) -> Table {
        let spec = subject.spec
        var table = Table()
        table.row("repaired", subject.path)
        table.row(
            "result", isRight ? "every byte is right now" : "STILL DIFFERS from its specification")
        table.row("size", bytes: spec.size)
        table.row(
            "written anew",
            "\(operation.repairedBytes ?? 0) bytes in \(operation.repairedRanges ?? 0) ranges")
        table.addDamage(execution.report, isDetailed: execution.isDetailed)
        table.addRates(operation, execution.session)
        return table
    }
}
