// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct ShardsTests {
    @Test func coverTheFileInOrderForEverySmallCase() {
        for size in 0...40 {
            for ranks in 1...9 {
                for alignment in 1...6 {
                    let shards = Shards(size: size, ranks: ranks, alignment: alignment)
                    var end = 0
                    for shard in shards {
                        #expect(shard.lowerBound == end)
                        #expect(shard.lowerBound % alignment == 0 || shard.lowerBound == size)
                        end = shard.upperBound
                    }
                    #expect(end == size)
                    let units = shards.map { ($0.count + alignment - 1) / alignment }
                    #expect((units.max() ?? 0) - (units.min() ?? 0) <= 1)
                    #expect(shards.longest == shards.map(\.count).max())
                    for offset in [0, size / 3, size - 1] where size > 0 {
                        #expect(shards[shards.rank(of: offset)].contains(offset))
                    }
                    #expect(shards.occupied == shards.count { !$0.isEmpty })
                }
            }
        }
    }

    @Test func holdForTheLargestFileAndAMillionRanks() {
        let shards = Shards(size: .max, ranks: 1_000_000, alignment: 1 << 20)
        #expect(shards[0].lowerBound == 0)
        #expect(shards[999_999].upperBound == .max)
        #expect(shards[500_000].lowerBound == shards[499_999].upperBound)
    }
}
