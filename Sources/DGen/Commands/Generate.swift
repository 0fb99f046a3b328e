// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging
import Options

struct GenerateCommand: MovesData {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Write a data set into one shared file (the default).")

    @Flag(.resume) var resume: Bool?
    @Option(.checksum) var checksum: String?

    @OptionGroup(title: "File") var write: WriteOptions
    @OptionGroup var shared: SharedOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus {
        // Where no subcommand is named, the job file may say what to do.
        let isNamed = CommandLines.words.dropFirst().first == Self.configuration.commandName
        let asked = try Failure.reading(execution.settings[.operation])
        switch isNamed ? .generate : asked ?? .generate {
        case .generate: return try Generate.run(execution)
        case .verify: return try Verify(execution).run()
        case .repair: return try Repair(execution).run()
        case .update: return try Update(execution).run()
        case .test:
            var test = try FileTest(execution)
            return try test.run()
        }
    }
}

/// `dgen-mpi generate`: writes a data set into one shared file, all ranks together.
struct Generate {
    private let execution: Execution
    private let writer: DataSetWriter

    /// Does what the options say: writes a file, or finishes one; collective.
    static func run(_ execution: Execution) throws(Failure) -> ExitStatus {
        let (settings, session) = (execution.settings, execution.session)
        let (resumes, overwrites) = try Failure.reading((settings[.resume], settings[.overwrite]))
        guard resumes else { return try Generate(execution).write() }
        guard !overwrites else {
            throw Failure(OptionRow.resume.refusal("true", "it without overwrite"))
        }
        guard try Failure.reading(settings[.checksum]).isEmpty else {
            throw Failure(settings.refusal(.checksum, "none with resume"))
        }
        let path = try settings.dataPath(
            missing: "output: missing; give the file to write with -o FILE")
        guard let manifest = execution.target.manifestPath(for: path) else {
            throw Failure(
                .usage, "resume: without --manifest FILE nothing says what \(path) is to hold")
        }
        let isThere = try session.onRoot {
            // A file of a rank is enough, and so is a link that leads nowhere.
            let beside = [path, FileLayout.perRank.path(path, rank: 0)]
            let paths = [manifest] + (execution.target.isFile ? beside : [])
            return try paths.contains(where: FileSystem.isTaken)
        }
        guard isThere else { return try Generate(execution).write() }
        try session.onRoot {
            guard try FileSystem.isTaken(manifest) else {
                throw Failure(
                    .usage,
                    "resume: \(path) exists, and no manifest \(manifest) says that a run of dgen-mpi "
                        + "has begun it; it is left as it is (--overwrite instead of --resume "
                        + "replaces it)")
            }
        }
        return try Repair(execution).run()
    }

    /// Reads the options; the same on every rank; collective, since rank 0 draws the seed.
    private init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        writer = try DataSetWriter(execution.pipeline, execution.settings)
    }

    private func write() throws(Failure) -> ExitStatus {
        let (path, spec) = (writer.path, writer.spec)
        execution.report.describe(writer)
        execution.logger.info("generate \(path): \(spec.size) bytes, seed \(spec.seed)")
        try writer.prepare { execution.report.fileSystem = $0 }
        let result = try writer.writeProven(note: execution.note)
        execution.report.stripes = result.stripes
        if !result.checksums.isEmpty {
            execution.report.checksums = result.checksums.map { Report.Checksum($0) }
        }
        execution.report.operations = [result.measurement]
        execution.logger.info("generate \(path): complete")
        execution.show(table(result.measurement, result.checksums))
        return .done
    }

    private func table(_ operation: Measurement, _ checksums: [RangeChecksum]) -> Table {
        let (path, spec) = (writer.path, writer.spec)
        let reduction = Reduction(spec)
        var table = Table()
        table.row("written", path)
        table.row("size", bytes: spec.size)
        table.row("seed", "\(spec.seed)")
        let (dedup, compress) =
            spec.composition == nil
            ? ("\(spec.dedupRatio)", "\(spec.compressRatio)")
            : (reduction.dedupRatio.fixed(3), reduction.meanCompressRatio.fixed(3))
        table.row(
            "ratios",
            "dedup \(dedup) at \(ByteSize.format(spec.dedupUnit)), compress "
                + "\(compress) at \(ByteSize.format(spec.compressUnit)) (\(spec.fill.rawValue))"
        )
        if let generation = spec.composition?.generation {
            table.row("generation", "\(generation)")
        }
        table.addHints(execution.report)
        let zeros = reduction.zeroBlocks > 0 ? ", \(reduction.zeroBlocks) of zeros" : ""
        table.row("blocks", "\(reduction.blocks), \(reduction.contents) distinct\(zeros)")
        table.row("expected stored", ByteSize.format(reduction.storedBytes))
        table.addRates(operation, execution.session)
        table.row(
            "slowest rank",
            "generate \(operation.generateSeconds.fixed(3)) s, write "
                + "\(operation.transferSeconds.fixed(3)) s, sync \(operation.syncSeconds.fixed(3)) s"
        )
        if let proof = operation.proofSeconds {
            table.row("read back", "every byte right (\(proof.fixed(3)) s)")
        }
        for sum in checksums {
            table.row(sum.algorithm.rawValue, "\(sum.hex)  \(sum.base64)")
        }
        table.row("manifest", writer.files.manifestPath ?? writer.files.target.whyNoManifest)
        return table
    }
}
