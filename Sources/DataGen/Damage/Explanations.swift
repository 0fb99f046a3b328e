// SPDX-License-Identifier: MIT OR Apache-2.0

/// Tells apart what several things have become of, byte by byte.
///
/// Each explanation is tried on every byte; where it holds for enough bytes in a row, it has a run. The longest run takes its
/// bytes first, so that what few bytes would explain by chance does not cut what many explain. What no run takes is bits that
/// were flipped, or unknown.
struct Explanations {
    /// Bytes in a row that one explanation holds for, as many as there are, some of them wrong; places are within the piece.
    private struct Run {
        let kind: Diagnosis.Kind
        let range: Range<Int>
        let displacement: Int?
        let seed: UInt64?
        let generation: Int?

        var bytesMin: Int {
            kind == .misplaced ? Examination.misplacedMin : Examination.knownMin
        }
    }

    private let found: [UInt8]
    private let expected: [UInt8]
    private let offset: Int
    private var runs: [Run] = []

    /// Prepares to explain a piece of a data set at an offset; as many bytes were found as are expected.
    init(found: [UInt8], expected: [UInt8], offset: Int) {
        self.found = found
        self.expected = expected
        self.offset = offset
    }

    /// Tries some bytes, of which the first stands for the byte at place `start` of the piece.
    mutating func add(
        _ kind: Diagnosis.Kind, displacement: Int? = nil, seed: UInt64? = nil,
        generation: Int? = nil, _ source: (start: Int, bytes: [UInt8])
    ) {
        let end = source.start + source.bytes.count
        var (start, isWrong) = (source.start, false)
        for place in source.start...end {
            if place < end, found[place] == source.bytes[place - source.start] {
                isWrong = isWrong || found[place] != expected[place]
                continue
            }
            let run = Run(
                kind: kind, range: start..<place, displacement: displacement, seed: seed,
                generation: generation)
            if isWrong, run.range.count >= run.bytesMin { runs.append(run) }
            (start, isWrong) = (place + 1, false)
        }
    }

    /// A run, and those of its bytes that it explains.
    private typealias Claim = (run: Run, range: Range<Int>)

    /// Tells the piece apart, whose first or last byte was wrong when it was compared.
    ///
    /// - Returns: the parts in ascending order, each true of all its bytes; bytes in none of them are right.
    /// - Complexity: O(bytes + runs^2); a run has eight bytes at least.
    func parts(isFirstWrong: Bool, isLastWrong: Bool) -> [Diagnosis.Part] {
        let wrong = trimmed(found.indices)
        guard !wrong.isEmpty else {
            return isFirstWrong || isLastWrong ? [part(.transient, found.indices)] : []
        }
        let (claims, free) = completed(claimed())
        var parts = claims.map { claim in
            let start = offset + claim.range.lowerBound
            return Diagnosis.Part(
                claim.run.kind, start..<start + claim.range.count,
                sourceOffset: claim.run.displacement.map { start + $0 }, seed: claim.run.seed,
                generation: claim.run.generation)
        }
        parts += free.flatMap(unclaimed)
        // At the ends of a range bytes were wrong.
        if isFirstWrong, wrong.lowerBound > 0 {
            parts.append(part(.transient, 0..<wrong.lowerBound))
        }
        if isLastWrong, wrong.upperBound < found.count {
            parts.append(part(.transient, wrong.upperBound..<found.count))
        }
        return parts.sorted { $0.offset < $1.offset }
    }

    private func part(_ kind: Diagnosis.Kind, _ range: Range<Int>) -> Diagnosis.Part {
        Diagnosis.Part(kind, offset + range.lowerBound..<offset + range.upperBound)
    }

    private func isWrong(_ place: Int) -> Bool { found[place] != expected[place] }

    /// A range without right bytes at its ends; an empty one where all are right.
    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        guard let first = range.first(where: isWrong), let last = range.last(where: isWrong) else {
            return range.lowerBound..<range.lowerBound
        }
        return first..<last + 1
    }

    /// What each run takes, in ascending order.
    private func claimed() -> [Claim] {
        var claims: [Claim] = []
        var free = RangeSet(found.indices)
        // Of equally long ones, that which was tried first: sorting is stable.
        for run in runs.sorted(by: { $0.range.count > $1.range.count }) {
            for whole in free.ranges {
                let range = trimmed(withoutChance(run.range.clamped(to: whole), run.bytesMin))
                guard range.count >= run.bytesMin else { continue }
                claims.append((run, range))
                free.remove(contentsOf: range)
            }
        }
        return claims.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }

    /// A range without the few bytes by which it lies over a sector's border, which another explanation holds for, too, by
    /// chance.
    private func withoutChance(_ range: Range<Int>, _ bytesMin: Int) -> Range<Int> {
        let sector = Examination.sectorBytes
        let after = (offset + range.upperBound) % sector
        let before = (sector - (offset + range.lowerBound) % sector) % sector
        var range = range
        if before < Examination.slackBytes, range.count - before >= bytesMin {
            range = range.lowerBound + before..<range.upperBound
        }
        if after < Examination.slackBytes, range.count - after >= bytesMin {
            range = range.lowerBound..<range.upperBound - after
        }
        return range
    }

    /// Claims, with what lies between them and a neighbour's run explains, and the ranges that remain.
    private func completed(_ claims: [Claim]) -> (claims: [Claim], free: [Range<Int>]) {
        var claims = claims
        var free: [Range<Int>] = []
        for index in 0...claims.count {
            let start = index > 0 ? claims[index - 1].range.upperBound : 0
            let end = index < claims.count ? claims[index].range.lowerBound : found.count
            let wrong = trimmed(start..<end)
            if wrong.isEmpty { continue }
            if index < claims.count, claims[index].run.range.lowerBound <= wrong.lowerBound {
                claims[index].range = wrong.lowerBound..<claims[index].range.upperBound
            } else if index > 0, claims[index - 1].run.range.upperBound >= wrong.upperBound {
                claims[index - 1].range = claims[index - 1].range.lowerBound..<wrong.upperBound
            } else {
                free.append(wrong)
            }
        }
        return (claims, free)
    }

    /// The parts of a range that no run explains, which begins and ends with wrong bytes: cut where so many bytes are right
    /// that they are not so by chance.
    private func unclaimed(_ range: Range<Int>) -> [Diagnosis.Part] {
        var parts: [Diagnosis.Part] = []
        var start = range.lowerBound
        while start < range.upperBound {
            var (flips, end, place) = (Flips(), start, start)
            while place < range.upperBound, place - end < Examination.rowBytes {
                let difference = found[place] ^ expected[place]
                flips.add(difference)
                place += 1
                if difference != 0 { end = place }
            }
            flips.endRow()
            let new = part(flips.isLikely ? .bitFlips : .foreign, start..<end)
            if new.kind == .bitFlips, let both = parts.last?.joined(with: new) {
                parts[parts.count - 1] = both
            } else {
                parts.append(new)
            }
            start = (end..<range.upperBound).first(where: isWrong) ?? range.upperBound
        }
        return parts
    }
}

/// Counts bits that differ, to say whether they were flipped one by one.
struct Flips {
    /// Bits that differ in a wrong byte, on average, where bits were flipped; bytes that have nothing to do with each other
    /// differ in four.
    private static let bitsPerByteMax = 2

    /// Bits that differ.
    private(set) var bits = 0
    private var wrong = 0
    private var row = (bits: 0, wrong: 0)
    private var hasUnlikelyRow = false

    /// Adds the next byte.
    mutating func add(_ difference: UInt8) {
        guard difference != 0 else { return endRow() }
        let count = difference.nonzeroBitCount
        bits += count
        wrong += 1
        row = (row.bits + count, row.wrong + 1)
    }

    /// Ends the wrong bytes in a row.
    mutating func endRow() {
        if row.wrong >= Examination.rowBytes, row.bits > row.wrong * Self.bitsPerByteMax {
            hasUnlikelyRow = true
        }
        row = (0, 0)
    }

    /// Whether so few bits differ, on average of all bytes and of each long row of wrong ones; after the end of the last row.
    var isLikely: Bool {
        wrong > 0 && bits <= wrong * Self.bitsPerByteMax && !hasUnlikelyRow
    }
}
