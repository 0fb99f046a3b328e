// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The bytes of a data set of version 2. Each content has a stream of its own, so that contents are reached without a jump and
// made side by side, one in each lane: whole blocks of one ratio wait until there is one for every lane, and then go to where
// they belong. Blocks that are large, or cut, are made one by one, with lanes that share one.

internal import Glibc
internal import Xoshiro

/// Makes ranges of blocks, and remembers the content that it was in.
struct ContentCursor: Sendable {
    /// Larger blocks are made one by one: those of all lanes together would not stay in the second-level cache.
    private static let sideBySideMax = 64 << 10

    private let layout: ContentLayout
    private let kernel: Kernel
    private let laneCount: Int
    private var stream: StreamCursor
    /// For each ratio; nil for 1.
    private var makers: [BlockMaker?]
    /// Which content of which generation stream and makers stand in.
    private var current: ContentLayout.Content?

    init(_ spec: DataSpec, kernel: Kernel, isWide: Bool) {
        layout = ContentLayout(spec)
        self.kernel = kernel
        laneCount = isWide ? 16 : 8
        let origin = Xoshiro256PlusPlus(seed: spec.seed)
        stream = StreamCursor(origin: origin, kernel: kernel, isWide: isWide)
        makers = layout.ratios.map {
            $0 == 1
                ? nil : BlockMaker(spec, ratio: $0, origin: origin, kernel: kernel, isWide: isWide)
        }
    }

    /// Uses `count` bytes of the data set from `offset` on.
    ///
    /// - Returns: whether the memory holds these bytes now.
    mutating func run(
        _ use: Use, _ count: Int, at offset: Int, _ memory: UnsafeMutableRawPointer
    ) -> Bool {
        let (block, table) = (layout.spec.dedupUnit, layout.table)
        let areSideBySide = kernel != .scalar && block <= Self.sideBySideMax && count >= 2 * block
        var seeds = ContentSeeds(layout.spec.seed)
        var isEqual = true
        Waiting.withEach(areSideBySide ? layout.ratios.count : 0, laneCount) { waiting in
            for ratio in waiting.indices {
                waiting[ratio].isTaken = makers[ratio]?.hasLanes != false
            }
            var (index, start) = offset.quotientAndRemainder(dividingBy: block)
            var done = 0
            while done < count {
                let place = memory + done
                let part = min(block &- start, count &- done)
                defer {
                    done &+= part
                    index &+= 1
                    start = 0
                }
                guard let content = table.content(ofBlock: index) else {
                    isEqual = useZeros(use, part, at: place) && isEqual
                    continue
                }
                let ratio = content.ratioIndex
                if areSideBySide, part == block, waiting[ratio].isTaken {
                    if waiting[ratio].add(seeds.state(of: content), at: place) {
                        isEqual = runAll(use, &waiting[ratio], ratio) && isEqual
                    }
                } else {
                    let isPartEqual = run(use, start..<start + part, of: content, at: place)
                    isEqual = isPartEqual && isEqual
                }
            }
            for ratio in waiting.indices {
                isEqual = runAll(use, &waiting[ratio], ratio) && isEqual
            }
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

    /// Uses a range of one block.
    private mutating func run(
        _ use: Use, _ range: Range<Int>, of content: ContentLayout.Content,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        if content != current {
            var seeds = ContentSeeds(layout.spec.seed)
            restart(at: seeds.state(of: content), ratio: content.ratioIndex)
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

    /// Uses all blocks that wait.
    private mutating func runAll(_ use: Use, _ waiting: inout Waiting, _ ratio: Int) -> Bool {
        guard waiting.count > 0 else { return true }
        defer { waiting.count = 0 }
        let block = layout.spec.dedupUnit
        let isOnLine = Int(bitPattern: waiting.places[0]) % 64 == 0
        var isEqual = true
        var done = 0
        while done < waiting.count {
            let left = waiting.count - done
            guard left >= Waiting.lanesMin else {
                // One by one, which is sooner done than with lanes that do the same.
                current = nil
                for index in done..<waiting.count {
                    restart(at: waiting.state(index), ratio: ratio)
                    let isOneEqual = useOne(use, 0..<block, ratio: ratio, at: waiting.places[index])
                    isEqual = isOneEqual && isEqual
                }
                break
            }
            waiting.fill(toMultipleOf: 8)
            let places = UnsafePointer(waiting.places + done)
            var lanes = Lanes(states: waiting.states + 4 * done)
            if makers[ratio] != nil {
                let count = block / layout.spec.compressUnit
                let areEqual = makers[ratio]?.run(use, blocksOf: count, lanes, at: places)
                isEqual = areEqual == true && isEqual
                done += 8
                continue
            }
            let use = use == .storePastCache && !isOnLine ? .store : use
            if laneCount == 16, left > 8 {
                var second = Lanes(states: waiting.states + 4 * (done + 8))
                isEqual = kernel.run(&lanes, &second, use, at: places, count: block / 8) && isEqual
                done += 16
            } else {
                isEqual = kernel.run(&lanes, use, at: places, count: block / 8) && isEqual
                done += 8
            }
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

    let laneCount: Int
    /// Whether lanes can make blocks of this ratio.
    var isTaken = true
    var count = 0
    /// Of eight lanes, word by word; then of the next eight.
    let states: UnsafeMutablePointer<UInt64>
    let places: UnsafeMutablePointer<UnsafeMutableRawPointer>

    /// Calls `body` with as many as there are ratios.
    static func withEach(
        _ count: Int, _ laneCount: Int, _ body: (UnsafeMutableBufferPointer<Waiting>) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 4 * laneCount * count) { states in
            withUnsafeTemporaryAllocation(
                of: UnsafeMutableRawPointer.self, capacity: laneCount * count
            ) { places in
                withUnsafeTemporaryAllocation(of: Waiting.self, capacity: count) { all in
                    for index in all.indices {
                        all.initializeElement(
                            at: index,
                            to: Waiting(
                                laneCount: laneCount,
                                states: states.baseAddress.unsafelyUnwrapped + 4 * laneCount
                                    * index,
                                places: places.baseAddress.unsafelyUnwrapped + laneCount * index))
                    }
                    body(all)
                }
            }
        }
    }

    /// Adds a block.
    ///
    /// - Returns: whether there is one for every lane now.
    @inline(__always)
    mutating func add(_ state: Xoshiro256PlusPlus, at place: UnsafeMutableRawPointer) -> Bool {
        let lane = states + (count & 7) + 32 * (count >> 3)
        lane[0] = state.state.0
        lane[8] = state.state.1
        lane[16] = state.state.2
        lane[24] = state.state.3
        places[count] = place
        count += 1
        return count == laneCount
    }

    /// The stream of a block.
    func state(_ index: Int) -> Xoshiro256PlusPlus {
        let lane = states + (index & 7) + 32 * (index >> 3)
        return Xoshiro256PlusPlus(state: (lane[0], lane[8], lane[16], lane[24]))
    }

    /// Has lanes without a block do what the last one does, at the same place.
    mutating func fill(toMultipleOf lanes: Int) {
        while count % lanes != 0 { _ = add(state(count - 1), at: places[count - 1]) }
    }
}

/// The streams of contents (FORMAT.md section 11).
private struct ContentSeeds {
    private let seed: UInt64
    /// Those of one generation: of neighbours it is mostly the same.
    private var generation = -1
    private var first: UInt64 = 0
    private var second: UInt64 = 0

    init(_ seed: UInt64) { self.seed = seed }

    /// The stream of a content at the time of its last change.
    @inline(__always)
    mutating func state(of content: ContentLayout.Content) -> Xoshiro256PlusPlus {
        if content.generation != generation {
            generation = content.generation
            first = SplitMix64.output(UInt64(2 &* generation), of: seed)
            second = SplitMix64.output(UInt64(2 &* generation &+ 1), of: seed)
        }
        let number = UInt64(content.number)
        let a = SplitMix64.output(number, of: first)
        let b = SplitMix64.output(number, of: second)
        return Xoshiro256PlusPlus(
            state: (
                SplitMix64.output(0, of: a), SplitMix64.output(1, of: a),
                SplitMix64.output(0, of: b), SplitMix64.output(1, of: b)
            ))
    }
}
