// SPDX-License-Identifier: MIT OR Apache-2.0
// The hot loops compiled for x86-64-v3 (AVX2). Nothing else belongs here: every function in this module may
// only run after a look at the processor, and generic code specialised here could become a weak symbol
// that replaces the same code elsewhere.

package import Xoshiro

package func runLanesX86V3(
    _ lanes: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer, distance: Int
) -> Bool {
    lanes.run(use, at: memory, distance: distance)
}

package func runLanePairX86V3(
    _ first: inout Lanes, _ second: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer,
    distance: Int
) -> Bool {
    Lanes.run(&first, &second, use, at: memory, distance: distance)
}

package func runScatteredLanesX86V3(
    _ lanes: inout Lanes, _ use: Use, at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
) -> Bool {
    lanes.run(use, at: places, count: count)
}

package func runScatteredLanePairX86V3(
    _ first: inout Lanes, _ second: inout Lanes, _ use: Use,
    at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
) -> Bool {
    Lanes.run(&first, &second, use, at: places, count: count)
}

package func runGrainLanesX86V3(
    _ lanes: UnsafeMutablePointer<Lanes>, _ use: Use,
    at places: UnsafePointer<UnsafeMutableRawPointer>,
    _ run: GrainRun, scratch: UnsafeMutableRawPointer, words: inout Int
) -> Bool {
    Lanes.run(lanes, use, at: places, run, scratch: scratch, words: &words)
}

package func jumpLanesX86V3(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
    lanes.jump(polynomial)
}

package func jumpLanePairX86V3(
    _ first: inout Lanes, _ second: inout Lanes, _ polynomial: JumpPolynomial
) {
    Lanes.jump(&first, &second, polynomial)
}

package func beginLanesX86V3(
    _ lanes: UnsafeMutablePointer<Lanes>, _ count: Int, _ streams: ContentStreams,
    _ numbers: UnsafePointer<UInt64>, generations: UnsafePointer<UInt64>?
) {
    Lanes.begin(lanes, count, streams, numbers, generations: generations)
}

package func permuteLanesX86V3(
    _ scatter: Scatter, _ numbers: UnsafeMutablePointer<UInt64>, _ total: Int
) {
    scatter.permute(numbers, total)
}
