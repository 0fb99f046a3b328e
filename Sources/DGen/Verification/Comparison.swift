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
        /// Where damaged ranges are, where they are more than ``log`` has.
        var damaged: StretchMap?
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
        let spec = spec
        if let history = damage.history {
            result.oldestLog = try join(damage.oldestLog)
            result.history = HistoryLog(
                spec,
                numbers: try readers.combine(numbers: history.numbers) { lower, higher in
                    var log = HistoryLog(spec, numbers: lower)
                    log.merge(HistoryLog(spec, numbers: higher))
                    return log.numbers
                })
        } else if result.log.rangeCount > result.log.ranges.count {
            result.damaged = StretchMap(
                spec,
                numbers: try readers.combine(numbers: damage.map.numbers) { lower, higher in
                    var map = StretchMap(spec, numbers: lower)
                    map.merge(StretchMap(spec, numbers: higher))
                    return map.numbers
                })
        }
        return result
    }

    private func judge() throws(Failure) -> ParallelHistoryJudge? {
        guard let from else { return nil }
        let judge = try Failure.reading(
            HistoryJudge(spec, from: from, kernel: pipeline.run.threads.kernel))
        return ParallelHistoryJudge(judge, by: pipeline.generator(spec))
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
        /// Where damaged ranges are.
        private(set) var map: StretchMap
        private let spec: DataSpec
        /// Of blocks that may be of several generations.
        private let judge: ParallelHistoryJudge?
        /// Nil where nothing is compared: what is asked then is only whether all was there.
        private let generator: ParallelGenerator?
        /// One for each buffer, which goes to and fro with it.
        private let batches: [BatchExtents]

        init(
            _ spec: DataSpec, _ generator: ParallelGenerator?,
            _ judge: ParallelHistoryJudge?, depth: Int
        ) {
            self.spec = spec
            map = StretchMap(spec)
            self.generator = generator
            self.judge = judge
            log = DamageLog(spec, limit: Comparison.rangesMax)
            oldestLog = log
            batches = (0..<depth).map { _ in BatchExtents() }
        }

        var history: HistoryLog? { judge?.log }

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
            if let judge {
                addHistory(extent, in: buffer, judge, &found)
            } else {
                found.add(extent, in: buffer, comparedBy: generator)
                if found.rangeCount > 0 { addPlaces(found, extent, in: buffer) }
            }
            if found.rangeCount > 0 { log.merge(found) }
        }

        /// Notes where damaged ranges are.
        private func addPlaces(
            _ found: DamageLog, _ extent: OpenDataSet.Extent,
            in buffer: UnsafeMutableRawBufferPointer?
        ) {
            guard found.rangeCount > found.ranges.count, let buffer else {
                for range in found.ranges { map.add(.damaged, range.offset..<range.end) }
                return
            }
            // More of them than are kept.
            let end = extent.range.lowerBound + extent.read
            map.add(.damaged, end..<extent.range.upperBound)
            var start = extent.range.lowerBound
            while start < end {
                let bytes = min(map.stretchBytes - start % map.stretchBytes, end - start)
                let place = extent.place + start - extent.range.lowerBound
                var part = DamageLog(spec, limit: 1)
                generator?.compare(
                    UnsafeRawBufferPointer(rebasing: buffer[place..<place + bytes]), at: start,
                    log: &part)
                map.add(.damaged, part.rangeBytes, toStretchAt: start)
                start += bytes
            }
        }

        /// Judges blocks; those that are not there, or not whole, are foreign.
        private func addHistory(
            _ extent: OpenDataSet.Extent, in buffer: UnsafeMutableRawBufferPointer?,
            _ judge: ParallelHistoryJudge, _ found: inout DamageLog
        ) {
            let start = extent.range.lowerBound
            let end = start + extent.read
            var wrong = (newest: found, oldest: found)
            if let buffer, extent.read > 0 {
                judge.judge(
                    UnsafeRawBufferPointer(
                        rebasing: buffer[extent.place..<extent.place + extent.read]),
                    at: start, wrong: &wrong)
            }
            if wrong.oldest.rangeCount > 0 { oldestLog.merge(wrong.oldest) }
            found = wrong.newest
            guard !extent.isWhole else { return }
            let unit = spec.dedupUnit
            judge.miss(
                end..<extent.range.upperBound,
                blocks: extent.range.upperBound.dividedRoundingUp(by: unit)
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
