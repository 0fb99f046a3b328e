// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// Writes a data set into one shared file, all ranks together, once or over and over.
final class Writing {
    /// What happens to a file that is there.
    enum Existing {
        /// It is left as it is, and the run refused.
        case refused
        /// It is replaced.
        case replaced
        /// It is of this run, and written over where it stands.
        case ours
    }

    let path: String
    let spec: DataSpec
    let isCollective: Bool
    /// How the file is dealt to ranks.
    let shards: Shards
    private let job: Job
    private let overwrites: Bool
    private let checksSpace: Bool
    private let preallocates: Bool
    /// Tells this run from another one that writes the same file.
    private let run: String
    /// The lock of rank 0 on the file.
    private var lock: FileSystem.Lock?

    private var session: Session { job.session }
    private var shard: Range<Int> { shards[session.world.rank] }

    /// Reads the options; the same on every rank; collective, since rank 0 draws the seed.
    init(_ job: Job) throws {
        self.job = job
        let settings = job.settings
        path = try settings.dataPath(
            missing: "output: missing; give the file to write with -o FILE")
        // The seed below 2^53, so that every reader of JSON keeps it exactly.
        let drawn = try job.session.onRoot {
            [UInt64.random(in: 0..<(1 << 53)), UInt64.random(in: 0...UInt64.max)]
        }
        spec = try settings.spec(over: nil, drawingSeed: { drawn[0] })
        run = String(drawn[1], radix: 16)
        guard spec.size >= 1 else {
            throw InvalidField(
                field: "size", value: settings.text(.size) ?? "", accepted: "1 byte at least")
        }
        shards = Shards(
            size: spec.size, ranks: job.session.world.size, alignment: try settings.alignment())
        isCollective = try settings.flag(.collective, default: false)
        overwrites = try settings.flag(.overwrite, default: false)
        checksSpace = try settings.flag(.spaceCheck, default: true)
        preallocates = try settings.flag(.preallocate, default: false)
    }

    /// Writes the file and brings it to stable storage; collective.
    ///
    /// - Parameters:
    ///   - iteration: how often it was written before.
    ///   - isOurs: whether the file that is there was written by this run.
    /// - Returns: how fast.
    /// - Throws: ``Failure`` where the file may not be written, or is not stored whole.
    func write(iteration: Int = 0, over isOurs: Bool = false) throws -> Report.Operation {
        let existing: Existing = isOurs ? .ours : overwrites ? .replaced : .refused
        if !isOurs { try prepare() }
        var operation = Report.Operation(operation: "write", iteration: iteration)
        operation.transferSize = job.transferSize
        operation.collective = isCollective
        do {
            try write(&operation, over: existing)
            try checkStored()
            if isCollective { operation.proofSeconds = try prove() }
        } catch {
            throw explained(Failure(error))
        }
        try complete()
        return operation
    }

    /// Takes the file and its manifest away, which this run has written; collective.
    func remove() throws {
        _ = try session.onRoot {
            lock = nil
            try FileSystem.remove(path)
            try FileSystem.remove(Manifest.path(for: path))
            return true
        }
    }

    /// Everything that can be known before the first byte; rank 0 looks, all hear.
    private func prepare() throws {
        job.report.fileSystem = try session.onRoot {
            guard !FileSystem.isDanglingLink(path) else {
                throw Failure(.usage, "output: \(path) is a symbolic link that leads nowhere")
            }
            let folder = dataFolder
            let existing = try FileSystem.state(path)
            if let existing {
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
            }
            try FileSystem.requireWritableFolder(FileSystem.folder(of: path))
            if !overwrites { try requireNoForeignManifest() }
            if checksSpace {
                let (free, _) = try FileSystem.freeBytes(folder)
                    .addingReportingOverflow(existing?.allocatedBytes ?? 0)
                guard free >= spec.size else {
                    throw Failure(
                        .inputOutput,
                        "output: \(path) needs \(ByteSize.format(spec.size)) but its file system "
                            + "has \(ByteSize.format(free)) free (--no-space-check where the store "
                            + "reduces data)")
                }
            }
            return FileSystem.type(folder)
        }
    }

    /// The folder of the data file itself, where the output is a link to it.
    private var dataFolder: String { FileSystem.folder(of: FileSystem.resolved(path)) }

    /// The manifest's place may be taken by a file that is none.
    private func requireNoForeignManifest() throws {
        do {
            _ = try Manifest.read(for: path)
        } catch {
            throw Failure(
                .usage,
                "output: \(Manifest.path(for: path)) exists and is no manifest; it is left "
                    + "as it is without --overwrite")
        }
    }

    private func manifest(_ status: Manifest.Status) -> Manifest {
        Manifest(
            status: status, spec: spec, ranks: shards.count, align: shards.alignment, run: run)
    }

    /// Makes the open file that of this run before the first byte: nobody else writes it, and its
    /// manifest no longer says what it held.
    private func claim(_ file: any DataFile, _ existing: Existing) throws {
        do {
            _ = try session.onRoot {
                if existing != .ours { lock = try FileSystem.Lock(path) }
                try manifest(.writing).write(for: path)
                return true
            }
        } catch {
            try session.together { try job.watchdog.during(.close) { try file.close() } }
            if session.isRoot, existing == .refused { FileSystem.removeEmpty(path) }
            throw error
        }
        // MPI's "create" leaves the tail of a longer file.
        if existing == .replaced {
            try session.together { try job.watchdog.during(.open) { try file.setSize(0) } }
        }
        if preallocates {
            _ = try session.onRoot {
                try job.watchdog.during(.open) { try FileSystem.allocate(path, bytes: spec.size) }
                return true
            }
        }
    }

    /// Says that the data is stored, unless another run has taken the file meanwhile.
    private func complete() throws {
        _ = try session.onRoot {
            guard try Manifest.read(for: path)?.run == run else {
                throw Failure(.inputOutput, "\(path): another run has written it meanwhile")
            }
            try manifest(.complete).write(for: path)
            return true
        }
    }

    /// Writes all shards and brings them to stable storage.
    private func write(_ operation: inout Report.Operation, over existing: Existing) throws {
        var times = Times()
        try job.watchdog.during(.agreement) { try session.world.barrier() }
        let file = try times.add(to: \.openNanoseconds) {
            try job.open(
                path, existing == .refused ? .createNew : .createOrOpen, hints: job.hints)
        }
        // Neither is part of writing the data, so the clock stands still.
        try job.noteHints(of: file)
        try claim(file, existing)
        let clock = Stopwatch()
        let transfers = job.transfers(title: "write", totalBytes: spec.size)
        try writeShard(to: file, transfers, &times)
        transfers.end()
        // Open MPI's component may hang or fail in any later collective call on the file once a write
        // has failed, so nothing more is asked of it then, not even to close.
        try session.agree(transfers.failure)
        if !isCollective {
            try session.together {
                try times.add(to: \.syncNanoseconds) {
                    try job.watchdog.during(.sync) { try file.sync() }
                }
            }
        }
        try session.together {
            try times.add(to: \.closeNanoseconds) {
                try job.watchdog.during(.close) { try file.close() }
            }
        }
        if isCollective {
            // Not MPI_File_sync: after a collective write that has lost data without saying so, Open
            // MPI 4.1 fails it on one rank and hangs it on the others. One rank of each node syncs
            // what the node holds. May go when OMPIO reports failed collective writes.
            try session.together {
                try times.add(to: \.syncNanoseconds) {
                    guard session.node.rank == 0 else { return }
                    try job.watchdog.during(.sync) { try FileSystem.synchronize(path) }
                }
            }
        }
        times.totalNanoseconds = times.openNanoseconds + clock.elapsedNanoseconds
        try job.measure(&operation, times, bytes: spec.size)
    }

    /// Adds what the system says of the likeliest cause: MPI's own text for a full file system is
    /// often only "input/output error".
    private func explained(_ failure: Failure) -> Failure {
        guard failure.status == .inputOutput,
            let free = try? FileSystem.freeBytes(dataFolder)
        else { return failure }
        return Failure(
            failure.status,
            "\(failure.message); the file system of \(path) has \(ByteSize.format(free)) free")
    }

    private func writeShard(
        to file: any DataFile, _ transfers: Transfers, _ times: inout Times
    ) throws {
        let generator = job.generator(spec)
        let buffer = job.transferBuffer(
            min(job.transferSize, max(shards.longest, 1)), for: generator)
        defer { buffer.deallocate() }
        job.logger.debug("shard \(shard), buffer of \(buffer.count) bytes")

        // A rank that is through, or has failed, keeps its place in the collective sequence with
        // empty writes, until all have heard of it.
        let rounds = (isCollective ? shards.longest : shard.count).dividedRoundingUp(
            by: buffer.count)
        for round in 0..<rounds where isCollective || !transfers.mustStop {
            let start = min(shard.lowerBound + round * buffer.count, shard.upperBound)
            let end = min(start + buffer.count, shard.upperBound)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(end - start)])
            if isCollective {
                try writeTogether(part, at: start, to: file, generator, transfers, &times)
                if transfers.mustStop { break }
            } else {
                transfers.transfer(part.count) {
                    times.add(to: \.generateNanoseconds) { generator.fill(part, at: start) }
                    try times.transfer {
                        try job.watchdog.during(.write, offset: start) {
                            try describing(start) {
                                try file.write(UnsafeRawBufferPointer(part), at: start)
                            }
                        }
                    }
                }
                try transfers.exchange()
            }
        }
        if !isCollective { try transfers.finish() }
    }

    /// One round of collective writing, which every rank takes part in whatever has happened to it.
    private func writeTogether(
        _ part: UnsafeMutableRawBufferPointer, at start: Int, to file: any DataFile,
        _ generator: ParallelGenerator, _ transfers: Transfers, _ times: inout Times
    ) throws {
        if !part.isEmpty {
            times.add(to: \.generateNanoseconds) { generator.fill(part, at: start) }
        }
        transfers.noteInterruption()
        let given =
            transfers.failure == nil ? part : UnsafeMutableRawBufferPointer(rebasing: part[..<0])
        let outcome = Result {
            try times.transfer {
                try job.watchdog.during(.write, offset: start) {
                    try describing(start) {
                        try file.writeTogether(UnsafeRawBufferPointer(given), at: start)
                    }
                }
            }
        }
        transfers.transfer(given.count) { try outcome.get() }
        try transfers.exchangeTogether()
    }

    /// Says at which offset a call failed.
    private func describing(_ offset: Int, _ call: () throws -> Void) throws {
        do {
            try call()
        } catch let error as MPIError {
            throw Failure(
                .inputOutput, "\(error.function) at offset \(offset): \(error.text)")
        }
    }

    /// The file has the length that it should have, as every node sees it.
    private func checkStored() throws {
        try session.together {
            guard session.node.rank == 0 else { return }
            let found = try FileSystem.state(path)?.size
            guard found == spec.size else {
                throw Failure(
                    .inputOutput,
                    "the file has \(found.map(String.init) ?? "no") bytes after writing, not "
                        + "\(spec.size)")
            }
        }
    }

    /// Reads back what collective calls claim to have written; seconds of the slowest rank.
    private func prove() throws -> Double {
        let clock = Stopwatch()
        let comparison = Comparison(
            job, path: path, spec: spec, shards: shards, title: "prove")
        var times = Times()
        let found = try comparison.run(&times)
        guard found.rangeCount == 0 else {
            let first = found.ranges.first?.offset ?? 0
            throw Failure(
                .inputOutput,
                "\(found.wrongBytes) bytes that MPI_File_write_at_all reported as written are not "
                    + "stored, the first at offset \(first)")
        }
        return Double(try session.world.allReduce(clock.elapsedNanoseconds, .maximum)) / 1e9
    }
}

extension Int {
    func dividedRoundingUp(by divisor: Int) -> Int {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return quotient + (remainder > 0 ? 1 : 0)
    }
}
