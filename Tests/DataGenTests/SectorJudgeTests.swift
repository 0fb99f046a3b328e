// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing
import TestSupport

@testable import DataGen

/// What readers see of a block that is being overwritten: each sector of it called what it is, by the scalar form.
@Suite struct SectorJudgeTests {
    private static let unit = 4096
    private static let after = 3

    /// An update, and what each generation up to some after it holds.
    private struct Update {
        let from: Int
        let to: Int
        let old: DataSpec
        let new: DataSpec
        let generations: [[UInt8]]

        init(_ numbers: inout RandomNumbers, zeroFill: Bool = false) throws {
            from = 4 + numbers.number(below: 4)
            to = from + 1 + numbers.number(below: 2)
            let spec = try DataSpec(
                size: 40 * unit + 3 * 512 + 77, seed: numbers.next(),
                dedupUnit: unit, fill: zeroFill ? .zeros : .backref,
                composition: Composition(
                    zeros: Share(millionths: 100_000),
                    compressMix: zeroFill
                        ? [
                            Composition.CompressClass(
                                ratio: try Ratio(parsing: "4", field: "r"),
                                share: Share(millionths: 1_000_000))
                        ] : nil,
                    change: [
                        Composition.Ring(
                            share: Share(millionths: 1_000_000), rate: Share(millionths: 400_000))
                    ]))
            old = try spec.withGeneration(from)
            new = try spec.withGeneration(to)
            generations = try (0...to + after).map { [size = spec.size] in
                ScalarReference.bytes(of: try spec.withGeneration($0), at: 0..<size)
            }
        }

        /// Blocks that the update changes, and those that it does not.
        func blocks(areChanged: Bool) -> [Range<Int>] {
            stride(from: 0, to: new.size, by: unit).map { $0..<min($0 + unit, new.size) }
                .filter { (generations[from][$0] != generations[to][$0]) == areChanged }
        }

        /// The generation in which what a range holds in one was made.
        func made(_ generation: Int, _ range: Range<Int>) -> Int {
            var made = generation
            while made > 0, generations[made - 1][range] == generations[generation][range] {
                made -= 1
            }
            return made
        }
    }

    private typealias Bound = SectorJudge.Bound
    private typealias Fault = SectorJudge.Fault

    private func judge(
        _ update: Update, _ found: [UInt8], at offset: Int, _ bound: Bound, _ kernel: Kernel
    ) -> SectorJudge.Verdict {
        var judge = SectorJudge(from: update.old, to: update.new, kernel: kernel)
        return found.withUnsafeBytes { judge.judge($0, at: offset, bound) }
    }

    /// A byte that neither generation has at a place.
    private func other(_ all: [[UInt8]], _ update: Update, _ place: Int) -> UInt8 {
        (0...2).first { $0 != all[update.from][place] && $0 != all[update.to][place] } ?? 0
    }

    @Test(arguments: Kernel.supported) func whatMayBeSeenIsRight(kernel: Kernel) throws {
        var numbers = RandomNumbers()
        let update = try Update(&numbers)
        let all = update.generations
        for range in update.blocks(areChanged: true) {
            let (old, new) = (Array(all[update.from][range]), Array(all[update.to][range]))
            let half = Array(old.prefix(1024) + new.dropFirst(1024))
            for (found, bounds, hasNew) in [
                (old, [Bound.old, .either], false), (new, [.new, .either], true),
                (half, [.either], true),
            ] {
                for bound in bounds {
                    let verdict = judge(update, found, at: range.lowerBound, bound, kernel)
                    #expect(verdict.fault == nil && !verdict.isTornInFlight, "\(numbers)")
                    #expect(verdict.hasNew == hasNew, "\(numbers) \(range) \(bound)")
                }
            }
        }
        for range in update.blocks(areChanged: false) {
            for bound in [Bound.old, .either, .new] {
                let found = Array(all[update.to][range])
                let verdict = judge(update, found, at: range.lowerBound, bound, kernel)
                #expect(verdict.fault == nil, "\(numbers)")
            }
        }
    }

    /// One sector of a block is wrong, in all ways and under all bounds.
    @Test func aWrongSectorIsCalledWhatItIs() throws {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(5, whole: 200, watched: 50) {
            let update = try Update(&numbers)
            let all = update.generations
            for range in update.blocks(areChanged: true) where range.count == Self.unit {
                let sector = numbers.number(below: 8) * 512
                let place = range.lowerBound + sector..<range.lowerBound + sector + 512
                let made = (update.made(update.from, range), update.made(update.to, range))
                func expect(
                    _ bytes: some Collection<UInt8>, _ bound: Bound, _ fault: Fault?, _ seen: Int?,
                    inFlight: Bool = false
                ) {
                    let base = bound == .new ? update.to : update.from
                    var found = Array(all[base][range])
                    found.replaceSubrange(sector..<sector + 512, with: bytes)
                    let verdict = judge(update, found, at: range.lowerBound, bound, .scalar)
                    let note: Comment = "\(numbers) \(range) \(sector) \(bound)"
                    #expect(verdict.fault == fault, note)
                    #expect(verdict.generation == seen, note)
                    #expect(verdict.isTornInFlight == inFlight, note)
                    if fault != nil { #expect(verdict.offset == place.lowerBound, note) }
                    let (least, most) =
                        bound == .old
                        ? (made.0, made.0)
                        : bound == .new ? (made.1, made.1) : (made.0, made.1)
                    #expect(verdict.accepted == least...most, note)
                }
                expect(all[update.from][place], .new, .stale, made.0)
                expect(all[update.to][place], .old, .early, made.1)
                let cut = 1 + numbers.number(below: 510)
                let torn = Array(
                    all[update.to][place].prefix(cut) + all[update.from][place].dropFirst(cut))
                if torn != Array(all[update.to][place]), torn != Array(all[update.from][place]) {
                    expect(torn, .either, nil, nil, inFlight: true)
                    expect(torn, .new, .torn, nil)
                    expect(torn, .old, .torn, nil)
                }
                var flipped = Array(all[update.from][place])
                let index = numbers.number(below: 512)
                flipped[index] = other(all, update, place.lowerBound + index)
                for bound in [Bound.old, .either] { expect(flipped, bound, .foreign, nil) }
                expect(repeatElement(0, count: 512), .either, .foreign, nil)
                if made.0 > 0 {
                    let older = update.made(made.0 - 1, range)
                    for bound in [Bound.old, .either, .new] {
                        expect(all[made.0 - 1][place], bound, .stale, older)
                    }
                }
                if let newer = (update.to + 1...update.to + Self.after).first(where: {
                    all[$0][range] != all[update.to][range]
                }) {
                    for bound in [Bound.old, .either, .new] {
                        expect(all[newer][place], bound, .early, newer)
                    }
                }
            }
        }
    }

    /// The worst of a block is told, and where it is; and parts of a block are judged as they stand.
    @Test func theWorstIsToldAndPartsAreJudged() throws {
        var numbers = RandomNumbers()
        let update = try Update(&numbers)
        let all = update.generations
        let range = try #require(
            update.blocks(areChanged: true).first { $0.count == Self.unit }, "\(numbers)")
        var found = Array(all[update.from][range])
        found[2000] = other(all, update, range.lowerBound + 2000)
        let worst = judge(update, found, at: range.lowerBound, .new, .scalar)
        #expect(worst.fault == .foreign && worst.offset == range.lowerBound + 1536, "\(numbers)")
        // From the midst of a sector to the midst of another one.
        let part = range.lowerBound + 700..<range.lowerBound + 1300
        for (generation, bound, fault) in [
            (update.from, Bound.new, Fault.stale), (update.to, .old, .early),
        ] {
            let verdict = judge(
                update, Array(all[generation][part]), at: part.lowerBound, bound, .scalar)
            #expect(verdict.fault == fault && verdict.offset == part.lowerBound, "\(numbers)")
        }
        for bound in [Bound.new, .either] {
            let verdict = judge(
                update, Array(all[update.to][part]), at: part.lowerBound, bound, .scalar)
            #expect(verdict.fault == nil, "\(numbers)")
        }
    }

    /// The place where a piece of it would end is past 2^63.
    @Test func theLastBlockOfTheLargestSetIsJudged() throws {
        let all = Share(millionths: 1_000_000)
        let old = try DataSpec(
            size: .max, seed: 1, dedupUnit: Self.unit,
            composition: Composition(change: [Composition.Ring(share: all, rate: all)]))
        let new = try old.withGeneration(1)
        let start = Int.max / Self.unit * Self.unit
        var bytes = [UInt8](repeating: 0, count: Int.max - start)
        var generator = Generator(new)
        bytes.withUnsafeMutableBytes { generator.fill($0, at: start) }
        bytes[700] ^= 1
        var judge = SectorJudge(from: old, to: new)
        let verdict = bytes.withUnsafeBytes { judge.judge($0, at: start, .new) }
        #expect(verdict.fault == .foreign)
        #expect(verdict.offset == start + 512)
    }

    /// Sectors that are the same in both generations are right whenever they are read.
    @Test func sectorsThatAreAlikeAreOfBoth() throws {
        var numbers = RandomNumbers()
        let update = try Update(&numbers, zeroFill: true)
        let all = update.generations
        let offsets = stride(from: 0, to: update.new.size - 512, by: 512)
        for offset in offsets
        where all[update.from][offset..<offset + 512]
            == all[update.to][offset..<offset + 512]
        {
            for bound in [Bound.old, .either, .new] {
                let found = Array(all[update.to][offset..<offset + 512])
                #expect(judge(update, found, at: offset, bound, .scalar).fault == nil, "\(numbers)")
            }
        }
    }
}
