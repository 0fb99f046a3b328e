// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Compares blocks with the versions that each has between two generations of a data set.
///
/// Which these are follows by arithmetic, so memory is constant. Most blocks are of one of the two generations, and are
/// compared with these many at a time; only others are made version by version. A value that remembers its place: give
/// every thread a copy of its own.
package struct HistoryJudge: Sendable {
    /// Blocks that are compared at once have at most so many bytes, but for a single one.
    private static let stepBytes = 256 << 10
    /// What one block is compared with at a time.
    private static let pieceBytes = 16 << 10
    /// Versions that are looked for before the first generation, and after the last.
    private static let versions = (before: 16, after: 4)

    /// The data set in the last generation.
    package let spec: DataSpec
    /// The first generation.
    package let from: Int

    private let layout: ContentLayout
    private var newest: Generator
    private var oldest: Generator

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
        layout = ContentLayout(spec)
        newest = Generator(spec, kernel: kernel)
        oldest = Generator(try spec.withGeneration(from), kernel: kernel)
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
        newest.compare(part(offset..<first), at: offset, log: &wrong.newest)
        let step = max(unit, Self.stepBytes / unit * unit)
        for start in stride(from: first, to: last, by: step) {
            judgeBlocks(
                part(start..<min(last, start + min(step, last - start))), at: start, &log, &wrong)
        }
        guard last < end else { return }
        log.foreign += 1
        newest.compare(part(last..<end), at: last, log: &wrong.newest)
    }

    /// Judges blocks, the last of which may be cut by the end of the data set.
    private mutating func judgeBlocks(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ log: inout HistoryLog,
        _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        let unit = spec.dedupUnit
        let first = offset / unit
        let count = (found.count - 1) / unit + 1
        guard !newest.isEqual(found, at: offset) else {
            for block in first..<first + count { noteNewest(block, &log) }
            return
        }
        guard count > 1 else { return judge(block: first, found, &log, &wrong) }
        func part(_ index: Int) -> Range<Int> {
            index * unit..<min(found.count, index * unit + unit)
        }
        withUnsafeTemporaryAllocation(byteCount: 2 * found.count, alignment: 64) { scratch in
            let new = UnsafeMutableRawBufferPointer(rebasing: scratch[..<found.count])
            let old = UnsafeMutableRawBufferPointer(rebasing: scratch[found.count...])
            newest.fill(new, at: offset)
            oldest.fill(old, at: offset)
            for index in 0..<count {
                let (block, range) = (first + index, part(index))
                if Self.isEqual(found, new, range) {
                    noteNewest(block, &log)
                } else if Self.isEqual(found, old, range),
                    let content = oldest(block)
                {
                    log.add(madeIn: content.generation)
                } else {
                    judge(
                        block: block, UnsafeRawBufferPointer(rebasing: found[range]), &log, &wrong)
                }
            }
        }
    }

    private static func isEqual(
        _ one: UnsafeRawBufferPointer, _ other: UnsafeMutableRawBufferPointer, _ range: Range<Int>
    ) -> Bool {
        guard let one = one.baseAddress, let other = other.baseAddress else { return true }
        return memcmp(one + range.lowerBound, other + range.lowerBound, range.count) == 0
    }

    /// What a block holds in the first generation.
    private func oldest(_ block: Int) -> ContentLayout.Content? {
        guard var content = layout.content(ofBlock: block) else { return nil }
        var changes = 0
        while content.generation > from,
            let made = layout.version(of: content, changesBefore: changes + 1)
        {
            changes += 1
            content.generation = made
        }
        return content
    }

    private func noteNewest(_ block: Int, _ log: inout HistoryLog) {
        guard let content = layout.content(ofBlock: block), content.generation > from else {
            return log.addUnchanged()
        }
        log.add(madeIn: content.generation)
    }

    /// Judges one block.
    private mutating func judge(
        block: Int, _ found: UnsafeRawBufferPointer, _ log: inout HistoryLog,
        _ wrong: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        let offset = block * spec.dedupUnit
        guard let content = layout.content(ofBlock: block) else {
            log.foreign += 1
            return newest.compare(found, at: offset, log: &wrong.newest)
        }
        // The versions with the most right bytes at the start, and at the end.
        var (head, tail) = ((bytes: -1, generation: 0), (bytes: -1, generation: 0))
        var (first, last) = (Difference(), Difference())
        var changes = 0
        while let made = layout.version(of: content, changesBefore: changes) {
            let difference = self.difference(found, at: offset, madeIn: made)
            guard let range = difference.range else {
                if content.generation <= from { log.addUnchanged() } else { log.add(madeIn: made) }
                return
            }
            if range.lowerBound > head.bytes { head = (range.lowerBound, made) }
            let right = found.count - 1 - range.upperBound
            if right > tail.bytes { tail = (right, made) }
            if changes == 0 { last = difference }
            first = difference
            changes += 1
            if made <= from { break }
        }
        // Where the one has all that the other has not, and be it more. One version cannot have both: it would be right.
        if head.bytes + tail.bytes >= found.count {
            let start = found.count - tail.bytes
            let sector = Examination.sectorBytes
            let aligned = (start + sector - 1) / sector * sector
            return log.add(
                HistoryLog.Wrong(
                    kind: .torn, offset: offset, generation: head.generation,
                    tornAt: aligned <= head.bytes && aligned < found.count ? aligned : start,
                    nextGeneration: tail.generation))
        }
        for number in 0..<Self.versions.before {
            guard let made = layout.version(of: content, changesBefore: changes + number) else {
                break
            }
            if has(found, at: offset, madeIn: made) {
                return log.add(
                    HistoryLog.Wrong(kind: .older, offset: offset, generation: made))
            }
        }
        for number in 1...Self.versions.after {
            guard let made = layout.version(of: content, changesBefore: -number) else { break }
            if has(found, at: offset, madeIn: made) {
                return log.add(
                    HistoryLog.Wrong(kind: .newer, offset: offset, generation: made))
            }
        }
        log.foreign += 1
        if first.count < last.count {
            oldest.compare(found, at: offset, log: &wrong.oldest)
        } else {
            newest.compare(found, at: offset, log: &wrong.newest)
        }
    }

    /// Whether a block holds what it was made in a generation.
    private mutating func has(
        _ found: UnsafeRawBufferPointer, at offset: Int, madeIn generation: Int
    ) -> Bool {
        difference(found, at: offset, madeIn: generation, isFirstEnough: true).range == nil
    }

    /// How a block differs from what it was made in a generation.
    private mutating func difference(
        _ found: UnsafeRawBufferPointer, at offset: Int, madeIn generation: Int,
        isFirstEnough: Bool = false
    ) -> Difference {
        var difference = Difference()
        let step = min(Self.pieceBytes, found.count)
        withUnsafeTemporaryAllocation(byteCount: step, alignment: 64) { scratch in
            for start in stride(from: 0, to: found.count, by: step) {
                let count = min(step, found.count - start)
                let part = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
                newest.fill(part, at: offset + start, madeIn: generation)
                guard let expected = part.baseAddress, let there = found.baseAddress,
                    memcmp(expected, there + start, count) != 0
                else { continue }
                for index in 0..<count where part[index] != found[start + index] {
                    difference.add(start + index)
                }
                if isFirstEnough { return }
            }
        }
        return difference
    }
}
