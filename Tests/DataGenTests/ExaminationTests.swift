// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing
import TestSupport

/// Damage of every kind and size, anywhere in data sets of every shape: found where it is, and called what it is.
@Suite struct ExaminationTests {
    #if DEBUG
        static let damages = 120
        static let checks = 60
    #else
        static let damages = 10_000
        static let checks = 10_000
    #endif

    private static let specs: [DataSpec] = {
        do {
            return [
                try DataSpec(size: 1_500_001, seed: 1),
                try DataSpec(size: 1 << 20, seed: 2, dedupRatio: 2, dedupUnit: 64 << 10),
                try DataSpec(size: 900_000, seed: 3, compressRatio: 1.5),
                try DataSpec(
                    size: 1_000_000, seed: 4, dedupRatio: 2.5, compressRatio: 4,
                    dedupUnit: 128 << 10, compressUnit: 4096),
                try DataSpec(size: 800_000, seed: 5, compressRatio: 2, fill: .zeros),
                try DataSpec(
                    size: 700_000, seed: 6, dedupRatio: 1.333, compressRatio: 1.25,
                    dedupUnit: 9 * 512, compressUnit: 512),
            ]
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    /// A data set in memory, and the means to break and to look at it.
    private struct Store {
        let spec: DataSpec
        let earlier: DataSpec
        let right: [UInt8]
        let old: [UInt8]
        var held: [UInt8]
        var examination: Examination
        var generator: Generator

        init(_ spec: DataSpec) throws {
            self.spec = spec
            earlier = try spec.withSeed(spec.seed + 1000)
            right = Self.bytes(of: spec)
            old = Self.bytes(of: earlier)
            held = right
            examination = Examination(spec, earlier: [earlier])
            generator = Generator(spec)
        }

        static func bytes(of spec: DataSpec) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: spec.size) { buffer, count in
                spec.fill(UnsafeMutableRawBufferPointer(buffer))
                count = spec.size
            }
        }

        /// What comparing finds, and what it is held to be.
        mutating func look() -> (DamageLog, [Diagnosis]) {
            var log = DamageLog(spec, limit: 100)
            let diagnoses = held.withUnsafeBytes { buffer in
                generator.compare(buffer, at: 0, log: &log)
                return examination.diagnose(log.ranges, in: buffer, at: 0, searchBytes: 1 << 30)
            }
            return (log, diagnoses)
        }
    }

    /// Damages `store` at random; the range that was touched, and the kinds that it may be called.
    private static func damage(
        _ store: inout Store, _ numbers: inout RandomNumbers
    ) -> (Range<Int>, Diagnosis.Kind, String) {
        let block = store.spec.dedupUnit
        let size = store.spec.size
        /// From `least` bytes to a block, small ones as often as large ones, anywhere.
        func anyRange(_ least: Int) -> Range<Int> {
            let most = [least + 8, 512, 4096, block].randomElement(using: &numbers) ?? block
            let count = min(Int.random(in: least...max(least, most), using: &numbers), size)
            let start = Int.random(in: 0...size - count, using: &numbers)
            return start..<start + count
        }
        func put(_ range: Range<Int>, _ bytes: some Sequence<UInt8>) {
            store.held.replaceSubrange(range, with: Array(bytes))
        }
        switch Int.random(in: 0..<6, using: &numbers) {
        case 0:
            let range = anyRange(24)
            put(range, repeatElement(0, count: range.count))
            return (range, .zeros, "zeros")
        case 1:
            let range = anyRange(24)
            put(range, store.old[range])
            return (range, .stale, "stale")
        case 2:
            // Not a multiple of eight in most cases: whatever has moved the bytes.
            let range = anyRange(64)
            let source = Int.random(in: 0...size - range.count, using: &numbers)
            put(range, store.right[source..<source + range.count])
            return (range, .misplaced, "misplaced from \(source)")
        case 3:
            // From one bit to a few, near each other.
            let start = Int.random(in: 0..<size - 400, using: &numbers)
            let end = start + 400
            for _ in 0..<Int.random(in: 1...8, using: &numbers) {
                let offset = Int.random(in: start..<end, using: &numbers)
                store.held[offset] =
                    store.right[offset] ^ (1 << UInt8.random(in: 0..<8, using: &numbers))
            }
            return (start..<end, .bitFlips, "bits flipped")
        case 4:
            // A block of which the first sectors only were written.
            let start = block * Int.random(in: 0..<max(1, size / block), using: &numbers)
            let end = min(start + block, size)
            let sector = Int.random(in: 1..<(end - start) / 512, using: &numbers)
            let range = start + sector * 512..<end
            put(range, range.map { _ in UInt8.random(in: .min ... .max, using: &numbers) })
            return (range, .torn, "torn")
        default:
            var range = anyRange(24)
            // Not by chance what a torn write looks like.
            if range.lowerBound % 512 < 10 {
                range = range.lowerBound + 10..<max(range.upperBound, range.lowerBound + 30)
            }
            range = range.clamped(to: 0..<size)
            put(range, range.map { _ in UInt8.random(in: .min ... .max, using: &numbers) })
            return (range, .foreign, "foreign")
        }
    }

    @Test func everyDamageIsFoundWhereItIsAndCalledWhatItIs() throws {
        var numbers = RandomNumbers()
        var stores = try Self.specs.map(Store.init)
        var counts: [Diagnosis.Kind: Int] = [:]
        for round in 0..<Self.damages {
            let index = round % stores.count
            var (range, kind, text) = Self.damage(&stores[index], &numbers)
            let store = stores[index]
            let note: Comment =
                "round \(round), \(text) at \(range), \(store.spec), \(numbers)"
            let wrong = range.filter { store.held[$0] != store.right[$0] }
            let (log, diagnoses) = stores[index].look()
            stores[index].held.replaceSubrange(range, with: store.right[range])
            #expect(log.wrongBytes == wrong.count, note)
            // What was moved to where the same bytes belong is no damage.
            guard let first = wrong.first, let last = wrong.last else {
                #expect(log.rangeCount == 0, note)
                continue
            }
            try #require(log.rangeCount == 1, note)
            #expect(log.ranges[0].offset == first, note)
            #expect(log.ranges[0].end == last + 1, note)
            let found = diagnoses[0]
            // A few bytes that differ are too few to know bytes by, whatever was written over how many.
            let count = last + 1 - first
            guard count >= 16 || kind == .bitFlips else { continue }
            // Zeros that came from elsewhere are zeros.
            let isZero = store.held[first...last].allSatisfy { $0 == 0 }
            if isZero, kind != .bitFlips { kind = .zeros }
            // And few other bytes among zeros may be from anywhere.
            let runs = store.held[first...last].split(separator: 0).map(\.count)
            guard kind != .misplaced || (runs.max() ?? 0) >= 24 || store.spec.fill == .backref
            else { continue }
            counts[kind, default: 0] += 1
            #expect(found.kind == kind, "\(found) \(note)")
            #expect(found.expected == Array(store.right[first..<min(first + 16, last + 1)]), note)
            #expect(found.found == Array(store.held[first..<min(first + 16, last + 1)]), note)
            switch kind {
            case .stale: #expect(found.seed == store.earlier.seed, note)
            case .misplaced:
                let source = try #require(found.sourceOffset, note)
                let end = source + count
                try #require(end <= store.spec.size, note)
                #expect(store.right[source..<end] == store.held[first...last], note)
            case .bitFlips:
                var bits: [String] = []
                for offset in wrong {
                    let difference = store.held[offset] ^ store.right[offset]
                    for bit in 0..<8 where difference >> bit & 1 == 1 {
                        bits.append("\(offset).\(bit)")
                    }
                }
                #expect(found.bits.map { "\($0.offset).\($0.bit)" } == bits, note)
                #expect(found.flippedBits == bits.count, note)
            case .torn: #expect(found.tornAt == range.lowerBound, note)
            default: break
            }
        }
        #expect(counts.count == 6, "\(counts)")
    }

    @Test func whatIsRightIsNeverCalledWrong() throws {
        var numbers = RandomNumbers()
        let stores = try Self.specs.map(Store.init)
        let generators = stores.map { store in
            Kernel.supported.map { kernel in
                [1, 2, 3].map { ParallelGenerator(store.spec, threads: $0, kernel: kernel) }
            }
        }
        for round in 0..<Self.checks {
            let index = round % stores.count
            let store = stores[index]
            let generator = generators[index].randomElement(using: &numbers)?
                .randomElement(using: &numbers)
            let shards = Shards(
                size: store.spec.size, ranks: Int.random(in: 1...64, using: &numbers),
                alignment: Int.random(in: 1...70_000, using: &numbers))
            let transfer = Int.random(in: 512...300_000, using: &numbers)
            // One rank of them.
            let shard = shards[Int.random(in: 0..<shards.count, using: &numbers)]
            var log = DamageLog(store.spec, limit: 1)
            store.held.withUnsafeBytes { buffer in
                for start in stride(from: shard.lowerBound, to: shard.upperBound, by: transfer) {
                    let part = start..<min(start + transfer, shard.upperBound)
                    generator?.compare(
                        UnsafeRawBufferPointer(rebasing: buffer[part]), at: start, log: &log)
                }
            }
            #expect(
                log.rangeCount == 0,
                "round \(round), \(store.spec), \(shards), transfers of \(transfer), \(numbers)"
            )
        }
    }

    @Test func twoKindsNextToEachOtherAreToldApart() throws {
        var store = try Store(Self.specs[0])
        store.held.replaceSubrange(1024..<2048, with: repeatElement(0, count: 1024))
        store.held.replaceSubrange(2048..<4096, with: store.old[2048..<4096])
        store.held.replaceSubrange(4096..<5120, with: store.right[100_096..<101_120])
        let (log, diagnoses) = store.look()
        #expect(log.rangeCount == 1)
        #expect(diagnoses[0].kind == .mixed)
        #expect(diagnoses[0].parts.map(\.kind) == [.zeros, .stale, .misplaced])
        #expect(diagnoses[0].parts.map { $0.offset / 512 } == [2, 4, 8])
        #expect(diagnoses[0].parts.last?.sourceOffset == 100_096)
    }

    @Test func longDamageIsLookedAtInSamples() throws {
        let spec = try DataSpec(size: 3 << 20, seed: 9)
        let store = try Store(spec)
        var held = store.right
        held.replaceSubrange((1 << 20)..<(2 << 20), with: store.right[..<(1 << 20)])
        var examination = Examination(spec)
        var log = DamageLog(spec, limit: 10)
        var generator = Generator(spec)
        let found = held.withUnsafeBytes { buffer in
            generator.compare(buffer, at: 0, log: &log)
            return examination.diagnose(log.ranges, in: buffer, at: 0, searchBytes: 3 << 20)
        }
        #expect(found.map(\.kind) == [.misplaced])
        #expect(found.first?.isSampled == true)
        #expect(found.first?.sourceOffset == log.firstOffset.map { $0 - 1 << 20 })
        let wanted = Examination.evidenceWanted(of: log.ranges[0])
        #expect(wanted.reduce(0) { $0 + $1.count } <= 256 << 10)
    }

    private static func changing(generation: Int) throws -> DataSpec {
        try DataSpec(
            size: 999_000, seed: 8, dedupUnit: 4096,
            composition: Composition(
                copies: [.init(copies: 3, share: Share(millionths: 300_000))],
                zeros: Share(millionths: 50_000), run: 4,
                change: [
                    .init(share: Share(millionths: 1_000_000), rate: Share(millionths: 200_000))
                ],
                generation: generation))
    }

    /// A whole data set of another generation: each block that is not the same is called what it is.
    @Test(arguments: [0, 3, 4, 6, 7]) func blocksOfOtherGenerationsAreNamed(found: Int) throws {
        let (wanted, other) = (
            try Self.changing(generation: 5), try Self.changing(generation: found)
        )
        var store = try Store(wanted)
        store.held = Store.bytes(of: other)
        let (log, diagnoses) = store.look()
        let layouts = (ContentLayout(wanted), ContentLayout(other))
        var expected: [Int: Int] = [:]
        for block in 0..<layouts.0.blockCount {
            let versions = (
                layouts.0.content(ofBlock: block)?.generation,
                layouts.1.content(ofBlock: block)?.generation
            )
            if let made = versions.1, made != versions.0 { expected[made, default: 0] += 1 }
        }
        #expect(!expected.isEmpty && log.rangeCount == diagnoses.count)
        #expect(diagnoses.allSatisfy { $0.kind == .stale && $0.seed == nil })
        var counted: [Int: Int] = [:]
        for one in diagnoses { counted.merge(one.staleBlocks, uniquingKeysWith: +) }
        // Of long ranges only samples are looked at.
        if !diagnoses.contains(where: \.isSampled) { #expect(counted == expected) }
        #expect(counted.allSatisfy { $0.value <= expected[$0.key, default: 0] })
        for one in diagnoses where one.staleBlocks.count == 1 {
            #expect(one.generation == one.staleBlocks.keys.first)
        }
    }

    /// Half of a block is of the generation before, with zeros after it.
    @Test func partsOfOtherGenerationsAreNamed() throws {
        let wanted = try Self.changing(generation: 5)
        var store = try Store(wanted)
        let (now, before) = (
            ContentLayout(wanted), ContentLayout(try Self.changing(generation: 4))
        )
        let block = try #require(
            (0..<now.blockCount).first { now.content(ofBlock: $0)?.generation == 5 })
        let old = Store.bytes(of: before.spec)
        let start = block * 4096
        store.held.replaceSubrange(start..<start + 1024, with: old[start..<start + 1024])
        let (_, torn) = store.look()
        #expect(torn.map(\.kind) == [.stale])
        #expect(torn.first?.generation == before.content(ofBlock: block)?.generation)
        store.held.replaceSubrange(
            start + 1024..<start + 2048, with: repeatElement(0, count: 1024))
        let (_, mixed) = store.look()
        #expect(mixed.map(\.kind) == [.mixed])
        #expect(mixed.first?.parts.map(\.kind) == [.stale, .zeros])
        #expect(mixed.first?.parts.first?.generation == torn.first?.generation)
    }

    /// What several blocks hold by right, found in another one.
    @Test func misplacedContentsTellHowManyBlocksHoldThem() throws {
        let wanted = try Self.changing(generation: 5)
        var store = try Store(wanted)
        let layout = ContentLayout(wanted)
        let blocks = (0..<layout.blockCount - 1)
        let copied = try #require(
            blocks.first { layout.content(ofBlock: $0)?.classIndex == 0 })
        let unique = try #require(
            blocks.first { layout.content(ofBlock: $0)?.classIndex == 1 })
        store.held.replaceSubrange(
            unique * 4096..<unique * 4096 + 4096,
            with: store.right[copied * 4096..<copied * 4096 + 4096])
        let (_, found) = store.look()
        #expect(found.map(\.kind) == [.misplaced])
        #expect(found.first?.sourceBlocks == 3)
        let source = try #require(found.first?.sourceOffset)
        #expect(
            layout.content(ofBlock: source / 4096)?.number
                == layout.content(ofBlock: copied)?.number)
    }
}
