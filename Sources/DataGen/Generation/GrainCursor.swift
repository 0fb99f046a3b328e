// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// Eight lanes that use runs of grains, and remember where they stand.
struct GrainCursor: Sendable {
    /// Fewer grains than this are made sooner without lanes.
    static let grainsMin = 32
    /// Larger grains are filled one by one: eight of them would not stay in the caches.
    static let grainBytesMax = 8 << 10

    private let kernel: Kernel
    private var origin: Xoshiro256PlusPlus
    private var placed: Placed?
    private var jumps: KnownJumps
    private var originJumps: KnownJumps
    private var spacing: LaneSpacing?
    private var plan: GrainPlan
    private var scratch: ScratchMemory

    private struct Placed {
        var lanes: Lanes
        /// The numbers of the outputs that come next.
        var positions: SIMD8<UInt64>
    }

    /// Nil for grains that lanes cannot make.
    init?(origin: Xoshiro256PlusPlus, kernel: Kernel, isWide: Bool, shape: GrainShape) {
        guard
            shape.grainBytes <= Self.grainBytesMax,
            let plan = GrainPlan(shape, head: 0, isWide: isWide)
        else { return nil }
        self.kernel = kernel
        self.plan = plan
        scratch = ScratchMemory(byteCount: plan.scratchBytes)
        self.origin = origin
        jumps = KnownJumps(kernel)
        originJumps = KnownJumps(kernel)
    }

    /// Goes on with the stream that begins at `origin`.
    mutating func restart(at origin: Xoshiro256PlusPlus) {
        self.origin = origin
        placed = nil
    }

    /// Uses whole grains in a row.
    ///
    /// - Parameters:
    ///   - use: what happens to them.
    ///   - first: the number of the first grain in its block.
    ///   - count: how many, ``grainsMin`` at least.
    ///   - start: the stream's output at which the block begins.
    ///   - memory: of any alignment.
    /// - Returns: whether the memory holds these grains now.
    mutating func run(
        _ use: Use, first: Int, count: Int, start: UInt64, at memory: UnsafeMutableRawPointer
    ) -> Bool {
        let use = prepare(use, memory)
        let run = GrainRun(plan, first: first, count: count)
        let stretch = run.countPerLane * plan.shape.grainBytes
        var wanted = SIMD8<UInt64>.zero
        for lane in 0..<8 {
            wanted[lane] =
                start + UInt64(plan.shape.words(inFirst: first + lane * run.countPerLane))
        }
        return self.run(use, run, at: wanted, memory, stretch)
    }

    /// Uses eight whole blocks in a row, a lane for each, which stand `words` outputs apart in the stream.
    mutating func run(
        _ use: Use, blocksOf count: Int, start: UInt64, words: UInt64,
        at memory: UnsafeMutableRawPointer
    ) -> Bool {
        let use = prepare(use, memory)
        var wanted = SIMD8<UInt64>.zero
        for lane in 0..<8 { wanted[lane] = start + UInt64(lane) * words }
        return run(
            use, GrainRun(plan, countPerBlock: count), at: wanted, memory,
            count * plan.shape.grainBytes)
    }

    /// Uses groups of eight whole blocks, each from the place of a lane on, and of a place of its own; all of the same alignment.
    mutating func run(
        _ use: Use, blocksOf count: Int, groups: Int, _ lanes: UnsafeMutablePointer<Lanes>,
        at places: UnsafePointer<UnsafeMutableRawPointer>
    ) -> Bool {
        let use = prepare(use, places[0])
        var words = 0
        return kernel.run(
            lanes, use, at: places, GrainRun(plan, countPerBlock: count, groups: groups),
            scratch: scratch.forWriting(), words: &words)
    }

    /// Uses a run of which each lane has a stretch of the memory.
    private mutating func run(
        _ use: Use, _ run: GrainRun, at wanted: SIMD8<UInt64>, _ memory: UnsafeMutableRawPointer,
        _ stretch: Int
    ) -> Bool {
        var placed = moved(to: wanted) ?? newlyPlaced(at: wanted)
        for lane in 0..<8 {
            placed.lanes.step(lane: lane, count: Int(wanted[lane] - placed.positions[lane]))
        }
        var words = 0
        let scratch = scratch.forWriting()
        let isEqual = withUnsafeTemporaryAllocation(
            of: UnsafeMutableRawPointer.self, capacity: 8
        ) { places in
            for lane in 0..<8 { places.initializeElement(at: lane, to: memory + lane * stretch) }
            return kernel.run(
                &placed.lanes, use, at: UnsafePointer(places.baseAddress.unsafelyUnwrapped), run,
                scratch: scratch, words: &words)
        }
        placed.positions = wanted &+ SIMD8(repeating: UInt64(words))
        self.placed = placed
        return isEqual
    }

    /// Plans for the head of `memory`; what can be done there.
    private mutating func prepare(_ use: Use, _ memory: UnsafeMutableRawPointer) -> Use {
        // Only whole cache lines go past the caches.
        let isOnWords = Int(bitPattern: memory) % 8 == 0
        let use = use == .storePastCache && !isOnWords ? .store : use
        let head = use != .compare && isOnWords ? -Int(bitPattern: memory) & 63 : 0
        if plan.head != head { plan.move(head: head) }
        return use
    }

    /// The lanes that were used last, close before `wanted`; nil where a common jump does not lead there.
    private mutating func moved(to wanted: SIMD8<UInt64>) -> Placed? {
        guard var placed = placed.take() else { return nil }
        var distance = UInt64.max
        for lane in 0..<8 {
            guard wanted[lane] >= placed.positions[lane] else { return nil }
            distance = min(distance, wanted[lane] - placed.positions[lane])
        }
        placed.positions &+= SIMD8(repeating: distance)
        guard (wanted &- placed.positions).max() <= 64 else { return nil }
        if distance > 0 {
            jumps.jump(&placed.lanes, by: distance)
        }
        return placed
    }

    /// Lanes from the start of the stream, close before `wanted`.
    private mutating func newlyPlaced(at wanted: SIMD8<UInt64>) -> Placed {
        var generator = origin
        if wanted[0] > 0 { originJumps.jump(&generator, by: wanted[0]) }
        var distance = UInt64.max
        for lane in 1..<8 { distance = min(distance, (wanted[lane] - wanted[0]) / UInt64(lane)) }
        let spacing: LaneSpacing
        if let known = self.spacing, known.distance == distance {
            spacing = known
        } else {
            spacing = LaneSpacing(distance: Int(distance))
            self.spacing = spacing
        }
        let lanes = Lanes(first: generator, doublings: spacing.doublings, jump: kernel.jump)
        var positions = SIMD8(repeating: wanted[0])
        for lane in 1..<8 { positions[lane] += UInt64(lane) * distance }
        return Placed(lanes: lanes, positions: positions)
    }
}
