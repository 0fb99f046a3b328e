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
    private let pattern: any RankTransfers

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
        _ job: Job, _ files: FileSet, _ spec: DataSpec, title: String,
        pattern: (any RankTransfers)? = nil,
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

    /// What each batch brought, from the thread that reads to the one that compares.
    private final class Findings {
        var extents: [[Reading.Extent]]
        var log: DamageLog

        init(_ spec: DataSpec, depth: Int) {
            extents = Array(repeating: [], count: depth)
            log = DamageLog(spec, limit: Comparison.rangesMax)
        }

        func note(_ extent: Reading.Extent, at slot: Int) {
            if let joined = extents[slot].last?.joined(with: extent) {
                extents[slot][extents[slot].count - 1] = joined
            } else {
                extents[slot].append(extent)
            }
        }
    }

    private func readTransfers(
        _ file: any DataFile, _ transfers: Transfers, _ times: inout Times
    ) throws -> DamageLog {
        let (spec, pattern, rank, compares) = (spec, pattern, readers.rank, compares)
        let generator = job.generator(spec)
        let depth = job.queueDepth
        let findings = Findings(spec, depth: depth)
        let relay = job.relay(
            generator, count: pattern.batchCount, bytes: pattern.batchBufferBytes, .afterGivenBack
        ) { index, buffer in
            for extent in findings.extents[index % depth] {
                var log = DamageLog(spec, limit: Self.rangesMax)
                let (offset, read) = (extent.range.lowerBound, extent.read)
                if compares, read > 0 {
                    generator.compare(
                        UnsafeRawBufferPointer(
                            rebasing: buffer[extent.place..<extent.place + read]), at: offset,
                        log: &log)
                }
                // What the file does not have is wrong.
                if read < extent.range.count {
                    log.add(
                        offset: offset + read, count: extent.range.count - read, isMissing: true)
                }
                findings.log.merge(log)
            }
        }
        do {
            defer {
                relay.finish()
                if compares { times.generateNanoseconds += relay.workNanoseconds }
            }
            for index in 0..<pattern.batchCount {
                if isCollective ? transfers.mustStopTogether : transfers.mustStop { break }
                let buffer = relay.take()
                defer { relay.giveBack() }
                findings.extents[index % depth].removeAll(keepingCapacity: true)
                for (number, round) in pattern.rounds(ofBatch: index).enumerated() {
                    let (place, range) = (number * pattern.transferSize, pattern[round, rank])
                    let part = UnsafeMutableRawBufferPointer(
                        rebasing: buffer[place..<place + range.count])
                    for extent in try move(file, part, place, range, transfers, &times) {
                        findings.note(extent, at: index % depth)
                    }
                    if isCollective ? transfers.mustStopTogether : transfers.mustStop { break }
                }
            }
            if !isCollective { try transfers.finish() }
        }
        return findings.log
    }

    /// Reads one transfer, and tells and hears how far all ranks are.
    private func move(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>, _ transfers: Transfers, _ times: inout Times
    ) throws -> [Reading.Extent] {
        var extents: [Reading.Extent] = []
        if isCollective {
            extents = try readTogether(file, part, place, range, transfers, &times)
            try transfers.exchangeTogether()
        } else {
            transfers.transfer(range.count) {
                guard !range.isEmpty else { return }
                extents = try times.transfer { try reading.read(file, part, place, range) }
            }
            try transfers.exchange()
        }
        return extents
    }

    /// One round of collective reading, which every rank takes part in whatever has happened to it.
    private func readTogether(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>, _ transfers: Transfers, _ times: inout Times
    ) throws -> [Reading.Extent] {
        transfers.noteInterruption()
        let wanted = transfers.failure == nil ? part : .init(rebasing: part[..<0])
        let offset = range.lowerBound
        var extents: [Reading.Extent] = []
        let outcome = Result {
            try times.transfer {
                try job.watchdog.during(.read, offset: offset) {
                    try reading.describing(offset) {
                        try file.readTogether(into: wanted, at: offset)
                    }
                }
            }
        }
        transfers.transfer(wanted.count) {
            let count = try outcome.get()
            let rest = UnsafeMutableRawBufferPointer(rebasing: wanted[count...])
            // A part of it, or nothing: the end of the file, or a failure that was not reported.
            let more = try reading.readAll(file, rest, at: offset + count)
            if !wanted.isEmpty {
                extents = [Reading.Extent(place: place, range: range, read: count + more)]
            }
        }
        return extents
    }

    private var reading: Reading { Reading(job, files.path) }

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
