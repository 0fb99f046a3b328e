// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import DataGen
import Glibc
import Logging
import MPI
import Options

/// Writes a data set into one shared file or a file for each rank, all ranks together, once or over and over.
final class DataSetWriter {
    /// What happens to a file that is there.
    enum Existing {
        /// It is left as it is, and the run refused.
        case refused
        /// It is replaced.
        case replaced
        /// It is of this run, and written over where it stands.
        case ours
    }

    let spec: DataSpec
    let isCollective: Bool
    /// The files, and how they are dealt to ranks.
    let files: FileSet
    /// Which bytes each rank writes, and in which order.
    let pattern: DealtPattern
    let sync: Sync
    let pipeline: Pipeline
    private let stripes: Striping
    private let overwrites: Bool
    private let isTest: Bool
    private let checksSpace: Bool
    private let preallocates: Bool
    /// Which checksums manifest and report get, and how they are computed.
    private let algorithms: [ChecksumAlgorithm]
    private let remainders: RemainderKernel
    private var tally: ChecksumTally?
    /// The right to write the files.
    let claim: Claim
    /// Whether it was proven that all ranks mean the same files.
    private var isShared = false

    var path: String { files.path }
    private var session: Session { pipeline.run.session }
    private var rank: Int { session.world.rank }
    private var transfers: TransferWriter {
        TransferWriter(
            pipeline: pipeline, spec: spec, files: files, pattern: pattern, sync: sync,
            isCollective: isCollective, mayFill: !preallocates, tally: tally)
    }

    /// Reads the options; the same on every rank; collective, since rank 0 draws the seed.
    ///
    /// With `isTest` all that is written will be taken away again, so that not even a manifest without files is replaced.
    init(_ pipeline: Pipeline, _ settings: Settings, isTest: Bool = false) throws(Failure) {
        self.pipeline = pipeline
        self.isTest = isTest
        let session = pipeline.run.session
        let target = pipeline.access.target
        if target.kind == .stream, session.world.size > 1 {
            throw Failure(.usage, "output: a stream takes one rank, not \(session.world.size)")
        }
        var settings = settings
        if target.kind == .device { settings.supply("\(target.deviceBytes)", for: .size) }
        let path = try settings.dataPath(
            missing: "output: missing; give the file to write with -o FILE")
        // The seed below 2^53, so that every reader of JSON keeps it exactly.
        let drawn = try session.onRoot { UInt64.random(in: 0..<(1 << 53)) }
        spec = try settings.spec(over: nil, drawingSeed: { drawn })
        guard spec.size >= 1 else {
            throw Failure(
                InvalidField(
                    field: "size", value: settings.text(.size) ?? "", accepted: "1 byte at least"))
        }
        let (layout, alignment) = try Failure.reading((settings.layout(), settings.alignment()))
        let (count, size) = try Failure.reading((settings[.stripeCount], settings[.stripeSize]))
        let folder = FileSystem.folder(of: FileSystem.resolved(path))
        stripes = try session.onRoot { Striping(folder: folder, count: count, size: size) }
        let align = settings.has(.align) ? alignment : stripes.folderStripeSize ?? alignment
        files = FileSet(
            path: path, layout: layout,
            shards: Shards(size: spec.size, ranks: session.world.size, alignment: align),
            target: target)
        let (cut, order, seed) = try Failure.reading(
            (settings.cut(), settings[.order], settings[.shuffleSeed]))
        pattern = DealtPattern(
            files.shards, transferSize: pipeline.transferSize, cut: cut, order: order, seed: seed)
        claim = try Claim(
            session, path, target,
            Manifest(
                status: .writing, spec: spec, layout: layout, ranks: files.shards.count,
                align: align, cut: cut, transferSize: pipeline.transferSize))
        (isCollective, sync) = try Failure.reading((settings[.collective], settings[.sync]))
        // What a test writes is compared byte by byte.
        algorithms = try Failure.reading(isTest ? [] : settings[.checksum]).eachOnce
        remainders = try session.together { try settings.remainderKernel() }
        (overwrites, checksSpace, preallocates) = try Failure.reading(
            (settings[.overwrite], settings[.spaceCheck], settings[.preallocate]))
    }

    /// How fast a data set was written, and what the storage says of it.
    struct Result {
        var measurement: Measurement
        /// Nil where no tool of the file system knows.
        let stripes: Striping.Stripes?
        /// Of the bytes that were made, where they were asked for.
        var checksums: [RangeChecksum] = []
    }

    /// Writes the data, brings it to stable storage, and proves that all of it is there before that is said of it; collective.
    ///
    /// Unless what is there was written by this run, ``prepare(note:)`` comes first. `note` is told what the library says of
    /// the hints of the file; `prove` tells how many seconds it took.
    func write(
        iteration: Int = 0, over isOurs: Bool = false, note: (OpenDataSet.Hints) -> Void,
        prove: () throws(Failure) -> Double?
    ) throws(Failure) -> Result {
        claim.plan(spec)
        tally =
            algorithms.isEmpty
            ? nil
            : ChecksumTally(
                spec, algorithms, threads: pipeline.run.threads.count, kernel: remainders)
        // Bytes are there when the file is open.
        let relay = try transfers.makeBytes()
        defer { relay.finish() }
        var result: Result
        do {
            result = try write(
                iteration, from: relay, over: isOurs ? .ours : overwrites ? .replaced : .refused,
                note: note)
            try transfers.checkStored()
            result.measurement.proofSeconds = try prove()
        } catch {
            throw explained(error)
        }
        if let tally { result.checksums = tally.results(try session.joined(tally.values)) }
        try claim.complete(checksums: result.checksums)
        return result
    }

    /// Takes the data and its manifest away, which this run has written; collective.
    ///
    /// What is no file stays, with what was written to it.
    func remove() throws(Failure) {
        // The manifest first: what another run has made its own meanwhile stays.
        try session.onRoot { try claim.withdraw() }
        claim.release()
        guard files.target.isFile else { return }
        try session.together {
            try files.forOwn(session) { own throws(Failure) in
                // A link stays, and so does what it leads to, without contents.
                if FileSystem.isLink(own.path) {
                    try FileSystem.cut(own.path, to: 0)
                } else {
                    try FileSystem.remove(own.path)
                }
            }
        }
    }

    /// Finds out everything that can be known before the first byte; collective, rank 0 looks, all hear.
    ///
    /// `note` is told the type of the file system as soon as it is known.
    func prepare(note: (String?) -> Void) throws(Failure) {
        guard files.target.isFile else { return try prepareTarget() }
        let fileSystem = try session.onRoot {
            try files.requireShortNames()
            try FileSystem.requireNoDanglingLink(path)
            let existing = try FileSet.requireReplaceable(path, overwrites: overwrites)
            try files.requireWritable()
            try files.requireNoForeignManifest(overwrites: overwrites, keepsAll: isTest)
            if checksSpace {
                try FileSystem.requireSpace(
                    for: path, bytes: spec.size - (existing?.allocatedBytes ?? 0))
            }
            return try files.requireFileSystem(hasFile: existing != nil)
        }
        note(fileSystem)
        if !isShared {
            try Sharing(run: pipeline.run, files: files).prove(isReading: false)
            isShared = true
        }
        if files.layout == .perRank {
            let own = files.path(of: rank)
            try session.together {
                try FileSystem.requireNoDanglingLink(own)
                _ = try FileSet.requireReplaceable(own, overwrites: overwrites)
            }
            try files.requireApart(session)
        }
        // Each rank may have limits of its own.
        try session.together {
            try FileSystem.requireLength(
                files.layout == .perRank ? files.shards[rank].count : spec.size, of: path)
        }
        warn(stripes.warning(pipeline.access.access))
    }

    /// Finds out whether what is no file may be written; collective.
    private func prepareTarget() throws(Failure) {
        try session.onRoot { try claim.requireOwnPlace(overwrites: overwrites) }
        if !isShared {
            try Sharing(run: pipeline.run, files: files).prove(isReading: false)
            isShared = true
        }
        try claim.takeDevice(bytes: spec.size, holding: overwrites ? .anything : .nothing)
    }

    private func warn(_ text: String?) {
        if session.isRoot, let text { pipeline.run.logger.warning("\(text)") }
    }

    /// The folder of the data file itself, where the output is a link to it.
    private var dataFolder: String { FileSystem.folder(of: FileSystem.resolved(path)) }

    /// Makes the open file that of this run before the first byte: nobody else writes it, and its
    /// manifest no longer says what it held.
    private func take(_ data: OpenDataSet, _ existing: Existing) throws(Failure) {
        // What this rank looks after.
        let own = files.layout == .perRank || session.isRoot ? files.path(of: rank) : nil
        var earlier: Claim.EarlierFiles?
        do {
            // The manifest of a new file was there before it; of this run itself it is the same data set, over what was there
            // before.
            if existing == .refused { try claim.lock(own) } else { earlier = try claim.take(own) }
        } catch {
            try data.close()
            if existing == .refused {
                own.map(FileSystem.removeEmpty)
                withdraw()
            }
            throw error
        }
        let watchdog = pipeline.run.watchdog
        // MPI's "create" leaves the tail of a longer file.
        if existing == .replaced, files.target.isFile {
            try session.together {
                if let own { try watchdog.during(.open) { try FileSystem.cut(own, to: 0) } }
                if let earlier {
                    try files.removeLeftovers(
                        of: earlier.layout, ranks: earlier.ranks, from: rank,
                        by: session.world.size)
                }
            }
        }
        if preallocates {
            try session.together {
                try files.forOwn(session) { own throws(Failure) in
                    guard !own.range.isEmpty else { return }
                    try watchdog.during(.open) { () throws(Failure) in
                        try FileSystem.allocate(own.path, bytes: own.range.count)
                    }
                }
            }
        }
    }

    /// Takes back what was said of a file that has not come to be.
    private func withdraw() {
        // A failure changes nothing: the run ends with the error that led here.
        if session.isRoot { try? claim.withdraw() }
    }

    /// Writes all shards and brings them to stable storage.
    private func write(
        _ iteration: Int, from relay: Relay, over existing: Existing,
        note: (OpenDataSet.Hints) -> Void
    ) throws(Failure) -> Result {
        var mode = existing == .refused ? SharedFile.Mode.createNew : .createOrOpen
        if existing == .refused {
            // Before there is a file: whatever becomes of this run, what it leaves is known to be its own.
            try session.onRoot {
                // Beside what is no file nothing was found, and what has come to be there since is of another run.
                let isNew =
                    try !files.target.isFile
                    || files.manifestPath.map(FileSystem.isTaken) != true
                try claim.begin(earlier: [], isNew: isNew)
            }
        }
        if existing != .ours, stripes.isSet {
            try session.together {
                try files.forOwn(session) { own throws(Failure) in try stripes.create(own.path) }
            }
            mode = .createOrOpen
        }
        let data: OpenDataSet
        do {
            data = try OpenDataSet(pipeline.run, files, mode, by: pipeline.access, note: note)
        } catch {
            // What was made by then stays, and its manifest, so that it can be finished.
            if existing == .refused, try !FileSystem.isTaken(files.path(of: 0)) { withdraw() }
            throw error
        }
        // Not part of writing the data, nor is it timed.
        try take(data, existing)
        try transfers.write(from: relay, to: data)
        var measurement = try data.times.measurement(
            of: "write", iteration, bytes: spec.size, pipeline.run)
        measurement.transferSize = pipeline.transferSize
        measurement.collective = isCollective
        // The manifest speaks of stable storage, whatever is measured.
        if sync == .none { try data.syncFiles() }
        return Result(measurement: measurement, stripes: try foundStripes())
    }

    private func foundStripes() throws(Failure) -> Striping.Stripes? {
        guard stripes.isKnown else { return nil }
        let first = files.path(of: 0)
        let found = try session.onRoot { stripes.found(first) }
        warn(found.flatMap { stripes.warning(of: $0) })
        return found
    }

    /// Adds what the system says of the likeliest cause: MPI's own text for a full file system is
    /// often only "input/output error".
    private func explained(_ failure: Failure) -> Failure {
        guard failure.status == .inputOutput, files.target.isFile,
            let free = (try? FileSystem.freeBytes(dataFolder)) ?? nil
        else { return failure }
        return Failure(
            failure.status,
            "\(failure.message); its file system has \(ByteSize.format(free)) free")
    }
}
