// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI
import Options
import Xoshiro

/// An update that some ranks write, while others read and look whether they see what they must see, and nothing else.
struct UpdateWithReaders {
    let pipeline: Pipeline
    let files: FileSet
    let claim: Claim
    let sync: Sync
    /// How many ranks read, less than all.
    let count: Int
    let rule: VisibilityRule
    /// How often each of them reads after everything was written.
    let readsAfter: Int
    let seed: UInt64

    private var session: Session { pipeline.run.session }

    /// Writes and reads; collective.
    ///
    /// - Returns: what the writers took and the readers saw; only the latter on ranks that read.
    func run(
        from: DataSpec, to: DataSpec, iteration: Int, note: (OpenDataSet.Hints) -> Void
    ) throws(Failure) -> (measurement: Measurement?, readers: Readers) {
        let world = session.world
        // The last nodes, so that readers have nothing in their memory that they wrote.
        let reads = try session.placeByNode().place >= world.size - count
        let roles = try session.collect([reads])
        let group = Group(
            writers: roles.indices.filter { !roles[$0] },
            readers: roles.indices.filter { roles[$0] })
        let color = reads ? 1 : 0
        return try world.split(color: 0) { talk in
            try world.split(color: color) { ranks in
                try world.split(color: color) { sums in
                    try session.node.split(color: color) { node in
                        let isBesideWriters = reads && node.size < session.node.size
                        if reads {
                            return try read(from, to, iteration, group, talk, isBesideWriters)
                        }
                        let some = try Session(session, ranks: ranks, onNode: node, sums: sums)
                        return try write(from, to, iteration, group, talk, some, note)
                    }
                }
            }
        }
    }

    /// Ranks by what they do, in order.
    private struct Group {
        let writers: [Int]
        let readers: [Int]
    }

    private func write(
        _ from: DataSpec, _ to: DataSpec, _ iteration: Int, _ group: Group, _ talk: Ranks,
        _ some: Session, _ note: (OpenDataSet.Hints) -> Void
    ) throws(Failure) -> (Measurement?, Readers) {
        let herald = WriteHerald(among: talk, readers: group.readers, rule)
        var (failure, measurement): (Failure?, Measurement?)
        try ready()
        do {
            measurement = try claim.lent(to: some) { () throws(Failure) in
                try DataSetUpdate(
                    Pipeline(pipeline, of: Run(pipeline.run, of: some)), files, from: from, to: to,
                    claim, sync: sync, isCollective: false
                ).write(iteration: iteration, herald: herald, note: note)
            }
        } catch {
            failure = error
        }
        try herald.finish(failure == nil ? .done : .failed, session)
        let readers = try join(Readers(), failure, isBesideWriters: false)
        if let slowest = measurement?.slowestRank {
            measurement?.slowestRank = group.writers[slowest]
        }
        return (measurement, readers)
    }

    private func read(
        _ from: DataSpec, _ to: DataSpec, _ iteration: Int, _ group: Group, _ talk: Ranks,
        _ isBesideWriters: Bool
    ) throws(Failure) -> (Measurement?, Readers) {
        let alone = try Ranks.alone()
        let own = Run(
            pipeline.run, of: try Session(session, ranks: alone, onNode: alone, sums: alone))
        let update = UpdatePattern(
            to, against: from.generation, ranks: group.writers.count,
            transferSize: pipeline.transferSize)
        let reader = ConcurrentReader(
            own, files, pipeline.access, update, talk, writers: group.writers,
            SectorJudge(from: from, to: to, kernel: own.threads.kernel), rule,
            blockBytes: to.dedupUnit,
            seed: SplitMix64.mixed(seed &+ UInt64(bitPattern: Int64(iteration)))
                ^ UInt64(session.world.rank))
        var failure: Failure?
        do { try reader.begin() } catch { failure = error }
        try ready()
        do {
            if failure == nil { try reader.run(after: readsAfter) }
        } catch {
            failure = error
        }
        do { try reader.takeLeave() } catch { failure = failure ?? error }
        return (nil, try join(reader.seen, failure, isBesideWriters: isBesideWriters))
    }

    /// Waits until readers have opened the files; collective.
    private func ready() throws(Failure) {
        try session.watchdog.during(.agreement, session.world.barrier)
    }

    /// What all readers saw; collective.
    private func join(
        _ own: Readers, _ failure: Failure?, isBesideWriters: Bool
    ) throws(Failure) -> Readers {
        try session.agree(failure, isPlaced: true)
        let sums = try session.world.allReduce(
            [
                own.reads, own.readsMeanwhile, own.bytes, own.stale, own.early, own.torn,
                own.foreign, own.tornInFlight, isBesideWriters ? 1 : 0,
            ], .sum)
        var all = Readers(ranks: count, rule: rule.rawValue)
        (all.reads, all.readsMeanwhile, all.bytes) = (sums[0], sums[1], sums[2])
        (all.stale, all.early, all.torn, all.foreign) = (sums[3], sums[4], sums[5], sums[6])
        (all.tornInFlight, all.onWritersNodes) = (sums[7], sums[8])
        all.findings = Array(
            try session.collect(own.findings).prefix(Readers.findingsMax.all))
        return all
    }
}

/// A rank that reads what others write meanwhile, at random places of their orders, and judges what it sees.
private final class ConcurrentReader {
    /// Every second place is at most so many writes from where a writer is: read before it is written, and soon after.
    private static let nearby = 32

    private let run: Run
    private let files: FileSet
    private let access: FileAccess
    private let update: UpdatePattern
    private let talk: Ranks
    private let writers: [Int]
    private let rule: VisibilityRule
    private let blockBytes: Int
    private var judge: SectorJudge
    private var draws: SplitMix64
    /// What was heard of each writer, and whether it has been asked since.
    private var known: [WriteProgress]
    private var isAsked: [Bool]
    private var data: OpenDataSet?
    private let buffers = TransferBuffers()
    private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// When writers that are done heard last that this rank still reads.
    private var clock = Stopwatch(isCoarse: true)
    private(set) var seen = Readers()

    /// Prepares to read what `writers` write, which talk to this one through `talk`; `run` is of this rank alone.
    init(
        _ run: Run, _ files: FileSet, _ access: FileAccess, _ update: UpdatePattern, _ talk: Ranks,
        writers: [Int], _ judge: SectorJudge, _ rule: VisibilityRule, blockBytes: Int, seed: UInt64
    ) {
        (self.run, self.files, self.access, self.update) = (run, files, access, update)
        (self.talk, self.writers, self.judge, self.rule) = (talk, writers, judge, rule)
        self.blockBytes = blockBytes
        draws = SplitMix64(seed: seed)
        known = writers.map { _ in WriteProgress() }
        isAsked = writers.map { _ in false }
    }

    /// Takes memory, and opens the files.
    func begin() throws(Failure) {
        let session = run.session
        buffer = try session.together {
            try buffers.take(1, bytes: max(1, update.longestTransfer), sharers: session.node.size) {
                $0.initializeMemory(as: UInt8.self, repeating: 0)
            }[0]
        }
        try open()
    }

    private func open() throws(Failure) {
        data = try OpenDataSet(run, files, .read, by: access)
    }

    /// Reads while anybody writes, and so many times after that, unless a writer has failed.
    func run(after readsAfter: Int) throws(Failure) {
        var left = readsAfter
        let all = (0..<writers.count).reduce(0) { $0 + update.count(ofRank: $1) }
        while all > 0 {
            if let interruption = Interruption.failure { throw interruption }
            while try hear() {}
            if known.contains(where: { $0.state == .failed }) { break }
            let isMeanwhile = known.contains { $0.state == .going }
            if !isMeanwhile {
                left -= 1
                if left < 0 { break }
                try tellThatItReads()
            }
            try read(isMeanwhile)
        }
        try data.take()?.close()
    }

    /// Tells writers, which wait for it, that this rank is there; now and then.
    private func tellThatItReads() throws(Failure) {
        guard clock.elapsedNanoseconds > 1_000_000_000 else { return }
        clock = Stopwatch(isCoarse: true)
        for writer in writers {
            try talk.send(
                [WriteProgress.Word.howFar.rawValue], to: writer,
                tag: WriteProgress.Tag.ofReaders)
        }
    }

    /// Waits until every writer is done, and says that this rank asks no more.
    func takeLeave() throws(Failure) {
        let (patience, watchdog) = (Patience(), run.session.watchdog)
        watchdog.enter(.othersToFinish)
        while known.contains(where: { $0.state == .going }) {
            if try hear() { continue }
            try run.session.rollCall.attend()
            patience.pause()
        }
        watchdog.enter(.idle)
        for writer in writers {
            try talk.send(
                [WriteProgress.Word.farewell.rawValue], to: writer,
                tag: WriteProgress.Tag.ofReaders)
        }
    }

    /// Takes what a writer has said, if one has.
    private func hear() throws(Failure) -> Bool {
        guard let (rank, bytes) = try talk.poll(tag: WriteProgress.Tag.ofWriters) else {
            return false
        }
        guard let writer = writers.firstIndex(of: rank) else { return true }
        known[writer] = WriteProgress(bytes: bytes)
        isAsked[writer] = false
        return true
    }

    /// Asks a writer how far it is, and waits for the answer, unless it is done.
    private func ask(_ writer: Int) throws(Failure) {
        guard known[writer].state == .going else { return }
        try talk.send(
            [WriteProgress.Word.howFar.rawValue], to: writers[writer],
            tag: WriteProgress.Tag.ofReaders)
        isAsked[writer] = true
        let watchdog = run.session.watchdog
        watchdog.enter(.othersToFinish)
        defer { watchdog.enter(.idle) }
        let patience = Patience()
        while isAsked[writer], known[writer].state == .going {
            if try hear() { continue }
            try run.session.rollCall.attend()
            if let failure = Interruption.failure ?? run.session.rollCall.failure { throw failure }
            patience.pause()
        }
    }

    /// Draws a write; nil where it has no block.
    private func draw(_ isMeanwhile: Bool) -> (writer: Int, round: Int, range: Range<Int>)? {
        let writer = Int.random(in: 0..<writers.count, using: &draws)
        let count = update.count(ofRank: writer)
        guard count > 0 else { return nil }
        var round = Int.random(in: 0..<count, using: &draws)
        if isMeanwhile, Bool.random(using: &draws) {
            let near = Int.random(in: -Self.nearby...Self.nearby, using: &draws)
            round = min(max(0, min(count, known[writer].promised) + near), count - 1)
        }
        let range = update[round, writer]
        return range.isEmpty ? nil : (writer, round, range)
    }

    /// Reads what one write writes, and judges it by what its writer says before and, if need be, after.
    private func read(_ isMeanwhile: Bool) throws(Failure) {
        guard let (writer, round, range) = draw(isMeanwhile) else { return }
        try ask(writer)
        let mustBeNew = round < known[writer].promised
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
        let isWhole = try read(range.lowerBound, into: part)
        seen.reads += 1
        seen.readsMeanwhile += isMeanwhile ? 1 : 0
        seen.bytes += range.count
        let found = UnsafeRawBufferPointer(part)
        var verdict = judge.judge(found, at: range.lowerBound, mustBeNew ? .new : .either)
        if !mustBeNew, round >= known[writer].begun, verdict.hasNew || verdict.isTornInFlight {
            try ask(writer)
            if round >= known[writer].begun {
                verdict = judge.judge(found, at: range.lowerBound, .old)
            }
        }
        note(verdict, isWhole: isWhole, writer, round)
    }

    /// Reads bytes, by a file that is opened anew where only that lets this rank see what others have closed.
    private func read(
        _ offset: Int, into part: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Bool {
        if rule == .closeToOpen {
            try data.take()?.close()
            data = nil
        }
        if data == nil { try open() }
        guard let data else { return false }
        var isWhole = true
        do {
            try data.read(from: offset, into: part) { isWhole = isWhole && $0.isWhole }
        } catch {
            throw run.session.rollCall.know(error)
        }
        return isWhole
    }

    private func note(
        _ verdict: SectorJudge.Verdict, isWhole: Bool, _ writer: Int, _ round: Int
    ) {
        seen.tornInFlight += verdict.isTornInFlight ? 1 : 0
        guard let fault = isWhole ? verdict.fault : .foreign else { return }
        switch fault {
        case .stale: seen.stale += 1
        case .early: seen.early += 1
        case .torn: seen.torn += 1
        case .foreign: seen.foreign += 1
        }
        guard seen.findings.count < Readers.findingsMax.each else { return }
        seen.findings.append(
            Readers.Finding(
                rank: talk.rank, offset: verdict.offset, block: verdict.offset / blockBytes,
                kind: fault.rawValue, generation: isWhole ? verdict.generation : nil,
                atLeast: verdict.accepted.lowerBound, atMost: verdict.accepted.upperBound,
                writer: writers[writer], write: round))
    }
}
