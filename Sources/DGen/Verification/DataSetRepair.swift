// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// Writes what differs from its specification in a data set anew, with any number of ranks, and leaves the rest.
///
/// A file that a run left unfinished is finished by it: what is missing differs. Every rank reads its share, transfer by
/// transfer, and writes the wrong ranges of it at once; then it reads what it has written again.
final class DataSetRepair {
    /// What was written anew, and what is found then.
    struct Result {
        let measurement: Measurement
        let left: Comparison.Result
    }

    private let pipeline: Pipeline
    private let subject: StoredDataSet
    private let claim: Claim
    private let pattern: DealtPattern
    private let checksSpace: Bool

    private var run: Run { pipeline.run }
    private var session: Session { run.session }
    private var spec: DataSpec { subject.spec }
    private var files: FileSet { subject.files }

    /// Prepares to repair the data set; collective.
    init(_ pipeline: Pipeline, _ subject: StoredDataSet, checksSpace: Bool) throws(Failure) {
        self.pipeline = pipeline
        self.subject = subject
        let (spec, shards) = (subject.spec, subject.shards)
        pattern = DealtPattern(shards, transferSize: pipeline.transferSize)
        self.checksSpace = checksSpace
        guard spec.size >= 1 else {
            throw Failure(InvalidField(field: "size", value: "0", accepted: "1 byte at least"))
        }
        // What is there is mended as what it was begun as, not turned into something else.
        try subject.requireAgreement()
        claim = try Claim(
            pipeline.run.session, subject.path, subject.files.target,
            subject.changedManifest(.writing, transferSize: pipeline.transferSize))
    }

    /// Repairs the data set, after ``prepare(note:)``; collective.
    ///
    /// `note` is told what the library says of the hints of the files.
    func write(note: (OpenDataSet.Hints) -> Void) throws(Failure) -> Result {
        let batches = Batches(oneByOne: pattern)
        let relay = try pipeline.relay(batches, spec, .afterGivenBack, depth: 1, work: nil)
        let data = try OpenDataSet(run, files, .update, by: pipeline.access, note: note)
        try take()
        try dropCache()
        let mended = try mend(data, batches, relay)
        if files.layout == .shared { try data.sync() } else { try data.syncFiles() }
        try data.close()
        let left = try check(mended)
        var measurement = try data.times.measurement(of: "repair", bytes: spec.size, run)
        measurement.transferSize = pipeline.transferSize
        let sums = try session.world.allReduce(
            [mended.log.rangeCount, mended.log.rangeBytes], .sum)
        (measurement.repairedRanges, measurement.repairedBytes) = (sums[0], sums[1])
        if left.isRight(spec) { try claim.complete() }
        return Result(measurement: measurement, left: left)
    }

    /// Does something with each file that this rank looks after, under watch.
    private func forOwnFiles(
        _ phase: Watchdog.Phase = .open, _ body: (FileSet.Part) throws(Failure) -> Void
    ) throws(Failure) {
        try files.forOwn(session) { own throws(Failure) in
            if let interruption = Interruption.failure { throw interruption }
            try run.watchdog.during(phase) { () throws(Failure) in try body(own) }
        }
    }

    /// Finds out everything that can be known before anything is changed; collective.
    ///
    /// `note` is told the type of the file system as soon as it is known.
    func prepare(note: (String?) -> Void) throws(Failure) {
        guard files.target.isFile else {
            try session.onRoot { try claim.requireOwnPlace(overwrites: true, mayMove: true) }
            try Sharing(run: run, files: files).prove(isReading: false)
            try claim.takeDevice(bytes: spec.size, holding: heldBefore)
            return try requireOurs()
        }
        let fileSystem = try session.onRoot {
            try files.requireShortNames()
            try files.requireWritable()
            return FileSystem.type(
                FileSystem.folder(of: FileSystem.resolved(files.path(of: 0))))
        }
        note(fileSystem)
        try Sharing(run: run, files: files).prove(isReading: false)
        var allocated = 0
        try session.together {
            try forOwnFiles { own throws(Failure) in
                try FileSystem.requireNoDanglingLink(own.path)
                allocated +=
                    try FileSystem.regular(own.path, mayBeMissing: true)?.allocatedBytes ?? 0
            }
        }
        try files.requireApart(session)
        try requireOurs()
        let stored = try session.world.allReduce(allocated, .sum)
        try session.together {
            guard session.isRoot, checksSpace else { return }
            try FileSystem.requireSpace(for: files.path, bytes: spec.size - stored)
        }
    }

    /// What a device may hold: what was there before a run that was cut off may still be there.
    private var heldBefore: DeviceClaim.Content {
        get throws(Failure) {
            guard subject.manifest?.status != .writing else { return .anything }
            var specs = [spec] + subject.earlier
            if let manifest = subject.manifest {
                specs.append(manifest.spec)
                if let update = manifest.update {
                    specs.append(
                        try Failure.reading(manifest.spec.withGeneration(update.from)))
                }
            }
            return .dataSets(specs, run.threads.kernel)
        }
    }

    /// Refuses files that are not of the data set, whatever the manifest beside them or the options say; collective.
    ///
    /// A manifest is believed where the file is as long as it says, or has anything of what it says; without one the
    /// bytes of the file alone tell.
    private func requireOurs() throws(Failure) {
        let specs = [spec] + subject.earlier
        let hasManifest = subject.manifest != nil
        var proven = 0
        try session.together {
            try forOwnFiles(.read) { own throws(Failure) in
                guard let size = try files.storedBytes(own.path) else { return }
                proven += 1
                // So few bytes may all be damaged. What a manifest says is beside a file, not beside a device.
                let isFew = own.range.count < Self.fewBytes
                let isBeside = hasManifest && files.target.isFile
                if isBeside, size == own.range.count || isFew { return }
                let found = try Provenance.of(
                    own.path, bytes: size, own.range, specs: specs, kernel: run.threads.kernel)
                if hasManifest ? found != .foreign : found == .ours && size <= own.range.count {
                    return
                }
                let why =
                    hasManifest
                    ? "and none of those that were looked at is of the data set that its manifest speaks of"
                    : "no manifest, and "
                        + (found == .ours
                            ? "more of them than the data set" : "nothing in it is of the data set")
                throw Failure(
                    .usage,
                    "\(own.path): has \(size) bytes, \(why); it is left as it is (generate "
                        + "--overwrite replaces it)")
            }
        }
        guard !hasManifest else { return }
        guard try session.world.allReduce(proven, .sum) > 0 else {
            throw Failure(.inputOutput, "\(files.path(of: 0)): no such file")
        }
    }

    /// Of fewer bytes than a sector none may be right.
    private static let fewBytes = 512

    /// Makes the data set that of this run before anything is changed; every file is there afterwards, none too long.
    private func take() throws(Failure) {
        // The first file stands for all: whoever writes the data set has its lock.
        let first = files.path(of: 0)
        try session.onRoot {
            if try FileSystem.state(first) == nil { try FileSystem.create(first, isNew: false) }
        }
        _ = try claim.take(session.isRoot ? first : nil)
        try session.together {
            try forOwnFiles { own throws(Failure) in
                if let state = try FileSystem.state(own.path) {
                    if state.size > own.range.count {
                        try FileSystem.cut(own.path, to: own.range.count)
                    }
                } else {
                    try FileSystem.create(own.path, isNew: false)
                }
            }
        }
    }

    /// Has every node read from the store, as far as the system lets go of what it has in memory; collective.
    ///
    /// What one rank writes, another node may have read before, more of the file than it was asked for, and go on with.
    private func dropCache() throws(Failure) {
        try files.dropCache(of: subject.shards[session.world.rank], session)
    }

    /// What a rank has written anew.
    private struct Rewritten {
        /// The wrong ranges of this rank's share.
        var log: DamageLog
        /// Which transfers they were in: numbers in a row, and no more than a bound of such runs.
        var rounds: [Range<Int>] = []
        private static let runsMax = 4096

        init(_ spec: DataSpec) { log = DamageLog(spec, limit: 1) }

        mutating func add(round: Int) {
            if let last = rounds.last, last.upperBound == round || rounds.count >= Self.runsMax {
                // Past the bound also what lies between, which is only looked at once more.
                rounds[rounds.count - 1] = last.lowerBound..<round + 1
            } else {
                rounds.append(round..<round + 1)
            }
        }
    }

    /// Reads this rank's share, and writes what is wrong.
    private func mend(
        _ data: OpenDataSet, _ batches: Batches, _ relay: Relay
    ) throws(Failure) -> Rewritten {
        let loop = TransferLoop(
            batches: batches, rank: session.world.rank, isInStep: false,
            agreement: Agreement(run, title: "repair", totalBytes: spec.size))
        var mended = Rewritten(spec)
        try loop.run(relay, on: data) { transfer throws(Failure) in
            try loop.move(transfer) { part throws(Failure) in
                try mend(transfer, in: part, of: data, noting: &mended)
            }
        }
        return mended
    }

    /// Reads one transfer, and writes what is wrong.
    private func mend(
        _ transfer: TransferLoop.Transfer, in part: UnsafeMutableRawBufferPointer,
        of data: OpenDataSet, noting mended: inout Rewritten
    ) throws(Failure) {
        let (generator, range) = (pipeline.generator(spec), transfer.range)
        var extents: [OpenDataSet.Extent] = []
        try data.read(from: range.lowerBound, into: part) { extents.append($0) }
        var wrong = DamageLog(spec, limit: 1000)
        data.times.add(to: .generate) {
            for extent in extents { wrong.add(extent, in: part, comparedBy: generator) }
        }
        guard wrong.rangeCount > 0 else { return }
        mended.log.append(wrong)
        mended.add(round: transfer.round)
        // All of it where not every range is known.
        let whole = [Damage(offset: range.lowerBound, bytes: range.count, wrongBytes: 0)]
        for damage in wrong.rangeCount > wrong.ranges.count ? whole : wrong.ranges {
            let start = damage.offset - range.lowerBound
            let right = UnsafeMutableRawBufferPointer(
                rebasing: part[start..<start + damage.bytes])
            generator.fill(right, at: damage.offset)
            // Of several files none is longer than what lies before its end in all of them.
            if files.layout == .shared, files.target.isFile {
                try FileSystem.requireLength(damage.end, of: files.path)
            }
            try data.write(UnsafeRawBufferPointer(right), at: damage.offset)
        }
    }

    /// Reads again what was written; what is wrong now, and the bytes of the files; collective.
    private func check(_ mended: Rewritten) throws(Failure) -> Comparison.Result {
        try dropCache()
        let again = RoundsPattern(
            pattern, mended.rounds,
            rounds: try session.world.allReduce(
                mended.rounds.reduce(0) { $0 + $1.count }, .maximum), rank: session.world.rank)
        return try Comparison(
            pipeline: pipeline, files: files, spec: spec, title: "check", pattern: again
        ).run()
    }
}
