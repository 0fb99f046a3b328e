// SPDX-License-Identifier: MIT OR Apache-2.0
// The hot loops compiled for any processor of the architecture; the same for others are modules of their own.

package func runLanesBaseline(
    _ lanes: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer, distance: Int
) -> Bool {
    lanes.run(use, at: memory, distance: distance)
}

package func runLanePairBaseline(
    _ first: inout Lanes, _ second: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer,
    distance: Int
) -> Bool {
    Lanes.run(&first, &second, use, at: memory, distance: distance)
}

package func runScatteredLanesBaseline(
    _ lanes: inout Lanes, _ use: Use, at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
) -> Bool {
    lanes.run(use, at: places, count: count)
}

package func runScatteredLanePairBaseline(
    _ first: inout Lanes, _ second: inout Lanes, _ use: Use,
    at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
) -> Bool {
    Lanes.run(&first, &second, use, at: places, count: count)
}

package func runGrainLanesBaseline(
    _ lanes: UnsafeMutablePointer<Lanes>, _ use: Use,
    at places: UnsafePointer<UnsafeMutableRawPointer>,
    _ run: GrainRun, scratch: UnsafeMutableRawPointer, words: inout Int
) -> Bool {
    Lanes.run(lanes, use, at: places, run, scratch: scratch, words: &words)
}

package func jumpLanesBaseline(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
    lanes.jump(polynomial)
}

package func jumpLanePairBaseline(
    _ first: inout Lanes, _ second: inout Lanes, _ polynomial: JumpPolynomial
) {
    Lanes.jump(&first, &second, polynomial)
}

package func beginLanesBaseline(
    _ lanes: UnsafeMutablePointer<Lanes>, _ count: Int, _ streams: ContentStreams,
    _ numbers: UnsafePointer<UInt64>, generations: UnsafePointer<UInt64>?
) {
    Lanes.begin(lanes, count, streams, numbers, generations: generations)
}

package func permuteLanesBaseline(
    _ scatter: Scatter, _ numbers: UnsafeMutablePointer<UInt64>, _ total: Int
) {
    scatter.permute(numbers, total)
}
