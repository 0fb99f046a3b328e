// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// Eight lanes that make runs of grains, and remember where they stand.
struct GrainCursor: Sendable {
    /// Fewer grains than this are made sooner without lanes.
    static let grainsMin = 64

    private let kernel: Kernel
    private let origin: Xoshiro256PlusPlus
    private let shape: GrainShape
    private var placed: (lanes: Lanes, positions: SIMD8<UInt64>)?
    private var jumps = KnownJumps()
    private var originJumps = KnownJumps()
    private var spacing: (distance: UInt64, doublings: [JumpPolynomial]) = (0, [])

    init(seed: UInt64, kernel: Kernel, shape: GrainShape) {
        self.kernel = kernel
        self.shape = shape
        origin = Xoshiro256PlusPlus(seed: seed)
    }

    /// Writes 8 `countPerLane` whole grains in a row.
    ///
    /// - Parameters:
    ///   - first: the number of the first grain in its block.
    ///   - countPerLane: grains for each lane.
    ///   - start: the stream's output at which the block begins.
    ///   - target: memory of any alignment.
    mutating func write(
        first: Int, countPerLane: Int, start: UInt64, to target: UnsafeMutableRawPointer
    ) {
        var wanted = SIMD8<UInt64>.zero
        for lane in 0..<8 {
            wanted[lane] = start + UInt64(shape.words(inFirst: first + lane * countPerLane))
        }
        var (lanes, positions) = moved(to: wanted) ?? newlyPlaced(at: wanted)
        for lane in 0..<8 {
            lanes.step(lane: lane, count: Int(wanted[lane] - positions[lane]))
        }
        let words = withUnsafeTemporaryAllocation(
            byteCount: Lanes.scratchBytes(shape), alignment: 64
        ) { scratch in
            kernel.writeGrains(
                &lanes, to: target, first: first, countPerLane: countPerLane, shape: shape,
                scratch: scratch.baseAddress.unsafelyUnwrapped)
        }
        positions = wanted &+ SIMD8(repeating: UInt64(words))
        placed = (lanes, positions)
    }

    /// The lanes that were used last, close before `wanted`; nil where a common jump does not lead there.
    private mutating func moved(to wanted: SIMD8<UInt64>) -> (Lanes, SIMD8<UInt64>)? {
        guard var (lanes, positions) = placed else { return nil }
        var distance = UInt64.max
        for lane in 0..<8 {
            guard wanted[lane] >= positions[lane] else { return nil }
            distance = min(distance, wanted[lane] - positions[lane])
        }
        positions &+= SIMD8(repeating: distance)
        guard (wanted &- positions).max() <= 64 else { return nil }
        if distance > 0 { kernel.jump(&lanes, jumps.polynomial(of: distance)) }
        return (lanes, positions)
    }

    /// Lanes from the start of the stream, close before `wanted`.
    private mutating func newlyPlaced(at wanted: SIMD8<UInt64>) -> (Lanes, SIMD8<UInt64>) {
        var first = origin
        if wanted[0] > 0 { first.jump(originJumps.polynomial(of: wanted[0])) }
        var distance = UInt64.max
        for lane in 1..<8 { distance = min(distance, (wanted[lane] - wanted[0]) / UInt64(lane)) }
        if spacing.distance != distance {
            spacing = (distance, LaneSpacing.doublings(distance: distance))
        }
        var positions = SIMD8(repeating: wanted[0])
        for lane in 1..<8 { positions[lane] += UInt64(lane) * distance }
        let lanes = Lanes(first: first, doublings: spacing.doublings, jump: kernel.jump)
        return (lanes, positions)
    }
}
