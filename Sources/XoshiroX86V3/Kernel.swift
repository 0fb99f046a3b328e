// SPDX-License-Identifier: MIT OR Apache-2.0
// The hot loops compiled for x86-64-v3 (AVX2). Nothing else belongs here: every function in this module may
// only run after a look at the processor, and generic code specialised here could become a weak symbol
// that replaces the same code elsewhere.

public import Xoshiro

/// ``Lanes/write(to:distance:)`` for processors of level x86-64-v3.
public func writeLanesX86V3(
    _ lanes: inout Lanes, to target: UnsafeMutableRawPointer, distance: Int
) {
    lanes.write(to: target, distance: distance)
}

/// ``Lanes/jump(_:)`` for processors of level x86-64-v3.
public func jumpLanesX86V3(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
    lanes.jump(polynomial)
}

/// ``Lanes/writeGrains(to:first:countPerLane:shape:scratch:)`` for processors of level x86-64-v3.
public func writeGrainLanesX86V3(
    _ lanes: inout Lanes, to target: UnsafeMutableRawPointer, first: Int, countPerLane: Int,
    shape: GrainShape, scratch: UnsafeMutableRawPointer
) -> Int {
    lanes.writeGrains(
        to: target, first: first, countPerLane: countPerLane, shape: shape, scratch: scratch)
}
