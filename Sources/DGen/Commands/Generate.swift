// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Logging

struct GenerateCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Write a data set into one shared file (the default).")

    @Flag(
        inversion: .prefixedNo,
        help: """
            Finish a file that an earlier run did not: what is right stays, what is not is written; from \
            the start where there is no file (default: no).
            """)
    var resume: Bool?

    @OptionGroup(title: "File") var write: WriteOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var hint: [String] { write.hint }
    var given: [(OptionKey, String?)] {
        write.given + spec.given + run.given + result.given + [(.resume, resume?.description)]
    }

    func run(_ job: Job) throws -> ExitStatus {
        // Where no subcommand is named, the job file may say what to do.
        let isNamed = Program.words.dropFirst().first == Self.configuration.commandName
        switch isNamed ? .generate : job.settings.operation ?? .generate {
        case .generate: return try Generate.run(job)
        case .verify: return try Verify(job).run()
        case .repair: return try Repair(job).run()
        case .test: return try FileTest(job).run()
        }
    }
}

/// `dgen-mpi generate`: writes a data set into one shared file, all ranks together.
struct Generate {
    private let job: Job
    private let writing: DataSetWriter

    /// Does what the options say: writes a file, or finishes one; collective.
    static func run(_ job: Job) throws -> ExitStatus {
        let settings = job.settings
        guard try settings.flag(.resume, default: false) else { return try Generate(job).write() }
        guard try !settings.flag(.overwrite, default: false) else {
            throw InvalidField(
                field: OptionKey.resume.rawValue, value: "true", accepted: "it without overwrite")
        }
        let path = try settings.dataPath(
            missing: "output: missing; give the file to write with -o FILE")
        let isThere = try job.session.onRoot {
            // A file of a rank is enough, and so is a link that leads nowhere.
            let paths = [path, Manifest.path(for: path), FileLayout.perRank.path(path, rank: 0)]
            return try paths.contains(where: FileSystem.isTaken)
        }
        guard isThere else { return try Generate(job).write() }
        try job.session.onRoot {
            guard try FileSystem.isTaken(Manifest.path(for: path)) else {
                throw Failure(
                    .usage,
                    "resume: \(path) exists, and no manifest \(Manifest.path(for: path)) says that a "
                        + "run of dgen-mpi has begun it; it is left as it is (--overwrite instead of "
                        + "--resume replaces it)")
            }
        }
        let subject = try StoredDataSet(job, missing: "")
        return try Repair(job, subject).run()
    }

    /// Reads the options; the same on every rank; collective, since rank 0 draws the seed.
    private init(_ job: Job) throws {
        self.job = job
        writing = try DataSetWriter(job)
    }

    /// Writes the file; collective.
    private func write() throws -> ExitStatus {
        let (path, spec) = (writing.path, writing.spec)
        job.report.path = path
        job.report.spec = EncodedSpec(spec)
        job.logger.info("generate \(path): \(spec.size) bytes, seed \(spec.seed)")
        let operation = try writing.write()
        job.report.operations = [operation]
        job.logger.info("generate \(path): complete")
        job.show(table(operation))
        return .done
    }

    private func table(_ operation: Report.Operation) -> Table {
        let (path, spec) = (writing.path, writing.spec)
        let layout = Layout(spec)
        var table = Table()
        table.row("written", path)
        table.row("size", "\(ByteSize.format(spec.size)) (\(spec.size) bytes)")
        table.row("seed", "\(spec.seed)")
        table.row(
            "ratios",
            "dedup \(spec.dedupRatio) at \(ByteSize.format(spec.dedupUnit)), compress "
                + "\(spec.compressRatio) at \(ByteSize.format(spec.compressUnit)) (\(spec.fill.rawValue))"
        )
        writing.addHints(to: &table)
        table.row("blocks", "\(layout.blockCount), \(layout.distinctBlockCount) distinct")
        table.row("expected stored", ByteSize.format(layout.expectedStoredBytes))
        job.addRates(of: operation, to: &table)
        table.row(
            "slowest rank",
            "generate \(operation.generateSeconds.fixed(3)) s, write "
                + "\(operation.transferSeconds.fixed(3)) s, sync \(operation.syncSeconds.fixed(3)) s"
        )
        if let proof = operation.proofSeconds {
            table.row("read back", "every byte right (\(proof.fixed(3)) s)")
        }
        table.row("manifest", Manifest.path(for: path))
        return table
    }
}
