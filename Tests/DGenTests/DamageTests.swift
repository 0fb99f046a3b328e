// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Options
import Testing
import TestSupport

@testable import DGen

/// Any damage to data sets of any size, found and looked at by any number of ranks: nothing that is said of it is untrue.
///
/// `DGEN_TESTS=all` tries 20,000 cases, `DGEN_TEST_SEED` says which ones.
@Suite struct DamageTests {
    // A watched build takes a second for seven.
    private static let rounds = TestForm.rounds(50, whole: 20_000, watched: 1000)

    /// Bytes of a data set, as they should be and as they are.
    private struct Held {
        let spec: DataSpec
        let earlier: [DataSpec]
        /// The offset of the first byte.
        let base: Int
        let right: [UInt8]
        /// When they were compared.
        var compared: [UInt8]
        /// When they were read again, fewer where the file has become shorter.
        var now: [UInt8] = []
        var notes: [String] = []

        init(_ numbers: inout RandomNumbers, isFile: Bool) throws {
            let size = numbers.one(of: [
                numbers.one(in: 1...200), numbers.one(in: 1...9000), numbers.one(in: 1...9000),
                numbers.one(in: 1...80_000),
                numbers.one(in: 0...40) == 0 ? numbers.one(in: 263_000...900_000) : 20_001,
            ])
            var spec: DataSpec?
            while spec == nil {
                let grain = numbers.one(of: [512, 576, 1024, 4096])
                let ends = [
                    Int.max, Int.max - numbers.one(in: 0...5000), size + 1, size + 4099,
                ]
                spec = try? DataSpec(
                    size: isFile ? size : max(size, numbers.one(of: ends)),
                    seed: numbers.next(),
                    dedupRatio: Ratio(
                        thousandths: numbers.one(of: [1000, 1000, 1333, 2000, 7500])),
                    compressRatio: Ratio(
                        thousandths: numbers.one(of: [1000, 1000, 1000, 1250, 2000, 4000])),
                    dedupUnit: numbers.one(of: [1, 8, 9, 64]) * 512, compressUnit: grain,
                    fill: numbers.one(of: [.backref, .zeros]))
            }
            let some = try #require(spec)
            self.spec = some
            earlier = [
                try some.withSeed(some.seed &+ 1),
                try DataSpec(
                    size: numbers.one(of: [0, 1, size / 2, some.size]), seed: some.seed &+ 2),
            ]
            let count = min(size, some.size)
            base =
                isFile ? 0 : numbers.one(of: [0, some.size - count, (some.size - count) / 2])
            right = Self.bytes(of: some, base..<base + count)
            compared = right
        }

        static func bytes(of spec: DataSpec, _ range: Range<Int>) -> [UInt8] {
            guard !range.isEmpty else { return [] }
            return [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                spec.fill(UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound)
                count = range.count
            }
        }

        /// Damages some bytes, often next to others that were damaged.
        mutating func damage(_ numbers: inout RandomNumbers, near place: inout Int) {
            let size = right.count
            var count = min(numbers.any(to: size), size)
            var start = numbers.one(in: 0...size - count)
            switch numbers.one(in: 0...3) {
            case 0 where place < size:
                start = place
            case 1:
                start = start / 512 * 512
                count = (count + 511) / 512 * 512
            case 2 where place < size:
                start = min(size - 1, place + numbers.one(of: [1, 7, 8, 15, 16, 100, 600]))
            default: break
            }
            let range = start..<min(start + count, size)
            place = range.upperBound
            let kind = numbers.one(in: 0...8)
            notes.append("\(kind) at \(range)")
            switch kind {
            case 0, 1: put(range, repeatElement(0, count: range.count))
            case 2:
                let old = numbers.one(of: earlier)
                let most = max(0, min(range.count, old.size - base - range.lowerBound))
                put(
                    range.prefix(most),
                    Self.bytes(of: old, base + start..<base + start + most))
            case 3, 4:
                // From what is here, or from anywhere.
                let source =
                    kind == 3
                    ? base + numbers.one(in: 0...size - range.count)
                    : numbers.one(in: 0...spec.size - range.count)
                put(range, Self.bytes(of: spec, source..<source + range.count))
            case 5:
                for _ in 0..<numbers.any(to: 30) {
                    compared[numbers.one(in: start...range.upperBound - 1)] ^=
                        1 << UInt8(numbers.one(in: 0...7))
                }
            case 6:
                let byte = UInt8(numbers.one(in: 0...255))
                put(range, repeatElement(byte, count: range.count))
            case 7:
                // A bit that is stuck.
                for place in range { compared[place] |= 4 }
            default: put(range, range.map { _ in UInt8(numbers.one(in: 0...255)) })
            }
        }

        private mutating func put(_ range: Range<Int>, _ bytes: some Collection<UInt8>) {
            compared.replaceSubrange(range.prefix(bytes.count), with: bytes)
        }

        /// What the file is like when it is read again.
        mutating func change(_ numbers: inout RandomNumbers) {
            now = compared
            guard numbers.one(in: 0...5) == 0 else { return }
            let start = numbers.one(in: 0...now.count)
            if numbers.one(in: 0...1) == 0 {
                now.removeSubrange(start...)
            } else {
                let end = numbers.one(in: start...now.count)
                now.replaceSubrange(start..<end, with: right[start..<end])
            }
        }

        /// What comparing should find.
        var ranges: [Damage] {
            var ranges: [Damage] = []
            for (place, byte) in compared.enumerated() where byte != right[place] {
                if let last = ranges.last, base + place - last.end < spec.compressUnit {
                    ranges[ranges.count - 1].bytes = base + place + 1 - last.offset
                    ranges[ranges.count - 1].wrongBytes += 1
                } else {
                    ranges.append(Damage(offset: base + place, bytes: 1, wrongBytes: 1))
                }
            }
            return ranges
        }
    }

    // MARK: what is said

    /// What is untrue of a diagnosis.
    private struct Judge {
        let held: Held
        let range: Damage
        let diagnosis: Diagnosis
        /// What was written at once with the byte at an offset, where that is known.
        let write: ((Int) -> Range<Int>)?

        /// The places of the range that were looked at, and are there.
        private var seen: [Int] {
            Examination.evidenceWanted(of: range).joined().map { $0 - held.base }
                .filter { $0 < held.now.count }
        }

        private func isRight(_ place: Int) -> Bool { held.now[place] == held.right[place] }

        var untruths: [String] {
            var untruths: [String] = []
            func check(_ isTrue: Bool, _ text: String) { if !isTrue { untruths.append(text) } }
            let first = range.offset - held.base
            let shown = min(16, range.bytes)
            check(
                diagnosis.expected == Array(held.right[first..<first + shown]), "expected")
            check(
                diagnosis.found == Array(held.now[min(first, held.now.count)...].prefix(shown)),
                "found")
            check(diagnosis.isSampled == (range.bytes > 256 << 10), "isSampled")
            switch diagnosis.kind {
            case .mixed: untruths += mixed
            case .bitFlips:
                untruths += wrong(in: .bitFlips, range.offset, range.bytes, nil, nil)
                untruths += bits
            default:
                check(
                    diagnosis.kind != .truncated || seen.isEmpty,
                    "truncated, and bytes are there")
                check(
                    diagnosis.kind == .truncated || seen.count == looked, "not all is there")
                untruths += wrong(
                    in: diagnosis.kind, range.offset, range.bytes, diagnosis.sourceOffset,
                    diagnosis.seed)
            }
            check(diagnosis.kind == .mixed || diagnosis.parts.isEmpty, "parts")
            check(diagnosis.kind != .torn || diagnosis.tornAt != nil, "torn without a place")
            if let sector = diagnosis.tornAt { untruths += torn(at: sector) }
            return untruths
        }

        private var looked: Int {
            Examination.evidenceWanted(of: range).reduce(0) { $0 + $1.count }
        }

        private var bits: [String] {
            var all: [[Int]] = []
            for place in seen {
                let difference = held.now[place] ^ held.right[place]
                for bit in 0..<8 where difference >> bit & 1 == 1 {
                    all.append([held.base + place, bit])
                }
            }
            return (all.count == diagnosis.flippedBits && !all.isEmpty ? [] : ["flippedBits"])
                + (Array(all.prefix(64)) == diagnosis.bits.map { [$0.offset, $0.bit] }
                    ? [] : ["bits"])
        }

        private var mixed: [String] {
            var untruths: [String] = []
            var end = range.offset
            var told: Set<Int> = []
            for part in diagnosis.parts {
                if part.offset < end || part.bytes < 1 || part.offset + part.bytes > range.end {
                    untruths.append("part \(part) is out of order or range")
                }
                end = part.offset + part.bytes
                told.formUnion(part.offset..<end)
                untruths += wrong(
                    in: part.kind, part.offset, part.bytes, part.sourceOffset, part.seed)
            }
            let isCut = diagnosis.partCount > diagnosis.parts.count
            if diagnosis.parts.isEmpty || isCut && diagnosis.parts.count < 16 {
                untruths.append("\(diagnosis.parts.count) of \(diagnosis.partCount) parts")
            }
            if diagnosis.partCount == 1, diagnosis.parts.first?.bytes == range.bytes {
                untruths.append("mixed of one part")
            }
            for place in seen where !told.contains(held.base + place) && !isRight(place) {
                if isCut, held.base + place >= end { break }
                untruths.append("nothing is said of \(held.base + place)")
                break
            }
            if !isCut, seen.count < looked, diagnosis.parts.last?.kind != .truncated {
                untruths.append("missing bytes are not told")
            }
            return untruths
        }

        private func torn(at sector: Int) -> [String] {
            let block = range.offset / held.spec.dedupUnit * held.spec.dedupUnit
            let (end, isLarge) = block.addingReportingOverflow(held.spec.dedupUnit)
            let written =
                write?(range.offset)
                ?? block..<(isLarge ? held.spec.size : min(end, held.spec.size))
            let start = written.lowerBound - held.base
            let before = start..<max(start, sector - held.base)
            let isTrue =
                sector % 512 == 0 && written.contains(sector) && sector > written.lowerBound
                && (sector..<sector + 4).contains(range.offset)
                && (0..<4).contains(written.upperBound - range.end)
                && diagnosis.isWriteKnown == (write != nil) && start >= 0
                && before.allSatisfy { held.compared[$0] == held.right[$0] }
            return isTrue ? [] : ["torn at \(sector), written \(written)"]
        }

        /// What is wrong with saying that bytes are of a kind.
        private func wrong(
            in kind: Diagnosis.Kind, _ offset: Int, _ bytes: Int, _ source: Int?,
            _ seed: UInt64?
        ) -> [String] {
            let part = offset - held.base..<offset - held.base + bytes
            let places = diagnosis.isSampled ? seen.filter(part.contains) : Array(part)
            let isThere = places.allSatisfy { $0 < held.now.count }
            if kind == .truncated {
                return places.contains { $0 < held.now.count } ? ["truncated at \(offset)"] : []
            }
            guard isThere else { return ["\(kind) at \(offset): not there"] }
            guard bytes > 0 else { return ["\(kind) at \(offset): empty"] }
            let isTrue: Bool
            switch kind {
            case .zeros: isTrue = bytes >= 8 && places.allSatisfy { held.now[$0] == 0 }
            case .stale:
                guard bytes >= 8, let old = held.earlier.first(where: { $0.seed == seed }),
                    offset + bytes <= old.size
                else { return ["stale at \(offset)"] }
                let content = Held.bytes(of: old, offset..<offset + bytes)
                isTrue = places.allSatisfy { held.now[$0] == content[$0 - part.lowerBound] }
            case .misplaced:
                guard bytes >= 16, let source, source != offset, source >= 0,
                    bytes <= held.spec.size - source
                else { return ["misplaced at \(offset)"] }
                let content = Held.bytes(of: held.spec, source..<source + bytes)
                isTrue = places.allSatisfy { held.now[$0] == content[$0 - part.lowerBound] }
            case .transient: isTrue = places.allSatisfy(isRight)
            case .bitFlips: isTrue = isFlipped(places)
            case .foreign, .torn: isTrue = isUnknown(places, isPart: bytes < range.bytes)
            case .truncated, .mixed: isTrue = false
            }
            return isTrue ? [] : ["\(kind) at \(offset), \(bytes) bytes"]
        }

        private func isFlipped(_ places: [Int]) -> Bool {
            var (wrong, bits, row, rowBits) = (0, 0, 0, 0)
            var isTrue = true
            var before = -1
            for place in places {
                let count = (held.now[place] ^ held.right[place]).nonzeroBitCount
                if count == 0 || place != before + 1 {
                    if row >= 8, rowBits > 2 * row { isTrue = false }
                    (row, rowBits) = (0, 0)
                }
                before = place
                guard count > 0 else { continue }
                (wrong, bits, row, rowBits) = (
                    wrong + 1, bits + count, row + 1, rowBits + count
                )
            }
            if row >= 8, rowBits > 2 * row { isTrue = false }
            return isTrue && wrong > 0 && bits <= 2 * wrong
        }

        /// Whether bytes are wrong, and none of what they could be known by.
        private func isUnknown(_ places: [Int], isPart: Bool) -> Bool {
            let old = held.earlier[0]
            let content =
                places.last.map {
                    Held.bytes(of: old, held.base + places[0]..<held.base + $0 + 1)
                } ?? []
            var (zeros, stale, right, longestRight) = (0, 0, 0, 0)
            for place in places {
                right = isRight(place) ? right + 1 : 0
                longestRight = max(longestRight, right)
                zeros = right == 0 && held.now[place] == 0 ? zeros + 1 : 0
                stale =
                    right == 0 && held.now[place] == content[place - places[0]] ? stale + 1 : 0
                if zeros >= 16 || stale >= 16 { return false }
            }
            let isWhole = isPart || diagnosis.kind == .torn
            return !places.allSatisfy(isRight)
                && (!isWhole || diagnosis.isSampled || longestRight < 8)
        }
    }

    // MARK: who looks

    @Test func whatIsSaidOfRangesInMemoryIsTrue() throws {
        var numbers = RandomNumbers()
        print("damage in memory: \(numbers)")
        for round in 0..<Self.rounds {
            var held = try Held(&numbers, isFile: false)
            var place = numbers.one(in: 0...held.right.count)
            for _ in 0..<numbers.one(in: 1...5) { held.damage(&numbers, near: &place) }
            held.now = held.compared
            let note: Comment = "round \(round), \(held.notes), \(held.spec), from \(held.base)"
            var log = DamageLog(held.spec, limit: 1000)
            var generator = Generator(held.spec)
            var examination = Examination(held.spec, earlier: held.earlier)
            let searchBytes = numbers.one(of: [0, 1, 777, 100_001])
            let (base, now) = (held.base, held.now)
            let diagnoses = now.withUnsafeBytes { buffer in
                generator.compare(buffer, at: base, log: &log)
                return examination.diagnose(
                    log.ranges, in: buffer, at: base, searchBytes: searchBytes)
            }
            #expect(log.ranges == held.ranges, note)
            #expect(diagnoses.count == log.ranges.count, note)
            for (range, diagnosis) in zip(log.ranges, diagnoses) {
                let judge = Judge(held: held, range: range, diagnosis: diagnosis, write: nil)
                let untruths = judge.untruths
                #expect(untruths.isEmpty, "\(untruths) \(range) \(diagnosis) \(note)")
            }
        }
    }

    @Test func whatAnyRanksSayOfAFileIsTrue() throws {
        var numbers = RandomNumbers()
        print("damage to files: \(numbers)")
        for round in 0..<Self.rounds {
            var held = try Held(&numbers, isFile: true)
            var place = numbers.one(in: 0...held.right.count)
            for _ in 0..<numbers.one(in: 1...5) { held.damage(&numbers, near: &place) }
            held.change(&numbers)
            let (size, spec) = (held.right.count, held.spec)
            func pattern() -> (DealtPattern, Int) {
                let ranks = numbers.one(of: [1, 2, 3, 5, 9, 64])
                let shards = Shards(
                    size: size, ranks: ranks,
                    alignment: numbers.one(of: [1, 7, 512, 4096, 1 << 20]))
                let transfer = numbers.one(of: [512, 777, 4096, 60_000])
                let cut = numbers.one(of: [Cut.segments(1), .segments(3), .strided])
                return (DealtPattern(shards, transferSize: transfer, cut: cut), ranks)
            }
            let (readers, ranks) = pattern()
            let (writers, writing) = pattern()
            let note: Comment =
                "round \(round), \(ranks) ranks, \(held.notes), \(spec), \(held.now.count) bytes"
            let log = compare(held, readers, ranks)
            #expect(log.ranges == held.ranges, note)
            let diagnoses = examine(held, log.ranges, ranks, writers)
            for (range, diagnosis) in zip(log.ranges, diagnoses) {
                let write = { (offset: Int) in
                    for rank in 0..<writing {
                        for index in 0..<writers.transfersPerRank
                        where writers[index, rank].contains(offset) {
                            return writers[index, rank]
                        }
                    }
                    return 0..<0
                }
                let judge = Judge(held: held, range: range, diagnosis: diagnosis, write: write)
                let untruths = judge.untruths
                #expect(untruths.isEmpty, "\(untruths) \(range) \(diagnosis) \(note)")
                check(
                    Report.DamagedRange(range, diagnosis, of: spec, writtenAs: writers),
                    writers,
                    diagnosis, note)
            }
        }
    }

    /// What all ranks find together.
    private func compare(_ held: Held, _ pattern: DealtPattern, _ ranks: Int) -> DamageLog {
        var all = DamageLog(held.spec, limit: 1000)
        for rank in 0..<ranks {
            var generator = Generator(held.spec)
            var log = DamageLog(held.spec, limit: 1000)
            for index in 0..<pattern.transfersPerRank {
                let range = pattern[index, rank]
                guard !range.isEmpty else { continue }
                var found = DamageLog(held.spec, limit: 1000)
                held.compared[range].withUnsafeBytes {
                    generator.compare($0, at: range.lowerBound, log: &found)
                }
                if found.rangeCount > 0 { log.merge(found) }
            }
            all.merge(DamageLog(held.spec, numbers: log.numbers, limit: 1000))
        }
        return all
    }

    /// What ranks make of ranges, each of some, as ``DamageSearch`` has them do.
    private func examine(
        _ held: Held, _ ranges: [Damage], _ ranks: Int, _ writers: DealtPattern
    ) -> [Diagnosis] {
        var examination = Examination(held.spec, earlier: held.earlier) {
            writers.write(of: $0)
        }
        let evidence = ranges.map { range in
            Examination.evidenceWanted(of: range).flatMap { part -> [Examination.Evidence] in
                // As from two files.
                let middle = part.lowerBound + part.count / 3
                return [part.lowerBound..<middle, middle..<part.upperBound].map { part in
                    let there = part.clamped(to: 0..<held.now.count)
                    return Examination.Evidence(
                        offset: part.lowerBound, bytes: Array(held.now[there]))
                }
            }
        }
        let starts = [0] + ranges.dropLast().map(\.end)
        var diagnoses = ranges.indices.map {
            examination.diagnose(ranges[$0], evidence[$0], rightFrom: starts[$0])
        }
        let open = ranges.indices.filter { diagnoses[$0].isUnexplained }
        guard let first = ranges.first, !open.isEmpty else { return diagnoses }
        let places = Needles.places(amongRanges: open.count)
        let needles = Needles(
            open.flatMap {
                Needles.take(
                    from: examination.unexplained(ranges[$0], evidence[$0]), range: $0,
                    places: places)
            })
        let part = Needles.part(of: held.spec, around: first.offset, bytes: .max)
        var hits: [Needles.Hit] = []
        for rank in 0..<ranks {
            let share = Needles.share(of: part, rank: rank, ranks: ranks)
            hits = Needles.bounded(hits + needles.search(held.spec, in: share))
        }
        for index in open {
            diagnoses[index] = examination.diagnose(
                ranges[index], evidence[index],
                displacements: hits.filter { $0.range == index }.map(\.displacement),
                rightFrom: starts[index])
        }
        return diagnoses
    }

    /// Whether the fields and the line of a report say what the diagnosis says.
    private func check(
        _ told: Report.DamagedRange, _ writers: DealtPattern, _ diagnosis: Diagnosis,
        _ note: Comment
    ) {
        let note: Comment = "\(told.text) \(note)"
        let last = told.offset + told.bytes - 1
        let ranks = Set((told.offset...last).map { writers.rank(of: $0) })
        #expect(told.rank == writers.rank(of: told.offset), note)
        #expect(ranks.count == 1 || told.otherRanks == true, note)
        #expect(told.text.contains("and others") == (told.otherRanks == true), note)
        #expect(told.text.contains("blocks \(told.block) to") == (told.lastBlock != nil), note)
        let isEstimate = told.text.contains("as samples of it tell")
        #expect(isEstimate == diagnosis.isSampled, note)
        #expect(told.sampled == (diagnosis.isSampled ? true : nil), note)
        switch told.kind {
        case .bitFlips:
            let (count, most) = (told.flippedBits ?? 0, diagnosis.isSampled ? "at least " : "")
            #expect(count > 0, note)
            #expect(
                told.text.hasPrefix("\(most)\(count) flipped \(count == 1 ? "bit" : "bits"): "))
        case .misplaced:
            #expect(told.text.contains("belongs at offset \(told.sourceOffset ?? -1),"), note)
        case .stale: #expect(told.text.contains("of seed \(told.seed ?? 0),"), note)
        case .mixed:
            let rest = diagnosis.partCount - 4
            #expect(told.text.contains(" and \(rest) more,") == (rest > 0), note)
            #expect((told.partCount ?? told.parts?.count) == diagnosis.partCount, note)
        default: break
        }
    }
}

extension RandomNumbers {
    fileprivate mutating func one(in range: ClosedRange<Int>) -> Int {
        .random(in: range, using: &self)
    }

    fileprivate mutating func one<Value>(of values: [Value]) -> Value {
        values[number(below: values.count)]
    }

    /// Small numbers as often as large ones.
    fileprivate mutating func any(to most: Int) -> Int {
        one(in: 1...max(1, min(most, one(of: [8, 40, 512, 5000, most]))))
    }
}
