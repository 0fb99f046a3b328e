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
    private let readers: Ranks
    /// What each of them reads.
    private let pattern: any AccessPattern
    private let reading: Reading
    /// How many buffers there are; what is only read needs no other.
    private var depth: Int { compares ? job.queueDepth : 1 }
    /// What is compared, or agreed on, at once; what is only read need not wait for more.
    private var batches: Batches {
        compares || isCollective ? Batches(pattern, depth: depth) : Batches(oneByOne: pattern)
    }

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
        pattern: (any AccessPattern)? = nil,
        readers: Ranks? = nil, isCollective: Bool = false, compares: Bool = true
    ) {
        self.job = job
        self.files = files
        reading = Reading(job, files.path)
        self.spec = spec
        self.title = title
        self.compares = compares
        self.isCollective = isCollective
        self.readers = readers ?? job.session.world
        self.pattern =
            pattern
            ?? DealtPattern(
                Shards(
                    size: spec.size, ranks: self.readers.size, alignment: files.shards.alignment),
                transferSize: job.transferSize)
    }

    /// Reads and compares, and tells where the time went; collective.
    func run(_ times: inout Times) throws -> Found {
        let world = job.session.world
        let findings = DamageCollector(spec, compares ? job.generator(spec) : nil, depth: depth)
        let relay = try job.relay(
            batches, spec, .afterGivenBack, depth: depth, work: compares ? findings.compare : nil)
        defer { relay.finish() }
        try job.watchdog.during(.agreement) { try world.barrier() }
        let file = try times.open { try job.open(files, .read) }
        try job.noteHints(of: file)
        let fileBytes = try job.fileBytes(file, files.layout)
        let transfers = job.transfers(title: title, totalBytes: spec.size)
        try readTransfers(file, through: relay, findings, transfers, &times)
        transfers.end()
        try job.session.agree(transfers.failure)
        try job.session.together {
            try times.close { try job.watchdog.during(.close) { try file.close() } }
        }
        return Found(log: try join(findings.log), fileBytes: fileBytes)
    }

    /// What a batch brought, from the thread that reads to the one that compares.
    private final class BatchExtents {
        private(set) var extents: [Reading.Extent] = []

        func note(_ extent: Reading.Extent) {
            if let joined = extents.last?.joined(with: extent) {
                extents[extents.count - 1] = joined
            } else {
                extents.append(extent)
            }
        }

        func forget() { extents.removeAll(keepingCapacity: true) }
    }

    /// What was found so far.
    private final class DamageCollector {
        /// Of the thread that compares alone, until all is compared.
        private(set) var log: DamageLog
        private let spec: DataSpec
        private let generator: ParallelGenerator?
        /// One for each buffer, which goes to and fro with it.
        private let brought: [BatchExtents]

        init(_ spec: DataSpec, _ generator: ParallelGenerator?, depth: Int) {
            self.spec = spec
            self.generator = generator
            log = DamageLog(spec, limit: Comparison.rangesMax)
            brought = (0..<depth).map { _ in BatchExtents() }
        }

        /// Notes what was read of a batch, before its buffer is given back.
        func note(_ extent: Reading.Extent, ofBatch index: Int) {
            brought[index % brought.count].note(extent)
        }

        /// Compares what a batch brought; without a generator, notes only what was not there.
        func compare(batch index: Int, in buffer: UnsafeMutableRawBufferPointer) {
            let batch = brought[index % brought.count]
            for extent in batch.extents {
                var found = DamageLog(spec, limit: Comparison.rangesMax)
                Reading.compare([extent], in: buffer, with: generator, log: &found)
                if found.rangeCount > 0 { log.merge(found) }
            }
            batch.forget()
        }
    }

    private func readTransfers(
        _ file: any DataFile, through relay: Relay, _ findings: DamageCollector,
        _ transfers: Agreement,
        _ times: inout Times
    ) throws {
        let (batches, rank) = (batches, readers.rank)
        times.begin(.transfers)
        do {
            defer { times.finish(relay) }
            var index = 0
            // Those that were read, which may be fewer than those that were gone past.
            var taken = 0
            while index < batches.count {
                if isCollective ? transfers.mustStopTogether : transfers.mustStop { break }
                let buffer = relay.take()
                defer {
                    if !compares { findings.compare(batch: taken, in: buffer) }
                    relay.giveBack()
                    taken += 1
                }
                var last: Reading.Extent?
                for (number, round) in batches.rounds(index).enumerated() {
                    let (place, range) = (number * pattern.transferSize, pattern[round, rank])
                    let part = UnsafeMutableRawBufferPointer(
                        rebasing: buffer[place..<place + range.count])
                    try move(file, part, place, range, transfers, &times) { extent in
                        last = extent
                        // Without comparing, that all of it was there is all that is asked.
                        if compares || extent.read < extent.range.count {
                            findings.note(extent, ofBatch: taken)
                        }
                    }
                    if isCollective, batches.endsStretch(round) { try transfers.exchangeTogether() }
                    if isCollective ? transfers.mustStopTogether : transfers.mustStop { break }
                }
                index += 1
                if let last, last.read < last.range.count, !transfers.mustStop {
                    let (count, missing) = behindEnd(file, last, before: index)
                    index += count
                    if !missing.isEmpty {
                        findings.note(
                            Reading.Extent(place: 0, range: missing, read: 0), ofBatch: taken)
                        transfers.transfer(missing.count) {}
                    }
                }
            }
        }
        if !isCollective { try transfers.finish() }
    }

    /// What need not be looked for since a file has ended before it: whole batches from number `index` on, and the bytes
    /// that they are of.
    ///
    /// An almost empty file of many TiB takes no longer than a small one.
    private func behindEnd(
        _ file: any DataFile, _ last: Reading.Extent, before index: Int
    ) -> (count: Int, missing: Range<Int>) {
        guard !isCollective, let share = (pattern as? DealtPattern)?.straightRange(of: readers.rank)
        else {
            return (0, 0..<0)
        }
        let (start, end) = (last.range.upperBound, share.upperBound)
        let left = batches.count - index
        let fileEnd = file.extentEnd(at: last.range.lowerBound)
        guard fileEnd < end else { return (left, start..<end) }
        let batchBytes = batches.rounds(0).count * pattern.transferSize
        let count = min((fileEnd - start) / batchBytes, left)
        return (count, start..<start + count * batchBytes)
    }

    /// Reads one transfer; where each rank goes at its own speed, it also tells and hears how far all of them are.
    private func move(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>, _ transfers: Agreement, _ times: inout Times,
        note: (Reading.Extent) -> Void
    ) throws {
        if isCollective {
            try readTogether(file, part, place, range, transfers, &times, note: note)
        } else {
            transfers.transfer(range.count) {
                guard !range.isEmpty else { return }
                try times.transfer { try reading.read(file, part, place, range, note: note) }
            }
            try transfers.exchange()
        }
    }

    /// One round of collective reading, which every rank takes part in whatever has happened to it.
    private func readTogether(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>, _ transfers: Agreement, _ times: inout Times,
        note: (Reading.Extent) -> Void
    ) throws {
        transfers.noteInterruption()
        let wanted = transfers.failure == nil ? part : .init(rebasing: part[..<0])
        let offset = range.lowerBound
        let outcome = Result {
            try times.transfer {
                try job.watchdog.during(.read, offset: offset) {
                    try Failure.describing(offset, of: files.path) {
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
                note(Reading.Extent(place: place, range: range, read: count + more))
            }
        }
    }

    /// Joins the logs of all ranks as if one rank had compared all bytes; collective.
    ///
    /// Memory and messages are bounded by the ranges that are kept, whatever the number of ranks.
    private func join(_ log: DamageLog) throws -> DamageLog {
        let (spec, limit) = (spec, Self.rangesMax)
        let numbers = try readers.combine(numbers: log.numbers) { lower, higher in
            var log = DamageLog(spec, numbers: lower, limit: limit)
            log.merge(DamageLog(spec, numbers: higher, limit: limit))
            return log.numbers
        }
        return DamageLog(spec, numbers: numbers, limit: limit)
    }
}
