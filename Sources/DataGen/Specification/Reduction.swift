// SPDX-License-Identifier: MIT OR Apache-2.0

/// What stores should make of a data set, by arithmetic: constant time and memory for any size.
///
/// Metadata and rounding to sectors are left out.
public struct Reduction: Sendable {
    /// Blocks that were dealt alike, of a data set of version 2.
    public struct Class: Sendable {
        /// The blocks that hold each content; nil where a dedup ratio deals them.
        public let copies: Int?
        /// Its blocks.
        public let blocks: Int
        /// Its contents; 0 where the share is too small for one at this size.
        public let contents: Int
    }

    /// What changes from the generation before, and what all generations are together.
    public struct History: Sendable {
        /// Contents that are other ones than in the generation before.
        public let changedContents: Int
        /// Blocks that hold them; where a dedup ratio deals blocks, on average.
        public let changedBlocks: Int
        /// Bytes of generations 0 to this one, when each is stored whole.
        public let logicalBytes: Double
        /// What of them deduplication keeps.
        public let distinctBytes: Double
        /// What deduplication and compression keep, if what changes compresses as all contents do; some percent off where
        /// few contents change most.
        public let storedBytes: Double

        /// Logical bytes for each byte that deduplication keeps.
        public var dedupRatio: Double { distinctBytes == 0 ? 1 : logicalBytes / distinctBytes }
    }

    /// Blocks of the data set, the last of which may be cut short.
    public let blocks: Int
    /// Those that are zeros.
    public let zeroBlocks: Int
    /// Distinct blocks that are not zeros, 1 at least of version 1.
    public let contents: Int
    /// The classes of blocks that are not zeros; none of version 1.
    public let classes: [Class]
    /// Bytes that remain when every block that repeats another is stored once, one of zeros among them.
    public let distinctBytes: Int
    /// Bytes that remain when every block is compressed.
    public let compressedBytes: Int
    /// Bytes that remain when both is done.
    public let storedBytes: Int
    /// Bytes of all contents for each of their compressed bytes.
    public let meanCompressRatio: Double
    /// Where something changes.
    public let history: History?

    /// Logical bytes for each byte that deduplication keeps.
    public var dedupRatio: Double { distinctBytes == 0 ? 1 : Double(size) / Double(distinctBytes) }

    private let size: Int

    /// Derives it from a specification.
    public init(_ spec: DataSpec) {
        size = spec.size
        guard spec.composition != nil else {
            let layout = Layout(spec)
            blocks = layout.blockCount
            zeroBlocks = 0
            contents = layout.distinctBlockCount
            classes = []
            distinctBytes = layout.distinctBytes
            compressedBytes = Self.compressed(UInt128(spec.size), by: spec.compressRatio)
            storedBytes = layout.expectedStoredBytes
            meanCompressRatio = spec.compressRatio.doubleValue
            history = nil
            return
        }
        let layout = ContentLayout(spec)
        let block = UInt128(spec.dedupUnit)
        blocks = layout.blockCount
        zeroBlocks = layout.zeroCount
        contents = layout.contentCount
        classes = layout.classes.map {
            Class(copies: $0.copies, blocks: $0.slots.count, contents: $0.contents.count)
        }
        // What the last block lacks, and whether the whole of it is elsewhere.
        let missing = UInt128(layout.blockCount) * block - UInt128(spec.size)
        let isRepeated = missing > 0 && layout.blocksLikeLast > 1
        var (distinct, compressed, stored): (UInt128, UInt128, UInt128) = (0, 0, 0)
        for (number, one) in layout.classes.enumerated() where !one.contents.isEmpty {
            for (index, count) in layout.contentCounts(ofClass: number).enumerated() {
                let bytes = UInt128(count) * block
                let all = bytes * UInt128(one.slots.count) / UInt128(one.contents.count)
                let ratio = UInt128(layout.ratios[index].thousandths)
                distinct += bytes
                compressed += (all * 1000 + ratio - 1) / ratio
                stored += (bytes * 1000 + ratio - 1) / ratio
            }
        }
        let unique = distinct
        if zeroBlocks > 0 { distinct += block }
        if missing > 0 { distinct = isRepeated ? distinct + block - missing : distinct - missing }
        distinctBytes = min(Int(clamping: distinct), spec.size)
        compressedBytes = min(Int(clamping: compressed), spec.size)
        storedBytes = min(Int(clamping: stored), distinctBytes)
        meanCompressRatio = stored == 0 ? 1 : Double(unique) / Double(stored)
        history =
            spec.composition?.change == nil
            ? nil
            : Self.history(
                layout, Double(distinctBytes), Double(storedBytes), meanCompressRatio,
                missing: Int(missing), isRepeated: isRepeated)
    }

    private static func compressed(_ bytes: UInt128, by ratio: Ratio) -> Int {
        let thousandths = UInt128(ratio.thousandths)
        return Int((bytes * 1000 + thousandths - 1) / thousandths)
    }

    /// `missing` is what the last block lacks, and `isRepeated` whether the whole of it is elsewhere.
    private static func history(
        _ layout: ContentLayout, _ distinct: Double, _ stored: Double, _ meanRatio: Double,
        missing: Int, isRepeated: Bool
    ) -> History {
        let spec = layout.spec
        let generation = spec.generation
        var (contents, blocks): (UInt128, UInt128) = (0, 0)
        var versions = 0.0
        for (number, one) in layout.classes.enumerated() where !one.contents.isEmpty {
            let all = layout.changes(inClass: number, upTo: generation)
            let before = generation > 0 ? layout.changes(inClass: number, upTo: generation - 1) : 0
            contents += all - before
            blocks += (all - before) * UInt128(one.slots.count) / UInt128(one.contents.count)
            versions += Double(all)
        }
        var more = versions * Double(spec.dedupUnit)
        // Each version of the content that is cut short: as part of a whole one that is kept too, or only so.
        if missing > 0 {
            let ofLast = Double(layout.changesOfLast)
            more +=
                isRepeated ? ofLast * Double(spec.dedupUnit - missing) : -ofLast * Double(missing)
        }
        return History(
            changedContents: Int(clamping: contents), changedBlocks: Int(clamping: blocks),
            logicalBytes: Double(spec.size) * Double(generation + 1),
            distinctBytes: distinct + more, storedBytes: stored + more / meanRatio)
    }
}
