// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@testable import DGen

@Suite struct BatchesTests {
    @Test func ranksInStepAgreeAfterTwoMiBAndAtTheEnd() {
        func ends(transferSize: Int, depth: Int) -> [Int] {
            let shards = Shards(size: 5 << 20, ranks: 1, alignment: 1)
            let pattern = DealtPattern(shards, transferSize: transferSize)
            let batches = Batches(pattern, depth: depth)
            return (0..<pattern.transfersPerRank).filter { batches.endsStretch($0) }
        }
        // Whatever the depth, which may differ between ranks.
        for depth in [1, 2] {
            #expect(ends(transferSize: 64 << 10, depth: depth) == [31, 63, 79])
            #expect(ends(transferSize: 400 << 10, depth: depth) == [4, 9, 12])
            #expect(ends(transferSize: 1 << 20, depth: depth) == [1, 3, 4])
            #expect(ends(transferSize: 4 << 20, depth: depth) == [0, 1])
        }
    }
}
