// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing
import TestSupport
import Vectors
import Xoshiro

@testable import DataGen

extension DataSpec {
    /// The specification of a reference value of part two.
    init(_ spec: Vectors2.Spec) throws {
        func share(_ millionths: Int) -> Share { Share(millionths: millionths) }
        try self.init(
            size: Int(spec.size.value), seed: spec.seed.value,
            dedupRatio: Ratio(thousandths: spec.dedup ?? 1000), dedupUnit: spec.block,
            compressUnit: spec.grain, fill: try #require(Fill(rawValue: spec.fill ?? "backref")),
            composition: Composition(
                copies: spec.copies?.map { .init(copies: $0[0], share: share($0[1])) },
                zeros: spec.zeros.map(share),
                compressMix: spec.compress?.map {
                    .init(ratio: Ratio(thousandths: $0[0]), share: share($0[1]))
                },
                run: spec.run,
                change: spec.change?.map { .init(share: share($0[0]), rate: share($0[1])) },
                generation: spec.generation))
    }
}

/// Data sets of version 2 (FORMAT.md, part two).
@Suite struct ContentTests {
    @Test func numbersAreMixedAsTheVectorsSay() throws {
        for value in Vectors2.shared.mix {
            let (a, b) = (try #require(UInt64(value[0])), try #require(UInt64(value[1])))
            #expect(SplitMix64.output(b, of: a) == UInt64(value[2]))
        }
    }

    @Test func permutationsAreThoseOfTheVectors() throws {
        for value in Vectors2.shared.permute {
            let scatter = Scatter(key: try #require(UInt64(value.key)), count: value.n, run: 1)
            let numbers = [0, 1, 2, value.n - 1].map { $0 % value.n }
            #expect(numbers.map { scatter($0) } == value.of012Last, "\(value.n)")
            #expect(numbers.map { scatter.inverse(scatter($0)) } == numbers, "\(value.n)")
        }
    }

    @Test(arguments: [1, 2, 3, 5, 8, 64, 100, 1000, 4097], [1, 2, 7])
    func everyNumberHasAPlaceOfItsOwn(count: Int, run: Int) {
        let scatter = Scatter(key: 7, count: count, run: run)
        let places = (0..<count).map { scatter($0) }
        #expect(places.sorted() == Array(0..<count))
        #expect(places.map { scatter.inverse($0) } == Array(0..<count))
        // Neighbours of a run stay neighbours.
        for number in 0..<count where number % run > 0 {
            #expect(places[number] == places[number - 1] + 1)
        }
    }

    /// Numbers that are scattered eight at a time, as those that are scattered one by one.
    @Test(arguments: Kernel.supported, [1, 2, 3, 5, 8, 64, 100, 1000, 4097, 1 << 40, 3 << 60])
    func manyNumbersGoWhereEachGoes(kernel: Kernel, count: Int) {
        var numbers = RandomNumbers()
        for run in [1, 2, 7, 64] {
            let scatter = Scatter(key: UInt64(numbers.number(below: .max)), count: count, run: run)
            let wanted = (0..<128).map { index in
                index < 8 ? max(0, count - 1 - index) : numbers.number(below: count)
            }
            var places = wanted.map(UInt64.init)
            var rests = [UInt64](repeating: 0, count: places.count)
            places.withUnsafeMutableBufferPointer { places in
                rests.withUnsafeMutableBufferPointer { rests in
                    guard let places = places.baseAddress, let rests = rests.baseAddress else {
                        return
                    }
                    scatter.replace(places, 128, rests: rests, permute: kernel.permute)
                }
            }
            #expect(places == wanted.map { UInt64(scatter($0)) }, "run \(run), \(numbers)")
        }
    }

    /// Streams that are begun eight at a time, as those that are begun one by one.
    @Test(arguments: Kernel.supported) func streamsOfManyContentsAreThoseOfEach(kernel: Kernel) {
        var random = RandomNumbers()
        for _ in 0..<20 {
            let streams = ContentStreams(seed: UInt64(random.number(below: .max)))
            let numbers = (0..<16).map { _ in UInt64(random.number(below: .max)) }
            let generations = (0..<16).map { _ in UInt64(random.number(below: 1 << 32)) }
            for given in [generations, nil] {
                var lanes = [Lanes.zero, .zero]
                kernel.begin(&lanes, 2, streams, numbers, generations: given)
                for lane in 0..<16 {
                    let one = streams(numbers[lane], generation: given?[lane] ?? 0)
                    let found = lanes[lane / 8].generator(ofLane: lane % 8)
                    #expect(found.state == one.state, "\(random)")
                }
            }
        }
    }

    @Test(arguments: Vectors2.shared.sets.indices, Kernel.supported)
    func wholeDataSetEqualsTheVector(index: Int, kernel: Kernel) throws {
        let vector = Vectors2.shared.sets[index]
        let spec = try DataSpec(vector.spec)
        let layout = ContentLayout(spec)
        #expect(layout.blockCount == vector.blocks)
        #expect(layout.zeroCount == vector.zeroBlocks)
        #expect(layout.contentCount == vector.contents)
        #expect(
            layout.classes.map {
                [$0.slots.lowerBound, $0.slots.count, $0.contents.lowerBound, $0.contents.count]
            } == vector.classes)
        for (block, expected) in vector.firstBlocks.enumerated() where block < vector.blocks {
            let found = layout.content(ofBlock: block)
            #expect(
                found.map {
                    [$0.number, layout.ratios[$0.ratioIndex].thousandths, $0.generation]
                } == expected, "\(vector.name): block \(block)")
        }
        #expect(
            try Vectors.sha256(spec.bytes(at: 0..<spec.size, kernel: kernel)) == vector.sha256,
            "\(vector.name), generation \(vector.spec.generation ?? 0)")
    }

    @Test(arguments: Vectors2.shared.sets.indices)
    func scalarReferenceEqualsTheVector(index: Int) throws {
        let vector = Vectors2.shared.sets[index]
        let spec = try DataSpec(vector.spec)
        let bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        #expect(try Vectors.sha256(bytes) == vector.sha256)
    }

    @Test(arguments: Kernel.supported) func hugeDataSetEqualsTheVector(kernel: Kernel) throws {
        let vector = Vectors2.shared.huge
        let spec = try DataSpec(vector.spec)
        let layout = ContentLayout(spec)
        #expect(UInt64(layout.contentCount) == vector.contents.value)
        for sample in vector.blocks {
            let block = Int(sample.block.value)
            let found = try #require(layout.content(ofBlock: block))
            let location = [
                found.number, layout.ratios[found.ratioIndex].thousandths, found.generation,
            ]
            #expect(location == sample.location.map { Int($0.value) })
            let offset = block * spec.dedupUnit
            #expect(
                spec.bytes(at: offset..<offset + 16, kernel: kernel)
                    == Vectors.bytes(hex: sample.first16))
        }
    }

    /// All copies of a content change together, each class by the same share, and each ratio is kept.
    @Test func eachGenerationChangesItsShareOfEachClass() throws {
        func layout(_ generation: Int) throws -> ContentLayout {
            let composition = Composition(
                copies: [.init(copies: 2, share: Share(millionths: 400_000))],
                zeros: Share(millionths: 100_000),
                compressMix: [
                    .init(ratio: 1, share: Share(millionths: 300_000)),
                    .init(ratio: 2.5, share: Share(millionths: 700_000)),
                ],
                run: 3,
                change: [
                    .init(share: Share(millionths: 100_000), rate: Share(millionths: 155_000)),
                    .init(share: Share(millionths: 800_000), rate: Share(millionths: 7_000)),
                ], generation: generation)
            return ContentLayout(
                try DataSpec(size: 50_000 * 512, seed: 3, dedupUnit: 512, composition: composition))
        }
        var before = try layout(0)
        for generation in 1...12 {
            let after = try layout(generation)
            for (number, one) in after.classes.enumerated() {
                var changed = 0
                for place in 0..<one.contents.count {
                    let old = before.content(inClass: number, at: place)
                    let new = after.content(inClass: number, at: place)
                    #expect(old.number == new.number && old.ratioIndex == new.ratioIndex)
                    guard old.generation != new.generation else { continue }
                    #expect(new.generation == generation)
                    changed += 1
                }
                let expected =
                    Double(one.contents.count) * (0.1 * 0.155 + 0.8 * 0.007)
                // One content for each ring.
                #expect(abs(Double(changed) - expected) <= 2, "class \(number): \(changed)")
            }
            before = after
        }
    }

    /// Each block that differs between two generations, once; against the bytes that the scalar form makes.
    @Test func changedBlocksAreThoseThatDiffer() throws {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(60, whole: 600) {
            let spec = try DataSpec.randomOfVersion2(&numbers)
            guard spec.composition?.change != nil else { continue }
            let other = numbers.number(below: 60)
            let old = ScalarReference.bytes(of: try spec.withGeneration(other), at: 0..<spec.size)
            let new = ScalarReference.bytes(of: spec, at: 0..<spec.size)
            let wanted = (0..<ContentLayout(spec).blockCount).filter {
                let start = $0 * spec.dedupUnit
                let range = start..<min(start + spec.dedupUnit, spec.size)
                return old[range] != new[range]
            }
            let changed = ChangedBlocks(of: spec, against: other)
            let found = (0..<changed.count).compactMap { changed[$0] }
            #expect(found.sorted() == wanted, "\(spec) against \(other), \(numbers)")
        }
    }

    @Test(arguments: Kernel.supported) func randomSpecificationsEqualTheScalarReference(
        kernel: Kernel
    ) throws {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(60, whole: 1500, watched: 600) {
            let spec = try DataSpec.randomOfVersion2(&numbers)
            let truth = ScalarReference.bytes(of: spec, at: 0..<spec.size)
            let chunk = [.max, 1, 513, 4096, 100_000][numbers.number(below: 5)]
            let end = chunk == 1 ? min(spec.size, 3000) : spec.size
            #expect(
                spec.bytes(at: 0..<end, chunk: chunk, kernel: kernel)
                    == Array(truth[..<end]), "\(spec), chunk \(chunk), \(numbers)")
            let start = numbers.number(below: spec.size)
            #expect(
                spec.bytes(at: start..<spec.size, kernel: kernel, isWide: true)
                    == Array(truth[start...]), "\(spec), from \(start), \(numbers)")
        }
    }
}

extension DataSpec {
    /// A small data set of version 2.
    static func randomOfVersion2(_ numbers: inout RandomNumbers) throws -> DataSpec {
        let block = 512 << numbers.number(below: 6)
        func share(_ most: Int) -> Share { Share(millionths: numbers.number(below: most + 1)) }
        let isMixed = numbers.number(below: 2) == 0
        let first = numbers.number(below: 1_000_001)
        let hasCopies = numbers.number(below: 2) == 0
        let change: [Composition.Ring]? =
            numbers.number(below: 3) > 0
            ? (0..<numbers.number(below: 4)).map { _ in
                .init(
                    share: share(300_000),
                    rate: Share(millionths: 1 + numbers.number(below: 1_000_000)))
            } : nil
        return try DataSpec(
            // At times more blocks than are looked for together.
            size: 1 + numbers.number(below: block > 512 ? 64 * block : 200_000),
            seed: UInt64(numbers.number(below: .max)),
            dedupRatio: hasCopies ? 1 : Ratio(thousandths: 1000 + numbers.number(below: 3000)),
            compressRatio: isMixed ? 1 : Ratio(thousandths: 1000 + numbers.number(below: 4000)),
            dedupUnit: block, fill: numbers.number(below: 3) == 0 ? .zeros : .backref,
            composition: Composition(
                copies: hasCopies
                    ? (0..<numbers.number(below: 4)).map { _ in
                        .init(copies: 2 + numbers.number(below: 9), share: share(200_000))
                    } : nil,
                zeros: numbers.number(below: 2) == 0 ? share(400_000) : nil,
                compressMix: isMixed
                    ? [
                        .init(ratio: 1, share: Share(millionths: first)),
                        .init(ratio: 3.2, share: Share(millionths: 1_000_000 - first)),
                    ] : nil,
                run: 1 + numbers.number(below: 5), change: change,
                generation: change == nil ? nil : numbers.number(below: 40)))
    }
}
