// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing
import TestSupport

/// What must hold whatever is asked, against the scalar reference.
///
/// Specifications, ranges and alignments are random; a failure prints the seed of its numbers.
@Suite struct PropertyTests {
    #if DEBUG
        static let rounds = TestForm.rounds(6, whole: 12)
        static let powers = 14...18
    #else
        static let rounds = 150
        static let powers = 14...21
    #endif

    private static func randomSpec(_ numbers: inout RandomNumbers) throws -> DataSpec {
        let grain = [512, 576, 1024, 4096, 16384].randomElement(using: &numbers) ?? 1024
        let isCompressible = Int.random(in: 0...3, using: &numbers) > 0
        // From just above 1 to the most that a small grain holds.
        let compress =
            isCompressible
            ? [1001, 1050, 1200, 1500, 2000, 3333, 7000, 10_000, 13_000, 25_000].randomElement(
                using: &numbers) ?? 1001 : 1000
        let dedup = [1000, 1000, 1333, 2500, 1_000_000].randomElement(using: &numbers) ?? 1000
        return try DataSpec(
            size: Int.random(in: 1...(1 << 62), using: &numbers),
            seed: numbers.next(), dedupRatio: Ratio(parsing: thousandths(dedup), field: "d"),
            compressRatio: Ratio(parsing: thousandths(compress), field: "c"),
            dedupUnit: grain * 8 * Int.random(in: 1...40, using: &numbers), compressUnit: grain,
            fill: Bool.random(using: &numbers) ? .backref : .zeros)
    }

    private static func thousandths(_ number: Int) -> String {
        let rest = String(number % 1000 + 1000).dropFirst()
        return "\(number / 1000).\(rest)"
    }

    /// A range of the data set, short or long enough for lanes.
    private static func randomRange(
        _ spec: DataSpec, _ numbers: inout RandomNumbers
    ) -> Range<Int> {
        let most = [20, 5000, 70_000, 300_000].randomElement(using: &numbers) ?? 20
        let count = Int.random(in: 0...min(most, spec.size), using: &numbers)
        let start = Int.random(in: 0...spec.size - count, using: &numbers)
        return start..<start + count
    }

    @Test(arguments: Kernel.supported, [false, true])
    func everyRangeIsFilledComparedAndNothingElseTouched(kernel: Kernel, isWide: Bool) throws {
        var numbers = RandomNumbers()
        for round in 0..<Self.rounds {
            let spec = try Self.randomSpec(&numbers)
            var generator = Generator(spec, kernel: kernel, isWide: isWide)
            for _ in 0..<3 {
                let range = Self.randomRange(spec, &numbers)
                let truth = ScalarReference.bytes(of: spec, at: range)
                // Half of the time on a word, as memory from malloc is.
                var misalignment = Int.random(in: 0..<64, using: &numbers)
                if Bool.random(using: &numbers) { misalignment -= misalignment % 8 }
                let isPastCache = Bool.random(using: &numbers)
                let note: Comment =
                    "\(spec) \(range) at \(misalignment), round \(round), \(numbers)"
                let memory = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: range.count + 256, alignment: 64)
                defer { memory.deallocate() }
                for index in memory.indices { memory[index] = 0xA5 }
                let middle = 64 + misalignment..<64 + misalignment + range.count
                let buffer = UnsafeMutableRawBufferPointer(rebasing: memory[middle])
                generator.fill(buffer, at: range.lowerBound, isPastCache: isPastCache)
                #expect(buffer.elementsEqual(truth), note)
                #expect(memory[..<middle.lowerBound].allSatisfy { $0 == 0xA5 }, note)
                #expect(memory[middle.upperBound...].allSatisfy { $0 == 0xA5 }, note)

                var log = DamageLog(spec, limit: 2)
                generator.compare(UnsafeRawBufferPointer(buffer), at: range.lowerBound, log: &log)
                #expect(log.rangeCount == 0, note)
                guard !range.isEmpty else { continue }
                let wrong = Int.random(in: 0..<range.count, using: &numbers)
                buffer[wrong] ^= 1 << UInt8.random(in: 0..<8, using: &numbers)
                generator.compare(UnsafeRawBufferPointer(buffer), at: range.lowerBound, log: &log)
                #expect(log.rangeCount == 1, note)
                #expect(log.firstOffset == range.lowerBound + wrong, note)
            }
        }
    }

    /// Every way in which lanes make grains, where the random rounds above come to some of them only.
    @Test(arguments: [512, 1024, 8192], DataSpec.Fill.allCases)
    func grainsOfEveryShapeAtEveryHead(grain: Int, fill: DataSpec.Fill) throws {
        var numbers = RandomNumbers()
        #if DEBUG
            let heads = [0, 56]
        #else
            let heads = Array(stride(from: 0, to: 64, by: 8))
        #endif
        let ratios = ["1.2", "3.5", "1.001", "1.999", "7"]
        for ratio in ratios.prefix(TestForm.rounds(2, whole: ratios.count)) {
            let spec = try DataSpec(
                size: 1 << 40, seed: numbers.next(),
                compressRatio: Ratio(parsing: ratio, field: "c"), dedupUnit: 64 * grain,
                compressUnit: grain, fill: fill)
            // As many as are left to lanes, and a rest.
            let range = 5 * grain..<38 * grain + 100
            let truth = ScalarReference.bytes(of: spec, at: range)
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: range.count + 64, alignment: 64)
            defer { memory.deallocate() }
            for kernel in Kernel.supported {
                for (head, isPastCache) in heads.flatMap({ [($0, false), ($0, true)] }) {
                    let note: Comment =
                        "\(spec) \(kernel), head \(head), past cache \(isPastCache), \(numbers)"
                    var generator = Generator(spec, kernel: kernel)
                    let buffer = UnsafeMutableRawBufferPointer(
                        rebasing: memory[(64 - head) % 64..<(64 - head) % 64 + range.count])
                    generator.fill(buffer, at: range.lowerBound, isPastCache: isPastCache)
                    #expect(buffer.elementsEqual(truth), note)
                    var log = DamageLog(spec, limit: 1)
                    generator.compare(
                        UnsafeRawBufferPointer(buffer), at: range.lowerBound, log: &log)
                    #expect(log.rangeCount == 0, note)
                }
            }
        }
    }

    /// Lengths of which lanes of one spacing leave something for narrower ones.
    @Test(arguments: [false, true], powers)
    func lanesOfEverySpacingEndWhereTheyShould(isWide: Bool, power: Int) throws {
        let numbers = RandomNumbers()
        let spec = try DataSpec(size: 1 << 40, seed: numbers.seed)
        let length = 3 << power
        let truth = ScalarReference.bytes(of: spec, at: 0..<length)
        for kernel in Kernel.supported {
            let found = spec.bytes(
                at: 0..<length, chunk: length, kernel: kernel, isWide: isWide)
            #expect(found.elementsEqual(truth), "\(kernel), \(numbers)")
        }
    }

    /// Small pieces come out of a window that is made at once; its ends must not show.
    @Test(arguments: Kernel.supported, [1, 100, 4096, 30_000, 32_768, 32_769, 65_536])
    func piecesInARowEqualTheWhole(kernel: Kernel, piece: Int) throws {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(1, whole: 3) {
            let spec = try Self.randomSpec(&numbers)
            let length = min(spec.size, piece == 1 ? 3000 : 200_000)
            let start = Int.random(in: 0...spec.size - length, using: &numbers)
            let truth = ScalarReference.bytes(of: spec, at: start..<start + length)
            for isWide in [false, true] {
                let found = spec.bytes(
                    at: start..<start + length, chunk: piece, kernel: kernel, isWide: isWide)
                #expect(
                    found.elementsEqual(truth),
                    "\(spec) from \(start), wide \(isWide), \(numbers)")
            }
        }
    }

    @Test(arguments: [1, 2, 3, 5])
    func everyThreadCountGivesTheSameBytes(threads: Int) throws {
        var numbers = RandomNumbers()
        let spec = try DataSpec(
            size: 1 << 40, seed: numbers.seed, dedupRatio: 1.5, compressRatio: 2)
        let generator = ParallelGenerator(spec, threads: threads)
        var found = [UInt8](repeating: 0, count: 3_300_007)
        let start = Int.random(in: 0..<1 << 39, using: &numbers)
        found.withUnsafeMutableBytes { generator.fill($0, at: start) }
        #expect(
            found.elementsEqual(
                ScalarReference.bytes(of: spec, at: start..<start + found.count)),
            "\(numbers)")
        var log = DamageLog(spec, limit: 4)
        found[3_000_000] ^= 4
        found.withUnsafeBytes { generator.compare($0, at: start, log: &log) }
        #expect(log.rangeCount == 1 && log.firstOffset == start + 3_000_000)
    }
}
