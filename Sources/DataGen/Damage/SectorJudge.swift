// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Compares what is read of blocks while they are brought from one generation to another with what may be seen of them,
/// sector by sector.
///
/// A value that remembers its place: give every thread a copy of its own.
package struct SectorJudge: Sendable {
    /// What may be seen of a write.
    package enum Bound: Sendable {
        /// It has not begun: what was there before.
        case old
        /// It is under way, or nobody has promised it yet: either, sector by sector.
        case either
        /// It has been promised: what was written.
        case new
    }

    /// What is seen that may not be, the worst last.
    package enum Fault: String, Codable, Sendable, CaseIterable {
        /// What was there before a write that has been promised, or before one before.
        case stale
        /// What no write that has begun has written.
        case early
        /// Two versions within one sector.
        case torn
        /// Something else.
        case foreign

        /// Whether it goes before another one.
        func isWorse(than other: Fault) -> Bool {
            let all = Self.allCases
            return (all.firstIndex(of: self) ?? 0) > (all.firstIndex(of: other) ?? 0)
        }
    }

    /// What was seen.
    package struct Verdict: Sendable, Equatable {
        /// The worst that is wrong; nil where nothing is.
        package internal(set) var fault: Fault?
        /// The first sector that is so wrong: where it begins, or where what was read begins.
        package internal(set) var offset: Int
        /// The generation in which that was made; nil where it is of none.
        package internal(set) var generation: Int?
        /// The generations in which what may be seen was made.
        package let accepted: ClosedRange<Int>
        /// Whether any sector is as it was written.
        package internal(set) var hasNew = false
        /// Whether two versions were within one sector of a write that is under way.
        package internal(set) var isTornInFlight = false
    }

    /// What one sector holds.
    private enum Sector { case both, old, new, mixed, nothing }

    /// What is made at once has at most so many bytes: a multiple of a sector.
    private static let pieceBytes = 16 << 10
    /// Versions that are looked for before the older one, and after the newer one.
    private static let versions = (before: 16, after: 4)

    private var old: Generator
    private var new: Generator
    private let oldLayout: ContentLayout
    private let newLayout: ContentLayout

    /// Prepares to judge what an update from one generation to another writes.
    package init(from old: DataSpec, to new: DataSpec, kernel: Kernel = .fastest) {
        self.old = Generator(old, kernel: kernel)
        self.new = Generator(new, kernel: kernel)
        (oldLayout, newLayout) = (ContentLayout(old), ContentLayout(new))
    }

    /// Judges what was read from `offset` on, which is within one block, and not empty.
    ///
    /// - Complexity: O(length of `found`), some times more where it is wrong.
    package mutating func judge(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ bound: Bound
    ) -> Verdict {
        let block = offset / new.spec.dedupUnit
        let content = newLayout.content(ofBlock: block)
        let made = (
            old: oldLayout.content(ofBlock: block)?.generation ?? 0, new: content?.generation ?? 0
        )
        let accepted: ClosedRange<Int> =
            switch bound {
            case .old: made.old...made.old
            case .new: made.new...made.new
            case .either: min(made.old, made.new)...max(made.old, made.new)
            }
        var verdict = Verdict(offset: offset, accepted: accepted)
        if bound != .old, new.isEqual(found, at: offset) {
            verdict.hasNew = true
            return verdict
        }
        if bound != .new, old.isEqual(found, at: offset) { return verdict }
        let unit = Examination.sectorBytes
        let end = offset + found.count
        withUnsafeTemporaryAllocation(byteCount: 3 * Self.pieceBytes, alignment: 64) { scratch in
            var start = offset
            while start < end {
                // The place where a piece would end may be past 2^63.
                let next = start + min(end - start, Self.pieceBytes - start % unit)
                judge(
                    UnsafeRawBufferPointer(rebasing: found[start - offset..<next - offset]),
                    at: start, bound, content, made, scratch, &verdict)
                start = next
            }
        }
        return verdict
    }

    private mutating func judge(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ bound: Bound,
        _ content: ContentLayout.Content?, _ made: (old: Int, new: Int),
        _ scratch: UnsafeMutableRawBufferPointer, _ verdict: inout Verdict
    ) {
        let unit = Examination.sectorBytes
        func part(_ number: Int) -> UnsafeMutableRawBufferPointer {
            let start = number * Self.pieceBytes
            return UnsafeMutableRawBufferPointer(rebasing: scratch[start..<start + found.count])
        }
        let (oldBytes, newBytes, other) = (part(0), part(1), part(2))
        old.fill(oldBytes, at: offset)
        new.fill(newBytes, at: offset)
        var start = 0
        while start < found.count {
            let range = start..<min(found.count, start + unit - (offset + start) % unit)
            start = range.upperBound
            let sector = sector(
                found, range, UnsafeRawBufferPointer(oldBytes), UnsafeRawBufferPointer(newBytes))
            let place = offset + range.lowerBound
            switch sector {
            case .both: break
            case .new:
                verdict.hasNew = true
                if bound == .old { note(.early, made.new, place, &verdict) }
            case .old:
                if bound == .new { note(.stale, made.old, place, &verdict) }
            case .mixed where bound == .either: verdict.isTornInFlight = true
            case .mixed: note(.torn, nil, place, &verdict)
            case .nothing:
                let seen = version(found, range, at: offset, content, other)
                guard let seen else {
                    note(.foreign, nil, place, &verdict)
                    continue
                }
                // Of versions that nobody has written in between, too.
                note(
                    seen < verdict.accepted.upperBound ? .stale : .early, seen, place, &verdict)
            }
        }
    }

    private func note(_ fault: Fault, _ seen: Int?, _ place: Int, _ verdict: inout Verdict) {
        if let known = verdict.fault, !fault.isWorse(than: known) { return }
        (verdict.fault, verdict.generation, verdict.offset) = (fault, seen, place)
    }

    private func sector(
        _ found: UnsafeRawBufferPointer, _ range: Range<Int>, _ old: UnsafeRawBufferPointer,
        _ new: UnsafeRawBufferPointer
    ) -> Sector {
        let (isOld, isNew) = (Self.isEqual(found, old, range), Self.isEqual(found, new, range))
        if isOld || isNew { return isOld && isNew ? .both : isOld ? .old : .new }
        // Copies go in any order, and in steps of any length.
        let isMixed = range.allSatisfy { found[$0] == old[$0] || found[$0] == new[$0] }
        return isMixed ? .mixed : .nothing
    }

    private static func isEqual(
        _ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer, _ range: Range<Int>
    ) -> Bool {
        guard let one = one.baseAddress, let other = other.baseAddress else { return true }
        return memcmp(one + range.lowerBound, other + range.lowerBound, range.count) == 0
    }

    /// The generation of another version that a sector holds; nil for none.
    private mutating func version(
        _ found: UnsafeRawBufferPointer, _ range: Range<Int>, at offset: Int,
        _ content: ContentLayout.Content?, _ scratch: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let content else { return nil }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<range.count])
        for count in -Self.versions.after...Self.versions.before {
            guard let made = newLayout.version(of: content, changesBefore: count) else { continue }
            new.fill(bytes, at: offset + range.lowerBound, madeIn: made)
            let part = UnsafeRawBufferPointer(rebasing: found[range])
            if Self.isEqual(part, UnsafeRawBufferPointer(bytes), 0..<range.count) { return made }
        }
        return nil
    }
}
