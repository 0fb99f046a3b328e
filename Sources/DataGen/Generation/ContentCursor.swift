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
            isEqual = run(use, blocks: index..<index + whole, at: memory + done) && isEqual
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

    /// Uses whole blocks, side by side.
    private mutating func run(
        _ use: Use, blocks: Range<Int>, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        let (block, table) = (layout.spec.dedupUnit, layout.table)
        let ratios = layout.ratios.count
        let bytes = self.memory.forWriting()
        let waiting = Waiting.begin(ratios: ratios, in: bytes)
        let search = ContentSearch(
            table, kernel: kernel, in: bytes + Waiting.byteCount(ratios: ratios))
        for ratio in 0..<ratios { waiting[ratio].isTaken = makers[ratio]?.hasLanes != false }
        var isEqual = true
        var first = blocks.lowerBound
        while first < blocks.upperBound {
            let end = min(first + ContentSearch.blocksMax, blocks.upperBound)
            let place = memory + (first - blocks.lowerBound) * block
            search.forEach(first..<end) { number, content in
                let place = place + number &* block
                guard let content else {
                    isEqual = useZeros(use, block, at: place) && isEqual
                    return
                }
                let ratio = content.ratioIndex
                if !waiting[ratio].isTaken {
                    isEqual = run(use, 0..<block, of: content, at: place) && isEqual
                } else if waiting[ratio].add(content, at: place) {
                    isEqual = runEight(use, waiting + ratio, ratio) && isEqual
                }
            }
            first = end
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

    /// Uses the blocks that wait; half of each now, if the other half may be made together with the next ones.
    private mutating func runEight(
        _ use: Use, _ waiting: UnsafeMutablePointer<Waiting>, _ ratio: Int
    ) -> Bool {
        let block = layout.spec.dedupUnit
        waiting.pointee.fill()
        waiting.pointee.count = 0
        // Those that are half done are in the other one.
        let lanes = waiting.pointee.lanes + (waiting.pointee.isOdd ? 1 : 0)
        kernel.begin(
            lanes, streams, waiting.pointee.numbers, generations: waiting.pointee.generations)
        let places = waiting.pointee.places + 8
        if makers[ratio] != nil {
            let count = block / layout.spec.compressUnit
            return makers[ratio]?.run(use, blocksOf: count, lanes, at: places) == true
        }
        let isOnLine = Int(bitPattern: places[0]) % 64 == 0
        let use = use == .storePastCache && !isOnLine ? .store : use
        guard isWide else { return kernel.run(&lanes.pointee, use, at: places, count: block / 8) }
        let isEqual: Bool
        if waiting.pointee.hasHalves {
            let halfDone = waiting.pointee.lanes + (waiting.pointee.isOdd ? 0 : 1)
            isEqual = kernel.run(
                &halfDone.pointee, &lanes.pointee, use, at: waiting.pointee.places,
                count: block / 16)
        } else {
            isEqual = kernel.run(&lanes.pointee, use, at: places, count: block / 16)
        }
        waiting.pointee.isOdd.toggle()
        waiting.pointee.hasHalves = true
        for lane in 0..<8 { waiting.pointee.places[lane] = places[lane] + block / 2 }
        return isEqual
    }

    /// Uses the blocks that wait, and the halves that are left.
    private mutating func finish(
        _ use: Use, _ waiting: UnsafeMutablePointer<Waiting>, _ ratio: Int
    ) -> Bool {
        let block = layout.spec.dedupUnit
        var isEqual = true
        if waiting.pointee.count >= Waiting.lanesMin
            || waiting.pointee.hasHalves && waiting.pointee.count > 0
        {
            isEqual = runEight(use, waiting, ratio)
        }
        if waiting.pointee.hasHalves {
            let isOnLine = Int(bitPattern: waiting.pointee.places[0]) % 64 == 0
            let use = use == .storePastCache && !isOnLine ? .store : use
            let halfDone = waiting.pointee.lanes + (waiting.pointee.isOdd ? 0 : 1)
            let areEqual = kernel.run(
                &halfDone.pointee, use, at: waiting.pointee.places, count: block / 16)
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

/// Whole blocks of one ratio, until there is one for every lane.
private struct Waiting {
    /// Fewer are made one by one.
    static let lanesMin = 3

    /// Whether lanes can make blocks of this ratio.
    var isTaken = true
    var count = 0
    /// The contents, and the generations of their last changes.
    let numbers: UnsafeMutablePointer<UInt64>
    let generations: UnsafeMutablePointer<UInt64>
    /// Of the second halves of eight blocks that are half done; then of those that wait.
    let places: UnsafeMutablePointer<UnsafeMutableRawPointer>
    /// Eight lanes, and eight more: of blocks that are begun, and of those that are half done.
    let lanes: UnsafeMutablePointer<Lanes>
    /// Which of them are begun next.
    var isOdd = false
    /// Whether there are blocks that are half done.
    var hasHalves = false

    /// What ``begin(ratios:in:)`` needs.
    static func byteCount(ratios: Int) -> Int {
        ratios * (2 * MemoryLayout<Lanes>.stride + 32 * 8 + MemoryLayout<Waiting>.stride)
    }

    /// As many as there are ratios, none of which has blocks, in memory that is aligned to 64.
    static func begin(
        ratios: Int, in memory: UnsafeMutableRawPointer
    ) -> UnsafeMutablePointer<Waiting> {
        let all = (memory + ratios * (2 * MemoryLayout<Lanes>.stride + 32 * 8))
            .bindMemory(to: Waiting.self, capacity: ratios)
        var place = memory
        for index in 0..<ratios {
            let lanes = place.bindMemory(to: Lanes.self, capacity: 2)
            lanes.initialize(repeating: .none, count: 2)
            place += 2 * MemoryLayout<Lanes>.stride
            let numbers = place.bindMemory(to: UInt64.self, capacity: 16)
            let places = (place + 128).bindMemory(to: UnsafeMutableRawPointer.self, capacity: 16)
            places.initialize(repeating: memory, count: 16)
            place += 256
            (all + index).initialize(
                to: Waiting(
                    numbers: numbers, generations: numbers + 8, places: places, lanes: lanes))
        }
        return all
    }

    /// Adds a block.
    ///
    /// - Returns: whether there is one for every lane now.
    @inline(__always)
    mutating func add(
        _ content: ContentLayout.Content, at place: UnsafeMutableRawPointer
    ) -> Bool {
        numbers[count] = UInt64(content.number)
        generations[count] = UInt64(content.generation)
        places[8 &+ count] = place
        count &+= 1
        return count == 8
    }

    /// Has lanes without a block do what the last one does, at the same place.
    mutating func fill() {
        for lane in count..<8 {
            numbers[lane] = numbers[count - 1]
            generations[lane] = generations[count - 1]
            places[8 + lane] = places[8 + count - 1]
        }
    }
}
