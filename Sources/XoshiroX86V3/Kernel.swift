// SPDX-License-Identifier: MIT OR Apache-2.0
// The hot loops compiled for x86-64-v3 (AVX2). Nothing else belongs here: every function in this module may
// only run after a look at the processor, and generic code specialised here could become a weak symbol
// that replaces the same code elsewhere.

public import Xoshiro

/// ``Lanes/run(_:at:distance:)`` for processors of level x86-64-v3.
public func runLanesX86V3(
    _ lanes: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer, distance: Int
) -> Bool {
    lanes.run(use, at: memory, distance: distance)
}

/// ``Lanes/run(_:_:_:at:distance:)`` for processors of level x86-64-v3.
public func runLanePairX86V3(
    _ first: inout Lanes, _ second: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer,
    distance: Int
) -> Bool {
    Lanes.run(&first, &second, use, at: memory, distance: distance)
}

/// ``Lanes/run(_:at:_:scratch:words:)`` for processors of level x86-64-v3.
public func runGrainLanesX86V3(
    _ lanes: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer, _ run: GrainRun,
    scratch: UnsafeMutableRawPointer, words: inout Int
) -> Bool {
    lanes.run(use, at: memory, run, scratch: scratch, words: &words)
}

/// ``Lanes/jump(_:)`` for processors of level x86-64-v3.
public func jumpLanesX86V3(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
    lanes.jump(polynomial)
}

/// ``Lanes/jump(_:_:_:)`` for processors of level x86-64-v3.
public func jumpLanePairX86V3(
    _ first: inout Lanes, _ second: inout Lanes, _ polynomial: JumpPolynomial
) {
    Lanes.jump(&first, &second, polynomial)
}
