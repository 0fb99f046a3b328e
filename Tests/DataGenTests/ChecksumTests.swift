// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import TestSupport
import Testing

@testable import DataGen

@Suite struct ChecksumTests {
    private static let checks: [ChecksumAlgorithm] = [.crc64nvme, .crc32c, .crc32]

    /// The truth: all bytes, and one state for all of them, a byte at a time.
    private static func truth(
        _ algorithm: ChecksumAlgorithm, _ spec: DataSpec, _ range: Range<Int>
    ) -> [UInt8] {
        spec.bytes(at: range).withUnsafeBytes { algorithm.checksum(of: $0, kernel: .scalar) }
    }

    /// What ranks with threads come to, which all go on by themselves and then add up what they have.
    private static func checksums(
        _ spec: DataSpec, _ parts: ChecksumPlan.Parts, _ algorithms: [ChecksumAlgorithm],
        ranks: Int = 1, threads: Int = 1, kernel: Kernel = .fastest,
        remainders: RemainderKernel = .fastest, blocksMax: Int? = nil
    ) -> [RangeChecksum] {
        let shares = (0..<ranks).map {
            DataSetChecksums(
                spec, parts, algorithms, rank: ($0, ranks), pool: WorkerPool(count: threads),
                kernel: kernel, remainders: remainders, blocksMax: blocksMax)
        }
        for share in shares { while share.advance() != nil {} }
        let values = shares.map(\.values)
        let sum = values.dropFirst().reduce(values[0]) { zip($0, $1).map { $0 ^ $1 } }
        return shares[0].results(sum)
    }

    private static func randomSpec(_ numbers: inout RandomNumbers) throws -> DataSpec {
        let unit = 512 * (1 + numbers.number(below: 8))
        let composition: Composition? =
            switch numbers.number(below: 4) {
            case 0:
                Composition(
                    copies: [
                        .init(copies: 5, share: Share(millionths: 400_000)),
                        .init(copies: 40, share: Share(millionths: 300_000)),
                    ], zeros: Share(millionths: 100_000))
            case 1:
                Composition(
                    run: 3,
                    change: [
                        .init(
                            share: Share(millionths: 500_000), rate: Share(millionths: 300_000))
                    ], generation: 4)
            default: nil
            }
        let dedup: Ratio =
            composition?.copies == nil
            ? [1, 1.5, 7, 60, 1000].randomElement(using: &numbers) ?? 1 : 1
        return try DataSpec(
            size: numbers.number(below: TestForm.rounds(20_000, whole: 300_000)),
            seed: numbers.next(), dedupRatio: dedup,
            compressRatio: Bool.random(using: &numbers) ? 1 : 2, dedupUnit: unit,
            compressUnit: 512, composition: composition)
    }

    @Test(arguments: RemainderKernel.supported)
    func everyRangeAndPartIsThatOfItsBytes(remainders: RemainderKernel) throws {
        var numbers = RandomNumbers()
        // 2500 for each of four kernels, where they are fast.
        for _ in 0..<TestForm.rounds(10, whole: 2500, watched: 100) {
            let spec = try Self.randomSpec(&numbers)
            let start = numbers.number(below: spec.size + 1)
            let range = start..<start + numbers.number(below: spec.size - start + 1)
            let most = numbers.number(below: 30) + 1
            let part = Bool.random(using: &numbers) ? max(1, range.count / most) : nil
            let parts = try ChecksumPlan.Parts(range, of: spec, partBytes: part)
            let found = Self.checksums(
                spec, parts, ChecksumAlgorithm.allCases, ranks: 1 + numbers.number(below: 4),
                threads: 1 + numbers.number(below: 3), remainders: remainders,
                blocksMax: numbers.number(below: 3) > 0 ? 1 + numbers.number(below: 20) : nil)
            let truth = parts.flatMap { part in
                ChecksumAlgorithm.allCases.map {
                    RangeChecksum($0, part, value: Self.truth($0, spec, part))
                }
            }
            #expect(found == truth, "\(spec), \(range), parts of \(part ?? 0), \(numbers)")
        }
    }

    /// Also more ranks than there is work for.
    @Test func theyAreTheSameForEveryRankCount() throws {
        let composition = Composition(zeros: Share(millionths: 50_000))
        let (size, count) = (700_001, TestForm.isWhole ? 1 : 9)
        for spec in [
            try DataSpec(size: size, seed: 3),
            try DataSpec(
                size: size, seed: 3, dedupRatio: 3, compressRatio: 1.5, dedupUnit: 65536),
            try DataSpec(
                size: size, seed: 3, dedupRatio: 20, dedupUnit: 4096, composition: composition),
        ] {
            let parts = try ChecksumPlan.Parts(0..<spec.size, of: spec)
            let truth = Self.checks.map {
                RangeChecksum($0, 0..<spec.size, value: Self.truth($0, spec, 0..<spec.size))
            }
            for ranks in stride(from: 1, through: 64, by: count) {
                // A content of 20 blocks takes several units of work, or one.
                let found = Self.checksums(
                    spec, parts, Self.checks, ranks: ranks, blocksMax: 1 + ranks % 25)
                #expect(found == truth, "\(ranks) ranks")
            }
        }
    }

    /// Those of parts, joined, are that of the whole.
    @Test func partsAreJoined() throws {
        let spec = try DataSpec(size: 1_000_000, seed: 1, dedupRatio: 2, dedupUnit: 4096)
        for algorithm in Self.checks {
            let parts = try ChecksumPlan.Parts(17..<999_999, of: spec, partBytes: 4567)
            let found = Self.checksums(spec, parts, [algorithm])
            let joined = try found.dropFirst().reduce(found[0]) {
                try #require($0.joined(with: $1))
            }
            #expect(joined.range == 17..<999_999)
            #expect(joined.value == Self.truth(algorithm, spec, 17..<999_999))
            #expect(found[0].joined(with: found[2]) == nil)
        }
    }

    /// Sets that nobody reads are as right as small ones: by finished checksums of a round, joined over and over.
    @Test func aTebibyteIsJoinedOfWhatRepeats() throws {
        let (unit, rounds) = (512, 1 << 20)
        // Some thousand distinct blocks, a million rounds of them, and then a few bytes.
        let round = 2048 * unit
        let spec = try DataSpec(
            size: round * rounds + 1000, seed: 5, dedupRatio: Ratio(thousandths: 1_000_000_000),
            dedupUnit: unit)
        let layout = Layout(spec)
        let period = layout.distinctBlockCount * unit
        let (count, rest) = spec.size.quotientAndRemainder(dividingBy: period)
        let parts = try ChecksumPlan.Parts(0..<spec.size, of: spec)
        for (algorithm, code) in [
            (ChecksumAlgorithm.crc64nvme, CyclicCode.crc64nvme), (.crc32c, .crc32c),
        ] {
            let found = Self.checksums(spec, parts, [algorithm])
            let one = code.checksum(Self.truth(algorithm, spec, 0..<period))
            // By doubling, with the joining of finished checksums alone.
            var (all, bytes): (UInt64?, Int) = (nil, 0)
            var (power, powerBytes, left) = (one, period, count)
            while left > 0 {
                if left & 1 == 1 {
                    all = all.map { code.combine($0, power, bytes: powerBytes) } ?? power
                    bytes += powerBytes
                }
                power = code.combine(power, power, bytes: powerBytes)
                (powerBytes, left) = (powerBytes &* 2, left >> 1)
            }
            let last = code.checksum(Self.truth(algorithm, spec, bytes..<bytes + rest))
            #expect(
                found[0].value == code.bytes(code.combine(all ?? 0, last, bytes: rest)))
        }
    }

    @Test func whatRepeatsIsMadeOnce() throws {
        let largest = try DataSpec(
            size: 1 << 60, seed: 1, dedupRatio: Ratio(thousandths: 1_000_000_000))
        let whole = try ChecksumPlan.Parts(0..<largest.size, of: largest)
        let plan = ChecksumPlan(largest, whole, codes: [.crc64nvme])
        let made = plan.unitCount * plan.unitBytes
        #expect(made <= Layout(largest).distinctBlockCount << 20)
        let scattered = try DataSpec(
            size: 64 << 20, seed: 1, dedupRatio: 100, dedupUnit: 4096,
            composition: Composition(run: 2))
        let all = try ChecksumPlan.Parts(0..<scattered.size, of: scattered)
        let contents = ChecksumPlan(scattered, all, codes: [.crc64nvme])
        #expect(contents.unitCount * contents.unitBytes < scattered.size / 50)
    }

    /// Otherwise a signal would not be heard for minutes.
    @Test func aRoundIsShortHoweverOftenContentsRepeat() throws {
        let spec = try DataSpec(
            size: 1 << 44, seed: 1, dedupUnit: 4096,
            composition: Composition(copies: [
                Composition.CopyClass(copies: 2, share: Share(millionths: 100)),
                Composition.CopyClass(copies: 1_000_000, share: Share(millionths: 999_000)),
            ]))
        let parts = try ChecksumPlan.Parts(0..<spec.size, of: spec)
        let plan = ChecksumPlan(spec, parts, codes: [.crc64nvme])
        let classes = ContentLayout(spec).classes
        // Those of a million blocks are done in lots of 65,536.
        let often = classes[1].contents.lowerBound
        let units = often + 16 * classes[1].contents.count + classes[2].contents.count + 2
        #expect(plan.unitCount == units)
        let bytes = 64 << 20
        #expect(plan.roundEnd(from: 0, worth: bytes, threads: 1) == bytes / (4096 + 2000))
        #expect(plan.roundEnd(from: often, worth: bytes, threads: 3) == often + 3)
        // None goes on to contents that take longer.
        #expect(plan.roundEnd(from: often - 1, worth: bytes, threads: 3) == often)
        let rests = plan.roundEnd(from: plan.unitCount - 2, worth: bytes, threads: 3)
        #expect(rests == plan.unitCount)
        // Nor does one rank have all of them.
        let costs = (0..<5).map { plan.cost(plan.share($0, of: 5)) }
        #expect((0..<5).map { plan.share($0, of: 5).upperBound }.last == plan.unitCount)
        #expect((costs.max() ?? 0) - (costs.min() ?? 0) <= 2 * (4096 + 65_536_000))
    }

    /// The place where a piece of them would end is past 2^63.
    @Test func theLastBytesOfTheLargestSetAreAdded() throws {
        let spec = try DataSpec(size: .max, seed: 1)
        let (start, count) = (Int.max - 1000, 1000)
        let tally = ChecksumTally(spec, Self.checks, threads: 1)
        var bytes = [UInt8](repeating: 0, count: count)
        var generator = Generator(spec)
        bytes.withUnsafeMutableBytes { bytes in
            generator.fill(bytes, at: start)
            tally.add(count, at: start, thread: 0) { piece in
                UnsafeRawBufferPointer(
                    rebasing: bytes[piece.lowerBound - start..<piece.upperBound - start])
            }
        }
        // Nothing is behind them.
        let remainders = bytes.withUnsafeBytes { bytes in
            Self.checks.compactMap { $0.code?.remainder(then: bytes) }
        }
        #expect(tally.values == remainders)
    }

    @Test func tooManyPartsAndRangesOutsideAreRefused() throws {
        let spec = try DataSpec(size: 1_000_000, seed: 1)
        #expect(try ChecksumPlan.Parts(0..<1_000_000, of: spec, partBytes: 100).count == 10_000)
        for (range, part) in [(0..<1_000_000, 99), (0..<5, 0), (5..<1_000_001, 1000)] {
            #expect(throws: InvalidField.self) {
                try ChecksumPlan.Parts(range, of: spec, partBytes: part)
            }
        }
    }

    @Test func theVariableForcesAKernel() throws {
        #expect(try Kernel.remainders(by: nil) == .fastest)
        #expect(try Kernel.remainders(by: "scalar") == .scalar)
        #if arch(x86_64)
            #expect(try Kernel.remainders(by: "baseline") == .tables)
        #endif
        for kernel in Kernel.supported {
            #expect(try Kernel.remainders(by: kernel.rawValue).isSupported)
        }
        #expect(throws: InvalidField.self) { try Kernel.remainders(by: "fast") }
    }
}
