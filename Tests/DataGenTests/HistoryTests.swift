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
            // Of a few bytes versions are alike by chance.
            while spec.composition?.change == nil || spec.size > 200_000
                || (1..<16).contains(spec.size % spec.dedupUnit)
            {
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
            if let right = (from...to).first(where: { generations[$0][range] == found }) {
                let isOne = (from...to).allSatisfy { generations[$0][range] == found }
                return isOne ? .unchanged : .accepted(made(right, range))
            }
            let all = (from...to).map { generations[$0][range] }
            let head = all.map { zip($0, found).prefix { $0 == $1 }.count }.max() ?? 0
            let tail =
                all.map { zip($0.reversed(), found.reversed()).prefix { $0 == $1 }.count }.max()
                ?? 0
            if head + tail >= found.count {
                let places = found.count - tail...head
                return .torn(isAligned: places.contains { $0 % 512 == 0 && $0 < found.count })
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
        for _ in 0..<TestForm.rounds(20, whole: 1000) {
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
        var (all, wrong) = (HistoryLog(), (newest: empty, oldest: empty))
        var start = 0
        while start < found.count {
            let end = min(found.count, start + unit * (1 + numbers.number(below: 40)))
            var (log, part) = (HistoryLog(), (newest: empty, oldest: empty))
            found[start..<end].withUnsafeBytes {
                judge.judge($0, at: start, log: &log, wrong: &part)
            }
            all.merge(HistoryLog(numbers: log.numbers))
            wrong.newest.merge(part.newest)
            wrong.oldest.merge(part.oldest)
            start = end
        }
        return (HistoryLog(numbers: all.numbers), wrong)
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
            var (log, wrong) = (HistoryLog(), (newest: empty, oldest: empty))
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
}
