// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing
import TestSupport

@Suite struct CompareTests {
    /// The log of comparing `bytes`, in chunks of `chunk`, with the data set from its start.
    private func log(_ bytes: [UInt8], _ spec: DataSpec, chunk: Int, limit: Int = 100) -> DamageLog
    {
        var generator = Generator(spec)
        var log = DamageLog(spec, limit: limit)
        for start in stride(from: 0, to: bytes.count, by: chunk) {
            bytes.withUnsafeBytes { all in
                generator.compare(
                    UnsafeRawBufferPointer(rebasing: all[start..<min(start + chunk, all.count)]),
                    at: start, log: &log)
            }
        }
        return log
    }

    @Test(arguments: varied)
    func rightBytesGiveNoDamage(spec: DataSpec) {
        let bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        for chunk in [997, 4096, 1 << 20] {
            #expect(log(bytes, spec, chunk: chunk).rangeCount == 0)
        }
    }

    @Test(arguments: varied)
    func everySingleWrongByteIsFoundAtItsOffset(spec: DataSpec) {
        var bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        var numbers = RandomNumbers()
        for round in 0..<50 {
            let offset =
                switch round {
                case 0: 0
                case 1: spec.size - 1
                default: Int.random(in: 0..<spec.size, using: &numbers)
                }
            let flip = UInt8.random(in: 1...255, using: &numbers)
            bytes[offset] ^= flip
            let found = log(bytes, spec, chunk: 4096)
            #expect(
                found.ranges == [Damage(offset: offset, bytes: 1, wrongBytes: 1)],
                "\(numbers)")
            bytes[offset] ^= flip
        }
    }

    @Test(arguments: [1, 100, 1000, 16384, 1 << 20])
    func rangesJoinAcrossChunksWithinTheGap(chunk: Int) throws {
        let spec = try DataSpec(size: 100_000, seed: 1)
        var bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        for offset in Array(10..<20) + [20 + 1023] + [50_000, 50_001, 50_001 + 1025] {
            bytes[offset] ^= 0xFF
        }
        let found = log(bytes, spec, chunk: chunk)
        #expect(
            found.ranges == [
                Damage(offset: 10, bytes: 1034, wrongBytes: 11),
                Damage(offset: 50_000, bytes: 2, wrongBytes: 2),
                Damage(offset: 51_026, bytes: 1, wrongBytes: 1),
            ])
        #expect(found.firstOffset == 10)
        #expect(found.wrongBytes == 14)
    }

    @Test func countsAllAndKeepsTheFirst() throws {
        let spec = try DataSpec(size: 100_000, seed: 1)
        var bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        for offset in stride(from: 0, to: 100_000, by: 2000) { bytes[offset] ^= 1 }
        let found = log(bytes, spec, chunk: 4096, limit: 3)
        #expect(found.ranges.map(\.offset) == [0, 2000, 4000])
        #expect(found.rangeCount == 50)
        #expect(found.wrongBytes == 50)
        #expect(found.last?.offset == 98_000)
    }

    @Test(arguments: [1, 2, 3, 5])
    func logsOfPartsJoinToTheLogOfTheWhole(limit: Int) throws {
        let spec = try DataSpec(size: 100_000, seed: 1)
        var numbers = RandomNumbers()
        for _ in 0..<300 {
            // Runs so near to each other that many join, over the bounds of parts too.
            var runs: [(offset: Int, count: Int)] = []
            var offset = 0
            for _ in 0..<Int.random(in: 0...8, using: &numbers) {
                offset += Int.random(in: 1...2000, using: &numbers)
                let count = Int.random(in: 1...50, using: &numbers)
                runs.append((offset, count))
                offset += count
            }
            var whole = DamageLog(spec, limit: limit)
            for run in runs { whole.add(offset: run.offset, count: run.count) }
            var joined = DamageLog(spec, limit: limit)
            let cut = Int.random(in: 0...runs.count, using: &numbers)
            let second = Int.random(in: cut...runs.count, using: &numbers)
            for part in [runs[..<cut], runs[cut..<second], runs[second...]] {
                var log = DamageLog(spec, limit: limit)
                for run in part { log.add(offset: run.offset, count: run.count) }
                joined.append(log)
            }
            #expect(joined == whole, "\(numbers)")
        }
    }

    /// What one log has between two wrong bytes of a range of another does not end that range.
    @Test func rangesOfOneLogLieWithinThoseOfAnother() throws {
        let spec = try DataSpec(size: 1 << 20, seed: 1)
        var outer = DamageLog(spec, limit: 1000)
        for offset in [5000, 5900, 9000] { outer.add(offset: offset, count: 10) }
        var inner = DamageLog(spec, limit: 1000)
        for offset in [5200, 9500] { inner.add(offset: offset, count: 10) }
        for (one, other) in [(outer, inner), (inner, outer)] {
            var merged = one
            merged.merge(other)
            #expect(
                merged.ranges == [
                    Damage(offset: 5000, bytes: 910, wrongBytes: 30),
                    Damage(offset: 9000, bytes: 510, wrongBytes: 20),
                ])
            #expect(merged.rangeBytes == 1420)
            #expect(merged.last == merged.ranges.last)
        }
    }

    /// Logs of parts of a data set, merged in any order, are that of the whole.
    @Test func logsOfPartsMergeInAnyOrder() throws {
        var numbers = RandomNumbers()
        for round in 0..<300 {
            let spec = try DataSpec(size: 1 << 20, seed: 1)
            let runs = (0..<Int.random(in: 0...60, using: &numbers)).map { _ in
                Int.random(in: 0..<300_000, using: &numbers)
            }
            let offsets = Set(runs).sorted()
            let limit = round % 3 == 0 ? 1000 : Int.random(in: 1...8, using: &numbers)
            var whole = DamageLog(spec, limit: limit)
            for offset in offsets { whole.add(offset: offset, count: 1) }
            // Parts as strided ranks have them, each in order, or as contiguous ones. Half of them
            // are shorter than the gap: ranges of one rank lie within those of another.
            let longest = round % 4 < 2 ? 1000 : 50_000
            let part = Int.random(in: 1...longest, using: &numbers)
            let ranks = Int.random(in: 1...5, using: &numbers)
            let isStrided = round % 2 == 0
            var logs = (0..<ranks).map { _ in DamageLog(spec, limit: limit) }
            for offset in offsets {
                let rank = isStrided ? offset / part % ranks : min(offset / part, ranks - 1)
                var single = DamageLog(spec, limit: limit)
                single.add(offset: offset, count: 1)
                logs[rank].merge(single)
            }
            if isStrided { logs.shuffle(using: &numbers) }
            var merged = DamageLog(spec, limit: limit)
            for log in logs {
                merged.merge(DamageLog(spec, numbers: log.numbers, limit: limit))
            }
            let seed = "\(numbers), round \(round)"
            #expect(merged.ranges.first?.offset == whole.ranges.first?.offset, "\(seed)")
            #expect(merged.wrongBytes == offsets.count, "\(seed)")
            // Past the limit, ranks that take turns cannot know what is joined.
            if !isStrided || limit == 1000 {
                #expect(merged == whole, "\(seed)")
            } else {
                #expect(merged.rangeCount >= whole.rangeCount, "\(seed)")
                #expect(merged.ranges.count == whole.ranges.count, "\(seed)")
            }
        }
    }
}
