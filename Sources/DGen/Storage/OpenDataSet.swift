// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
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
        let reported: [String: String]
        /// Whether it reports whatever it is given; nil where it was given nothing.
        let isEcho: Bool?

        fileprivate init(
            _ reported: [(key: String, value: String)], given: [(key: String, value: String)]
        ) {
            var all = Dictionary(reported.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
            let repeats = all.removeValue(forKey: Opener.probe.key) != nil
            (self.reported, isEcho) = (all, given.isEmpty ? nil : repeats)
        }
    }

    let files: FileSet
    /// Where the time of this rank went.
    var times = Times()
    /// What this rank has written.
    private(set) var writtenBytes = 0
    private let session: Session
    private let watchdog: Watchdog
    private let file: any DataFile

    /// Opens files on all ranks, or on none; collective.
    ///
    /// Ranks begin together: what they did before is not part of the time. Where each rank has a file, it opens its own for
    /// writing now, and others for reading when it needs them. `note` is told what the library says of the hints, whatever
    /// becomes of the files later.
    init(
        _ run: Run, _ files: FileSet, _ mode: SharedFile.Mode, by access: FileAccess = FileAccess(),
        note: (Hints) -> Void = { _ in }
    ) throws(Failure) {
        (self.files, session, watchdog) = (files, run.session, run.watchdog)
        try run.watchdog.during(.agreement, run.session.world.barrier)
        let opener = Opener(run: run, mode: mode, access: access)
        file = try times.run(.open) { () throws(Failure) in try opener.open(files) }
        // Asked after that, since it says nothing about the file.
        let reported = try session.together { try file.reportedHints() }
        note(Hints(reported, given: access.hints))
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

    /// Writes bytes of this rank at `offset`, file by file; or `together` those of all ranks, each at its own offset, which
    /// may be none, and collective then.
    func write(
        _ part: UnsafeRawBufferPointer, at offset: Int, together: Bool = false
    ) throws(Failure) {
        guard together || !part.isEmpty else { return }
        var done = 0
        repeat {
            let here = offset + done
            let count = min(part.count - done, file.extentEnd(at: here) - here)
            let piece = UnsafeRawBufferPointer(rebasing: part[done..<done + count])
            try times.transfer { () throws(Failure) in
                try watchdog.during(.write, offset: here) { () throws(Failure) in
                    try file.write(piece, at: here, together: together)
                }
            }
            writtenBytes += count
            done += count
        } while done < part.count
    }

    /// Reads bytes of this rank from `offset` on, file by file; or `together` those of all ranks, each from its own offset,
    /// which may be none, and collective then.
    ///
    /// That a file ends too early is no failure. `note` is told how many bytes of each file were there, and where they are in
    /// what has `part` at `place`.
    func read(
        from offset: Int, into part: UnsafeMutableRawBufferPointer, at place: Int = 0,
        together: Bool = false, note: (Extent) -> Void
    ) throws(Failure) {
        guard together || !part.isEmpty else { return }
        try times.transfer { () throws(Failure) in
            var done = 0
            repeat {
                let here = offset + done
                let count = min(part.count - done, file.extentEnd(at: here) - here)
                let piece = UnsafeMutableRawBufferPointer(rebasing: part[done..<done + count])
                let read = try watchdog.during(.read, offset: here) { () throws(Failure) in
                    try readAll(piece, at: here, together: together)
                }
                if count > 0 {
                    note(Extent(place: place + done, range: here..<here + count, read: read))
                }
                done += count
            } while done < part.count
        }
    }

    /// Reads until `part` is full or the file is at its end; with others only in the first call.
    private func readAll(
        _ part: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int {
        // Of a part, or of nothing, the rest is asked for alone: the end of the file, or a failure that was not reported.
        var done = together ? try file.read(into: part, at: offset, together: true) : 0
        // Where the file was seen to end since the last bytes came.
        var seenEnd = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let here = offset + done
            let count = try file.read(into: rest, at: here, together: false)
            if count > 0 {
                done += count
                seenEnd = 0
                continue
            }
            // Open MPI's default component reports a failed read as a success of no bytes.
            let end = try file.storedEnd(at: here)
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
        try times.add(to: .sync) { () throws(Failure) in
            try watchdog.during(.sync) { () throws(Failure) in
                if let path { try FileSystem.synchronize(path) } else { try file.sync() }
            }
        }
    }

    /// Brings all that was written to stable storage; collective.
    func sync() throws(Failure) {
        try session.together {
            try times.run(.sync) { try watchdog.during(.sync) { try file.sync() } }
        }
    }

    /// Brings the files to stable storage by their paths, what all ranks share on each node; collective.
    ///
    /// Not `MPI_File_sync`: after a collective write that has lost data without saying so, Open MPI 4.1 fails it on one
    /// rank and hangs it on the others. May go when OMPIO reports failed collective writes.
    func syncFiles() throws(Failure) {
        guard files.target.isFile || files.target.kind == .device else { return }
        try session.together {
            try times.run(.sync) {
                try files.forOwn(session, onEachNode: true) { own throws(Failure) in
                    try watchdog.during(.sync) { () throws(Failure) in
                        try FileSystem.synchronize(own.path)
                    }
                }
            }
        }
    }

    /// Closes the files; collective.
    func close() throws(Failure) {
        try session.together {
            try times.run(.close) { try watchdog.during(.close) { try file.close() } }
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
        guard files.target.isFile else { return try openTarget(files) }
        // Open MPI's own component crashes where the folder is gone, as one that was removed while the run was in it.
        try session.together { try FileSystem.requireFolder(of: files.path) }
        guard files.layout == .shared else { return try openShards(files) }
        if access.access == .posix, mode != .read {
            try session.onRoot { try FileSystem.create(files.path, isNew: mode == .createNew) }
        }
        return try session.together { try open(files.path, on: world) }
    }

    /// Opens what is no file, and is there.
    private func openTarget(_ files: FileSet) throws(Failure) -> any DataFile {
        try session.together {
            try run.watchdog.during(.open) { () throws(Failure) -> any DataFile in
                guard files.target.kind == .stream else {
                    return try PosixFile(
                        files.path, mode, isDirect: access.isDirect, as: files.target,
                        bytes: files.shards.size)
                }
                return try StreamFile(files.path, files.target)
            }
        }
    }

    private func openShards(_ files: FileSet) throws(Failure) -> any DataFile {
        let (rank, ranks) = (session.world.rank, session.world.size)
        let alone = try Ranks.alone()
        let shards = ShardFiles(files.shards, rank: rank, of: ranks) { shard throws(Failure) in
            // A pipe would be waited for.
            let state = try FileSystem.regular(files.path(of: shard), mayBeMissing: mode == .update)
            return state?.size ?? 0
        } open: { shard throws(Failure) in
            let path = files.path(of: shard)
            if access.access == .posix, mode != .read {
                try FileSystem.create(path, isNew: mode == .createNew)
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
                    LibraryFile(
                        path,
                        try SharedFile(
                            path, mode, hints: hints, on: communicator, logger: run.mpiLogger))
                }
            } catch {
                // Libraries have no words for much of what the system may say.
                throw FileSystem.reasonNotToOpen(path, mode.systemFlags)
                    ?? Failure(.inputOutput, "\(path): \(error)")
            }
        }
    }
}
