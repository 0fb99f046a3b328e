// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// Which content each block of a data set of version 2 holds (FORMAT.md sections 9 and 10).
///
/// Derived from a ``DataSpec`` by arithmetic alone: any block in some tens of nanoseconds, and constant memory, for any size.
public struct ContentLayout: Sendable, Hashable {
    /// Contents that were dealt alike, and the slots that they have.
    public struct Class: Sendable, Hashable {
        /// The slots of its blocks, in a row.
        public let slots: Range<Int>
        /// Its contents, in a row.
        public let contents: Range<Int>
        /// The blocks that hold each content; nil where a dedup ratio deals them.
        public let copies: Int?
        /// Which ratios its contents have.
        fileprivate let mix: Dealt?
        /// Which rings its contents are in.
        fileprivate let rings: Dealt?
        /// The rings, each with what it has seen.
        fileprivate let changes: [RingOfContents]
    }

    /// What a block holds.
    public struct Content: Sendable, Hashable {
        /// Its number.
        public let number: Int
        /// The index of its class.
        public let classIndex: Int
        /// The index of its ratio in the mix; 0 without one.
        public let ratioIndex: Int
        /// The generation of its last change.
        public internal(set) var generation: Int
    }

    /// The specification that this layout was derived from.
    public let spec: DataSpec
    /// Blocks in the data set (`N`), the last of which may be cut short.
    public let blockCount: Int
    /// Blocks that are zeros (`Z`): the first slots.
    public let zeroCount: Int
    /// Classes in the order in which they were dealt; some may be empty.
    public let classes: [Class]
    /// Contents of all classes (`U`).
    public let contentCount: Int
    /// The ratios that contents have.
    public let ratios: [Ratio]
    /// The slots of blocks.
    package let slots: Scatter

    /// Derives the layout of `spec`, which is one of version 2.
    ///
    /// - Complexity: O(classes x (classes of a mix + rings)).
    public init(_ spec: DataSpec) {
        let composition = spec.composition ?? Composition()
        let run = composition.run ?? 1
        let count = Layout.blockCount(of: spec)
        func key(_ purpose: UInt64, _ number: Int) -> UInt64 {
            SplitMix64.output(
                UInt64(number), of: SplitMix64.output(.max - purpose, of: spec.seed))
        }
        self.spec = spec
        blockCount = count
        slots = Scatter(key: key(0, 0), count: count, run: run)
        let mix = composition.compressMix
        ratios = mix.map { $0.map(\.ratio) } ?? [spec.compressRatio]

        let zeros = composition.zeros?.millionths ?? 0
        zeroCount = Self.share(zeros, of: count, each: 1)
        var classes: [Class] = []
        var (slot, content) = (zeroCount, 0)
        func add(copies: Int?, contents: Int, slots: Int) {
            let number = classes.count
            let dealt = { (purpose: UInt64, shares: [Share]) in
                Dealt(
                    scatter: Scatter(key: key(purpose, number), count: contents, run: run),
                    shares: shares)
            }
            let rings = composition.change.map { dealt(2, $0.map(\.share)) }
            let changes = zip(composition.change ?? [], rings?.ranges ?? []).map {
                RingOfContents($1, rate: $0.rate, generation: composition.generation ?? 0)
            }
            classes.append(
                Class(
                    slots: slot..<slot + slots, contents: content..<content + contents,
                    copies: copies, mix: mix.map { dealt(1, $0.map(\.share)) }, rings: rings,
                    changes: changes))
            slot += slots
            content += contents
        }
        for one in composition.copies ?? [] {
            let contents = min(
                Self.share(one.share.millionths, of: count, each: one.copies),
                (count - slot) / one.copies)
            add(copies: one.copies, contents: contents, slots: contents * one.copies)
        }
        let left = count - slot
        if left > 0 {
            let isDealtByRatio = composition.copies == nil
            add(
                copies: isDealtByRatio ? nil : 1,
                contents: isDealtByRatio
                    ? Layout.distinctCount(of: left, by: spec.dedupRatio) : left,
                slots: left)
        }
        self.classes = classes
        contentCount = content
    }

    /// Of `count`, a share in pieces of so many each, rounded half up.
    private static func share(_ millionths: Int, of count: Int, each: Int) -> Int {
        let (whole, each) = (UInt128(Share.whole), UInt128(each))
        return Int(
            (2 * UInt128(count) * UInt128(millionths) + whole * each) / (2 * whole * each))
    }

    /// What block `index` holds; nil where that is zeros.
    public func content(ofBlock index: Int) -> Content? {
        let slot = slots(index)
        guard slot >= zeroCount else { return nil }
        var number = 0
        while slot >= classes[number].slots.upperBound { number += 1 }
        let place = (slot - classes[number].slots.lowerBound) % classes[number].contents.count
        return content(inClass: number, at: place)
    }

    /// The versions of a content that are nearest to the one at hand: the generations in which others were made, the closest
    /// first; those before it, and then those that follow.
    package func otherVersions(of content: Content, before: Int, after: Int) -> [Int] {
        let one = classes[content.classIndex]
        guard let ring = one.rings?.part(of: content.number - one.contents.lowerBound) else {
            return []
        }
        return one.changes[ring.index].versions(ring.place, before: before, after: after)
    }

    /// How many contents of a class have each of ``ratios``.
    func contentCounts(ofClass number: Int) -> [Int] {
        classes[number].mix?.ranges.map(\.count) ?? [classes[number].contents.count]
    }

    /// How often contents of a class have changed up to a generation.
    func changes(inClass number: Int, upTo generation: Int) -> UInt128 {
        classes[number].changes.reduce(0) { $0 + $1.changes(upTo: generation) }
    }

    /// Blocks that are the same as the last one, if that were whole; with itself.
    var blocksLikeLast: Int {
        guard blockCount > 0 else { return 0 }
        guard let last = content(ofBlock: blockCount - 1) else { return zeroCount }
        return blockCount(of: last)
    }

    /// The blocks that hold a content.
    package func blockCount(of content: Content) -> Int {
        let one = classes[content.classIndex]
        let (each, more) = one.slots.count.quotientAndRemainder(dividingBy: one.contents.count)
        return each + (content.number - one.contents.lowerBound < more ? 1 : 0)
    }

    /// Content `place` of a class, counted from 0.
    package func content(inClass number: Int, at place: Int) -> Content {
        let ring = classes[number].rings?.part(of: place)
        return Content(
            number: classes[number].contents.lowerBound + place, classIndex: number,
            ratioIndex: classes[number].mix?.part(of: place)?.index ?? 0,
            generation: ring.map { classes[number].changes[$0.index].lastChange($0.place) } ?? 0)
    }
}

/// Numbers that are scattered, and then dealt to parts in a row by shares.
private struct Dealt: Sendable, Hashable {
    let scatter: Scatter
    /// The parts; what is in none of them lies behind.
    let ranges: [Range<Int>]

    init(scatter: Scatter, shares: [Share]) {
        self.scatter = scatter
        var sum = 0, start = 0
        ranges = shares.map { share in
            sum += share.millionths
            let end = Int(UInt128(scatter.count) * UInt128(sum) / UInt128(Share.whole))
            defer { start = end }
            return start..<end
        }
    }

    /// The part that a number is dealt to, and its place there; nil where that is none.
    func part(of number: Int) -> (index: Int, place: Int)? {
        let place = scatter(number)
        for index in ranges.indices where place < ranges[index].upperBound {
            return (index, place - ranges[index].lowerBound)
        }
        return nil
    }
}

/// Contents that change in turn: change number t, from the first generation on, is that of place t modulo their number.
private struct RingOfContents: Sendable, Hashable {
    private let count: UInt64
    private let rate: UInt64
    /// How often all have changed before the last change, and the place of that; nil before the first.
    private let last: (turns: UInt64, place: UInt64)?

    init(_ range: Range<Int>, rate: Share, generation: Int) {
        count = UInt64(range.count)
        self.rate = UInt64(rate.millionths)
        let changes = Self.changes(count, self.rate, generation)
        guard changes > 0 else {
            last = nil
            return
        }
        let (turns, place) = (changes - 1).quotientAndRemainder(dividingBy: UInt128(count))
        last = (UInt64(turns), UInt64(place))
    }

    /// All changes up to a generation.
    func changes(upTo generation: Int) -> UInt128 { Self.changes(count, rate, generation) }

    private static func changes(_ count: UInt64, _ rate: UInt64, _ generation: Int) -> UInt128 {
        UInt128(generation) * UInt128(count) * UInt128(rate) / UInt128(Share.whole)
    }

    /// The generation of the last change of a place; 0 before the first.
    func lastChange(_ place: Int) -> Int {
        turns(UInt64(place)).map { generation(afterTurns: $0, UInt64(place)) } ?? 0
    }

    /// The generations of changes of a place other than its last one, 0 standing for none; see ``ContentLayout``.
    func versions(_ place: Int, before: Int, after: Int) -> [Int] {
        let place = UInt64(place)
        let now = turns(place)
        let first = now.map { $0 + 1 } ?? 0
        var earlier: [Int] = []
        if let now {
            earlier = (0..<min(UInt64(before), now)).map {
                generation(afterTurns: now - 1 - $0, place)
            }
            // What it was before the first change.
            if earlier.count < before { earlier.append(0) }
        }
        let later = (0..<UInt64(after)).map { generation(afterTurns: first + $0, place) }
        return earlier + later.filter { $0 <= Composition.generationMax }
    }

    /// How often all have changed before the last change of a place; nil before the first.
    private func turns(_ place: UInt64) -> UInt64? {
        guard let last, last.turns > 0 || place <= last.place else { return nil }
        return place <= last.place ? last.turns : last.turns - 1
    }

    /// The generation of the change of a place after all have changed so often.
    private func generation(afterTurns turns: UInt64, _ place: UInt64) -> Int {
        // (turns count + place + 1) 10^6 / (count rate), rounded up, without numbers of more than 64 bits but one.
        let whole = UInt64(Share.whole)
        let product = (place + 1).multipliedFullWidth(by: whole)
        let (quotient, rest) =
            product.high == 0
            ? product.low.quotientAndRemainder(dividingBy: count)
            : count.dividingFullWidth(product)
        let part = turns * whole + quotient + (rest > 0 ? 1 : 0)
        return Int((part + rate - 1) / rate)
    }

    static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && left.rate == right.rate
            && left.last?.turns == right.last?.turns && left.last?.place == right.last?.place
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        hasher.combine(rate)
        hasher.combine(last?.turns)
        hasher.combine(last?.place)
    }
}
