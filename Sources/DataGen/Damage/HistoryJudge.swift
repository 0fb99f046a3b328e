// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Compares blocks with the versions that each has between two generations of a data set.
///
/// Which these are follows by arithmetic, so memory is constant. Most blocks are of one of the two generations, and are
/// compared with these many at a time. Of others a few bytes of each version are made, and all bytes of those only that begin
/// or end like what was found: the work for a block is bounded. A value that remembers its place: give every thread a copy
/// of its own.
package struct HistoryJudge: Sendable {
    /// Blocks that are compared at once have at most so many bytes, but for a single one.
    private static let stepBytes = 256 << 10
    /// What one block is compared with at a time.
    private static let pieceBytes = 16 << 10
    /// The versions of a block that are looked for: the last ones up to the last generation, the last ones before the first
    /// generation, and the next ones.
    package static let versionsMax = (between: 1024, before: 64, after: 16)
    /// Bytes that two versions differ in, for it to be known of which of them a block is.
    package static let bytesMin = Examination.knownMin
    /// What is made of a version before all of it is.
    private static let endBytes = 16

    /// The data set in the last generation.
    package let spec: DataSpec
    /// The first generation.
    package let from: Int

    private let newest: ContentLayout
    private let oldest: ContentLayout
    private var pair: GenerationPair
    /// The end of a block in which versions differ in bytes enough.
    private let tailBytes: Int

    /// What differs from one version of a block.
    private struct Difference {
        /// The first and the last byte that differ; nil for none.
        var range: ClosedRange<Int>?
        var count = 0

        mutating func add(_ place: Int) {
            range = (range?.lowerBound ?? place)...place
            count += 1
        }
    }

    /// Prepares to judge blocks of `spec`, which has `change` and is in the last generation, from generation `from` on.
    package init(
        _ spec: DataSpec, from: Int, kernel: Kernel = .fastest
    ) throws(InvalidField) {
        self.spec = spec
        self.from = from
        let first = try spec.withGeneration(from)
        newest = ContentLayout(spec)
        oldest = ContentLayout(first)
        pair = GenerationPair(oldest: first, newest: spec, kernel: kernel)
        // Where grains end in zeros, two: the last one may be cut behind its first bytes.
        tailBytes = spec.fill == .zeros ? 2 * spec.compressUnit : Self.endBytes
    }

    /// Judges what was found from `offset` on, which need not be whole blocks: of those that are cut, other than by the end of
    /// the data set, bytes are compared with the last generation.
    ///
    /// - Parameters:
    ///   - buffer: what was found.
    ///   - offset: where in the data set it was found.
    ///   - log: gets every block that begins in it.
    ///   - wrong: gets bytes of blocks that are none of what is known: those that differ from the last generation, or from the
    ///     first one where that is closer.
    /// - Complexity: O(bytes), and for each block that is of neither generation O(``versionsMax``).
    package mutating func judge(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, log: inout HistoryLog,
        wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        let unit = spec.dedupUnit
        let end = offset + buffer.count
        let first = min(end, offset + (unit - offset % unit) % unit)
        let last = end == spec.size ? end : max(first, end - end % unit)
        func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                rebasing: buffer[range.lowerBound - offset..<range.upperBound - offset])
        }
        for cut in [offset..<first, last..<end] where !cut.isEmpty {
            // Whoever has the beginning of a block has counted it.
            log.addForeign(cut, blocks: cut.lowerBound % unit == 0 ? 1 : 0)
        }
        pair.newest.compare(part(offset..<first), at: offset, log: &wrong.newest)
        let step = max(unit, Self.stepBytes / unit * unit)
        for start in stride(from: first, to: last, by: step) {
            let range = start..<start + min(step, last - start)
            judgeBlocks(part(range), at: start, &log, &wrong)
        }
        pair.newest.compare(part(last..<end), at: last, log: &wrong.newest)
    }

    /// Judges blocks, the last of which may be cut by the end of the data set.
    private mutating func judgeBlocks(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ log: inout HistoryLog,
        _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        let unit = spec.dedupUnit
        for (index, match) in pair.matches(found, at: offset).enumerated() {
            let (block, start) = (offset / unit + index, index * unit)
            let range = start..<min(found.count, start + unit)
            let place = offset + range.lowerBound..<offset + range.upperBound
            let content = (match == .oldest ? oldest : newest).content(ofBlock: block)
            if range.count < Self.bytesMin || match == .neither {
                let part = UnsafeRawBufferPointer(rebasing: found[range])
                if range.count < Self.bytesMin {
                    judgeShort(block, part, at: place, &log, &wrong)
                } else {
                    judge(block, part, at: place, &log, &wrong)
                }
            } else if let content, content.generation > from || match == .oldest {
                log.add(madeIn: content.generation, place)
            } else {
                log.addUnchanged(place)
            }
        }
    }

    /// The generations that versions of a content were made in between the two, the last first, and whether these are all.
    private func versions(of content: ContentLayout.Content) -> (made: [Int], areAll: Bool) {
        var made: [Int] = []
        while made.count < Self.versionsMax.between,
            let next = newest.version(of: content, changesBefore: made.count)
        {
            made.append(next)
            if next <= from { return (made, true) }
        }
        return (made, made.count < Self.versionsMax.between)
    }

    /// Judges a block of so few bytes that versions may be alike by chance: it is right, or not, and of which generation is
    /// known only if one version alone has these bytes.
    private mutating func judgeShort(
        _ block: Int, _ found: UnsafeRawBufferPointer, at place: Range<Int>,
        _ log: inout HistoryLog, _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        guard let content = newest.content(ofBlock: block) else {
            pair.newest.compare(found, at: place.lowerBound, log: &wrong.newest)
            return found.allSatisfy { $0 == 0 } ? log.addUnchanged(place) : log.addForeign(place)
        }
        let (versions, areAll) = versions(of: content)
        var alike: [Int] = []
        for made in versions where has(found, at: place.lowerBound, madeIn: made) {
            alike.append(made)
            if alike.count > 1 { break }
        }
        guard let made = alike.first else {
            return noteForeign(block, found, at: place, isUnsearched: !areAll, &log, &wrong)
        }
        if alike.count == 1, areAll, versions.count > 1 {
            log.add(madeIn: made, place)
        } else {
            log.addUnchanged(place)
        }
    }

    /// Judges a block that is of neither of the two generations.
    private mutating func judge(
        _ block: Int, _ found: UnsafeRawBufferPointer, at place: Range<Int>,
        _ log: inout HistoryLog, _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        guard let content = newest.content(ofBlock: block) else {
            log.addForeign(place)
            return pair.newest.compare(found, at: place.lowerBound, log: &wrong.newest)
        }
        let (versions, areAll) = versions(of: content)
        let head = closestHead(found, at: place.lowerBound, versions)
        if head.bytes >= Self.bytesMin {
            let first = difference(found, at: place.lowerBound, madeIn: head.made)
            guard first.range != nil else { return log.add(madeIn: head.made, place) }
            if let torn = torn(found, at: place.lowerBound, versions, head.made, first) {
                return log.add(torn, bytes: place.count)
            }
        }
        if let other = otherVersion(block, content, found, at: place.lowerBound) {
            return log.add(other, bytes: place.count)
        }
        noteForeign(block, found, at: place, isUnsearched: !areAll, &log, &wrong)
    }

    /// The version that begins most like what was found, and how many of its first bytes are there.
    private mutating func closestHead(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ versions: [Int]
    ) -> (made: Int, bytes: Int) {
        var closest = (made: 0, bytes: -1)
        let count = min(Self.endBytes, found.count)
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 64) { scratch in
            for made in versions where closest.bytes < count {
                pair.newest.fill(scratch, at: offset, madeIn: made)
                let bytes = (0..<count).first { scratch[$0] != found[$0] } ?? count
                if bytes > closest.bytes { closest = (made, bytes) }
            }
        }
        return closest
    }

    /// The version that ends most like what was found.
    private mutating func closestTail(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ versions: [Int]
    ) -> Int? {
        var closest: (made: Int, bytes: Int)?
        let count = min(tailBytes, found.count)
        let start = found.count - count
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 64) { scratch in
            for made in versions {
                pair.newest.fill(scratch, at: offset + start, madeIn: made)
                let last = (0..<count).last { scratch[$0] != found[start + $0] } ?? -1
                let bytes = count - 1 - last
                if bytes > closest?.bytes ?? -1 { closest = (made, bytes) }
                if bytes == count { return }
            }
        }
        return closest?.made
    }

    /// The tear of a block that begins as one version and ends as another, if it is nothing but these; nil where bytes are too
    /// few to tell.
    private mutating func torn(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ versions: [Int], _ head: Int,
        _ first: Difference
    ) -> HistoryLog.Wrong? {
        guard let tail = closestTail(found, at: offset, versions), tail != head else { return nil }
        let last = difference(found, at: offset, madeIn: tail)
        // What differs from the one has to be of the other, and be it more.
        guard let headEnd = first.range?.lowerBound, let lastWrong = last.range?.upperBound,
            lastWrong < headEnd, min(first.count, last.count) >= Self.bytesMin
        else { return nil }
        let (start, sector) = (lastWrong + 1, Examination.sectorBytes)
        let aligned = (start + sector - 1) / sector * sector
        return HistoryLog.Wrong(
            kind: .torn, offset: offset, generation: head,
            tornAt: aligned <= headEnd && aligned < found.count ? aligned : start,
            nextGeneration: tail)
    }

    /// The version from before the first generation, or after the last, that a block is.
    private mutating func otherVersion(
        _ block: Int, _ content: ContentLayout.Content, _ found: UnsafeRawBufferPointer,
        at offset: Int
    ) -> HistoryLog.Wrong? {
        if let content = oldest.content(ofBlock: block) {
            for number in 1...Self.versionsMax.before {
                guard let made = oldest.version(of: content, changesBefore: number) else { break }
                guard has(found, at: offset, madeIn: made) else { continue }
                return HistoryLog.Wrong(kind: .older, offset: offset, generation: made)
            }
        }
        for number in 1...Self.versionsMax.after {
            guard let made = newest.version(of: content, changesBefore: -number) else { break }
            guard has(found, at: offset, madeIn: made) else { continue }
            return HistoryLog.Wrong(kind: .newer, offset: offset, generation: made)
        }
        return nil
    }

    /// Notes a block that is none of what is known, and its bytes that differ from what it is closest to.
    private mutating func noteForeign(
        _ block: Int, _ found: UnsafeRawBufferPointer, at place: Range<Int>, isUnsearched: Bool,
        _ log: inout HistoryLog, _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        log.addForeign(place, isUnsearched: isUnsearched)
        var empty = (newest: wrong.newest.emptied, oldest: wrong.oldest.emptied)
        pair.compare(found, at: place.lowerBound, &empty)
        if empty.oldest.wrongBytes < empty.newest.wrongBytes {
            wrong.oldest.append(empty.oldest)
        } else {
            wrong.newest.append(empty.newest)
        }
    }

    /// Whether a block holds what it was made in a generation.
    private mutating func has(
        _ found: UnsafeRawBufferPointer, at offset: Int, madeIn generation: Int
    ) -> Bool {
        guard let there = found.baseAddress else { return true }
        let step = min(Self.pieceBytes, found.count)
        return withUnsafeTemporaryAllocation(byteCount: step, alignment: 64) { scratch in
            guard let expected = scratch.baseAddress else { return true }
            // A few bytes tell most others apart.
            var (start, count) = (0, min(Self.endBytes, found.count))
            while start < found.count {
                pair.newest.fill(
                    UnsafeMutableRawBufferPointer(start: expected, count: count),
                    at: offset + start, madeIn: generation)
                guard memcmp(expected, there + start, count) == 0 else { return false }
                start += count
                count = min(step, found.count - start)
            }
            return true
        }
    }

    /// How a block differs from what it was made in a generation.
    private mutating func difference(
        _ found: UnsafeRawBufferPointer, at offset: Int, madeIn generation: Int
    ) -> Difference {
        var difference = Difference()
        let step = min(Self.pieceBytes, found.count)
        withUnsafeTemporaryAllocation(byteCount: step, alignment: 64) { scratch in
            for start in stride(from: 0, to: found.count, by: step) {
                let count = min(step, found.count - start)
                let part = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
                pair.newest.fill(part, at: offset + start, madeIn: generation)
                guard let expected = part.baseAddress, let there = found.baseAddress,
                    memcmp(expected, there + start, count) != 0
                else { continue }
                for index in 0..<count where part[index] != found[start + index] {
                    difference.add(start + index)
                }
            }
        }
        return difference
    }
}

/// ``HistoryJudge`` with several threads, each of which judges a part of what was found; one call at a time.
package final class ParallelHistoryJudge: @unchecked Sendable {
    // Unchecked: each thread touches its own element of `workers` only, and only within a call.

    private struct Worker {
        var judge: HistoryJudge
        var log: HistoryLog
        var wrong: (newest: DamageLog, oldest: DamageLog)

        mutating func work(_ part: UnsafeRawBufferPointer, at offset: Int) {
            judge.judge(part, at: offset, log: &log, wrong: &wrong)
        }
    }

    private let spec: DataSpec
    /// Whose threads work.
    private let generator: ParallelGenerator
    private let workers: UnsafeMutableBufferPointer<Worker>

    /// Prepares to judge with the threads of a generator.
    package init(_ judge: HistoryJudge, by generator: ParallelGenerator) {
        spec = judge.spec
        self.generator = generator
        workers = .allocate(capacity: generator.threadCount)
        let empty = DamageLog(spec, limit: 1)
        workers.initialize(
            repeating: Worker(judge: judge, log: HistoryLog(spec), wrong: (empty, empty)))
    }

    deinit {
        workers.deinitialize()
        workers.deallocate()
    }

    /// What all blocks so far hold.
    package var log: HistoryLog {
        workers.reduce(into: HistoryLog(spec)) { $0.merge($1.log) }
    }

    /// Judges as ``HistoryJudge/judge(_:at:log:wrong:)`` does.
    package func judge(
        _ buffer: UnsafeRawBufferPointer, at offset: Int,
        wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        let parts = parts(offset..<offset + buffer.count)
        let empty = (newest: wrong.newest.emptied, oldest: wrong.oldest.emptied)
        generator.work(on: parts) { [workers] index, part in
            workers[index].wrong = empty
            workers[index].work(
                UnsafeRawBufferPointer(
                    rebasing: buffer[part.lowerBound - offset..<part.upperBound - offset]),
                at: part.lowerBound)
        }
        for index in parts.indices {
            wrong.newest.append(workers[index].wrong.newest)
            wrong.oldest.append(workers[index].wrong.oldest)
        }
    }

    /// Adds bytes that are not there, of so many blocks that begin in them.
    package func miss(_ range: Range<Int>, blocks: Int) {
        workers[0].log.addForeign(range, blocks: blocks)
    }

    /// The parts of a range that are judged at once: whole blocks, but at its ends.
    private func parts(_ range: Range<Int>) -> [Range<Int>] {
        guard range.count >= ParallelGenerator.splitBytesMin, generator.threadCount > 1 else {
            return [range]
        }
        let first = range.lowerBound / spec.dedupUnit * spec.dedupUnit
        let shards = Shards(
            size: range.upperBound - first,
            ranks: min(generator.threadCount, 2 * range.count / ParallelGenerator.splitBytesMin),
            alignment: spec.dedupUnit)
        return (0..<shards.count).map { number in
            (first + shards[number].lowerBound..<first + shards[number].upperBound)
                .clamped(to: range)
        }.filter { !$0.isEmpty }
    }
}
