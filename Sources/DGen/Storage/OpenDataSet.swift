// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import MPI

/// The files of a data set, open on all ranks.
///
/// Each call is watched, timed, and named where it fails. Only the thread that calls MPI uses it.
final class OpenDataSet {
    /// Bytes that were asked for in one file and in one place of a buffer, and how many of them were there.
    struct Extent {
        let place: Int
        let range: Range<Int>
        let read: Int

        /// Whether all of them were.
        var isWhole: Bool { read == range.count }

        /// This and what follows it, in the file and in the buffer; nil where that is something else.
        func joined(with next: Extent) -> Extent? {
            guard isWhole, range.upperBound == next.range.lowerBound, place + read == next.place
            else { return nil }
            return Extent(
                place: place, range: range.lowerBound..<next.range.upperBound,
                read: read + next.read)
        }
    }

    /// What the library says of the hints of the files.
    struct Hints {
        fileprivate(set) var reported: [String: String] = [:]
        /// Whether it reports whatever it is given; nil where it was given nothing.
        fileprivate(set) var isEcho: Bool?
    }

    let files: FileSet
    /// Where the time of this rank went.
    var times = Times()
    private let session: Session
    private let watchdog: Watchdog
    private let file: any DataFile
    /// The same, where all ranks can move in one call.
    private let collective: (any CollectiveDataFile)?

    /// Opens files on all ranks, or on none; collective.
    ///
    /// Ranks begin together: what they did before is not part of the time. Where each rank has a file, it opens its own for
    /// writing now, and others for reading when it needs them.
    ///
    /// - Parameters:
    ///   - run: the ranks.
    ///   - files: what is opened.
    ///   - mode: what for.
    ///   - access: how.
    ///   - note: told what the library says of the hints, whatever becomes of the files later.
    /// - Throws: ``Failure`` with what the library or the system says, the same on every rank.
    init(
        _ run: Run, _ files: FileSet, _ mode: SharedFile.Mode, by access: FileAccess = FileAccess(),
        note: (Hints) -> Void = { _ in }
    ) throws(Failure) {
        let (session, watchdog) = (run.session, run.watchdog)
        (self.files, self.session, self.watchdog) = (files, session, watchdog)
        try watchdog.during(.agreement) { () throws(Failure) in try session.world.barrier() }
        let opener = Opener(run: run, mode: mode, access: access)
        let file = try times.open { () throws(Failure) in try opener.open(files) }
        (self.file, collective) = (file, file as? any CollectiveDataFile)
        // Asked after that, since it says nothing about the file.
        let reported = try session.together { try file.reportedHints() }
        note(Self.hints(reported, given: access.hints))
    }

    /// What the hints that the library reports say.
    private static func hints(
        _ reported: [(key: String, value: String)], given: [(key: String, value: String)]
    ) -> Hints {
        var hints = Hints(
            reported: Dictionary(reported.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
        let repeats = hints.reported.removeValue(forKey: Opener.probe.key) != nil
        if !given.isEmpty { hints.isEcho = repeats }
        return hints
    }

    /// The bytes of the file, or of all files together; collective.
    func size() throws(Failure) -> Int {
        let bytes = try session.together { try file.size() }
        guard files.layout == .perRank else { return bytes }
        // In two halves: files with holes may have more bytes together than there are numbers.
        let halves = try session.world.allReduce([bytes >> 32, bytes & 0xFFFF_FFFF], .sum)
        let high = halves[0] + halves[1] >> 32
        return high >> 31 > 0 ? .max : high << 32 | halves[1] & 0xFFFF_FFFF
    }

    /// Where the file that holds the byte at `offset` should end.
    func extentEnd(at offset: Int) -> Int { file.extentEnd(at: offset) }

    /// Cuts what is open to `size` bytes; collective.
    func cut(to size: Int) throws(Failure) {
        try session.together { try watchdog.during(.open) { try file.setSize(size) } }
    }

    /// Writes bytes of this rank at `offset`, file by file.
    func write(_ part: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
        var done = 0
        while done < part.count {
            let here = offset + done
            let count = min(part.count - done, file.extentEnd(at: here) - here)
            let piece = UnsafeRawBufferPointer(rebasing: part[done..<done + count])
            try transfer(.write, at: here) { try file.write(piece, at: here) }
            done += count
        }
    }

    /// Writes the bytes of all ranks together, each at its own offset, which may be none; collective.
    func writeTogether(_ part: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
        let file = try requireCollective()
        try transfer(.write, at: offset) { try file.writeTogether(part, at: offset) }
    }

    /// Reads bytes of this rank, file by file, and tells how many of each were there.
    ///
    /// - Parameters:
    ///   - range: which.
    ///   - part: where to, as long as `range`.
    ///   - place: where `part` begins in what `note` speaks of.
    ///   - note: told of each file.
    /// - Throws: ``Failure`` where a file cannot be read; that it ends too early is none.
    func read(
        _ range: Range<Int>, into part: UnsafeMutableRawBufferPointer, at place: Int = 0,
        note: (Extent) -> Void
    ) throws(Failure) {
        precondition(part.count == range.count, "a transfer fills its part of the buffer")
        do {
            try times.transfer {
                var offset = range.lowerBound
                while offset < range.upperBound {
                    let end = min(range.upperBound, file.extentEnd(at: offset))
                    let start = offset - range.lowerBound
                    let rest = UnsafeMutableRawBufferPointer(
                        rebasing: part[start..<start + end - offset])
                    let read = try watchdog.during(.read, offset: offset) {
                        try readAll(rest, at: offset)
                    }
                    note(Extent(place: place + start, range: offset..<end, read: read))
                    offset = end
                }
            }
        } catch {
            throw Failure(error)
        }
    }

    /// Reads the bytes of all ranks together, each from its own offset, which may be none; collective.
    ///
    /// - Parameters:
    ///   - offset: where they are.
    ///   - part: where to.
    ///   - place: where `part` begins in what `note` speaks of.
    ///   - note: told of what was there, unless nothing was asked for.
    /// - Throws: ``Failure`` where they cannot be read.
    func readTogether(
        from offset: Int, into part: UnsafeMutableRawBufferPointer, at place: Int = 0,
        note: (Extent) -> Void
    ) throws(Failure) {
        let file = try requireCollective()
        let count = try transfer(.read, at: offset) {
            try file.readTogether(into: part, at: offset)
        }
        guard !part.isEmpty else { return }
        // A part of it, or nothing: the end of the file, or a failure that was not reported.
        let rest = UnsafeMutableRawBufferPointer(rebasing: part[count...])
        let more: Int
        do { more = try readAll(rest, at: offset + count) } catch { throw Failure(error) }
        note(Extent(place: place, range: offset..<offset + part.count, read: count + more))
    }

    /// Reads until `part` is full or the file is at its end.
    private func readAll(_ part: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        var done = 0
        // Where the file was seen to end since the last bytes came.
        var seenEnd = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let here = offset + done
            let count = try naming(here) { try file.read(into: rest, at: here) }
            if count > 0 {
                done += count
                seenEnd = 0
                continue
            }
            // Open MPI's default component reports a failed read as a success of no bytes.
            let end = try watchdog.during(.read, offset: here) { try file.storedEnd(at: here) }
            guard here < end else { break }
            // What was not there may have been written since, by another rank of a repair.
            guard here >= seenEnd else {
                throw Failure(
                    .inputOutput,
                    "\(files.path): a read at offset \(here): read nothing of a file that goes on to "
                        + "\(end) and reported success")
            }
            seenEnd = end
        }
        return done
    }

    /// Brings one transfer to stable storage, among the others: by the open file, which all ranks that share it do together,
    /// or the file that this rank looks after by its path.
    func syncTransfer(_ path: String?) throws(Failure) {
        do {
            try times.syncTransfer {
                try watchdog.during(.sync) {
                    if let path { try FileSystem.synchronize(path) } else { try file.sync() }
                }
            }
        } catch {
            throw Failure(error)
        }
    }

    /// Brings all that was written to stable storage; collective.
    func sync() throws(Failure) {
        try session.together {
            try times.sync { try watchdog.during(.sync) { try file.sync() } }
        }
    }

    /// Brings the files that each rank looks after to stable storage, by their paths; collective.
    ///
    /// Not `MPI_File_sync`: after a collective write that has lost data without saying so, Open MPI 4.1 fails it on one
    /// rank and hangs it on the others. May go when OMPIO reports failed collective writes.
    ///
    /// - Parameter forEach: does something with each of them.
    /// - Throws: ``Failure`` of any rank.
    func syncFiles(_ forEach: ((String) throws -> Void) throws -> Void) throws(Failure) {
        try session.together {
            try times.sync {
                try forEach { path in
                    try watchdog.during(.sync) { try FileSystem.synchronize(path) }
                }
            }
        }
    }

    /// Closes the files; collective.
    func close() throws(Failure) {
        try session.together {
            try times.close { try watchdog.during(.close) { try file.close() } }
        }
    }

    private func requireCollective() throws(Failure) -> any CollectiveDataFile {
        guard let collective else {
            throw Failure(
                .usage, "collective: \(files.path): only one file, by MPI-IO, is moved together")
        }
        return collective
    }

    /// One call that moves bytes, timed for itself.
    private func transfer<Result>(
        _ phase: Watchdog.Phase, at offset: Int, _ call: () throws -> Result
    ) throws(Failure) -> Result {
        do {
            return try times.transfer {
                try watchdog.during(phase, offset: offset) { try naming(offset, call) }
            }
        } catch {
            throw Failure(error)
        }
    }

    /// Says of which file and at which offset a call of the library failed.
    private func naming<Result>(_ offset: Int, _ call: () throws -> Result) throws -> Result {
        do {
            return try call()
        } catch let error as MPIError {
            throw Failure(
                Failure(error).status,
                "\(files.path): \(error.function) at offset \(offset): \(error.text)")
        }
    }
}

/// Opens the files of a data set.
private struct Opener {
    let run: Run
    let mode: SharedFile.Mode
    let access: FileAccess

    /// A hint that no library knows: one that reports it repeats what it is given.
    static let probe = (key: "dgen_mpi_no_such_hint", value: "1")

    private var session: Session { run.session }

    /// Opens them on all ranks, or on none; collective.
    func open(_ files: FileSet) throws(Failure) -> any DataFile {
        let world = session.world
        // Open MPI's own component crashes where the folder is gone, as one that was removed while the run was in it.
        try session.together { try FileSystem.requireFolder(of: files.path) }
        guard files.layout == .shared else { return try openShards(files) }
        if access.access == .posix, mode != .read {
            try session.onRoot { try PosixFile.create(files.path, isNew: mode == .createNew) }
        }
        return try session.together { try open(files.path, on: world) }
    }

    private func openShards(_ files: FileSet) throws(Failure) -> any DataFile {
        let (rank, ranks) = (session.world.rank, session.world.size)
        let alone = try Ranks.alone()
        let shards = ShardFiles(files.shards, rank: rank, of: ranks) { shard in
            let path = files.path(of: shard)
            let state = try FileSystem.state(path)
            guard state != nil || mode == .update else {
                throw Failure(.inputOutput, "\(path): no such file")
            }
            // A pipe would be waited for.
            guard state?.isRegular ?? true else {
                throw Failure(.inputOutput, "\(path): not a regular file")
            }
            return state?.size ?? 0
        } open: { shard in
            let path = files.path(of: shard)
            if access.access == .posix, mode != .read {
                try PosixFile.create(path, isNew: mode == .createNew)
            }
            return try open(path, on: alone)
        }
        try session.together {
            if mode == .createNew || mode == .createOrOpen { try shards.open(shard: rank) }
        }
        return shards
    }

    private func open(_ path: String, on ranks: Ranks) throws(Failure) -> any DataFile {
        try run.watchdog.during(.open) { () throws(Failure) in
            guard access.access == .mpi else {
                return try PosixFile(path, mode, isDirect: access.isDirect)
            }
            do {
                let hints = access.hints.isEmpty ? [] : access.hints + [Self.probe]
                return try ranks.lend { communicator throws(MPIError) in
                    try SharedFile(
                        path, mode, hints: hints, on: communicator, logger: run.mpiLogger)
                }
            } catch {
                // Libraries have no words for much of what the system may say.
                let flags =
                    switch mode {
                    case .read: O_RDONLY
                    case .update: O_RDWR
                    case .createNew, .createOrOpen: O_WRONLY
                    }
                throw FileSystem.reasonNotToOpen(path, flags)
                    ?? Failure(.inputOutput, "\(path): \(error)")
            }
        }
    }
}
