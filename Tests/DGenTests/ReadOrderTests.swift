// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct ReadOrderTests {
    @Test(arguments: [
        [1], [4], [1, 1], [3, 1, 2], [2, 2, 2, 2], [5, 1, 1], [64, 64, 32, 64],
    ])
    func everyShardIsReadOnceAndFromAnotherNodeWhereThatCanBe(nodes: [Int]) {
        let count = nodes.reduce(0, +)
        let most = nodes.max() ?? 1
        let nodeOf = nodes.enumerated().flatMap {
            Array(repeating: $0.offset, count: $0.element)
        }
        for order in ReadOrder.allCases {
            for seed: UInt64 in 0..<5 {
                let partners = (0..<count).map {
                    order.partners(of: $0, among: count, ranksPerNode: most, seed: seed)
                }
                #expect(Set(partners.map(\.target)) == Set(0..<count))
                for (place, partner) in partners.enumerated() {
                    #expect(partners[partner.target].origin == place)
                    #expect(partners[partner.origin].target == place)
                    if order == .shift, 2 * most <= count {
                        #expect(nodeOf[place] != nodeOf[partner.target], "\(nodes)")
                    }
                }
            }
        }
    }

    @Test func shufflesAreTheSameForTheSameSeedOnly() {
        func order(_ seed: UInt64) -> [Int] {
            let permutation = Permutation(count: 1000, seed: seed)
            return (0..<1000).map { permutation[$0] }
        }
        #expect(order(1) == order(1))
        #expect(order(1) != order(2))
        // Few stay where they are.
        #expect(order(3).enumerated().filter { $0.offset == $0.element }.count < 20)
    }
}
