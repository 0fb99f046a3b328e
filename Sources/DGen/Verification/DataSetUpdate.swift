// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// Brings a data set that is in storage from one generation to another, with any number of ranks: in place, and only the
/// blocks that change are written.
///
/// In which order follows from the specification, the two generations and the number of ranks alone. The manifest says both
/// generations from before the first byte until all are stored.
final class DataSetUpdate {
    let files: FileSet
    /// What the data is before, and after.
    let from: DataSpec
    let to: DataSpec
    private let pipeline: Pipeline
    private let claim: Claim
    private var writer: TransferWriter
    private let pattern: UpdatePattern
    private let unfinished: Manifest.UnfinishedUpdate

    private var run: Run { pipeline.run }
    private var session: Session { run.session }

    /// Prepares to write; what `claim` has locked stays locked.
    ///
    /// `before` is the manifest of an update that this one goes on with. Each rank acknowledges in the folder `acknowledge`,
    /// if there is one, what is durable.
    init(
        _ pipeline: Pipeline, _ files: FileSet, from: DataSpec, to: DataSpec, _ claim: Claim,
        sync: Sync, isCollective: Bool, goingOnWith before: Manifest? = nil,
        acknowledge folder: String? = nil, after earlierRun: String = ""
    ) throws(Failure) {
        self.pipeline = pipeline
        self.files = files
        self.from = from
        self.to = to
        self.claim = claim
        let world = pipeline.run.session.world
        let generation = from.generation
        let pattern = UpdatePattern(
            to, against: generation, ranks: world.size, transferSize: pipeline.transferSize)
        self.pattern = pattern
        var unfinished = Manifest.UnfinishedUpdate(
            from: generation, ranks: world.size, sync: sync.text,
            transferSize: pipeline.transferSize, run: before?.owner)
        if let update = before?.update, !unfinished.hasOrder(of: update) {
            // What is there was written in two orders: neither has to be there up to a sync point.
            unfinished.sync = Sync.none.text
        }
        self.unfinished = unfinished
        writer = TransferWriter(
            pipeline: pipeline, spec: to, files: files, pattern: pattern,
            sync: sync, isCollective: isCollective, mayFill: true,
            acknowledgement: try folder.map { folder throws(Failure) in
                guard let run = Counter.name(ofRun: unfinished.run ?? claim.run) else {
                    throw Failure(
                        .usage,
                        "acknowledge: the manifest of \(files.path) does not say which run began the update"
                    )
                }
                return Acknowledgement(
                    folder,
                    Counter(
                        run: run, previous: Counter.name(ofRun: earlierRun) ?? "-",
                        rank: world.rank, ranks: world.size, from: generation,
                        to: to.generation, transferSize: pattern.transferSize))
            }, title: "update")
    }

    /// Finds out everything that can be known before anything is changed; collective.
    ///
    /// `note` is told the type of the file system as soon as it is known.
    func prepare(earlier: [DataSpec], note: (String?) -> Void) throws(Failure) {
        let first = files.path(of: 0)
        note(
            try session.onRoot {
                guard files.target.isFile else {
                    try claim.requireOwnPlace(overwrites: true, mayMove: true)
                    return nil
                }
                try files.requireShortNames()
                try files.requireWritable()
                return FileSystem.type(FileSystem.folder(of: FileSystem.resolved(first)))
            })
        try Sharing(run: run, files: files).prove(isReading: false)
        let specs = [to, from] + earlier
        try claim.takeDevice(bytes: to.size, holding: .dataSets(specs, run.threads.kernel))
        try files.requireApart(session)
        try session.together {
            try files.forOwn(session) { own throws(Failure) in
                try run.watchdog.during(.read) { () throws(Failure) in
                    try requireWhole(own, specs)
                }
            }
        }
    }

    /// Refuses a file that is not all there, or has nothing of the data set, whatever the manifest beside it says.
    private func requireWhole(_ own: FileSet.Part, _ specs: [DataSpec]) throws(Failure) {
        if files.target.isFile {
            try FileSystem.requireNoDanglingLink(own.path)
            try FileSystem.regular(own.path)
        }
        let size = try files.storedBytes(own.path)
        guard size == own.range.count else {
            throw Failure(
                .usage,
                "\(own.path): has \(size ?? 0) bytes, not \(own.range.count); it is left as it is "
                    + "(repair makes it whole)")
        }
        guard !own.range.isEmpty,
            try Provenance.of(
                own.path, bytes: size, own.range, specs: specs, kernel: run.threads.kernel)
                == .foreign
        else { return }
        throw Failure(
            .usage,
            "\(own.path): none of the bytes that were looked at is of the data set that its manifest "
                + "speaks of; it is left as it is (generate --overwrite replaces it)")
    }

    /// Writes what changes, and brings it to stable storage; collective, after ``prepare(earlier:note:)`` unless this run has
    /// written the files itself.
    ///
    /// `herald` tells ranks that read meanwhile; `note` is told what the library says of the hints of the files.
    func write(
        iteration: Int = 0, herald: WriteHerald? = nil, note: (OpenDataSet.Hints) -> Void
    ) throws(Failure) -> Measurement {
        writer.herald = herald
        let relay = try writer.makeBytes()
        defer { relay.finish() }
        let data = try OpenDataSet(run, files, .update, by: pipeline.access, note: note)
        do {
            // Before the manifest: where that says that an update goes on, every rank has a counter.
            try session.together { try begin(writer.acknowledgement) }
            claim.plan(to, updating: unfinished)
            // The first file stands for all: whoever writes the data set has its lock.
            _ = try claim.take(session.isRoot ? files.path(of: 0) : nil)
        } catch {
            writer.acknowledgement?.withdraw()
            try data.close()
            throw error
        }
        try writer.write(from: relay, to: data)
        if writer.sync == .none { try data.syncFiles() }
        // The last ones, whatever brought them there.
        let count = pattern.count(ofRank: session.world.rank)
        try session.together { try writer.acknowledge(count) }
        try writer.checkStored()
        let sums = try session.world.allReduce(
            [data.writtenBytes, data.times.latencies.count], .sum)
        var measurement = try data.times.measurement(of: "update", iteration, bytes: sums[0], run)
        measurement.transferSize = pipeline.transferSize
        measurement.collective = writer.isCollective
        // No block but the last one of the data set is shorter.
        measurement.updatedBlocks = sums[0].dividedRoundingUp(by: to.dedupUnit)
        measurement.writesPerSecond =
            measurement.seconds > 0 ? Double(sums[1]) / measurement.seconds : 0
        if writer.isCollective { measurement.proofSeconds = try prove() }
        try claim.complete()
        return measurement
    }

    private func begin(_ acknowledgement: Acknowledgement?) throws(Failure) {
        guard let acknowledgement else { return }
        try session.watchdog.during(.acknowledge) { () throws(Failure) in
            try acknowledgement.begin()
        }
    }

    /// Reads what collective calls claim to have written; seconds of the slowest rank.
    private func prove() throws(Failure) -> Double {
        try Comparison(
            pipeline: pipeline, files: files, spec: to, title: "prove", pattern: writer.pattern
        ).proof()
    }
}
