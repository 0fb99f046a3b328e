// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Looks, while ranks write together, whether what the library reports as written is there.
///
/// Open MPI's component reports success for collective writes to a full file system, with a line or two on stderr for each
/// of them. All bytes are read back at the end; without a look before that, all of them would be made for nothing.
///
/// Where room gets scarce, every piece is looked at; elsewhere only some, and only where all ranks are on one node:
/// another node need not see yet what was not brought to stable storage.
final class ReadBack {
    /// What rank 0 wants of all ranks.
    private enum Wish: Int {
        case nothing
        /// That all ranks look at what they have written last.
        case look
        /// That they do so now and after every further piece.
        case lookEachTime
    }

    private let run: Run
    private let path: String
    private let folder: String
    /// The bytes that all ranks write between two agreements.
    private let stretchBytes: Int
    /// Whether the file system may run out of room.
    private let mayFill: Bool

    private var lastSpaceLook: Stopwatch?
    private var lastLook = Stopwatch()
    private var pauseNanoseconds = ReadBack.pauseNanosecondsFirst
    private var doneBytes = 0
    /// What rank 0 has seen last.
    private var seesScarcity = false
    /// Whether room is scarce, as all ranks know: what they write is looked at piece by piece.
    private(set) var isScarce = false

    private var session: Session { run.session }

    /// Between looks at the free room.
    private static let spacePauseNanoseconds = 10_000_000
    /// Between looks at the data, the first and the longest.
    private static let pauseNanosecondsFirst = 20_000_000
    private static let pauseNanosecondsMax = 200_000_000
    /// How much of what a rank wrote last it looks at.
    private static let sampleBytes = 4096
    /// How much all ranks write in one call where room is scarce: Open MPI's component moves more than 32 MiB in several
    /// cycles, and hangs if one fails that is not the last.
    private static let callBytes = 16 << 20
    /// How often a rank looks again before it calls something lost that another node may have written.
    private static let triesMax = 8

    /// Prepares to look at the file at `path`.
    init(_ run: Run, _ path: String, stretchBytes: Int, mayFill: Bool) {
        self.run = run
        self.path = path
        folder = FileSystem.folder(of: FileSystem.resolved(path))
        self.stretchBytes = stretchBytes
        self.mayFill = mayFill
    }

    /// How much a rank is to write in one call where room is scarce.
    var pieceBytes: Int { max(64 << 10, Self.callBytes / session.world.size & ~4095) }

    /// Hears how far all ranks are, and looks at what this one has written last where rank 0 wants all to look; collective.
    ///
    /// That a rank does not find it is noted as the failure of a transfer.
    func check(
        _ part: UnsafeRawBufferPointer, at offset: Int, _ transfers: Agreement
    ) throws(Failure) {
        let wish = try wish(transfers)
        guard wish != .nothing, !transfers.mustStopTogether else { return }
        if session.nodeCount > 1 {
            transfers.transfer(0, publish)
            try transfers.exchangeTogether()
        }
        transfers.transfer(0) { () throws(Failure) in
            try run.watchdog.during(.read, offset: offset) { () throws(Failure) in
                try look(part, at: offset)
            }
        }
        try transfers.exchangeTogether()
    }

    /// Finds out, before the first byte, whether room is scarce; collective.
    func begin(_ transfers: Agreement) throws(Failure) { _ = try wish(transfers) }

    /// What rank 0 wants; collective.
    private func wish(_ transfers: Agreement) throws(Failure) -> Wish {
        let own = session.isRoot ? ownWish(doneBytes: transfers.allDoneBytes) : .nothing
        let all = Wish(rawValue: try transfers.exchangeTogether(wish: own.rawValue)) ?? .nothing
        isScarce = all == .lookEachTime
        return all
    }

    private func ownWish(doneBytes: Int) -> Wish {
        noteSpace(doneBytes)
        if seesScarcity { return .lookEachTime }
        guard session.nodeCount == 1, lastLook.elapsedNanoseconds > pauseNanoseconds else {
            return .nothing
        }
        pauseNanoseconds = min(2 * pauseNanoseconds, Self.pauseNanosecondsMax)
        lastLook = Stopwatch()
        return .look
    }

    private func noteSpace(_ doneBytes: Int) {
        guard mayFill else { return }
        if let lastSpaceLook, lastSpaceLook.elapsedNanoseconds < Self.spacePauseNanoseconds {
            return
        }
        let recently = doneBytes - self.doneBytes
        self.doneBytes = doneBytes
        // As much as may be written until the next look, and as much again.
        let free = (try? FileSystem.freeBytes(folder)) ?? nil
        seesScarcity = free.map { $0 < 2 * (recently + stretchBytes) } ?? false
        lastSpaceLook = Stopwatch()
    }

    /// Brings what this node has written to where other nodes see it.
    private func publish() throws(Failure) {
        guard session.node.rank == 0 else { return }
        try run.watchdog.during(.sync) { () throws(Failure) in try FileSystem.synchronize(path) }
    }

    /// Fails where the end of what this rank has written at `offset` is not there.
    private func look(_ part: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
        let tail = UnsafeRawBufferPointer(rebasing: part.suffix(Self.sampleBytes))
        guard !tail.isEmpty else { return }
        for attempt in 1... {
            let start = offset + part.count - tail.count
            if try FileSystem.holds(path, tail, at: start) { return }
            guard session.nodeCount > 1, attempt < Self.triesMax else { break }
            usleep(UInt32(attempt) * 50_000)
        }
        throw Failure(
            .inputOutput,
            "\(path): MPI_File_write_at_all at offset \(offset): reported as written, but not stored"
        )
    }
}
