// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// Writes transfers of a data set to its open files, all ranks together: all bytes of it, or some.
struct TransferWriter {
    let pipeline: Pipeline
    let spec: DataSpec
    let files: FileSet
    let pattern: any AccessPattern
    let sync: Sync
    let isCollective: Bool
    /// Whether the file system may run out of room meanwhile.
    let mayFill: Bool
    /// Where this rank says how much is durable, after each time that transfers were brought to stable storage.
    var acknowledgement: Acknowledgement?
    /// What sums up the bytes that are made; nil where nobody asked for that.
    var tally: ChecksumTally?
    /// What the progress of the ranks is called.
    var title = "write"
    /// Tells ranks that read meanwhile how far this one is.
    var herald: WriteHerald?

    private var session: Session { pipeline.run.session }
    private var rank: Int { session.world.rank }
    private var batches: Batches { Batches(pattern, depth: pipeline.depth) }
    /// Whether every rank does each transfer at the same time as the others.
    private var isInStep: Bool {
        isCollective
            || (sync.stride != nil && pipeline.access.access == .mpi && files.layout == .shared)
    }

    /// Begins to make the bytes of this rank's transfers; collective.
    func makeBytes() throws(Failure) -> Relay {
        let generator = pipeline.generator(spec)
        let (batches, rank, tally) = (batches, rank, tally)
        return try pipeline.relay(
            batches, spec, .beforeTaken, depth: pipeline.depth
        ) { index, buffer in
            generator.fill(batches.ranges(index, rank), of: buffer, addingTo: tally)
        }
    }

    /// Writes all transfers, brings them to stable storage as was asked for, and closes the files; collective.
    func write(from relay: Relay, to data: OpenDataSet) throws(Failure) {
        try writeTransfers(from: relay, to: data)
        // What came after the last of several times, too.
        let isAtEnd = sync == .end || sync.stride ?? 1 > 1
        if isAtEnd, !isCollective { try data.sync() }
        try data.close()
        if isAtEnd, isCollective { try data.syncFiles() }
    }

    private func writeTransfers(from relay: Relay, to data: OpenDataSet) throws(Failure) {
        let batches = batches
        let agreement = Agreement(pipeline.run, title: title, totalBytes: pattern.bytes)
        let loop = TransferLoop(
            batches: batches, rank: rank, isInStep: isInStep, agreement: agreement)
        let readBack =
            isCollective
            ? ReadBack(
                pipeline.run, files.path,
                stretchBytes: batches.stretchBytes * session.world.size, mayFill: mayFill) : nil
        try readBack?.begin(agreement)
        var isUnsynced = false
        try loop.run(relay, on: data) { transfer throws(Failure) in
            if isInStep {
                try writeInStep(transfer, loop, data, readBack)
                return
            }
            try loop.move(transfer) { part throws(Failure) in
                try herald?.begin(transfer.round)
                try data.write(UnsafeRawBufferPointer(part), at: transfer.range.lowerBound)
                isUnsynced = true
                try herald?.end(transfer.round)
            }
            // One without bytes has a point after it, too: what came before it is to be stored.
            guard isUnsynced, isSynced(transfer) else { return }
            isUnsynced = false
            agreement.transfer(0) { () throws(Failure) in
                try data.syncTransfer(nil)
                try acknowledge(transfer.round + 1)
                try herald?.synced(transfer.round)
            }
        }
        if relay.isOwnerAlone {
            pipeline.run.logger.info(
                "bytes come slower from another processor than they are made here")
        }
    }

    /// Whether it is brought to stable storage, and with it those before.
    private func isSynced(_ transfer: TransferLoop.Transfer) -> Bool {
        sync.stride.map { (transfer.round + 1) % $0 == 0 } ?? false
    }

    /// Notes that so many transfers of this rank are durable.
    func acknowledge(_ count: Int) throws(Failure) {
        guard let acknowledgement else { return }
        try session.watchdog.during(.acknowledge) { () throws(Failure) in
            try acknowledgement.note(count)
        }
    }

    /// Writes one transfer in the same round as all ranks, in pieces where room is scarce, and looks whether it is there;
    /// after each piece, or where ranks agree.
    private func writeInStep(
        _ transfer: TransferLoop.Transfer, _ loop: TransferLoop, _ data: OpenDataSet,
        _ readBack: ReadBack?
    ) throws(Failure) {
        let (part, agreement) = (transfer.part, loop.agreement)
        let isScarce = readBack?.isScarce ?? false
        // As many pieces on every rank, whatever it has to write.
        let longest = max(pattern.longestTransfer, 1)
        let step = isScarce ? readBack?.pieceBytes ?? longest : longest
        for start in stride(from: 0, to: longest, by: step) where !agreement.mustStopTogether {
            let range = min(start, part.count)..<min(start + step, part.count)
            let piece = UnsafeMutableRawBufferPointer(rebasing: part[range])
            let offset = transfer.range.lowerBound + range.lowerBound
            try herald?.begin(transfer.round)
            loop.moveTogether(piece) { given throws(Failure) in
                try data.write(UnsafeRawBufferPointer(given), at: offset, together: isCollective)
            }
            if agreement.failure == nil { try herald?.end(transfer.round) }
            if isSynced(transfer) {
                try syncTogether(data, agreement)
                if agreement.failure == nil, !agreement.mustStopTogether {
                    try herald?.synced(transfer.round)
                }
            }
            if let readBack, isScarce || transfer.endsStretch || sync == .each {
                try readBack.check(UnsafeRawBufferPointer(piece), at: offset, agreement)
            }
        }
        // After the last of its pieces, and where every node has stored it.
        guard isSynced(transfer), !agreement.mustStopTogether else { return }
        agreement.transfer(0) { () throws(Failure) in try acknowledge(transfer.round + 1) }
    }

    /// Brings one transfer of all ranks to stable storage, unless one of them has failed.
    private func syncTogether(_ data: OpenDataSet, _ agreement: Agreement) throws(Failure) {
        try agreement.exchangeTogether()
        guard !agreement.mustStopTogether else { return }
        agreement.transfer(0) { () throws(Failure) in
            // A file that ranks of one node have written together is brought there by one of them.
            guard !isCollective || session.node.rank == 0 else { return }
            try data.syncTransfer(isCollective ? files.path : nil)
        }
        try agreement.exchangeTogether()
    }

    /// The files have the length that they should have, as every node sees them; collective.
    func checkStored() throws(Failure) {
        guard files.target.isFile else { return }
        try session.together {
            try files.forOwn(session, onEachNode: true) { own throws(Failure) in
                let (found, wanted) = (try FileSystem.state(own.path)?.size, own.range.count)
                guard found == wanted else {
                    throw Failure(
                        .inputOutput,
                        "the file has \(found.map(String.init) ?? "no") bytes after writing, not "
                            + "\(wanted)")
                }
            }
        }
    }
}
