// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing
import TestSupport

/// Blocks of any version, torn, of other times, and of nothing that is known: each called what it is, by the scalar form.
@Suite struct HistoryTests {
    /// What a block may be found to be.
    private enum Verdict: Equatable {
        case unchanged
        case accepted(Int)
        case torn(isAligned: Bool)
        case older(Int)
        case newer(Int)
        case foreign
    }

    /// A data set in all generations up to some after the last that is accepted.
    private struct History {
        let spec: DataSpec
        let from: Int
        let to: Int
        let generations: [[UInt8]]

        static let after = 3

        init(_ numbers: inout RandomNumbers) throws {
            var spec = try DataSpec.randomOfVersion2(&numbers)
            while spec.composition?.change == nil || spec.size > 200_000 {
                spec = try DataSpec.randomOfVersion2(&numbers)
            }
            from = numbers.number(below: 10)
            to = from + numbers.number(below: 5)
            self.spec = try spec.withGeneration(to)
            let size = spec.size
            generations = try (0...to + Self.after).map { [spec] in
                ScalarReference.bytes(of: try spec.withGeneration($0), at: 0..<size)
            }
        }

        var blocks: [Range<Int>] {
            stride(from: 0, to: spec.size, by: spec.dedupUnit).map {
                $0..<min($0 + spec.dedupUnit, spec.size)
            }
        }

        /// The generation in which what a block holds in one was made.
        func made(_ generation: Int, _ range: Range<Int>) -> Int {
            var made = generation
            while made > 0, generations[made - 1][range] == generations[generation][range] {
                made -= 1
            }
            return made
        }

        func verdict(_ found: ArraySlice<UInt8>, _ range: Range<Int>) -> Verdict {
            // By the specification: of a few bytes versions are alike by chance.
            let versions = Set(
                (from...to).map { generation in
                    (try? spec.withGeneration(generation)).flatMap {
                        ContentLayout($0).content(ofBlock: range.lowerBound / spec.dedupUnit)
                    }?.generation ?? 0
                })
            let alike = versions.filter { generations[$0][range] == found }
            if let right = alike.first {
                return alike.count > 1 || versions.count == 1 ? .unchanged : .accepted(right)
            }
            guard range.count >= 8 else { return .foreign }
            func wrong(_ generation: Int) -> [Int] {
                zip(range, found).filter { generations[generation][$0] != $1 }.map {
                    $0.0 - range.lowerBound
                }
            }
            let differences = versions.map(wrong).filter { $0.count >= 8 }
            for head in differences {
                for tail in differences {
                    let (end, start) = (head[0], (tail.last ?? 0) + 1)
                    guard start <= end else { continue }
                    return .torn(
                        isAligned: (start...end).contains { $0 % 512 == 0 && $0 < found.count })
                }
            }
            if let older = (0..<from).last(where: { generations[$0][range] == found }) {
                return .older(made(older, range))
            }
            if let newer = (to + 1...to + Self.after).first(where: {
                generations[$0][range] == found
            }) {
                return .newer(newer)
            }
            return .foreign
        }

        /// One block as it may be found.
        func planted(_ range: Range<Int>, _ numbers: inout RandomNumbers) -> [UInt8] {
            func version(_ some: ClosedRange<Int>, _ numbers: inout RandomNumbers) -> [UInt8] {
                Array(generations[.random(in: some, using: &numbers)][range])
            }
            switch numbers.number(below: 8) {
            case 0, 1: return version(from...to, &numbers)
            case 2, 3:
                let sector = numbers.number(below: 2) == 0 ? 512 : 1
                let place = numbers.number(below: range.count) / sector * sector
                let head = version(from...to, &numbers)
                return Array(head[..<place] + version(from...to, &numbers)[place...])
            case 4: return version(0...from, &numbers)
            case 5: return version(to...to + Self.after, &numbers)
            case 6: return range.map { _ in .random(in: 0...255, using: &numbers) }
            default:
                var bytes = Array(
                    generations[numbers.number(below: 2) == 0 ? from : to][range])
                bytes[numbers.number(below: bytes.count)] ^= 1 << numbers.number(below: 8)
                return bytes
            }
        }
    }

    @Test(arguments: Kernel.supported) func blocksAreCalledWhatTheyAre(kernel: Kernel) throws {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(8, whole: 1000, watched: 80) {
            let history = try History(&numbers)
            let (spec, blocks) = (history.spec, history.blocks)
            let isCalm = numbers.number(below: 3) == 0
            var found: [UInt8] = []
            for range in blocks {
                let isRight = isCalm && numbers.number(below: 4) > 0
                let right = Bool.random(using: &numbers) ? history.from : history.to
                found +=
                    isRight
                    ? Array(history.generations[right][range]) : history.planted(range, &numbers)
            }
            let verdicts = blocks.map { history.verdict(found[$0], $0) }
            let note: Comment = "\(spec), from \(history.from), \(numbers)"
            let (log, wrong) = try judge(found, history, kernel, &numbers)
            #expect(log.unchanged == verdicts.count { $0 == .unchanged }, note)
            for generation in 0...history.to {
                #expect(
                    log.accepted[generation] ?? 0
                        == verdicts.count { $0 == .accepted(generation) }, note)
            }
            #expect(log.acceptedEarlier == 0, note)
            #expect(log.tornAligned == verdicts.count { $0 == .torn(isAligned: true) }, note)
            #expect(log.tornUnaligned == verdicts.count { $0 == .torn(isAligned: false) }, note)
            #expect(log.foreign == verdicts.count { $0 == .foreign }, note)
            var listed = log.listed[...]
            for (range, verdict) in zip(blocks, verdicts) {
                switch verdict {
                case .torn, .older, .newer: break
                default: continue
                }
                let next = listed.popFirst()
                let one = try #require(next, note)
                #expect(one.offset == range.lowerBound, note)
                switch verdict {
                case .torn(let isAligned):
                    #expect(one.kind == .torn && one.isAligned == isAligned, note)
                    let all = history.generations
                    #expect(
                        found[range].prefix(one.tornAt)
                            == all[one.generation][range].prefix(one.tornAt), note)
                    #expect(
                        found[range].dropFirst(one.tornAt)
                            == all[one.nextGeneration][range].dropFirst(one.tornAt), note)
                case .older(let made):
                    #expect(one.kind == .older && one.generation == made, note)
                case .newer(let made):
                    #expect(one.kind == .newer && one.generation == made, note)
                default: break
                }
            }
            #expect(listed.isEmpty, note)
            #expect(log.isRight == verdicts.allSatisfy(isRight), note)
            for stretch in 0..<log.map.stretchCount {
                try expectPlaces(log.map, stretch, zip(blocks, verdicts), note)
            }
            // Bytes are wrong in foreign blocks only, and fewest of what the block is closest to.
            var least = 0
            for (range, verdict) in zip(blocks, verdicts) where verdict == .foreign {
                least +=
                    [history.from, history.to].map { generation in
                        zip(history.generations[generation][range], found[range])
                            .count { $0 != $1 }
                    }.min() ?? 0
            }
            #expect(wrong.newest.wrongBytes + wrong.oldest.wrongBytes == least, note)
        }
    }

    /// A stretch of the map has the bytes of its blocks, by what these are.
    private func expectPlaces(
        _ map: StretchMap, _ stretch: Int, _ blocks: Zip2Sequence<[Range<Int>], [Verdict]>,
        _ note: Comment
    ) throws {
        var bytes: [StretchMap.Key: Int] = [:]
        for (range, verdict) in blocks where map.range(of: stretch).contains(range.lowerBound) {
            let key: StretchMap.Key =
                switch verdict {
                case .unchanged: .unchanged
                case .accepted(let made): StretchMap.Key(made)
                case .torn: .torn
                case .older: .older
                case .newer: .newer
                case .foreign: .foreign
                }
            bytes[key, default: 0] += range.count
        }
        for key in Set(map.keys).union(bytes.keys) {
            #expect(map[key, stretch] == bytes[key] ?? 0, note)
        }
        #expect(bytes.values.reduce(0, +) == map.range(of: stretch).count, note)
    }

    private func isRight(_ verdict: Verdict) -> Bool {
        switch verdict {
        case .unchanged, .accepted: true
        default: false
        }
    }

    /// What several judges say of parts of a data set, whole blocks each, told to each other.
    private func judge(
        _ found: [UInt8], _ history: History, _ kernel: Kernel, _ numbers: inout RandomNumbers
    ) throws -> (HistoryLog, (newest: DamageLog, oldest: DamageLog)) {
        let (spec, unit) = (history.spec, history.spec.dedupUnit)
        var judge = try HistoryJudge(spec, from: history.from, kernel: kernel)
        let empty = DamageLog(spec, limit: 1000)
        var (all, wrong) = (HistoryLog(spec), (newest: empty, oldest: empty))
        var start = 0
        while start < found.count {
            let end = min(found.count, start + unit * (1 + numbers.number(below: 40)))
            var (log, part) = (HistoryLog(spec), (newest: empty, oldest: empty))
            found[start..<end].withUnsafeBytes {
                judge.judge($0, at: start, log: &log, wrong: &part)
            }
            all.merge(HistoryLog(spec, numbers: log.numbers))
            wrong.newest.merge(part.newest)
            wrong.oldest.merge(part.oldest)
            start = end
        }
        return (HistoryLog(spec, numbers: all.numbers), wrong)
    }

    /// Of many generations the newest are counted each for itself, whoever has found them.
    @Test func theNewestGenerationsAreListed() throws {
        let spec = try DataSpec(
            size: 4096 * 600, seed: 3, dedupUnit: 4096,
            composition: Composition(
                change: [
                    Composition.Ring(
                        share: Share(millionths: 1_000_000), rate: Share(millionths: 10_000))
                ], generation: 120))
        var found = [UInt8](repeating: 0, count: spec.size)
        found.withUnsafeMutableBytes { spec.fill($0) }
        let layout = ContentLayout(spec)
        let made = (0..<600).compactMap { layout.content(ofBlock: $0)?.generation }
        let kept = Set(Set(made).sorted().suffix(HistoryLog.generationsMax))
        var judge = try HistoryJudge(spec, from: 0)
        var logs: [HistoryLog] = []
        let empty = DamageLog(spec, limit: 10)
        for start in stride(from: 0, to: spec.size, by: spec.size / 3) {
            var (log, wrong) = (HistoryLog(spec), (newest: empty, oldest: empty))
            found[start..<start + spec.size / 3].withUnsafeBytes {
                judge.judge($0, at: start, log: &log, wrong: &wrong)
            }
            logs.append(log)
        }
        var all = logs[2]
        all.merge(logs[0])
        all.merge(logs[1])
        #expect(all.isRight && Set(all.accepted.keys) == kept)
        for generation in kept {
            #expect(all.accepted[generation] == made.count { $0 == generation })
        }
        #expect(all.acceptedEarlier == made.count { $0 > 0 && !kept.contains($0) })
        #expect(all.unchanged == made.count { $0 == 0 })
    }

    /// Where a block has more versions than are looked for, that is said, and nothing is called what it is not.
    @Test func whatIsNotLookedForIsTold() throws {
        let unit = 512
        func spec(_ generation: Int) throws -> DataSpec {
            try DataSpec(
                size: 6 * unit + 1, seed: 3, dedupUnit: unit,
                composition: Composition(
                    change: [
                        Composition.Ring(
                            share: Share(millionths: 1_000_000),
                            rate: Share(millionths: 1_000_000))
                    ], generation: generation))
        }
        let (from, to) = (100, 5000)
        let most = HistoryJudge.versionsMax
        // The last one is so short that some version has these bytes, whatever they are.
        let generations = [
            to, from, to - most.between + 1, to - most.between, from - most.before, to + most.after,
            from - 1,
        ]
        var found: [UInt8] = []
        for (block, generation) in generations.enumerated() {
            let range = block * unit..<min(block * unit + unit, 6 * unit + 1)
            found += ScalarReference.bytes(of: try spec(generation), at: range)
        }
        let last = try spec(to)
        var judge = try HistoryJudge(last, from: from)
        let empty = DamageLog(last, limit: 10)
        var (log, wrong) = (HistoryLog(last), (newest: empty, oldest: empty))
        found.withUnsafeBytes { judge.judge($0, at: 0, log: &log, wrong: &wrong) }
        #expect(log.accepted == [to: 1, from: 1, to - most.between + 1: 1])
        #expect(log.older == 1 && log.newer == 1)
        #expect(log.foreign + log.unchanged == 2 && log.foreignUnsearched == log.foreign)
        #expect(log.listed.map(\.generation) == [from - most.before, to + most.after])
        #expect(log.tornAligned + log.tornUnaligned == 0)
    }

    /// All threads together say what one says, of however many bytes at once.
    @Test(arguments: [1, 2, 3]) func threadsShareWhatWasFound(threads: Int) throws {
        let unit = 48 << 10
        let spec = try DataSpec(
            size: 6 << 20 | 777, seed: 3, dedupUnit: unit,
            composition: Composition(
                change: [
                    Composition.Ring(
                        share: Share(millionths: 1_000_000), rate: Share(millionths: 300_000))
                ], generation: 9))
        var found = [UInt8](repeating: 0, count: spec.size)
        found.withUnsafeMutableBytes { spec.fill($0) }
        let old = ScalarReference.bytes(of: try spec.withGeneration(5), at: 0..<spec.size)
        for block in stride(from: 0, to: spec.size, by: 2 * unit) {
            let range = block..<min(block + unit, spec.size)
            found.replaceSubrange(range, with: old[range])
        }
        for place in [5, 3 << 20, spec.size - 1] { found[place] ^= 1 }
        var one = try HistoryJudge(spec, from: 5)
        let empty = DamageLog(spec, limit: 1000)
        var (log, wrong) = (HistoryLog(spec), (newest: empty, oldest: empty))
        found.withUnsafeBytes { one.judge($0, at: 0, log: &log, wrong: &wrong) }
        let several = ParallelHistoryJudge(
            try HistoryJudge(spec, from: 5), by: ParallelGenerator(spec, threads: threads))
        var together = (newest: empty, oldest: empty)
        for part in [0..<64 * unit, 64 * unit..<spec.size] {
            found[part].withUnsafeBytes {
                several.judge($0, at: part.lowerBound, wrong: &together)
            }
        }
        #expect(several.log == log && log.foreign == 3)
        #expect(together.newest == wrong.newest && together.oldest == wrong.oldest)
    }
}
