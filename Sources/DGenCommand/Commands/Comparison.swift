// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// All ranks together read a shared file, and compare it with what it should hold.
struct Comparison {
    /// Damage of the whole file.
    struct Found {
        var ranges: [Damage] = []
        var rangeCount = 0
        var rangeBytes = 0
        var wrongBytes = 0
        var fileBytes = 0
    }

    /// The most ranges that a report lists; all are counted.
    static let rangesMax = 1000

    private let job: Job
    private let path: String
    private let spec: DataSpec
    private let title: String
    private let compares: Bool
    /// The ranks in the order of what they read.
    private let readers: Communicator
    /// What this rank reads.
    private let shard: Range<Int>

    /// Prepares a comparison of the file at `path`.
    ///
    /// - Parameters:
    ///   - job: the ranks.
    ///   - path: the file.
    ///   - spec: what it should hold.
    ///   - shards: how it is dealt to `readers`.
    ///   - title: what progress calls it.
    ///   - readers: all ranks in the order of the shards that they read; in rank order if not given.
    ///   - compares: whether what is read is looked at.
    init(
        _ job: Job, path: String, spec: DataSpec, shards: Shards, title: String,
        readers: Communicator? = nil, compares: Bool = true
    ) {
        self.job = job
        self.path = path
        self.spec = spec
        self.title = title
        self.compares = compares
        self.readers = readers ?? job.session.world
        shard = shards[self.readers.rank]
    }

    /// Reads and compares, and tells where the time went; collective.
    func run(_ times: inout Times) throws -> Found {
        let world = job.session.world
        try job.watchdog.during(.agreement) { try world.barrier() }
        let clock = Stopwatch()
        let file = try times.add(to: \.openNanoseconds) { try job.open(path, .read, hints: []) }
        try job.noteHints(of: file)
        let fileBytes = try job.session.together { try file.size() }
        let transfers = job.transfers(title: title, totalBytes: spec.size)
        let log = try compare(file, fileBytes: fileBytes, transfers, &times)
        transfers.end()
        try job.session.agree(transfers.failure)
        try job.session.together {
            try times.add(to: \.closeNanoseconds) {
                try job.watchdog.during(.close) { try file.close() }
            }
        }
        times.totalNanoseconds = clock.elapsedNanoseconds
        var found = try join(log)
        found.fileBytes = fileBytes
        return found
    }

    private func compare(
        _ file: any DataFile, fileBytes: Int, _ transfers: Transfers, _ times: inout Times
    ) throws -> DamageLog {
        let generator = job.generator(spec)
        var log = DamageLog(spec, limit: Self.rangesMax)
        let buffer = job.transferBuffer(min(job.transferSize, max(shard.count, 1)), for: generator)
        defer { buffer.deallocate() }
        var start = shard.lowerBound
        while start < shard.upperBound, !transfers.mustStop {
            let count = min(buffer.count, shard.upperBound - start)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            transfers.transfer(count) {
                let read = try times.transfer {
                    try job.watchdog.during(.read, offset: start) {
                        try readAll(file, part, at: start)
                    }
                }
                if compares {
                    times.add(to: \.generateNanoseconds) {
                        generator.compare(
                            UnsafeRawBufferPointer(rebasing: part[..<read]), at: start, log: &log)
                    }
                }
                // What the file does not have is wrong.
                if read < count { log.add(offset: start + read, count: count - read) }
            }
            try transfers.exchange()
            start += count
        }
        try transfers.finish()
        return log
    }

    /// Reads until `part` is full or the file is at its end.
    private func readAll(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws -> Int {
        var done = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let count: Int
            do {
                count = try file.read(into: rest, at: offset + done)
            } catch let error as MPIError {
                throw Failure(
                    .inputOutput,
                    "\(path): \(error.function) at offset \(offset + done): \(error.text)")
            }
            guard count > 0 else {
                // Open MPI's default component reports a failed read as a success of no bytes.
                let fileBytes = try job.watchdog.during(.read, offset: offset + done) {
                    try file.size()
                }
                guard offset + done >= fileBytes else {
                    throw Failure(
                        .inputOutput,
                        "\(path): a read at offset \(offset + done): read nothing of a "
                            + "file of \(fileBytes) bytes and reported success")
                }
                break
            }
            done += count
        }
        return done
    }

    /// Joins the logs of all ranks as if one rank had compared the whole file; collective.
    ///
    /// Memory and messages are bounded by the number of ranges that are kept, whatever the number of
    /// ranks: each rank adds its ranges to one table at the places that they have in file order, and
    /// the tables are summed.
    private func join(_ log: DamageLog) throws -> Found {
        let world = readers
        // Far enough before the file to be no neighbour of its first byte.
        let nowhere = -(1 << 40)
        let endBefore = try world.scanBefore(
            log.last?.end ?? nowhere, .maximum, initial: nowhere)
        let continues = log.firstOffset.map { $0 - endBefore < log.gap } ?? false
        let newRanges = log.rangeCount - (continues ? 1 : 0)
        let rangesBefore = try world.scanBefore(newRanges, .sum, initial: 0)
        let gapBytes = continues ? (log.firstOffset ?? 0) - endBefore : 0

        var table = [Int](repeating: 0, count: 3 * Self.rangesMax)
        for (index, range) in log.ranges.enumerated() {
            let place = 3 * (rangesBefore + index - (continues ? 1 : 0))
            guard place < table.count else { break }
            let isContinuation = index == 0 && continues
            if !isContinuation { table[place] = range.offset }
            table[place + 1] = range.bytes + (isContinuation ? gapBytes : 0)
            table[place + 2] = range.wrongBytes
        }
        // Rank 0 of all, which reports, may read any shard.
        table = try world.allReduce(table, .sum)
        let totals = try world.allReduce(
            [newRanges, log.rangeBytes + gapBytes, log.wrongBytes], .sum)
        let kept = min(totals[0], Self.rangesMax)
        return Found(
            ranges: (0..<kept).map {
                Damage(
                    offset: table[3 * $0], bytes: table[3 * $0 + 1], wrongBytes: table[3 * $0 + 2])
            },
            rangeCount: totals[0], rangeBytes: totals[1], wrongBytes: totals[2])
    }
}
