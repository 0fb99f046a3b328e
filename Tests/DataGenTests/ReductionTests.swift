// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing
import TestSupport

@testable import DataGen

@Suite struct ReductionTests {
    /// A block as deduplication sees it: a version of a content (none of zeros), and its length.
    private struct Kept: Hashable {
        let number: Int?
        let generation: Int
        let bytes: Int
    }

    private func spec(_ spec: DataSpec, generation: Int) throws -> DataSpec {
        let old = try #require(spec.composition)
        return try DataSpec(
            size: spec.size, seed: spec.seed, dedupRatio: spec.dedupRatio,
            compressRatio: spec.compressRatio, dedupUnit: spec.dedupUnit, fill: spec.fill,
            composition: Composition(
                copies: old.copies, zeros: old.zeros, compressMix: old.compressMix, run: old.run,
                change: old.change, generation: generation))
    }

    /// What is foretold of all generations together is what is counted block by block, to the byte.
    @Test func generationsKeepTogetherWhatIsForetold() throws {
        var numbers = RandomNumbers()
        var found = 0
        while found < TestForm.rounds(40, whole: 600, watched: 400) {
            let random = try DataSpec.randomOfVersion2(&numbers)
            guard random.composition?.change != nil else { continue }
            found += 1
            var kept: Set<Kept> = []
            var (distinct, logical) = (0, 0)
            var before: [Int: Int] = [:]
            for generation in 0...14 {
                let one = try spec(random, generation: generation)
                let layout = ContentLayout(one)
                let now = Dictionary(
                    uniqueKeysWithValues: layout.classes.indices.flatMap { number in
                        (0..<layout.classes[number].contents.count).map { place in
                            let content = layout.content(inClass: number, at: place)
                            return (content.number, content.generation)
                        }
                    })
                let changed = now.count { generation > 0 && before[$0] != $1 }
                before = now
                logical += one.size
                var changedBlocks = 0
                for block in 0..<layout.blockCount {
                    let content = layout.content(ofBlock: block)
                    let end = min(one.size, (block + 1) * one.dedupUnit)
                    let bytes = end - block * one.dedupUnit
                    let version = content?.generation ?? 0
                    if generation > 0, version == generation { changedBlocks += 1 }
                    if kept.insert(
                        Kept(number: content?.number, generation: version, bytes: bytes)
                    ).inserted {
                        distinct += bytes
                    }
                }
                let note: Comment = "\(one), \(numbers)"
                let history = try #require(Reduction(one).history)
                #expect(history.logicalBytes == Double(logical), note)
                #expect(history.distinctBytes == Double(distinct), note)
                #expect(history.dedupRatio == Double(logical) / Double(distinct), note)
                #expect(history.changedContents == changed, note)
                if one.composition?.copies != nil {
                    #expect(history.changedBlocks == changedBlocks, note)
                }
            }
        }
    }

    /// Zeros do not make contents compress more.
    @Test func whatChangesCompressesAsContentsDo() throws {
        let spec = try DataSpec(
            size: 1000 * 512, seed: 1, compressRatio: 2, dedupUnit: 512,
            composition: Composition(
                zeros: Share(millionths: 990_000),
                change: [
                    .init(share: Share(millionths: 1_000_000), rate: Share(millionths: 500_000))
                ],
                generation: 14))
        let history = try #require(Reduction(spec).history)
        // Ten contents and 70 that followed them, and a block of zeros.
        #expect(history.distinctBytes == 81 * 512)
        #expect(history.storedBytes == 80 * 256)
    }
}
