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
    public var zeroCount: Int { table.zeroCount }
    /// Classes in the order in which they were dealt; some may be empty.
    public let classes: [Class]
    /// Contents of all classes (`U`).
    public let contentCount: Int
    /// The ratios that contents have.
    public let ratios: [Ratio]
    /// Where everything is.
    let table: ContentTable

    /// Derives the layout of `spec`, which is one of version 2.
    ///
    /// - Complexity: O(classes x (classes of a mix + rings)).
    public init(_ spec: DataSpec) {
        let composition = spec.composition ?? Composition()
        let count = Layout.blockCount(of: spec)
        self.spec = spec
        blockCount = count
        ratios = composition.compressMix.map { $0.map(\.ratio) } ?? [spec.compressRatio]

        let zeros = Self.share(composition.zeros?.millionths ?? 0, of: count, each: 1)
        var classes: [Class] = []
        var (slot, content) = (zeros, 0)
        func add(copies: Int?, contents: Int, slots: Int) {
            classes.append(
                Class(
                    slots: slot..<slot + slots, contents: content..<content + contents,
                    copies: copies))
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
        table = ContentTable(
            seed: spec.seed, blocks: count, zeros: zeros, classes: classes, composition)
    }

    /// Of `count`, a share in pieces of so many each, rounded half up.
    private static func share(_ millionths: Int, of count: Int, each: Int) -> Int {
        let (whole, each) = (UInt128(Share.whole), UInt128(each))
        return Int(
            (2 * UInt128(count) * UInt128(millionths) + whole * each) / (2 * whole * each))
    }

    /// What block `index` holds; nil where that is zeros.
    public func content(ofBlock index: Int) -> Content? { table.content(ofBlock: index) }

    /// Content `place` of a class, counted from 0.
    package func content(inClass number: Int, at place: Int) -> Content {
        table.content(inClass: number, at: place)
    }

    /// The versions of a content that are nearest to the one at hand: the generations in which others were made, the closest
    /// first; those before it, and then those that follow.
    package func otherVersions(of content: Content, before: Int, after: Int) -> [Int] {
        let entry = table.entries[content.classIndex]
        let place = content.number - entry.contents.lowerBound
        let changed = entry.ringScatter(place)
        guard let ring = table.part(at: changed, entry.rings) else { return [] }
        return table.parts[ring].ring.versions(
            changed - table.parts[ring].start, before: before, after: after)
    }

    /// The generation in which the version of a content was made that is so many changes before the one at hand, or after it
    /// where that is below 0; 0 for what it was before its first change, and nil for none.
    package func version(of content: Content, changesBefore count: Int) -> Int? {
        let entry = table.entries[content.classIndex]
        let place = content.number - entry.contents.lowerBound
        let changed = entry.ringScatter(place)
        guard let ring = table.part(at: changed, entry.rings) else { return count == 0 ? 0 : nil }
        return table.parts[ring].ring.version(
            changed - table.parts[ring].start, changesBefore: count)
    }

    /// How many contents of a class have each of ``ratios``.
    func contentCounts(ofClass number: Int) -> [Int] {
        let entry = table.entries[number]
        guard !entry.mix.isEmpty else { return [entry.contents.count] }
        return entry.mix.map { table.parts[$0].end - table.parts[$0].start }
    }

    /// How often contents of a class have changed up to a generation.
    func changes(inClass number: Int, upTo generation: Int) -> UInt128 {
        table.entries[number].rings.reduce(0) {
            $0 + table.parts[$1].ring.changes(upTo: generation)
        }
    }

    /// How often the content of the last block has changed.
    var changesOfLast: Int {
        guard blockCount > 0, let last = content(ofBlock: blockCount - 1) else { return 0 }
        let entry = table.entries[last.classIndex]
        let changed = entry.ringScatter(last.number - entry.contents.lowerBound)
        guard let ring = table.part(at: changed, entry.rings) else { return 0 }
        return table.parts[ring].ring.changes(ofPlace: changed - table.parts[ring].start)
    }

    /// Blocks that are the same as the last one, if that were whole; with itself.
    var blocksLikeLast: Int {
        guard blockCount > 0 else { return 0 }
        guard let last = content(ofBlock: blockCount - 1) else { return zeroCount }
        return blockCount(of: last)
    }

    /// Some of the blocks that hold a content, which are in no order: those of `numbers`, counted from 0, that there are.
    ///
    /// - Complexity: O(1) for each.
    func blocks(_ numbers: Range<Int>, ofContent number: Int) -> some Sequence<Int> {
        // Classes are in the order of their contents; those without any end where they begin.
        let one = classes.first { number < $0.contents.upperBound } ?? classes[0]
        let (first, step) = (number - one.contents.lowerBound, one.contents.count)
        let count = (one.slots.count - first - 1) / step + 1
        return numbers.clamped(to: 0..<count).lazy.map { [table] in
            table.slots.inverse(one.slots.lowerBound + first + $0 * step)
        }
    }

    /// The blocks that hold a content.
    package func blockCount(of content: Content) -> Int {
        let one = classes[content.classIndex]
        let (each, more) = one.slots.count.quotientAndRemainder(dividingBy: one.contents.count)
        return each + (content.number - one.contents.lowerBound < more ? 1 : 0)
    }

    /// Whether both are of the same specification.
    public static func == (left: Self, right: Self) -> Bool { left.spec == right.spec }

    /// Hashes the specification.
    public func hash(into hasher: inout Hasher) { hasher.combine(spec) }
}

/// The numbers of a layout where a loop over blocks finds them without counting references.
final class ContentTable: @unchecked Sendable {
    // Unchecked: nothing of it changes.

    /// A class.
    struct Entry {
        let slots: Range<Int>
        let contents: Range<Int>
        /// Where its contents are scattered to before they are dealt, and the parts that they are dealt to: ratios, and rings.
        let mixScatter: Scatter
        let mix: Range<Int>
        let ringScatter: Scatter
        let rings: Range<Int>
    }

    /// Some of the contents of a class, after they were scattered.
    struct Part {
        let start: Int
        let end: Int
        let ring: RingOfContents
    }

    let zeroCount: Int
    /// The slots of blocks.
    let slots: Scatter
    let classCount: Int
    let entries: UnsafeMutablePointer<Entry>
    let parts: UnsafeMutablePointer<Part>
    /// Whether anything has changed.
    let isChanged: Bool
    /// Whether contents of a class differ in nothing but their numbers.
    let isPlain: Bool

    init(
        seed: UInt64, blocks: Int, zeros: Int, classes: [ContentLayout.Class],
        _ composition: Composition
    ) {
        let run = composition.run ?? 1
        func key(_ purpose: UInt64, _ number: Int) -> UInt64 {
            SplitMix64.output(UInt64(number), of: SplitMix64.output(.max - purpose, of: seed))
        }
        zeroCount = zeros
        slots = Scatter(key: key(0, 0), count: blocks, run: run)
        let generation = composition.generation ?? 0
        isChanged = generation > 0
        isPlain = generation == 0 && composition.compressMix == nil
        classCount = classes.count
        var parts: [Part] = []
        func deal(_ count: Int, _ shares: [(share: Share, rate: Share)]) -> Range<Int> {
            var (sum, start) = (0, 0)
            let first = parts.count
            for one in shares {
                sum += one.share.millionths
                let end = Int(UInt128(count) * UInt128(sum) / UInt128(Share.whole))
                parts.append(
                    Part(
                        start: start, end: end,
                        ring: RingOfContents(start..<end, rate: one.rate, generation: generation)))
                start = end
            }
            return first..<parts.count
        }
        let none = Share(millionths: 0)
        let entries = classes.enumerated().map { number, one in
            let count = one.contents.count
            return Entry(
                slots: one.slots, contents: one.contents,
                mixScatter: Scatter(key: key(1, number), count: count, run: run),
                mix: deal(count, (composition.compressMix ?? []).map { ($0.share, none) }),
                ringScatter: Scatter(key: key(2, number), count: count, run: run),
                rings: deal(count, (composition.change ?? []).map { ($0.share, $0.rate) }))
        }
        self.entries = .allocate(capacity: max(1, entries.count))
        self.entries.initialize(from: entries, count: entries.count)
        self.parts = .allocate(capacity: max(1, parts.count))
        self.parts.initialize(from: parts, count: parts.count)
    }

    deinit {
        entries.deallocate()
        parts.deallocate()
    }

    /// What block `index` holds; nil where that is zeros.
    @inline(__always)
    func content(ofBlock index: Int) -> ContentLayout.Content? {
        let slot = slots(index)
        guard slot >= zeroCount else { return nil }
        let number = classIndex(ofSlot: slot)
        return content(inClass: number, at: place(ofSlot: slot, inClass: number))
    }

    /// The class of a slot, which is none of zeros.
    @inline(__always)
    func classIndex(ofSlot slot: Int) -> Int {
        var number = 0
        var count = classCount
        // In halves, and without a branch that nobody can foresee.
        while count > 1 {
            let half = count &>> 1
            let isBeyond = slot >= entries[number &+ half &- 1].slots.upperBound ? -1 : 0
            number &+= half & isBeyond
            count &-= half
        }
        return number
    }

    /// Which content of its class a slot has, counted from 0.
    @inline(__always)
    func place(ofSlot slot: Int, inClass number: Int) -> Int {
        let entry = entries + number
        let place = slot &- entry.pointee.slots.lowerBound
        // Most have fewer copies than a division takes time.
        let count = entry.pointee.contents.upperBound &- entry.pointee.contents.lowerBound
        return place < count ? place : place % count
    }

    /// Content `place` of a class, counted from 0.
    @inline(__always)
    func content(inClass number: Int, at place: Int) -> ContentLayout.Content {
        let entry = entries + number
        let mixed = entry.pointee.mix.isEmpty ? 0 : entry.pointee.mixScatter(place)
        let changed = isChanged ? entry.pointee.ringScatter(place) : 0
        return content(inClass: number, at: place, inMix: mixed, inRings: changed)
    }

    /// The same, where it is known what its class scatters it to, among ratios and among rings.
    @inline(__always)
    func content(
        inClass number: Int, at place: Int, inMix mixed: Int, inRings changed: Int
    ) -> ContentLayout.Content {
        let entry = entries + number
        var (ratio, generation) = (0, 0)
        if !entry.pointee.mix.isEmpty, let index = part(at: mixed, entry.pointee.mix) {
            ratio = index &- entry.pointee.mix.lowerBound
        }
        if isChanged, let index = part(at: changed, entry.pointee.rings) {
            generation = parts[index].ring.lastChange(changed &- parts[index].start)
        }
        return ContentLayout.Content(
            number: entry.pointee.contents.lowerBound &+ place, classIndex: number,
            ratioIndex: ratio, generation: generation)
    }

    /// The part of several that a place is in; nil where that is none.
    @inline(__always)
    func part(at place: Int, _ range: Range<Int>) -> Int? {
        // No branch depends on the place.
        var index = range.lowerBound
        for other in range { index &+= place >= parts[other].end ? 1 : 0 }
        return index < range.upperBound ? index : nil
    }
}

/// Contents that change in turn: change number t, from the first generation on, is that of place t modulo their number.
struct RingOfContents: Sendable {
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

    /// How often a place has changed.
    func changes(ofPlace place: Int) -> Int { turns(UInt64(place)).map { Int($0) + 1 } ?? 0 }

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

    /// The generation of one version of a place; see ``ContentLayout``.
    func version(_ place: Int, changesBefore count: Int) -> Int? {
        let number = changes(ofPlace: place) - count
        guard number > 0 else { return number == 0 ? 0 : nil }
        let made = generation(afterTurns: UInt64(number - 1), UInt64(place))
        return made <= Composition.generationMax ? made : nil
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
}
