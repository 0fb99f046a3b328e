// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import FoundationEssentials
import Options

struct PlanCommand: RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Print shards, blocks and the expected stored size; touches nothing.")

    @OptionGroup(title: "Data") var spec: SpecOptions

    @Option(.ranks) var ranks: String?

    @OptionGroup var transfer: TransferOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    func answer(_ settings: Settings) throws(Failure) -> any Answer { try Plan(settings) }
}

/// `dgen-mpi plan`: what `generate` would write, by arithmetic; touches nothing.
struct Plan: Answer {
    /// Bytes that a rank writes in a row.
    struct Shard: Encodable {
        let rank: Int
        /// Where they lie in the data set.
        let offset: Int
        let bytes: Int
        /// Which segment they are of, where there are several.
        let segment: Int?
        /// The file that they are, where each rank has one.
        let file: String?
    }

    /// The most shards that are listed one by one.
    static let shardsListed = 16

    let format = "dgen-plan/1"
    let spec: JSONValue
    let ranks: Int
    let align: Int
    let transferSize: Int
    let layout: FileLayout
    let segments: Int
    let strided: Bool
    let order: String
    let blocks: Int
    let distinctBlocks: Int
    let logicalBytes: Int
    let distinctBytes: Int
    let expectedStoredBytes: Int
    /// What the data set is composed of, where that is more than ratios.
    let composition: PlannedComposition?
    let shards: [Shard]
    let shardBytesMinimum: Int
    let shardBytesMaximum: Int
    let emptyRanks: Int
    let transfersPerRankMaximum: Int

    init(_ settings: Settings) throws(Failure) {
        // The seed does not change the plan.
        let spec = try settings.spec(over: nil, drawingSeed: { 0 })
        let reduction = Reduction(spec)
        self.spec = spec.json
        (ranks, align, transferSize, layout) = try Failure.reading(
            (settings[.ranks], settings.alignment(), settings[.transferSize], settings.layout()))
        let (cut, order) = try Failure.reading((settings.cut(), settings[.order]))
        let pattern = DealtPattern(
            Shards(size: spec.size, ranks: ranks, alignment: align), transferSize: transferSize,
            cut: cut, order: order)
        strided = pattern.cut == .strided
        segments = pattern.segmentCount
        self.order = order.rawValue
        blocks = reduction.blocks
        distinctBlocks = reduction.contents
        logicalBytes = spec.size
        distinctBytes = reduction.distinctBytes
        expectedStoredBytes = reduction.storedBytes
        composition = spec.composition.map { PlannedComposition(reduction, $0, spec) }
        shards = Self.shards(
            pattern, ranks, layout, settings.text(.output) ?? "FILE")
        // Rank order is size order, also in each segment.
        (shardBytesMaximum, transfersPerRankMaximum) = pattern.share(of: 0)
        shardBytesMinimum = pattern.share(of: ranks - 1).bytes
        emptyRanks = ranks - pattern.occupied
    }

    /// The first and the last of what ranks write in a row, in file order; all of it where that is little.
    private static func shards(
        _ pattern: DealtPattern, _ ranks: Int, _ layout: FileLayout, _ path: String
    ) -> [Shard] {
        let segments = pattern.segmentCount
        let (count, isLarge) = segments.multipliedReportingOverflow(by: ranks)
        let isListed = !isLarge && count <= shardsListed
        let listed = isListed ? count : shardsListed / 2
        let places = (0..<listed).map { $0.quotientAndRemainder(dividingBy: ranks) }
        let last = isListed ? [] : [(quotient: segments - 1, remainder: ranks - 1)]
        return (places + last).map { segment, rank in
            let piece = pattern.piece(segment: segment, rank: rank)
            return Shard(
                rank: rank, offset: piece.lowerBound, bytes: piece.count,
                segment: segments > 1 ? segment : nil,
                file: layout == .perRank ? layout.path(path, rank: rank) : nil)
        }
    }

    /// Whether one shard is the next after another, so that none is left out between them.
    private func isNext(_ shard: Shard, after earlier: Shard) -> Bool {
        let (segment, before) = (shard.segment ?? 0, earlier.segment ?? 0)
        return shard.rank > 0
            ? segment == before && shard.rank == earlier.rank + 1
            : segment == before + 1 && earlier.rank == ranks - 1
    }

    var table: Table {
        var table = Table()
        table.row("logical", bytes: logicalBytes)
        table.row("expected stored", bytes: expectedStoredBytes)
        table.row("after dedup", bytes: distinctBytes)
        if let composition {
            composition.add(to: &table, blocks: blocks, contents: distinctBlocks)
        } else {
            table.row("blocks", "\(blocks), \(distinctBlocks) distinct")
        }
        table.row(
            "ranks", "\(ranks)" + (emptyRanks > 0 ? ", \(emptyRanks) with nothing to do" : ""))
        if layout == .perRank { table.row("layout", "a file for each rank") }
        if strided {
            table.row("layout", "strided: \(segments) turns of a transfer of each rank")
        } else if segments > 1 {
            table.row("layout", "\(segments) segments")
        }
        table.row(
            "shard",
            shardBytesMinimum == shardBytesMaximum
                ? ByteSize.format(shardBytesMaximum)
                : "\(ByteSize.format(shardBytesMinimum)) to \(ByteSize.format(shardBytesMaximum))")
        table.row(
            "transfers",
            "\(transfersPerRankMaximum) of \(ByteSize.format(transferSize)) at most per rank"
                + (order == Order.random.rawValue ? ", in random order" : ""))
        for (index, shard) in shards.enumerated() {
            if index > 0, !isNext(shard, after: shards[index - 1]) { table.row("  ...", "") }
            let segment = shard.segment.map { ", segment \($0)" } ?? ""
            let file = shard.file.map { ": \($0)" } ?? ""
            table.row(
                "  rank \(shard.rank)",
                "offset \(shard.offset), \(shard.bytes) bytes\(segment)\(file)")
        }
        return table
    }
}
