// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

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

    /// When data is brought to stable storage within the time that is measured.
    enum Sync: String, CaseIterable {
        /// Not at all; it is done afterwards.
        case none
        /// Once, after all transfers.
        case end
        /// After each transfer.
        case each
    }

    let path: String
    let spec: DataSpec
    let isCollective: Bool
    /// The files, and how they are dealt to ranks.
    let files: FileSet
    /// Which bytes each rank writes, and in which order.
    let pattern: DealtPattern
    private let job: Job
    private let sync: Sync
    private let stripes: Striping
    private let overwrites: Bool
    private let isTest: Bool
    private let checksSpace: Bool
    private let preallocates: Bool
    private let claim: Claim
    /// Whether it was proven that all ranks mean the same files.
    private var isShared = false

    private var batches: Batches { Batches(pattern, depth: job.queueDepth) }
    private var session: Session { job.session }
    private var shards: Shards { files.shards }
    private var rank: Int { session.world.rank }
    /// Whether every rank does each transfer at the same time as the others.
    private var isInStep: Bool {
        isCollective || (sync == .each && job.access == .mpi && files.layout == .shared)
    }
    /// The file that this rank looks after: its own, or, on one rank of some, the one that all share.
    private func ownFile(of shared: Ranks) -> String? {
        switch files.layout {
        case .perRank: files.path(of: rank)
        case .shared: shared.rank == 0 ? path : nil
        }
    }

    /// Reads the options; the same on every rank; collective, since rank 0 draws the seed.
    ///
    /// - Parameters:
    ///   - job: the ranks.
    ///   - isTest: whether all that is written will be taken away again, so that not even a manifest without files is
    ///     replaced.
    /// - Throws: `InvalidField` or ``Failure`` for the first option that is wrong.
    init(_ job: Job, isTest: Bool = false) throws {
        self.job = job
        self.isTest = isTest
        let settings = job.settings
        let path = try settings.dataPath(
            missing: "output: missing; give the file to write with -o FILE")
        self.path = path
        // The seed below 2^53, so that every reader of JSON keeps it exactly.
        let drawn = try job.session.onRoot { UInt64.random(in: 0..<(1 << 53)) }
        spec = try settings.spec(over: nil, drawingSeed: { drawn })
        guard spec.size >= 1 else {
            throw InvalidField(
                field: "size", value: settings.text(.size) ?? "", accepted: "1 byte at least")
        }
        let (stripeCount, stripeSize) = try settings.stripes()
        let folder = FileSystem.folder(of: FileSystem.resolved(path))
        stripes = try job.session.onRoot {
            Striping(folder: folder, count: stripeCount, size: stripeSize)
        }
        let align =
            try settings.has(.align)
            ? settings.alignment() : stripes.folderStripeSize ?? settings.alignment()
        files = FileSet(
            path: path, layout: try settings.layout(),
            shards: Shards(
                size: spec.size, ranks: job.session.world.size, alignment: align))
        pattern = DealtPattern(
            files.shards, transferSize: job.transferSize, cut: try settings.cut(),
            order: try settings.choice(.order, default: .sequential),
            seed: try settings.shuffleSeed())
        claim = try Claim(
            job.session, path,
            Manifest(
                status: .writing, spec: spec, layout: files.layout, ranks: files.shards.count,
                align: align, cut: pattern.cut, transferSize: job.transferSize))
        isCollective = try settings.flag(.collective, default: false)
        sync = try settings.choice(.sync, default: .end)
        overwrites = try settings.flag(.overwrite, default: false)
        checksSpace = try settings.flag(.spaceCheck, default: true)
        preallocates = try settings.flag(.preallocate, default: false)
        job.report.layout = files.layout.rawValue
        job.report.segments = pattern.cut.segmentCount ?? 1
        job.report.strided = pattern.cut == .strided
        job.report.order = pattern.order.rawValue
        job.report.sync = sync.rawValue
    }

    /// Writes the data and brings it to stable storage; collective.
    ///
    /// - Parameters:
    ///   - iteration: how often it was written before.
    ///   - isOurs: whether what is there was written by this run.
    /// - Returns: how fast.
    /// - Throws: ``Failure`` where it may not be written, or is not stored whole.
    func write(iteration: Int = 0, over isOurs: Bool = false) throws -> Report.Operation {
        let existing: Existing = isOurs ? .ours : overwrites ? .replaced : .refused
        if !isOurs { try prepare() }
        var operation = Report.Operation(operation: "write", iteration: iteration)
        operation.transferSize = job.transferSize
        operation.collective = isCollective
        // Bytes are there when the file is open.
        let relay = try makeBytes()
        defer { relay.finish() }
        do {
            try write(&operation, from: relay, over: existing)
            try checkStored()
            if isCollective { operation.proofSeconds = try prove() }
        } catch {
            throw explained(Failure(error))
        }
        try claim.complete()
        return operation
    }

    /// Takes the data and its manifest away, which this run has written; collective.
    func remove() throws {
        // The manifest first: what another run has made its own meanwhile stays.
        try session.onRoot { try claim.withdraw() }
        try session.together {
            claim.release()
            guard let own = ownFile(of: session.world) else { return }
            // A link stays, and so does what it leads to, without contents.
            if FileSystem.isLink(own) {
                try FileSystem.cut(own, to: 0)
            } else {
                try FileSystem.remove(own)
            }
        }
    }

    /// How files are accessed, for people.
    var accessName: String {
        var words = ["\(ByteSize.format(job.transferSize)), \(job.accessName)"]
        if isCollective { words.append("collective") }
        if files.layout == .perRank { words.append("a file for each rank") }
        switch pattern.cut {
        case .segments(1): break
        case .segments(let count): words.append("\(count) segments")
        case .strided: words.append("strided")
        }
        if pattern.order == .random { words.append("random order") }
        if sync != .end { words.append("sync: \(sync.rawValue)") }
        if job.report.queueDepth > 1 { words.append("queue depth \(job.report.queueDepth)") }
        return words.joined(separator: ", ")
    }

    /// Adds what the library was asked for, and what it says of it.
    func addHints(to table: inout Table) {
        if let stripes = job.report.stripes {
            table.row("stripes", "\(stripes.count) of \(ByteSize.format(stripes.size)), says lfs")
        }
        guard let hints = job.report.hints, !hints.requested.isEmpty else { return }
        for (key, value) in hints.requested.sorted(by: { $0.key < $1.key }) {
            let reported = hints.reported[key].map { "reported as \($0)" } ?? "not known here"
            let doubt = hints.reportIsEcho == true ? ", as is whatever this library is given" : ""
            table.row("hint", "\(key)=\(value), \(reported)\(doubt)")
        }
    }

    /// Everything that can be known before the first byte; rank 0 looks, all hear.
    private func prepare() throws {
        job.report.fileSystem = try session.onRoot {
            try files.requireShortNames()
            try FileSystem.requireNoDanglingLink(path)
            let folder = dataFolder
            let existing = try requireReplaceable(path)
            try FileSystem.requireWritableFolder(FileSystem.folder(of: path))
            // Links of others are found before anything is written through them.
            _ = try Place(path, mayBeLinkOfOthers: true)
            _ = try Place(Manifest.path(for: path))
            try Manifest.requireOwnPlace(for: path)
            try requireNoForeignManifest()
            if checksSpace {
                try FileSystem.requireSpace(
                    for: path, bytes: spec.size - (existing?.allocatedBytes ?? 0))
            }
            return FileSystem.type(folder)
        }
        if !isShared {
            try Sharing(job, files).prove(isReading: false)
            isShared = true
        }
        if files.layout == .perRank {
            let own = files.path(of: rank)
            try session.together {
                try FileSystem.requireNoDanglingLink(own)
                _ = try requireReplaceable(own)
            }
            try files.requireApart(session)
        }
        // Each rank may have limits of its own.
        try session.together {
            try FileSystem.requireLength(
                files.layout == .perRank ? shards[rank].count : spec.size, of: path)
        }
        stripes.warn(job)
    }

    /// What is at a path that is to be written, which is nothing, or a file that may be replaced.
    private func requireReplaceable(_ path: String) throws -> FileSystem.State? {
        guard let existing = try FileSystem.state(path) else { return nil }
        guard !existing.isDirectory else {
            throw Failure(.inputOutput, "output: \(path) is a directory; give a file")
        }
        guard existing.isRegular else {
            throw Failure(.inputOutput, "output: \(path) is not a regular file")
        }
        guard overwrites else {
            throw Failure(
                .usage, "output: \(path) exists; it is left as it is without --overwrite")
        }
        return existing
    }

    /// The folder of the data file itself, where the output is a link to it.
    private var dataFolder: String { FileSystem.folder(of: FileSystem.resolved(path)) }

    /// The manifest's place may be taken: by that of a data set whose files have other names, or by a file that is none,
    /// and that nobody has asked to overwrite.
    private func requireNoForeignManifest() throws {
        let manifest = Manifest.path(for: path)
        guard try FileSystem.isTaken(manifest) else { return }
        guard try Manifest.isThere(for: path) else {
            throw Failure(
                .usage,
                "output: \(manifest) exists and is no manifest; it is left as it is (give another "
                    + "output)")
        }
        guard !overwrites else { return }
        let known = (try? Manifest.read(for: path)) ?? nil
        // One whose files are all gone speaks of nothing.
        if !isTest, known != nil, FileLayout.rankFiles(of: path).isEmpty { return }
        let what = known.map { " (layout \($0.layout.rawValue), seed \($0.spec.seed))" } ?? ""
        throw Failure(
            .usage,
            "output: \(manifest) says that a data set is there\(what); it is left as it is without "
                + "--overwrite")
    }

    /// The files of a data set that was here before, as its manifest has them.
    private struct EarlierFiles: Codable {
        let layout: FileLayout
        let ranks: Int
    }

    /// Makes the open file that of this run before the first byte: nobody else writes it, and its
    /// manifest no longer says what it held.
    private func take(_ file: any DataFile, _ existing: Existing) throws {
        var earlier: EarlierFiles?
        do {
            if existing != .ours { try claim.lock(ownFile(of: session.world)) }
            earlier = try session.onRoot {
                // That of a new file was there before it.
                guard existing != .refused else { return nil }
                // Of this run itself it is the same data set, over what was there before.
                let before = (try? Manifest.read(for: path)) ?? nil
                try claim.begin(earlier: before.map { [$0.spec] + $0.earlier } ?? [])
                return before.map { EarlierFiles(layout: $0.layout, ranks: $0.ranks) }
            }
        } catch {
            try session.together { try job.watchdog.during(.close) { try file.close() } }
            if existing == .refused {
                ownFile(of: session.world).map(FileSystem.removeEmpty)
                withdraw()
            }
            throw error
        }
        // MPI's "create" leaves the tail of a longer file.
        if existing == .replaced {
            try session.together { try job.watchdog.during(.open) { try file.setSize(0) } }
            try session.together { try removeLeftovers(of: earlier) }
        }
        if preallocates {
            let bytes = files.layout == .shared ? spec.size : shards[rank].count
            try session.together {
                guard let own = ownFile(of: session.world), bytes > 0 else { return }
                try job.watchdog.during(.open) { try FileSystem.allocate(own, bytes: bytes) }
            }
        }
    }

    /// Says what a new file will hold before there is one: whatever becomes of this run, what it leaves is known to be
    /// its own.
    private func announce() throws {
        try session.onRoot {
            let isNew = try !FileSystem.isTaken(Manifest.path(for: path))
            try claim.begin(earlier: [], isNew: isNew)
        }
    }

    /// Opens the file, or takes back what was said of it.
    private func opening<Opened>(
        _ existing: Existing, _ open: () throws -> Opened
    ) throws -> Opened {
        do {
            return try open()
        } catch {
            // What was made by then stays, and its manifest, so that it can be finished.
            if existing == .refused, try !FileSystem.isTaken(files.path(of: 0)) { withdraw() }
            throw error
        }
    }

    /// Takes back what was said of a file that has not come to be.
    private func withdraw() {
        // A failure changes nothing: the run ends with the error that led here.
        if session.isRoot { try? claim.withdraw() }
    }

    /// Takes away the files of a data set that was here before, where they are not those of this one: as its manifest
    /// has them.
    private func removeLeftovers(of earlier: EarlierFiles?) throws {
        guard let earlier else { return }
        guard earlier.layout == .perRank else {
            if files.layout == .perRank, session.isRoot { try FileSystem.remove(path) }
            return
        }
        let kept = files.layout == .perRank ? shards.count : 0
        for number in stride(from: rank, to: max(1, earlier.ranks), by: shards.count)
        where number >= kept {
            let file = earlier.layout.path(path, rank: number)
            // What a manifest says is not true for ever.
            guard let state = try FileSystem.state(file) else { break }
            if state.isRegular { try FileSystem.remove(file) }
        }
    }

    /// Writes all shards and brings them to stable storage.
    private func write(
        _ operation: inout Report.Operation, from relay: Relay, over existing: Existing
    ) throws {
        var times = Times()
        var mode = existing == .refused ? SharedFile.Mode.createNew : .createOrOpen
        if existing == .refused { try announce() }
        if existing != .ours, stripes.isSet {
            try session.together {
                try ownFile(of: session.world).map { try stripes.create($0) }
            }
            mode = .createOrOpen
        }
        try job.watchdog.during(.agreement) { try session.world.barrier() }
        let file = try opening(existing) { try times.open { try job.open(files, mode) } }
        // Neither is part of writing the data, nor is it timed.
        try job.noteHints(of: file)
        try take(file, existing)
        let transfers = job.transfers(title: "write", totalBytes: spec.size)
        try writeTransfers(from: relay, to: file, transfers, &times)
        transfers.end()
        // Open MPI's component may hang or fail in any later collective call on the file once a write
        // has failed, so nothing more is asked of it then, not even to close.
        try session.agree(transfers.failure)
        if sync == .end, !isCollective {
            try session.together {
                try times.sync { try job.watchdog.during(.sync) { try file.sync() } }
            }
        }
        try session.together {
            try times.close { try job.watchdog.during(.close) { try file.close() } }
        }
        if sync == .end, isCollective {
            try session.together { try times.sync { try synchronize() } }
        }
        try job.measure(&operation, times, bytes: spec.size)
        // The manifest speaks of stable storage, whatever is measured.
        if sync == .none { try session.together { try synchronize() } }
        try noteStripes()
    }

    /// Brings what this node, or this rank, holds of the data to stable storage.
    ///
    /// Not `MPI_File_sync`: after a collective write that has lost data without saying so, Open MPI 4.1 fails it on one
    /// rank and hangs it on the others. May go when OMPIO reports failed collective writes.
    private func synchronize() throws {
        guard let own = ownFile(of: session.node) else { return }
        try job.watchdog.during(.sync) { try FileSystem.synchronize(own) }
    }

    private func noteStripes() throws {
        guard stripes.isKnown else { return }
        let first = files.path(of: 0)
        job.report.stripes = try session.onRoot { stripes.found(first) }
        stripes.warn(job, of: job.report.stripes)
    }

    /// Adds what the system says of the likeliest cause: MPI's own text for a full file system is
    /// often only "input/output error".
    private func explained(_ failure: Failure) -> Failure {
        guard failure.status == .inputOutput,
            let free = (try? FileSystem.freeBytes(dataFolder)) ?? nil
        else { return failure }
        return Failure(
            failure.status,
            "\(failure.message); its file system has \(ByteSize.format(free)) free")
    }

    /// Begins to make the bytes of this rank's transfers.
    private func makeBytes() throws -> Relay {
        let generator = job.generator(spec)
        let (batches, rank) = (batches, rank)
        return try job.relay(batches, spec, .beforeTaken, depth: job.queueDepth) { index, buffer in
            for (place, range) in batches.ranges(index, rank) {
                generator.fill(
                    UnsafeMutableRawBufferPointer(
                        rebasing: buffer[place..<place + range.count]), at: range.lowerBound)
            }
        }
    }

    private func writeTransfers(
        from relay: Relay, to file: any DataFile, _ transfers: Agreement, _ times: inout Times
    ) throws {
        let batches = batches
        let readBack =
            isCollective
            ? ReadBack(
                job, path, stretchBytes: batches.stretchBytes * session.world.size,
                mayFill: !preallocates) : nil
        try readBack?.begin(transfers)
        times.begin(.transfers)
        do {
            defer { times.finish(relay) }
            // A rank that is through, or has failed, keeps its place in the collective sequence with
            // empty writes, until all have heard of it.
            for index in 0..<batches.count {
                if isInStep ? transfers.mustStopTogether : transfers.mustStop { break }
                let buffer = relay.take()
                defer { relay.giveBack() }
                for (number, round) in batches.rounds(index).enumerated() {
                    let (place, range) = (number * pattern.transferSize, pattern[round, rank])
                    let part = UnsafeRawBufferPointer(
                        rebasing: buffer[place..<place + range.count])
                    let ends = batches.endsStretch(round)
                    if let readBack {
                        try write(
                            part, at: range.lowerBound, to: file, lookingWith: readBack,
                            ends: ends || sync == .each, transfers, &times)
                    } else {
                        try move(part, at: range.lowerBound, to: file, transfers, &times)
                        if isInStep, sync != .each, ends { try transfers.exchangeTogether() }
                    }
                    if isInStep ? transfers.mustStopTogether : transfers.mustStop { break }
                }
            }
        }
        if relay.isOwnerAlone {
            job.logger.info("bytes come slower from another processor than they are made here")
        }
        if !isInStep { try transfers.finish() }
    }

    /// Writes one transfer together with all ranks, in pieces where room is scarce, and looks whether it is there; after each
    /// piece, or where a stretch `ends`.
    private func write(
        _ part: UnsafeRawBufferPointer, at offset: Int, to file: any DataFile,
        lookingWith readBack: ReadBack, ends: Bool, _ transfers: Agreement, _ times: inout Times
    ) throws {
        let isScarce = readBack.isScarce
        // As many pieces on every rank, whatever it has to write.
        let longest = max(pattern.longestTransfer, 1)
        let step = isScarce ? readBack.pieceBytes : longest
        for start in stride(from: 0, to: longest, by: step) where !transfers.mustStopTogether {
            let range = min(start, part.count)..<min(start + step, part.count)
            let piece = UnsafeRawBufferPointer(rebasing: part[range])
            try move(piece, at: offset + range.lowerBound, to: file, transfers, &times)
            if isScarce || ends {
                try readBack.run(piece, at: offset + range.lowerBound, transfers)
            }
        }
    }

    /// Writes one transfer, and tells and hears how far all ranks are, unless that is done for several at once.
    private func move(
        _ part: UnsafeRawBufferPointer, at offset: Int, to file: any DataFile,
        _ transfers: Agreement, _ times: inout Times
    ) throws {
        if isCollective {
            try writeTogether(part, at: offset, to: file, transfers, &times)
        } else {
            transfers.transfer(part.count) {
                guard !part.isEmpty else { return }
                try write(part, at: offset, to: file, &times)
            }
        }
        if !isInStep {
            try transfers.exchange()
        } else if sync == .each {
            try transfers.exchangeTogether()
        }
        if sync == .each, !(isInStep && transfers.mustStopTogether) {
            try syncTransfer(of: file, transfers, &times)
        }
    }

    private func write(
        _ part: UnsafeRawBufferPointer, at offset: Int, to file: any DataFile, _ times: inout Times
    ) throws {
        try times.transfer {
            try job.watchdog.during(.write, offset: offset) {
                try Failure.describing(offset, of: path) { try file.write(part, at: offset) }
            }
        }
    }

    /// One round of collective writing, which every rank takes part in whatever has happened to it.
    private func writeTogether(
        _ part: UnsafeRawBufferPointer, at offset: Int, to file: any DataFile,
        _ transfers: Agreement, _ times: inout Times
    ) throws {
        transfers.noteInterruption()
        let given = transfers.failure == nil ? part : UnsafeRawBufferPointer(rebasing: part[..<0])
        let outcome = Result {
            try times.transfer {
                try job.watchdog.during(.write, offset: offset) {
                    try Failure.describing(offset, of: path) {
                        try file.writeTogether(given, at: offset)
                    }
                }
            }
        }
        transfers.transfer(given.count) { try outcome.get() }
    }

    /// Brings one transfer to stable storage; all ranks together where they are in step.
    private func syncTransfer(
        of file: any DataFile, _ transfers: Agreement, _ times: inout Times
    ) throws {
        transfers.transfer(0) {
            try times.syncTransfer {
                guard !isCollective else { return try synchronize() }
                try job.watchdog.during(.sync) { try file.sync() }
            }
        }
        if isInStep { try transfers.exchangeTogether() }
    }

    /// The data has the length that it should have, as every node sees it.
    private func checkStored() throws {
        let wanted = files.layout == .shared ? spec.size : shards[rank].count
        try session.together {
            guard let own = ownFile(of: session.node) else { return }
            let found = try FileSystem.state(own)?.size
            guard found == wanted else {
                throw Failure(
                    .inputOutput,
                    "the file has \(found.map(String.init) ?? "no") bytes after writing, not "
                        + "\(wanted)")
            }
        }
    }

    /// Reads back what collective calls claim to have written; seconds of the slowest rank.
    private func prove() throws -> Double {
        let clock = Stopwatch()
        let comparison = Comparison(job, files, spec, title: "prove")
        var times = Times()
        let found = try comparison.run(&times)
        guard found.log.rangeCount == 0 else {
            throw Failure(
                .inputOutput,
                "\(found.log.wrongBytes) bytes that MPI_File_write_at_all reported as written are "
                    + "not stored, the first at offset \(found.log.firstOffset ?? 0)")
        }
        return Double(try session.world.allReduce(clock.elapsedNanoseconds, .maximum)) / 1e9
    }
}
