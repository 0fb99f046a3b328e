// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct RollCallTests {
    @Test(arguments: [
        ([2], "rank 2 on b"), ([0, 1], "ranks 0-1 on a"),
        ([1, 2, 3], "rank 1 on a, ranks 2-3 on b"),
        ([0, 3, 4], "rank 0 on a, rank 3 on b, rank 4 on c"),
        ([2, 4], "rank 2 on b, rank 4 on c"),
    ])
    func ranksAreNamedWithTheirNodes(ranks: [Int], text: String) {
        #expect(RollCall.text(of: ranks, on: ["a", "a", "b", "b", "c"]) == text)
    }

    @Test func ofManyTheFirstAreNamed() {
        let hosts = (0..<1000).map { "node\($0)" }
        let text = RollCall.text(of: Array(0..<1000), on: hosts)
        #expect(text.hasSuffix("rank 19 on node19, and others"))
    }
}
