// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// `dgen-mpi verify`: regenerates a data set and compares a file with it, with any number of ranks.
struct Verify {
    /// The most damaged ranges that the table prints.
    static let rangesPrinted = 20

    private let job: Job
    private let path: String

    private var session: Session { job.session }

    init(_ job: Job) throws {
        self.job = job
        path = try job.settings.dataPath(missing: "verify: missing; give the file to verify")
    }

    /// Compares the file; collective.
    func run() throws -> ExitStatus {
        job.report.path = path
        let (spec, manifest) = try specification()
        let manifestStatus = manifest?.status
        job.report.spec = EncodedSpec(spec)
        job.report.manifestStatus = manifestStatus?.rawValue
        if session.isRoot, manifestStatus == .writing {
            job.logger.warning(
                "\(path): its manifest says 'writing': the run that wrote it did not finish")
        }
        job.logger.info("verify \(path): \(spec.size) bytes, seed \(spec.seed)")
        let shards = Shards(
            size: spec.size, ranks: session.world.size,
            alignment: try job.settings.alignment())
        let layout = try manifest?.layout ?? job.settings.layout()
        // Without a manifest there are as many files as ranks.
        let written =
            layout == .perRank
            ? manifest.map { Shards(size: spec.size, ranks: $0.ranks, alignment: $0.align) } : nil
        let files = FileSet(path: path, layout: layout, shards: written ?? shards)
        job.report.layout = layout.rawValue
        try requireFiles(files)
        let comparison = Comparison(
            job, files, spec, title: "verify",
            pattern: Pattern(shards, transferSize: job.transferSize))
        var times = Times()
        let found = try comparison.run(&times)
        var operation = Report.Operation(operation: "verify")
        operation.transferSize = job.transferSize
        try job.measure(&operation, times, bytes: min(spec.size, found.fileBytes))
        job.report.operations = [operation]
        job.note(found)
        let isRight = found.isRight(spec)
        job.logger.info("verify \(path): \(isRight ? "every byte is right" : "differs")")
        job.show(table(found, spec, operation, manifestStatus, isRight: isRight))
        return isRight ? .done : .mismatch
    }

    /// The first file is there; others are missed when they are read.
    private func requireFiles(_ files: FileSet) throws {
        let first = files.path(of: 0)
        job.report.fileSystem = try session.onRoot {
            try requireFile(first)
            return FileSystem.type(first)
        }
    }

    private func requireFile(_ path: String) throws {
        guard let state = try FileSystem.state(path) else {
            throw Failure(.inputOutput, "\(path): no such file")
        }
        guard state.isRegular else {
            throw Failure(.inputOutput, "\(path): not a regular file")
        }
    }

    /// What the file should hold: the manifest's words, where no option says otherwise.
    private func specification() throws -> (DataSpec, Manifest?) {
        let text = try session.onRoot {
            let text = try Manifest.text(for: path)
            // Without either, what is missing is the file; the files of ranks have other names.
            if text == nil, try job.settings.layout() == .shared { try requireFile(path) }
            return text
        }
        let manifest = try text.map {
            try Manifest.parse($0, name: Manifest.path(for: path))
        }
        if manifest == nil, !job.settings.has(.size) || !job.settings.has(.seed) {
            throw Failure(
                .usage,
                "\(path): has no manifest \(Manifest.path(for: path)); give its specification as "
                    + "options, --size and --seed at least")
        }
        let spec = try job.settings.spec(over: manifest?.spec, drawingSeed: nil)
        if session.isRoot, let manifest, manifest.spec != spec {
            job.logger.warning("\(path): the options given differ from its manifest; they are used")
        }
        return (spec, manifest)
    }

    private func table(
        _ found: Comparison.Found, _ spec: DataSpec, _ operation: Report.Operation,
        _ manifestStatus: Manifest.Status?, isRight: Bool
    ) -> Table {
        var table = Table()
        table.row("verified", path)
        table.row("result", isRight ? "every byte is right" : "DIFFERS from its specification")
        table.row("size", "\(ByteSize.format(spec.size)) (\(spec.size) bytes)")
        if found.fileBytes != spec.size {
            let difference = found.fileBytes - spec.size
            table.row(
                "file",
                "has \(found.fileBytes) bytes: "
                    + (difference < 0 ? "short by \(-difference)" : "long by \(difference)"))
        }
        if manifestStatus == .writing {
            table.row("manifest", "says 'writing': the run that wrote it did not finish")
        }
        let log = found.log
        if let first = log.ranges.first {
            table.row("first wrong", "offset \(first.offset)")
            table.row("wrong bytes", "\(log.wrongBytes)")
            table.row("damaged ranges", "\(log.rangeCount)")
            for range in log.ranges.prefix(Self.rangesPrinted) {
                table.row(
                    "", "offset \(range.offset), length \(range.bytes), \(range.wrongBytes) wrong")
            }
            if log.rangeCount > Self.rangesPrinted {
                table.row("", "and \(log.rangeCount - Self.rangesPrinted) more")
            }
        }
        job.addRates(of: operation, to: &table)
        table.row(
            "slowest rank",
            "read \(operation.transferSeconds.fixed(3)) s, generate and compare "
                + "\(operation.generateSeconds.fixed(3)) s")
        return table
    }
}
