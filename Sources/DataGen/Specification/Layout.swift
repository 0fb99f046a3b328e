// SPDX-License-Identifier: MIT OR Apache-2.0

/// Where every byte of a data set comes from: blocks, distinct blocks and grains (FORMAT.md
/// sections 3 and 4).
///
/// Derived from a ``DataSpec`` by arithmetic alone: O(1) in time and memory for any size.
public struct Layout: Sendable, Hashable {
    /// The specification that this layout was derived from.
    public let spec: DataSpec
    /// Blocks in the data set (`N`), the last of which may be cut short.
    public let blockCount: Int
    /// Distinct blocks (`U`), 1 at least.
    public let distinctBlockCount: Int

    /// The random bytes of `k` grains are 8 * (k * `randomNumerator` / `randomDenominator`).
    let randomNumerator: Int
    let randomDenominator: Int

    /// Derives the layout of `spec`.
    public init(_ spec: DataSpec) {
        self.spec = spec
        blockCount = Self.blockCount(of: spec)
        distinctBlockCount = Self.distinctCount(of: blockCount, by: spec.dedupRatio)
        (randomNumerator, randomDenominator) = Self.randomWords(
            grain: spec.compressUnit, ratio: spec.compressRatio)
    }

    /// The random words of k grains that compress by `ratio` are k * numerator / denominator.
    static func randomWords(grain: Int, ratio: Ratio) -> (numerator: Int, denominator: Int) {
        let compress = ratio.thousandths
        return (1000 * grain - overheadBytes(grain: grain) * compress, 8 * compress)
    }

    /// Blocks in the data set, the last of which may be cut short.
    static func blockCount(of spec: DataSpec) -> Int {
        spec.size / spec.dedupUnit + (spec.size % spec.dedupUnit == 0 ? 0 : 1)
    }

    /// `count` / `ratio` rounded half up, 1 at least.
    static func distinctCount(of count: Int, by ratio: Ratio) -> Int {
        // 2000 N passes 2^63 for the largest data sets.
        let dedup = UInt128(ratio.thousandths)
        return max(1, Int((2000 * UInt128(count) + dedup) / (2 * dedup)))
    }

    /// Whether no block repeats another: where nothing is compressible either, the data set is the stream.
    var isOneStream: Bool { distinctBlockCount >= blockCount }

    /// What LZ4 spends on describing a grain, `o` in FORMAT.md section 2; it influences the bytes.
    static func overheadBytes(grain: Int) -> Int {
        grain / 256 + (grain < 4096 ? 4 : 8)
    }

    /// The distinct block whose bytes block `index` holds: round robin.
    public func distinctBlock(ofBlock index: Int) -> Int {
        index % distinctBlockCount
    }

    /// `W(k)` of FORMAT.md section 4: the random bytes that the first `grains` grains of a block
    /// hold; a multiple of 8.
    ///
    /// Only for a compress ratio above 1.
    public func randomBytes(inFirst grains: Int) -> Int {
        8 * (grains * randomNumerator / randomDenominator)
    }

    /// The distance of the back-reference in a grain that begins with `randomBytes` random bytes:
    /// the largest odd multiple of 8 that is not above it.
    public static func backReferenceDistance(randomBytes: Int) -> Int {
        let words = randomBytes / 8
        return 8 * (words % 2 == 1 ? words : words - 1)
    }

    /// Bytes that remain when every block that repeats an earlier one is stored once.
    ///
    /// A last block that is cut short is not equal to the block that it repeats, so it counts.
    public var distinctBytes: Int {
        guard blockCount > distinctBlockCount else { return spec.size }
        return distinctBlockCount * spec.dedupUnit + spec.size % spec.dedupUnit
    }

    /// Bytes that a store which deduplicates and compresses at the units of the specification is
    /// expected to keep, metadata and rounding to its sectors left out.
    public var expectedStoredBytes: Int {
        let compress = UInt128(spec.compressRatio.thousandths)
        return Int((UInt128(distinctBytes) * 1000 + compress - 1) / compress)
    }
}
