// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// All ranks together read a data set, and compare it with what it should hold.
struct Comparison {
    /// What was found in all files, and how long that took.
    struct Result {
        let log: DamageLog
        /// Of data that may be of several generations: bytes that differ from the first of these, and what blocks hold.
        var oldestLog: DamageLog?
        var history: HistoryLog?
        let fileBytes: Int
        let times: Times

        /// Whether the files hold `spec` and nothing else.
        func isRight(_ spec: DataSpec) -> Bool {
            log.rangeCount == 0 && fileBytes == spec.size && history?.isRight != false
        }
    }

    /// The most ranges that a report lists; all are counted.
    static let rangesMax = 1000

    let pipeline: Pipeline
    let files: FileSet
    let spec: DataSpec
    /// What progress calls it.
    let title: String
    /// Which reader reads what.
    let pattern: any AccessPattern
    /// All ranks in the order of what they read; in rank order if not given.
    var ranks: Ranks?
    /// Whether all of them read together.
    var isCollective = false
    /// Whether what is read is looked at.
    var compares = true
    /// The first generation that blocks may be of, where ``spec`` is the last one of several; transfers are whole blocks then.
    var from: Int?

    private var readers: Ranks { ranks ?? pipeline.run.session.world }
    /// How many buffers there are; what is only read needs no other.
    private var depth: Int { compares ? pipeline.depth : 1 }
    /// What is compared, or agreed on, at once; what is only read need not wait for more.
    private var batches: Batches {
        compares || isCollective ? Batches(pattern, depth: depth) : Batches(oneByOne: pattern)
    }

    /// Reads and compares; collective.
    ///
    /// That a file ends too early is no failure. `note` is told what the library says of the hints of the files.
    func run(note: (OpenDataSet.Hints) -> Void = { _ in }) throws(Failure) -> Result {
        let damage = DamageCollector(
            spec, compares ? pipeline.generator(spec) : nil, try judge(), depth: depth)
        let relay = try pipeline.relay(
            batches, spec, .afterGivenBack, depth: depth, work: compares ? damage.compare : nil)
        defer { relay.finish() }
        let data = try OpenDataSet(pipeline.run, files, .read, by: pipeline.access, note: note)
        let fileBytes = try data.size()
        let loop = TransferLoop(
            batches: batches, rank: readers.rank, isInStep: isCollective,
            agreement: Agreement(pipeline.run, title: title, totalBytes: spec.size))
        try readTransfers(loop, of: data, through: relay, damage)
        try data.close()
        var result = Result(
            log: try join(damage.log), fileBytes: fileBytes, times: data.times)
        if from != nil {
            result.oldestLog = try join(damage.oldestLog)
            result.history = HistoryLog(
                numbers: try readers.combine(numbers: damage.history.numbers) { lower, higher in
                    var log = HistoryLog(numbers: lower)
                    log.merge(HistoryLog(numbers: higher))
                    return log.numbers
                })
        }
        return result
    }

    private func judge() throws(Failure) -> HistoryJudge? {
        let kernel = pipeline.run.threads.kernel
        return try Failure.reading(
            from.map { from throws(InvalidField) in
                try HistoryJudge(spec, from: from, kernel: kernel)
            })
    }

    /// What a batch brought, from the thread that reads to the one that compares.
    private final class BatchExtents {
        private(set) var extents: [OpenDataSet.Extent] = []

        func note(_ extent: OpenDataSet.Extent) {
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
        private(set) var oldestLog: DamageLog
        private(set) var history = HistoryLog()
        private let spec: DataSpec
        private var judge: HistoryJudge?
        /// Nil where nothing is compared: what is asked then is only whether all was there.
        private let generator: ParallelGenerator?
        /// One for each buffer, which goes to and fro with it.
        private let batches: [BatchExtents]

        init(
            _ spec: DataSpec, _ generator: ParallelGenerator?, _ judge: HistoryJudge?, depth: Int
        ) {
            self.spec = spec
            self.generator = generator
            self.judge = judge
            log = DamageLog(spec, limit: Comparison.rangesMax)
            oldestLog = log
            batches = (0..<depth).map { _ in BatchExtents() }
        }

        /// Notes what was read of a batch, before its buffer is given back.
        func note(_ extent: OpenDataSet.Extent, ofBatch index: Int) {
            if generator != nil { batches[index % batches.count].note(extent) } else { add(extent) }
        }

        /// Compares what a batch brought.
        func compare(batch index: Int, in buffer: UnsafeMutableRawBufferPointer) {
            let batch = batches[index % batches.count]
            for extent in batch.extents { add(extent, in: buffer) }
            batch.forget()
        }

        private func add(
            _ extent: OpenDataSet.Extent, in buffer: UnsafeMutableRawBufferPointer? = nil
        ) {
            var found = DamageLog(spec, limit: Comparison.rangesMax)
            if judge == nil {
                found.add(extent, in: buffer, comparedBy: generator)
            } else {
                addHistory(extent, in: buffer, &found)
            }
            if found.rangeCount > 0 { log.merge(found) }
        }

        /// Judges blocks; those that are not there, or not whole, are foreign.
        private func addHistory(
            _ extent: OpenDataSet.Extent, in buffer: UnsafeMutableRawBufferPointer?,
            _ found: inout DamageLog
        ) {
            let start = extent.range.lowerBound
            let end = start + extent.read
            var wrong = (newest: found, oldest: found)
            var blocks = HistoryLog()
            if let buffer, extent.read > 0 {
                judge?.judge(
                    UnsafeRawBufferPointer(
                        rebasing: buffer[extent.place..<extent.place + extent.read]),
                    at: start, log: &blocks, wrong: &wrong)
            }
            history.merge(blocks)
            if wrong.oldest.rangeCount > 0 { oldestLog.merge(wrong.oldest) }
            found = wrong.newest
            guard !extent.isWhole else { return }
            let unit = spec.dedupUnit
            history.addForeign(
                extent.range.upperBound.dividedRoundingUp(by: unit)
                    - end.dividedRoundingUp(by: unit))
            found.add(offset: end, count: extent.range.upperBound - end, isMissing: true)
        }
    }

    private func readTransfers(
        _ loop: TransferLoop, of data: OpenDataSet, through relay: Relay,
        _ damage: DamageCollector
    ) throws(Failure) {
        // Batches that were read, which may be fewer than those that were gone past, and the last transfer of this one.
        var taken = 0
        var last: OpenDataSet.Extent?
        try loop.run(relay, on: data) { transfer throws(Failure) in
            try loop.move(transfer) { part throws(Failure) in
                try data.read(
                    from: transfer.range.lowerBound, into: part, at: transfer.place,
                    together: isCollective
                ) { extent in
                    last = extent
                    damage.note(extent, ofBatch: taken)
                }
            }
        } batchEnd: { next in
            defer { (taken, last) = (taken + 1, nil) }
            guard let last, !last.isWhole, !isCollective, !loop.agreement.mustStop else {
                return 0
            }
            let (count, missing) = behindEnd(of: data, last, before: next)
            if !missing.isEmpty {
                damage.note(
                    OpenDataSet.Extent(place: 0, range: missing, read: 0), ofBatch: taken)
                loop.agreement.transfer(missing.count) {}
            }
            return count
        }
    }

    /// What need not be looked for since a file has ended before it: whole batches from number `index` on, and the bytes
    /// that they are of.
    ///
    /// An almost empty file of many TiB takes no longer than a small one.
    private func behindEnd(
        of data: OpenDataSet, _ last: OpenDataSet.Extent, before index: Int
    ) -> (count: Int, missing: Range<Int>) {
        guard let share = (pattern as? DealtPattern)?.straightRange(of: readers.rank) else {
            return (0, 0..<0)
        }
        let (start, end) = (last.range.upperBound, share.upperBound)
        let left = batches.count - index
        let fileEnd = data.extentEnd(at: last.range.lowerBound)
        guard fileEnd < end else { return (left, start..<end) }
        let batchBytes = batches.rounds(0).count * pattern.transferSize
        let count = min((fileEnd - start) / batchBytes, left)
        return (count, start..<start + count * batchBytes)
    }

    /// Joins the logs of all ranks as if one rank had compared all bytes; collective.
    ///
    /// Memory and messages are bounded by the ranges that are kept, whatever the number of ranks.
    private func join(_ log: DamageLog) throws(Failure) -> DamageLog {
        let (spec, limit) = (spec, Self.rangesMax)
        let numbers = try readers.combine(numbers: log.numbers) { lower, higher in
            var log = DamageLog(spec, numbers: lower, limit: limit)
            log.merge(DamageLog(spec, numbers: higher, limit: limit))
            return log.numbers
        }
        return DamageLog(spec, numbers: numbers, limit: limit)
    }
}

extension DamageLog {
    /// Adds the bytes that were not there, and what is wrong in those that were read into `buffer`, if that is compared.
    mutating func add(
        _ extent: OpenDataSet.Extent, in buffer: UnsafeMutableRawBufferPointer?,
        comparedBy generator: ParallelGenerator?
    ) {
        if let buffer, extent.read > 0 {
            generator?.compare(
                UnsafeRawBufferPointer(
                    rebasing: buffer[extent.place..<extent.place + extent.read]),
                at: extent.range.lowerBound, log: &self)
        }
        guard !extent.isWhole else { return }
        add(
            offset: extent.range.lowerBound + extent.read,
            count: extent.range.count - extent.read, isMissing: true)
    }
}
