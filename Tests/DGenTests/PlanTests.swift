// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct PlanTests {
    private func plan(_ commandLine: Settings.Given) throws -> Plan {
        try Plan(Settings(commandLine: commandLine, environment: [:], jobFile: [:]))
    }

    @Test func shardsAddUpAndLargeNumbersAreCutShort() throws {
        let small = try plan([.size: ["10MiB"], .ranks: ["3"]])
        #expect(small.shards.map(\.bytes).reduce(0, +) == 10 << 20)
        let large = try plan([.size: ["9223372036854775807"], .ranks: ["1000000"]])
        #expect(large.shards.count == Plan.shardsListed / 2 + 1)
        #expect(large.shards.last?.rank == 999_999)
        #expect(large.blocks == 1 << 43)
    }

    /// What is planned is what the pattern of a run moves: piece by piece, and in sum.
    @Test func whatIsPlannedIsWhatARunWrites() throws {
        for (size, ranks, cut) in [
            ("1000000", "3", [:]), ("1000000", "3", [.segments: ["4"]]),
            ("1000000", "2", [.strided: ["true"]]), ("40000", "7", [.segments: ["3"]]),
            ("1000001", "5", [.segments: ["1000000"]]), ("100", "4", [.strided: ["yes"]]),
            ("1000000", "4", [.layout: ["per-rank"], .output: ["a/b"]]),
            ("100000000", "9", [.strided: ["true"], .order: ["random"]]),
        ] as [(String, String, Settings.Given)] {
            let given: Settings.Given = [
                .size: [size], .ranks: [ranks], .align: ["4096"], .transferSize: ["10000"],
            ]
            let settings = Settings(
                commandLine: given.merging(cut) { $1 }, environment: [:], jobFile: [:])
            let plan = try Plan(settings)
            let count = try settings[.ranks]
            let pattern = DealtPattern(
                Shards(size: Int(size) ?? 0, ranks: count, alignment: 4096),
                transferSize: 10000, cut: try settings.cut())
            let transfers = (0..<count).map { rank in
                (0..<pattern.transfersPerRank).map { pattern[$0, rank] }.filter { !$0.isEmpty }
            }
            let bytes = transfers.map { $0.reduce(0) { $0 + $1.count } }
            let note: Comment = "\(size) \(ranks) \(cut)"
            #expect(plan.shardBytesMaximum == bytes.max(), note)
            #expect(plan.shardBytesMinimum == bytes.min(), note)
            #expect(plan.emptyRanks == bytes.count { $0 == 0 }, note)
            #expect(plan.transfersPerRankMaximum == transfers.map(\.count).max(), note)
            for shard in plan.shards where shard.bytes > 0 {
                let end = shard.offset + shard.bytes
                let moved = transfers[shard.rank].filter {
                    (shard.offset..<end).overlaps($0)
                }
                #expect(moved.first?.lowerBound == shard.offset, note)
                #expect(moved.reduce(0) { $0 + $1.count } == shard.bytes, note)
            }
            #expect(plan.shards.last?.rank == count - 1, note)
            let isPerRank = plan.layout == .perRank
            #expect((plan.shards[0].file == "a/b.00000000") == isPerRank, note)
            #expect(plan.table.text.contains("a/b.00000003") == isPerRank, note)
        }
    }

    @Test func ranksBeyondTheLastUnitAreCountedAsEmpty() throws {
        let plan = try plan([.size: ["3MiB"], .ranks: ["8"]])
        #expect(plan.emptyRanks == 5)
        #expect(plan.shardBytesMinimum == 0)
        #expect(plan.shardBytesMaximum == 1 << 20)
    }
}
