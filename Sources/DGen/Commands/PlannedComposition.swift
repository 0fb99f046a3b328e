// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// What a data set of version 2 is composed of, for `plan`.
struct PlannedComposition: Encodable {
    /// Blocks that were dealt alike.
    struct Class: Encodable {
        /// Of each content; nil where a dedup ratio deals blocks.
        let copies: Int?
        let blocks: Int
        let contents: Int
    }

    /// What changes from the generation before.
    struct Change: Encodable {
        let generation: Int
        let contents: Int
        let blocks: Int
        let bytes: Int
    }

    /// Generations 0 to the one at hand, each stored whole; numbers may be larger than any data set.
    struct Kept: Encodable {
        let generations: Int
        let logicalBytes: Double
        let distinctBytes: Double
        let storedBytes: Double
        /// Logical bytes for each that deduplication keeps.
        let dedupRatio: Double
    }

    let zeroBlocks: Int
    let classes: [Class]
    /// Classes that are too small for one content at this size, as they were given.
    let emptyClasses: [String]
    /// Logical bytes for each that deduplication keeps.
    let dedupRatio: Double
    /// Of all contents.
    let meanCompressRatio: Double
    let compressedBytes: Int
    let change: Change?
    let kept: Kept?

    init(_ reduction: Reduction, _ composition: Composition, _ spec: DataSpec) {
        zeroBlocks = reduction.zeroBlocks
        classes = reduction.classes.map {
            Class(copies: $0.copies, blocks: $0.blocks, contents: $0.contents)
        }
        emptyClasses = zip(composition.copies ?? [], reduction.classes).compactMap { given, found in
            found.contents == 0 ? given.description : nil
        }
        dedupRatio = reduction.dedupRatio
        meanCompressRatio = reduction.meanCompressRatio
        compressedBytes = reduction.compressedBytes
        let generation = composition.generation ?? 0
        change = reduction.history.flatMap { history in
            guard generation > 0 else { return nil }
            let (bytes, isLarge) = history.changedBlocks.multipliedReportingOverflow(
                by: spec.dedupUnit)
            return Change(
                generation: generation, contents: history.changedContents,
                blocks: history.changedBlocks, bytes: isLarge ? spec.size : min(bytes, spec.size))
        }
        kept = reduction.history.map {
            Kept(
                generations: generation + 1, logicalBytes: $0.logicalBytes,
                distinctBytes: $0.distinctBytes, storedBytes: $0.storedBytes,
                dedupRatio: $0.dedupRatio)
        }
    }

    func add(to table: inout Table, blocks: Int, contents: Int) {
        table.row("after compression", bytes: compressedBytes)
        table.row(
            "ratios",
            "dedup \(dedupRatio.fixed(3)), compress \(meanCompressRatio.fixed(3)) on average")
        table.row("blocks", "\(blocks), \(contents) contents, \(zeroBlocks) of zeros")
        for one in classes where one.contents > 0 {
            let copies = one.copies.map { $0 == 1 ? "1 copy" : "\($0) copies" } ?? "by ratio"
            table.row("  \(copies)", "\(one.blocks) blocks, \(one.contents) contents")
        }
        if !emptyClasses.isEmpty {
            table.row(
                "empty classes",
                "\(emptyClasses.joined(separator: ", ")): too small for this size")
        }
        if let change {
            table.row(
                "changes",
                "\(change.contents) contents, \(change.blocks) blocks, "
                    + "\(ByteSize.format(change.bytes)) from generation \(change.generation - 1)")
        }
        if let kept, kept.generations > 1 {
            table.row(
                "kept together",
                "\(Self.size(kept.storedBytes)) of \(Self.size(kept.logicalBytes)) of generations 0 to "
                    + "\(kept.generations - 1) (\(Self.size(kept.distinctBytes)) after dedup, "
                    + "\(kept.dedupRatio.fixed(3)):1)")
        }
    }

    /// A size that may be too large for a data set.
    private static func size(_ bytes: Double) -> String {
        bytes < Double(Int.max)
            ? ByteSize.format(Int(bytes)) : "\((bytes / 0x1p60).fixed(1)) EiB"
    }
}
