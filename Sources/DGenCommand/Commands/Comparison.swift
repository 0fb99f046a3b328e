// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// All ranks together read a data set, and compare it with what it should hold.
struct Comparison {
    /// What was found in all files.
    struct Found {
        var log: DamageLog
        var fileBytes = 0

        /// Whether the files hold `spec` and nothing else.
        func isRight(_ spec: DataSpec) -> Bool {
            log.rangeCount == 0 && fileBytes == spec.size
        }
    }

    /// The most ranges that a report lists; all are counted.
    static let rangesMax = 1000

    private let job: Job
    private let files: FileSet
    private let spec: DataSpec
    private let title: String
    private let compares: Bool
    private let isCollective: Bool
    /// The ranks in the order of what they read.
    private let readers: Communicator
    /// What each of them reads.
    private let pattern: Pattern

    /// Prepares a comparison.
    ///
    /// - Parameters:
    ///   - job: the ranks.
    ///   - files: what is read.
    ///   - spec: what they should hold.
    ///   - title: what progress calls it.
    ///   - pattern: which reader reads what; a shard each, if not given.
    ///   - readers: all ranks in the order of what they read; in rank order if not given.
    ///   - isCollective: whether all ranks read together.
    ///   - compares: whether what is read is looked at.
    init(
        _ job: Job, _ files: FileSet, _ spec: DataSpec, title: String, pattern: Pattern? = nil,
        readers: Communicator? = nil, isCollective: Bool = false, compares: Bool = true
    ) {
        self.job = job
        self.files = files
        self.spec = spec
        self.title = title
        self.compares = compares
        self.isCollective = isCollective
        self.readers = readers ?? job.session.world
        self.pattern =
            pattern
            ?? Pattern(
                Shards(
                    size: spec.size, ranks: self.readers.size, alignment: files.shards.alignment),
                transferSize: job.transferSize)
    }

    /// Reads and compares, and tells where the time went; collective.
    func run(_ times: inout Times) throws -> Found {
        let world = job.session.world
        try job.watchdog.during(.agreement) { try world.barrier() }
        let clock = Stopwatch()
        let file = try times.add(to: \.openNanoseconds) { try job.open(files, .read) }
        try job.noteHints(of: file)
        let fileBytes = try job.fileBytes(file, files.layout)
        let transfers = job.transfers(title: title, totalBytes: spec.size)
        let log = try readTransfers(file, transfers, &times)
        transfers.end()
        try job.session.agree(transfers.failure)
        try job.session.together {
            try times.add(to: \.closeNanoseconds) {
                try job.watchdog.during(.close) { try file.close() }
            }
        }
        times.totalNanoseconds = clock.elapsedNanoseconds
        return Found(log: try join(log), fileBytes: fileBytes)
    }

    /// A part of a transfer that lies in one file, and how much of it was there.
    private struct Extent {
        let range: Range<Int>
        let read: Int
    }

    /// What one transfer brought, from the thread that reads to the one that compares.
    private final class Findings {
        var extents: [[Extent]]
        var log: DamageLog

        init(_ spec: DataSpec, depth: Int) {
            extents = Array(repeating: [], count: depth)
            log = DamageLog(spec, limit: Comparison.rangesMax)
        }
    }

    private func readTransfers(
        _ file: any DataFile, _ transfers: Transfers, _ times: inout Times
    ) throws -> DamageLog {
        let (spec, pattern, rank) = (spec, pattern, readers.rank)
        let generator = job.generator(spec)
        let depth = job.queueDepth
        let findings = Findings(spec, depth: depth)
        let rounds = pattern.transfersPerRank
        let (compares, start) = (compares, { (round: Int) in pattern[round, rank].lowerBound })
        let relay = job.relay(
            generator, count: rounds, bytes: pattern.longestTransfer, .afterGivenBack
        ) { round, buffer in
            var log = DamageLog(spec, limit: Self.rangesMax)
            for extent in findings.extents[round % depth] {
                let (offset, read) = (extent.range.lowerBound, extent.read)
                if compares, read > 0 {
                    let place = offset - start(round)
                    generator.compare(
                        UnsafeRawBufferPointer(rebasing: buffer[place..<place + read]), at: offset,
                        log: &log)
                }
                // What the file does not have is wrong.
                if read < extent.range.count {
                    log.add(offset: offset + read, count: extent.range.count - read)
                }
            }
            findings.log.merge(log)
        }
        do {
            defer {
                relay.finish()
                if compares { times.generateNanoseconds += relay.workNanoseconds }
            }
            for round in 0..<rounds where isCollective || !transfers.mustStop {
                let range = pattern[round, rank]
                let part = UnsafeMutableRawBufferPointer(
                    rebasing: relay.take()[..<range.count])
                var extents: [Extent] = []
                if isCollective {
                    extents = try readTogether(file, part, range, transfers, &times)
                } else {
                    transfers.transfer(range.count) {
                        extents = try times.transfer { try read(file, part, range) }
                    }
                }
                findings.extents[round % depth] = extents
                relay.giveBack()
                if isCollective {
                    try transfers.exchangeTogether()
                    if transfers.mustStop { break }
                } else {
                    try transfers.exchange()
                }
            }
            if !isCollective { try transfers.finish() }
        }
        return findings.log
    }

    /// Reads one transfer, file by file.
    private func read(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ range: Range<Int>
    ) throws -> [Extent] {
        var extents: [Extent] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(range.upperBound, file.extentEnd(at: offset))
            let place = offset - range.lowerBound
            let rest = UnsafeMutableRawBufferPointer(
                rebasing: part[place..<place + end - offset])
            let read = try job.watchdog.during(.read, offset: offset) {
                try readAll(file, rest, at: offset)
            }
            extents.append(Extent(range: offset..<end, read: read))
            offset = end
        }
        return extents
    }

    /// One round of collective reading, which every rank takes part in whatever has happened to it.
    private func readTogether(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ range: Range<Int>,
        _ transfers: Transfers, _ times: inout Times
    ) throws -> [Extent] {
        transfers.noteInterruption()
        let wanted = transfers.failure == nil ? part : .init(rebasing: part[..<0])
        let offset = range.lowerBound
        var extents: [Extent] = []
        let outcome = Result {
            try times.transfer {
                try job.watchdog.during(.read, offset: offset) {
                    try describing(offset) {
                        try file.readTogether(into: wanted, at: offset)
                    }
                }
            }
        }
        transfers.transfer(wanted.count) {
            let count = try outcome.get()
            let rest = UnsafeMutableRawBufferPointer(rebasing: wanted[count...])
            // A part of it, or nothing: the end of the file, or a failure that was not reported.
            let more = try readAll(file, rest, at: offset + count)
            if !wanted.isEmpty { extents = [Extent(range: range, read: count + more)] }
        }
        return extents
    }

    /// Reads until `part` is full or the file is at its end.
    private func readAll(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws -> Int {
        var done = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let count = try describing(offset + done) {
                try file.read(into: rest, at: offset + done)
            }
            guard count > 0 else {
                // Open MPI's default component reports a failed read as a success of no bytes.
                let end = try job.watchdog.during(.read, offset: offset + done) {
                    try file.storedEnd(at: offset + done)
                }
                guard offset + done >= end else {
                    throw Failure(
                        .inputOutput,
                        "\(files.path): a read at offset \(offset + done): read nothing of a "
                            + "file that goes on to \(end) and reported success")
                }
                break
            }
            done += count
        }
        return done
    }

    /// Says at which offset a call failed.
    private func describing<Result>(_ offset: Int, _ call: () throws -> Result) throws -> Result {
        do {
            return try call()
        } catch let error as MPIError {
            throw Failure(
                .inputOutput,
                "\(files.path): \(error.function) at offset \(offset): \(error.text)")
        }
    }

    /// Joins the logs of all ranks as if one rank had compared all bytes; collective.
    ///
    /// Memory and messages are bounded by the ranges that are kept, whatever the number of ranks.
    private func join(_ log: DamageLog) throws -> DamageLog {
        let (spec, limit) = (spec, Self.rangesMax)
        let numbers = try readers.combine(log.numbers) { lower, higher in
            var log = DamageLog(spec, numbers: lower, limit: limit)
            log.merge(DamageLog(spec, numbers: higher, limit: limit))
            return log.numbers
        }
        return DamageLog(spec, numbers: numbers, limit: limit)
    }
}
