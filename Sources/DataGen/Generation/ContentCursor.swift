// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The bytes of a data set of version 2. Each content has a stream of its own, so that contents are reached without a jump and
// made side by side, one in each lane: whole blocks of one ratio wait until there is one for every lane, and then go to where
// they belong. Where sixteen lanes work, eight of them are half a block ahead: otherwise all of them would store to one set of
// the first-level cache, as blocks stand whole pages apart. Blocks that are large, or cut, are made one by one, with lanes that
// share one.

internal import Glibc
internal import Xoshiro

/// Makes ranges of blocks, and remembers the content that it was in.
struct ContentCursor: Sendable {
    /// Larger blocks are made one by one: those of all lanes together would not stay in the second-level cache.
    private static let sideBySideMax = 64 << 10

    private let layout: ContentLayout
    private let kernel: Kernel
    private let streams: ContentStreams
    private let isWide: Bool
    private var stream: StreamCursor
    /// For each ratio; nil for 1.
    private var makers: [BlockMaker?]
    /// Which content of which generation stream and makers stand in.
    private var current: ContentLayout.Content?
    /// For contents that are looked for, and for those that wait.
    private var memory: ScratchMemory

    init(_ spec: DataSpec, kernel: Kernel, isWide: Bool) {
        layout = ContentLayout(spec)
        self.kernel = kernel
        self.isWide = isWide
        streams = ContentStreams(seed: spec.seed)
        let origin = Xoshiro256PlusPlus(seed: spec.seed)
        stream = StreamCursor(origin: origin, kernel: kernel, isWide: isWide)
        makers = layout.ratios.map {
            $0 == 1
                ? nil : BlockMaker(spec, ratio: $0, origin: origin, kernel: kernel, isWide: isWide)
        }
        memory = ScratchMemory(
            byteCount: Waiting.byteCount(ratios: layout.ratios.count)
                + ContentSearch.byteCount(layout.table))
    }

    /// Uses `count` bytes of the data set from `offset` on.
    ///
    /// - Returns: whether the memory holds these bytes now.
    mutating func run(
        _ use: Use, _ count: Int, at offset: Int, _ memory: UnsafeMutableRawPointer
    ) -> Bool {
        let block = layout.spec.dedupUnit
        var (index, start) = offset.quotientAndRemainder(dividingBy: block)
        var done = 0
        var isEqual = true
        if start > 0 || count < block {
            done = min(block - start, count)
            isEqual = run(use, start..<start + done, ofBlock: index, at: memory)
            index += 1
        }
        let whole = (count - done) / block
        if whole > 1, kernel != .scalar, block <= Self.sideBySideMax {
            let place = memory + done
            isEqual =
                run(use, whole, { index &+ $0 }, at: { place + $0 &* block }) && isEqual
            index += whole
            done += whole * block
        }
        while done < count {
            let part = min(block, count - done)
            isEqual = run(use, 0..<part, ofBlock: index, at: memory + done) && isEqual
            index += 1
            done += part
        }
        return isEqual
    }

    /// Makes a range of a block, which is not zeros, as it was or will be after its change in a generation.
    mutating func fill(
        _ memory: UnsafeMutableRawPointer, _ range: Range<Int>, ofBlock index: Int,
        madeIn generation: Int
    ) {
        guard var content = layout.content(ofBlock: index) else { return }
        content.generation = generation
        _ = run(.store, range, of: content, at: memory)
    }

    /// Makes whole blocks, each at a place of its own.
    mutating func fill(_ blocks: [(number: Int, place: UnsafeMutableRawPointer)]) {
        if kernel != .scalar, layout.spec.dedupUnit <= Self.sideBySideMax {
            _ = run(.store, blocks.count, { blocks[$0].number }, at: { blocks[$0].place })
        } else {
            for one in blocks {
                _ = run(.store, 0..<layout.spec.dedupUnit, ofBlock: one.number, at: one.place)
            }
        }
    }

    /// Uses so many whole blocks, side by side.
    @inline(__always)
    private mutating func run(
        _ use: Use, _ count: Int, _ number: (Int) -> Int, at place: (Int) -> UnsafeMutableRawPointer
    ) -> Bool {
        let (block, table) = (layout.spec.dedupUnit, layout.table)
        let ratios = layout.ratios.count
        let bytes = self.memory.forWriting()
        let waiting = Waiting.begin(ratios: ratios, in: bytes)
        let search = ContentSearch(
            table, kernel: kernel, in: bytes + Waiting.byteCount(ratios: ratios))
        for ratio in 0..<ratios { waiting[ratio].isTaken = makers[ratio]?.hasLanes != false }
        var isEqual = true
        for first in stride(from: 0, to: count, by: ContentSearch.blocksMax) {
            search.forEach(min(ContentSearch.blocksMax, count - first), { number(first &+ $0) }) {
                index, content in
                let place = place(first &+ index)
                guard let content else {
                    isEqual = useZeros(use, block, at: place) && isEqual
                    return
                }
                let ratio = content.ratioIndex
                if !waiting[ratio].isTaken {
                    isEqual = run(use, 0..<block, of: content, at: place) && isEqual
                } else if waiting[ratio].add(content, at: place) {
                    isEqual = runAll(use, waiting + ratio, ratio) && isEqual
                }
            }
        }
        for ratio in 0..<ratios { isEqual = finish(use, waiting + ratio, ratio) && isEqual }
        return isEqual
    }

    /// Uses a range of one block.
    private mutating func run(
        _ use: Use, _ range: Range<Int>, ofBlock index: Int, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        guard let content = layout.table.content(ofBlock: index) else {
            return useZeros(use, range.count, at: memory)
        }
        return run(use, range, of: content, at: memory)
    }

    private mutating func run(
        _ use: Use, _ range: Range<Int>, of content: ContentLayout.Content,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        if content != current {
            restart(
                at: streams(UInt64(content.number), generation: UInt64(content.generation)),
                ratio: content.ratioIndex)
            current = content
        }
        return useOne(use, range, ratio: content.ratioIndex, at: memory)
    }

    private mutating func restart(at state: Xoshiro256PlusPlus, ratio: Int) {
        stream.restart(at: state)
        makers[ratio]?.restart(at: state)
    }

    private mutating func useOne(
        _ use: Use, _ range: Range<Int>, ratio: Int, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        makers[ratio]?.run(use, range, ofBlockAt: 0, &stream, at: memory)
            ?? stream.run(use, range.count, from: range.lowerBound, at: memory)
    }

    /// Uses the blocks that wait; of some, half each now, if the other half may be made together with the next ones.
    private mutating func runAll(
        _ use: Use, _ waiting: UnsafeMutablePointer<Waiting>, _ ratio: Int
    ) -> Bool {
        let block = layout.spec.dedupUnit
        let groups = waiting.pointee.fill()
        let (lanes, places) = (waiting.pointee.lanes, waiting.pointee.places)
        kernel.begin(
            lanes + 1, groups, streams, waiting.pointee.numbers,
            generations: layout.table.isChanged ? waiting.pointee.generations : nil)
        waiting.pointee.count = 0
        var isEqual = true
        if makers[ratio] != nil {
            let count = block / layout.spec.compressUnit
            let areEqual = makers[ratio]?.run(
                use, blocksOf: count, groups: groups, lanes + 1, at: places + 8)
            return areEqual == true
        }
        let use = Self.use(use, at: places[8])
        guard isWide else {
            for group in 1...groups {
                let areEqual = kernel.run(
                    &lanes[group], use, at: places + 8 * group, count: block / 8)
                isEqual = areEqual && isEqual
            }
            return isEqual
        }
        for group in 1...groups {
            let areEqual =
                waiting.pointee.hasHalves
                ? kernel.run(
                    &lanes[group - 1], &lanes[group], use, at: places + 8 * (group - 1),
                    count: block / 16)
                : kernel.run(&lanes[group], use, at: places + 8 * group, count: block / 16)
            isEqual = areEqual && isEqual
            waiting.pointee.hasHalves = true
            for lane in 8 * group..<8 * group + 8 { places[lane] += block / 2 }
        }
        lanes[0] = lanes[groups]
        places.update(from: places + 8 * groups, count: 8)
        return isEqual
    }

    /// Only whole cache lines go past the caches.
    private static func use(_ use: Use, at place: UnsafeMutableRawPointer) -> Use {
        use == .storePastCache && Int(bitPattern: place) % 64 != 0 ? .store : use
    }

    /// Uses the blocks that wait, and the halves that are left.
    private mutating func finish(
        _ use: Use, _ waiting: UnsafeMutablePointer<Waiting>, _ ratio: Int
    ) -> Bool {
        let block = layout.spec.dedupUnit
        var isEqual = true
        let areFew = waiting.pointee.count < Waiting.lanesMin && !waiting.pointee.hasHalves
        if waiting.pointee.count > 0, !areFew { isEqual = runAll(use, waiting, ratio) }
        if waiting.pointee.hasHalves {
            let places = waiting.pointee.places
            let areEqual = kernel.run(
                &waiting.pointee.lanes[0], Self.use(use, at: places[0]), at: places,
                count: block / 16)
            isEqual = areEqual && isEqual
        }
        // One by one, which is sooner done than with lanes that do the same.
        for index in 0..<waiting.pointee.count {
            current = nil
            restart(
                at: streams(
                    waiting.pointee.numbers[index], generation: waiting.pointee.generations[index]),
                ratio: ratio)
            let place = waiting.pointee.places[8 + index]
            isEqual = useOne(use, 0..<block, ratio: ratio, at: place) && isEqual
        }
        return isEqual
    }

    private func useZeros(_ use: Use, _ count: Int, at memory: UnsafeMutableRawPointer) -> Bool {
        guard use == .compare else {
            memset(memory, 0, count)
            return true
        }
        // The first is zero, and each is like the one before.
        return memory.load(as: UInt8.self) == 0 && memcmp(memory, memory + 1, count - 1) == 0
    }
}

/// Whole blocks of one ratio, until there are some for every lane.
private struct Waiting {
    /// Fewer are made one by one.
    static let lanesMin = 3
    /// Groups of eight that are begun together: what one of them waits for, another does meanwhile.
    static let groupsMax = 4

    /// Whether lanes can make blocks of this ratio.
    var isTaken = true
    var count = 0
    /// The contents, and the generations of their last changes.
    let numbers: UnsafeMutablePointer<UInt64>
    let generations: UnsafeMutablePointer<UInt64>
    /// The second halves of eight blocks that are half done; then those that wait.
    let places: UnsafeMutablePointer<UnsafeMutableRawPointer>
    /// Where the lanes of those stand.
    let lanes: UnsafeMutablePointer<Lanes>
    /// Whether there are blocks that are half done.
    var hasHalves = false

    private static let lanesBytes = (groupsMax + 1) * MemoryLayout<Lanes>.stride
    private static let listBytes = 64 * groupsMax

    /// What ``begin(ratios:in:)`` needs.
    static func byteCount(ratios: Int) -> Int {
        ratios * (lanesBytes + 3 * listBytes + 64 + MemoryLayout<Waiting>.stride)
    }

    /// As many as there are ratios, none of which has blocks, in memory that is aligned to 64.
    static func begin(
        ratios: Int, in memory: UnsafeMutableRawPointer
    ) -> UnsafeMutablePointer<Waiting> {
        var place = memory
        func next<Element>(_ bytes: Int) -> UnsafeMutablePointer<Element> {
            defer { place += bytes }
            return place.bindMemory(
                to: Element.self, capacity: bytes / MemoryLayout<Element>.stride)
        }
        let lanes: UnsafeMutablePointer<Lanes> = next(ratios * lanesBytes)
        let numbers: UnsafeMutablePointer<UInt64> = next(2 * ratios * listBytes)
        let places: UnsafeMutablePointer<UnsafeMutableRawPointer> = next(ratios * (listBytes + 64))
        let all: UnsafeMutablePointer<Waiting> = next(ratios * MemoryLayout<Waiting>.stride)
        let most = 8 * groupsMax
        for index in 0..<ratios {
            (all + index).initialize(
                to: Waiting(
                    numbers: numbers + 2 * most * index,
                    generations: numbers + 2 * most * index + most,
                    places: places + (most + 8) * index,
                    lanes: lanes + (groupsMax + 1) * index))
        }
        return all
    }

    /// Adds a block.
    ///
    /// - Returns: whether there are as many as there is room for.
    @inline(__always)
    mutating func add(
        _ content: ContentLayout.Content, at place: UnsafeMutableRawPointer
    ) -> Bool {
        numbers[count] = UInt64(content.number)
        generations[count] = UInt64(content.generation)
        places[8 &+ count] = place
        count &+= 1
        return count == 8 &* Self.groupsMax
    }

    /// Has lanes without a block do what the last one does, at the same place.
    ///
    /// - Returns: how many groups of eight there are.
    mutating func fill() -> Int {
        let groups = (count + 7) / 8
        for lane in count..<8 * groups {
            numbers[lane] = numbers[count - 1]
            generations[lane] = generations[count - 1]
            places[8 + lane] = places[8 + count - 1]
        }
        return groups
    }
}
