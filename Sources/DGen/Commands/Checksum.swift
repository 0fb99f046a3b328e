// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import Checksums
import DataGen
import Logging
import Options

struct ChecksumCommand: RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "checksum",
        abstract:
            "Compute the checksums that a data set has, of all of it or of parts; reads nothing.",
        discussion: """
            What the data set is comes from a manifest, FILE.dgen.json, beside which there need be no file, or \
            from the options. CRCs are computed by all ranks together; MD5 and SHA-256, which cannot be joined, \
            by one rank, or part by part.
            """)

    @Argument(.output) var output: String?

    @Option(.algorithm) var algorithm: String?
    @Option(.offset) var offset: String?
    @Option(.length) var length: String?
    @Option(.partSize) var partSize: String?
    @Option(.manifest) var manifest: String?

    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var placement: PlacementOptions
    @Option(.progress) var progress: String?
    @Option(.watchdog) var watchdog: String?
    @Option(.timeLimit) var timeLimit: String?
    @OptionGroup(title: "Result") var result: ResultOptions

    func run(_ execution: Execution) throws(Failure) -> ExitStatus {
        try ChecksumsOfSpec(execution).run()
    }
}

/// `dgen-mpi checksum`: what the checksums of a data set are, with any number of ranks; reads nothing but a manifest.
struct ChecksumsOfSpec {
    private let execution: Execution
    private let spec: DataSpec
    private let parts: ChecksumPlan.Parts
    private let algorithms: [ChecksumAlgorithm]
    private let isInParts: Bool

    /// Reads the options; the same on every rank; collective.
    init(_ execution: Execution) throws(Failure) {
        self.execution = execution
        let (settings, session) = (execution.settings, execution.session)
        let path = try Failure.reading(settings[.output])
        let place = path.flatMap(execution.target.manifestPath)
        let text = try session.onRoot { try place.flatMap { try Manifest.text(at: $0) } }
        let manifest = try text.map { text throws(Failure) in
            try Manifest.parse(text, name: place ?? "")
        }
        if let path, manifest == nil, !settings.has(.size) || !settings.has(.seed) {
            throw Failure(
                .usage,
                "\(path): has no manifest \(place ?? "(--manifest FILE)"); give its specification as options, "
                    + "--size and --seed at least")
        }
        let spec = try settings.spec(over: manifest?.spec, drawingSeed: nil)
        self.spec = spec
        let (offset, length, partSize) = try Failure.reading(
            (settings[.offset], settings[.length], settings[.partSize]))
        isInParts = partSize != nil
        algorithms = try Failure.reading(settings[.algorithm]).eachOnce
        guard offset <= spec.size else {
            throw Failure(settings.refusal(.offset, "0 to the \(spec.size) bytes of the data set"))
        }
        guard length ?? 0 <= spec.size - offset else {
            throw Failure(
                settings.refusal(
                    .length, "0 to \(spec.size - offset) bytes, up to the end of the data set"))
        }
        parts = try Failure.reading(
            ChecksumPlan.Parts(
                offset..<(length.map { offset + $0 } ?? spec.size), of: spec, partBytes: partSize))
        if session.world.size > 1, !isInParts, let one = algorithms.first(where: { $0.code == nil })
        {
            throw Failure(
                .usage,
                "algorithm: \(one.rawValue) of a whole range cannot be shared by "
                    + "\(session.world.size) ranks; give part_size, or start one rank")
        }
        execution.report.path = path
        execution.report.spec = spec.json
        execution.report.manifestStatus = manifest?.status.rawValue
        guard session.isRoot, let path, let manifest else { return }
        if let doubt = manifest.doubt {
            execution.logger.warning("\(path): its manifest \(doubt)")
        }
        if manifest.spec != spec {
            execution.logger.warning(
                "\(path): the options given differ from its manifest; they are used")
        }
    }

    func run() throws(Failure) -> ExitStatus {
        let clock = Stopwatch()
        let computed = try ComputedChecksums(
            execution.run, execution.settings, spec, parts, algorithms)
        execution.report.threadsPerRank = try execution.session.world.allReduce(
            computed.threads, .maximum)
        let sums = try computed.compute()
        let whole = isInParts && parts.count > 1 ? algorithms.compactMap { joined(sums, $0) } : []
        let composites =
            isInParts
            ? algorithms.filter(\.hasComposite).map { algorithm in
                Report.Composite(
                    algorithm, sums.filter { $0.algorithm == algorithm }, of: parts)
            } : []
        execution.report.checksums = (sums + whole).map { Report.Checksum($0) }
        execution.report.composites = composites
        execution.show(table(sums, whole, composites, seconds: clock.elapsedSeconds))
        return .done
    }

    /// That of all parts together, where it can be joined of theirs.
    private func joined(
        _ sums: [RangeChecksum], _ algorithm: ChecksumAlgorithm
    ) -> RangeChecksum? {
        let mine = sums.filter { $0.algorithm == algorithm }
        return mine.dropFirst().reduce(mine.first) { $0?.joined(with: $1) }
    }

    /// The most parts that people are shown one by one.
    private static let partsShown = 16

    private func table(
        _ sums: [RangeChecksum], _ whole: [RangeChecksum], _ composites: [Report.Composite],
        seconds: Double
    ) -> Table {
        var table = Table()
        table.row("data set", "\(spec.size) bytes, seed \(spec.seed)")
        table.row("range", "offset \(parts.range.lowerBound), \(parts.range.count) bytes")
        if isInParts {
            table.row("parts", "\(parts.count) of \(ByteSize.format(parts.partBytes)) at most")
        }
        let isShown = parts.count <= Self.partsShown
        for sum in (isShown ? sums : []) + whole {
            let place =
                isInParts && sum.range != parts.range ? " at \(sum.range.lowerBound)" : ""
            table.row(sum.algorithm.rawValue + place, "\(sum.hex)  \(sum.base64)")
        }
        if !isShown { table.row("", "those of the parts are in the report (--report FILE)") }
        for one in composites { table.row("\(one.algorithm) of all parts", one.text) }
        table.row("time", "\(seconds.fixed(3)) s")
        return table
    }
}
