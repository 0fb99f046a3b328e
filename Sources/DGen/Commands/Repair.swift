// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Glibc
import Logging
import MPI

struct RepairCommand: ParsableCommand, RunsUnderMPI {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Write what differs from its specification anew, and leave the rest.",
        discussion: """
            What the file should hold is read from its manifest, FILE.dgen.json, or given as options, as for \
            verify. What was written is read again. A file that an interrupted run left is finished, with \
            any number of ranks.
            """)

    @Argument(help: "The file to repair.")
    var path: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Refuse when the file system has less room than is missing (default: yes).")
    var spaceCheck: Bool?

    @OptionGroup(title: "Damage") var damage: DamageOptions
    @OptionGroup(title: "Data") var spec: SpecOptions
    @OptionGroup(title: "Run") var run: RunOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    var job: String? { result.job }
    var alsoKnown: [String] { damage.alsoKnown }
    var given: [(OptionKey, String?)] {
        spec.given + run.given + result.given + [
            (.output, path), (.spaceCheck, spaceCheck?.description),
        ]
    }

    func run(_ job: Job) throws -> ExitStatus { try Repair(job).run() }
}

/// `dgen-mpi repair`: writes what differs from its specification anew, with any number of ranks, and leaves the rest.
///
/// A file that a run left unfinished is finished by it: what is missing differs. Every rank reads its share, transfer by
/// transfer, and writes the wrong ranges of it at once; then it reads what it has written again.
final class Repair {
    private let job: Job
    private let subject: StoredDataSet
    private let claim: Claim
    private let pattern: DealtPattern
    private let checksSpace: Bool

    private var session: Session { job.session }
    private var path: String { subject.path }
    private var spec: DataSpec { subject.spec }
    private var files: FileSet { subject.files }

    /// Reads the options; the same on every rank; collective.
    convenience init(_ job: Job) throws {
        try self.init(job, StoredDataSet(job, missing: "repair: missing; give the file to repair"))
    }

    /// Repairs what a caller has found out about; collective.
    init(_ job: Job, _ subject: StoredDataSet) throws {
        self.job = job
        self.subject = subject
        let (spec, shards) = (subject.spec, subject.shards)
        pattern = DealtPattern(shards, transferSize: job.transferSize)
        checksSpace = try job.settings.flag(.spaceCheck, default: true)
        guard spec.size >= 1 else {
            throw InvalidField(field: "size", value: "0", accepted: "1 byte at least")
        }
        // What is there is mended as what it was begun as, not turned into something else.
        try subject.requireAgreement(job.settings)
        // Whoever repairs it, it stays the data set of the ranks that have written it.
        let written = subject.manifest
        let isKnown = written?.pattern != nil
        claim = try Claim(
            job.session, subject.path,
            Manifest(
                status: .writing, spec: spec, layout: subject.files.layout,
                ranks: isKnown ? written?.ranks ?? 1 : shards.count,
                align: isKnown ? written?.align ?? 1 : shards.alignment,
                cut: written?.cut ?? .segments(1),
                transferSize: isKnown ? written?.transferSize : job.transferSize))
    }

    /// Repairs the data set; collective.
    func run() throws -> ExitStatus {
        job.logger.info("repair \(path): \(spec.size) bytes, seed \(spec.seed)")
        try prepare()
        var times = Times()
        let file = try times.open { try job.open(files, .update) }
        try take()
        try dropCache()
        let mended = try mend(file, &times)
        try session.together {
            try times.sync { try job.watchdog.during(.sync) { try synchronize(file) } }
        }
        try session.together {
            try times.close { try job.watchdog.during(.close) { try file.close() } }
        }
        let left = try check(mended)
        var operation = Report.Operation(operation: "repair")
        operation.transferSize = job.transferSize
        try job.measure(&operation, times, bytes: spec.size)
        let sums = try session.world.allReduce(
            [mended.log.rangeCount, mended.log.rangeBytes], .sum)
        (operation.repairedRanges, operation.repairedBytes) = (sums[0], sums[1])
        job.report.operations.append(operation)
        try job.note(left, try subject.diagnosing(job))
        let isRight = left.isRight(spec)
        if isRight { try claim.complete() }
        job.show(table(operation, left, isRight: isRight))
        return isRight ? .done : .mismatch
    }

    /// Does something with each file that this rank looks after, under watch.
    private func forOwnFiles(
        _ phase: Watchdog.Phase = .open, _ body: (FileSet.Part) throws -> Void
    ) throws {
        try files.forOwn(session.world.rank, of: session.world.size) { own in
            try job.watchdog.during(phase) { try body(own) }
        }
    }

    /// Everything that can be known before anything is changed.
    private func prepare() throws {
        job.report.fileSystem = try session.onRoot {
            try files.requireShortNames()
            let folder = FileSystem.folder(of: FileSystem.resolved(files.path(of: 0)))
            try FileSystem.requireWritableFolder(FileSystem.folder(of: path))
            // Links of others are found before anything is written through them.
            _ = try Place(path, mayBeLinkOfOthers: true)
            _ = try Place(Manifest.path(for: path))
            try Manifest.requireOwnPlace(for: path)
            return FileSystem.type(folder)
        }
        try Sharing(job, files).prove(isReading: false)
        let allocated = try session.together {
            var sum = 0
            try forOwnFiles { own in
                try FileSystem.requireNoDanglingLink(own.path)
                guard let state = try FileSystem.state(own.path) else { return }
                guard state.isRegular else {
                    throw Failure(.inputOutput, "\(own.path): not a regular file")
                }
                sum += state.allocatedBytes
            }
            return sum
        }
        try files.requireApart(session)
        try requireOurs()
        let stored = try session.world.allReduce(allocated, .sum)
        try session.together {
            guard session.isRoot, checksSpace else { return }
            try FileSystem.requireSpace(for: path, bytes: spec.size - stored)
        }
    }

    /// Refuses files that are not of the data set, whatever the manifest beside them or the options say; collective.
    ///
    /// A manifest is believed where the file is as long as it says, or has anything of what it says; without one the
    /// bytes of the file alone tell.
    private func requireOurs() throws {
        let specs = try [spec] + subject.earlier(job.settings)
        let hasManifest = subject.manifest != nil
        let proven = try session.together {
            var proven = 0
            try forOwnFiles(.read) { own in
                guard let state = try FileSystem.state(own.path) else { return }
                proven += 1
                // So few bytes may all be damaged.
                let isFew = own.range.count < Self.fewBytes
                if hasManifest, state.size == own.range.count || isFew { return }
                let found = try Provenance.of(
                    own.path, own.range, specs: specs, kernel: job.kernel)
                if hasManifest ? found != .foreign : found == .ours && state.size <= own.range.count
                {
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
                    "\(own.path): has \(state.size) bytes, \(why); it is left as it is (generate "
                        + "--overwrite replaces it)")
            }
            return proven
        }
        guard try hasManifest || session.world.allReduce(proven, .sum) > 0 else {
            throw Failure(.inputOutput, "\(files.path(of: 0)): no such file")
        }
    }

    /// Of fewer bytes than a sector none may be right.
    private static let fewBytes = 512

    /// Makes the data set that of this run before anything is changed; every file is there afterwards, none too long.
    private func take() throws {
        // The first file stands for all: whoever writes the data set has its lock.
        let first = files.path(of: 0)
        try session.onRoot {
            if try FileSystem.state(first) == nil { try PosixFile.create(first, isNew: false) }
        }
        try claim.lock(session.isRoot ? first : nil)
        try session.onRoot {
            try claim.begin(earlier: subject.manifest.map { [$0.spec] + $0.earlier } ?? [])
        }
        try session.together {
            try forOwnFiles { own in
                if let state = try FileSystem.state(own.path) {
                    if state.size > own.range.count {
                        try FileSystem.cut(own.path, to: own.range.count)
                    }
                } else {
                    try PosixFile.create(own.path, isNew: false)
                }
            }
        }
    }

    /// Has every node read from the store, as far as the system lets go of what it has in memory; collective.
    ///
    /// What one rank writes, another node may have read before, more of the file than it was asked for, and go on with.
    private func dropCache() throws {
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
    private func mend(_ file: any DataFile, _ times: inout Times) throws -> Rewritten {
        let generator = job.generator(spec)
        let reading = Reading(job, files.path)
        let rank = session.world.rank
        let transfers = job.transfers(title: "repair", totalBytes: spec.size)
        var mended = Rewritten(spec)
        let memory = try session.together {
            let bytes = max(pattern.longestTransfer, 1)
            return try TransferBuffers.memory(
                bytes, alignment: 4096, for: "a buffer of \(ByteSize.format(bytes))",
                sharers: session.node.size)
        }
        defer { free(memory.baseAddress) }
        times.begin(.transfers)
        for round in 0..<pattern.transfersPerRank where !transfers.mustStop {
            let range = pattern[round, rank]
            transfers.transfer(range.count) {
                guard !range.isEmpty else { return }
                let part = UnsafeMutableRawBufferPointer(rebasing: memory[..<range.count])
                var extents: [Reading.Extent] = []
                try times.transfer {
                    try reading.read(file, part, 0, range) { extents.append($0) }
                }
                let wrong = times.generate {
                    var log = DamageLog(spec, limit: 1000)
                    Reading.compare(extents, in: part, with: generator, log: &log)
                    return log
                }
                guard wrong.rangeCount > 0 else { return }
                mended.log.append(wrong)
                mended.add(round: round)
                // All of it where not every range is known.
                let whole = [Damage(offset: range.lowerBound, bytes: range.count, wrongBytes: 0)]
                for damage in wrong.rangeCount > wrong.ranges.count ? whole : wrong.ranges {
                    try write(damage, to: file, part, range.lowerBound, generator, &times)
                }
            }
            try transfers.exchange()
        }
        times.end(.transfers)
        try transfers.finish()
        transfers.end()
        try session.agree(transfers.failure)
        return mended
    }

    /// Makes a range in the place where it was found wrong, and writes it, file by file.
    private func write(
        _ damage: Damage, to file: any DataFile, _ part: UnsafeMutableRawBufferPointer,
        _ start: Int, _ generator: ParallelGenerator, _ times: inout Times
    ) throws {
        var offset = damage.offset
        while offset < damage.end {
            let end = min(damage.end, file.extentEnd(at: offset))
            let right = UnsafeMutableRawBufferPointer(
                rebasing: part[offset - start..<end - start])
            generator.fill(right, at: offset)
            // Of several files none is longer than what lies before its end in all of them.
            if files.layout == .shared { try FileSystem.requireLength(end, of: files.path) }
            try times.transfer {
                try job.watchdog.during(.write, offset: offset) {
                    try Failure.describing(offset, of: files.path) {
                        try file.write(UnsafeRawBufferPointer(right), at: offset)
                    }
                }
            }
            offset = end
        }
    }

    /// Brings what was written to stable storage: of several files, each its own rank's, or that of the rank that asks.
    private func synchronize(_ file: any DataFile) throws {
        guard files.layout == .perRank else { return try file.sync() }
        try forOwnFiles(.sync) { try FileSystem.synchronize($0.path) }
    }

    /// Reads again what was written; what is wrong now, and the bytes of the files; collective.
    private func check(_ mended: Rewritten) throws -> Comparison.Found {
        try dropCache()
        let again = Again(
            pattern, mended.rounds,
            rounds: try session.world.allReduce(
                mended.rounds.reduce(0) { $0 + $1.count }, .maximum), rank: session.world.rank)
        let comparison = Comparison(job, files, spec, title: "check", pattern: again)
        var times = Times()
        return try comparison.run(&times)
    }

    /// The transfers of this rank that are looked at once more.
    private struct Again: AccessPattern {
        private let pattern: DealtPattern
        private let runs: [Range<Int>]
        /// How many transfers lie before each run.
        private let before: [Int]
        let transfersPerRank: Int
        private let rank: Int

        init(_ pattern: DealtPattern, _ runs: [Range<Int>], rounds: Int, rank: Int) {
            self.pattern = pattern
            self.runs = runs
            self.rank = rank
            transfersPerRank = rounds
            before = runs.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
        }

        var transferSize: Int { pattern.transferSize }
        var longestTransfer: Int { pattern.longestTransfer }
        var bytes: Int { pattern.bytes }

        subscript(index: Int, rank: Int) -> Range<Int> {
            precondition(rank == self.rank, "a rank knows its own transfers")
            guard index < before[before.count - 1] else { return 0..<0 }
            // The last run that begins no later.
            var (low, high) = (0, runs.count - 1)
            while low < high {
                let middle = (low + high + 1) / 2
                if before[middle] <= index { low = middle } else { high = middle - 1 }
            }
            return pattern[runs[low].lowerBound + index - before[low], rank]
        }
    }

    private func table(
        _ operation: Report.Operation, _ left: Comparison.Found, isRight: Bool
    ) -> Table {
        var table = Table()
        table.row("repaired", path)
        table.row(
            "result", isRight ? "every byte is right now" : "STILL DIFFERS from its specification")
        table.row("size", "\(ByteSize.format(spec.size)) (\(spec.size) bytes)")
        table.row(
            "written anew",
            "\(operation.repairedBytes ?? 0) bytes in \(operation.repairedRanges ?? 0) ranges")
        job.addDamage(to: &table)
        job.addRates(of: operation, to: &table)
        return table
    }
}
