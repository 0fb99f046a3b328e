// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import Options

struct UpdateCommand: MovesData {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Bring a data set that changes from its generation to another, in place.",
        discussion: """
            Only the blocks that change are written, each with one call, in an order that follows from the \
            specification. The manifest, FILE.dgen.json, says from before the first byte that the update goes \
            on. One that was cut off is finished by --resume, or undone by repair with the generation before \
            it.
            """)

    @Argument(.output) var output: String?
    @Option(.by) var by: String?
    @Flag(.device) var device: Bool?
    @Flag(.resume) var resume: Bool?
    @Flag(.collective) var collective: Bool?
    @Option(.sync) var sync: String?
    @Option(.acknowledge) var acknowledge: String?
    @Option(.hint) var hint: [String]
    @Option(.hintsFile) var hintsFile: String?

    @OptionGroup var shared: SharedOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus { try Update(execution).run() }
}

/// `dgen-mpi update`: brings a data set in storage from its generation to another, with any number of ranks.
struct Update {
    private let execution: Execution
    private let subject: StoredDataSet
    private let from: DataSpec
    private let update: DataSetUpdate

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let settings = execution.settings
        let subject = try StoredDataSet(
            execution.run, settings, execution.target,
            missing: "update: missing; give the file to update",
            isUpdate: true)
        self.subject = subject
        let path = subject.path
        guard let manifest = subject.manifest else {
            throw Failure(
                .usage,
                "\(path): has no manifest \(subject.files.manifestPath ?? "(--manifest FILE)"), which tells the generation that is "
                    + "there")
        }
        from = try Self.start(manifest, path, settings)
        guard subject.spec.isGeneration(of: from), manifest.layout == subject.files.layout else {
            throw Failure(
                .usage,
                from.composition?.change == nil
                    ? "change: \(path) was written without, so it has one generation only"
                    : "\(path): is another data set or has another layout than the options say, as its "
                        + "manifest tells; give that one or none")
        }
        let (isCollective, sync) = try Failure.reading(
            (settings[.collective], settings[.sync]))
        let claim = try Claim(
            execution.session, path, execution.target,
            subject.changedManifest(
                .updating, transferSize: execution.pipeline.transferSize))
        // Where nothing is left to do, it is gone on with as well.
        let goesOn = manifest.status == .updating || from == subject.spec
        update = try DataSetUpdate(
            execution.pipeline, subject.files, from: from, to: subject.spec, claim, sync: sync,
            isCollective: isCollective, goingOnWith: goesOn ? manifest : nil,
            acknowledge: try Failure.reading(settings[.acknowledge]), after: manifest.run)
        execution.report.describe(subject)
    }

    /// The data set as it is before the update.
    private static func start(
        _ manifest: Manifest, _ path: String, _ settings: Settings
    ) throws(Failure) -> DataSpec {
        let (resumes, isToldWhere) = (
            try Failure.reading(settings[.resume]), settings.has(.generation) || settings.has(.by)
        )
        if settings.has(.generation), settings.has(.by) {
            throw Failure(OptionRow.by.refusal(settings.text(.by) ?? "", "none with generation"))
        }
        switch manifest.status {
        case .writing:
            throw Failure(
                .usage, "\(path): its manifest \(manifest.doubt ?? ""); repair finishes it first")
        case .updating:
            let old = manifest.update?.from ?? 0
            let target = "\(manifest.spec.generation)"
            guard resumes else {
                throw Failure(
                    .usage,
                    "\(path): its manifest \(manifest.doubt ?? ""); --resume finishes it, and repair "
                        + "--generation \(old) undoes it")
            }
            guard !settings.has(.by), settings.text(.generation) ?? target == target else {
                throw Failure(
                    .usage,
                    "resume: the update of \(path) goes to generation \(target); give that or nothing"
                )
            }
            return try Failure.reading(manifest.spec.withGeneration(old))
        case .complete:
            // Nothing is left to do for one that is asked to finish, and is told nothing else.
            guard isToldWhere || resumes else {
                throw Failure(
                    .usage,
                    "generation: missing; give where the update ends, or with --by how far it goes")
            }
            return manifest.spec
        }
    }

    func run() throws(Failure) -> ExitStatus {
        let path = subject.path
        let (old, new) = (
            from.generation, subject.spec.generation
        )
        execution.logger.info("update \(path): from generation \(old) to \(new)")
        try warnOfOneFileSystem()
        try update.prepare(earlier: subject.earlier) { execution.report.fileSystem = $0 }
        let measurement = try update.write(note: execution.note)
        execution.report.operations = [measurement]
        execution.show(table(measurement, from: old, to: new))
        return .done
    }

    /// Says that counters on the file system of the data may be lost with it; whatever keeps one from knowing is told later.
    private func warnOfOneFileSystem() throws(Failure) {
        let folder = try Failure.reading(execution.settings[.acknowledge])
        guard execution.session.isRoot, let folder,
            let own = try? System.status(folder).get(),
            let data = try? System.status(subject.files.path(of: 0)).get(),
            own.st_dev == data.st_dev
        else { return }
        execution.logger.warning(
            "acknowledge: \(folder) is on the file system of the data, and may be lost with it")
    }

    private func table(_ operation: Measurement, from old: Int, to new: Int) -> Table {
        var table = Table()
        table.row("updated", subject.path)
        table.row("size", bytes: subject.spec.size)
        table.row("generation", "\(new), before \(old)")
        table.row(
            "written",
            "\(operation.updatedBlocks ?? 0) blocks, \(operation.bytes) bytes")
        table.addHints(execution.report)
        table.addRates(operation, execution.session)
        table.addUpdates(operation)
        return table
    }
}

extension Table {
    /// How many writes an update did, and how long they took.
    mutating func addUpdates(_ operation: Measurement) {
        row("writes", "\(Int((operation.writesPerSecond ?? 0).rounded())) per second")
        if let latency = operation.latencyNs { row("latency", latency.text) }
    }
}
