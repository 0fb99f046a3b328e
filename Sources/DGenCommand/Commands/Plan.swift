// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation

/// `dgen-mpi plan`: what `generate` would write, by arithmetic; touches nothing.
struct Plan: Encodable {
    struct Shard: Encodable {
        let rank: Int
        let offset: Int
        let bytes: Int
    }

    /// The most shards that are listed one by one.
    static let shardsListed = 16

    let format = "dgen-plan/1"
    let spec: EncodedSpec
    let ranks: Int
    let align: Int
    let transferSize: Int
    let blocks: Int
    let distinctBlocks: Int
    let logicalBytes: Int
    let distinctBytes: Int
    let expectedStoredBytes: Int
    let shards: [Shard]
    let shardBytesMinimum: Int
    let shardBytesMaximum: Int
    let emptyRanks: Int
    let transfersPerRankMaximum: Int

    init(_ settings: Settings) throws {
        // The seed does not change the plan.
        let spec = try settings.spec(over: nil, drawingSeed: { 0 })
        let layout = Layout(spec)
        self.spec = EncodedSpec(spec)
        ranks = try settings.ranks()
        align = try settings.alignment()
        transferSize = try settings.transferSize()
        let all = Shards(size: spec.size, ranks: ranks, alignment: align)
        blocks = layout.blockCount
        distinctBlocks = layout.distinctBlockCount
        logicalBytes = spec.size
        distinctBytes = layout.distinctBytes
        expectedStoredBytes = layout.expectedStoredBytes
        let listed = ranks <= Self.shardsListed ? ranks : Self.shardsListed / 2
        let last = ranks <= listed ? [] : [ranks - 1]
        shards = (Array(0..<listed) + last).map {
            Shard(rank: $0, offset: all[$0].lowerBound, bytes: all[$0].count)
        }
        // Rank order is size order, but for the last shard that has bytes, which may be cut.
        shardBytesMaximum = all.longest
        shardBytesMinimum = min(all[ranks - 1].count, all[max(all.occupied - 1, 0)].count)
        emptyRanks = ranks - all.occupied
        transfersPerRankMaximum = all.longest.dividedRoundingUp(by: transferSize)
    }

    var table: Table {
        var table = Table()
        table.row("logical", "\(ByteSize.format(logicalBytes)) (\(logicalBytes) bytes)")
        table.row(
            "expected stored",
            "\(ByteSize.format(expectedStoredBytes)) (\(expectedStoredBytes) bytes)")
        table.row("after dedup", "\(ByteSize.format(distinctBytes)) (\(distinctBytes) bytes)")
        table.row("blocks", "\(blocks), \(distinctBlocks) distinct")
        table.row(
            "ranks", "\(ranks)" + (emptyRanks > 0 ? ", \(emptyRanks) with nothing to do" : ""))
        table.row(
            "shard",
            shardBytesMinimum == shardBytesMaximum
                ? ByteSize.format(shardBytesMaximum)
                : "\(ByteSize.format(shardBytesMinimum)) to \(ByteSize.format(shardBytesMaximum))")
        table.row(
            "transfers",
            "\(transfersPerRankMaximum) of \(ByteSize.format(transferSize)) at most per rank")
        for (index, shard) in shards.enumerated() {
            if index > 0, shard.rank != shards[index - 1].rank + 1 { table.row("  ...", "") }
            table.row("  rank \(shard.rank)", "offset \(shard.offset), \(shard.bytes) bytes")
        }
        return table
    }
}
