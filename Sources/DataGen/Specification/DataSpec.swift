// SPDX-License-Identifier: MIT OR Apache-2.0

/// Everything that decides the bytes of a data set (FORMAT.md section 2), validated.
///
/// Byte *k* of the data set is a function of these values and of *k* alone.
public struct DataSpec: Sendable, Hashable {
    /// What the compressible part of a grain is.
    public enum Fill: String, Sendable, CaseIterable {
        /// One local back-reference, repeated.
        case backref
        /// Zero bytes.
        case zeros
    }

    /// The default of ``dedupUnit``: 1 MiB.
    public static let dedupUnitDefault = 1 << 20

    /// The length of the data set in bytes, 0 to 2^63 - 1.
    public let size: Int
    /// The seed of the stream.
    public let seed: UInt64
    /// Logical blocks per distinct block, 1 to 1000000.
    public let dedupRatio: Ratio
    /// Bytes per compressed byte, from 1 up to what the grain can hold: 64 for 1024 bytes, 128 for 4096.
    public let compressRatio: Ratio
    /// The block, the unit of deduplication, in bytes: a multiple of 512 up to 1 GiB.
    public let dedupUnit: Int
    /// The grain, the unit of compression, in bytes: a multiple of 64, 512 to 65536, dividing the
    /// block; by default 1024, or 512 where 1024 does not divide it.
    public let compressUnit: Int
    /// What the compressible part of a grain is.
    public let fill: Fill
    /// What makes it a data set of version 2; nil for one of version 1.
    public let composition: Composition?

    /// Checks the values against the legal ranges of FORMAT.md section 2, which the properties state.
    ///
    /// - Throws: ``InvalidField`` for the first field that is out of its range.
    public init(
        size: Int, seed: UInt64, dedupRatio: Ratio = 1, compressRatio: Ratio = 1,
        dedupUnit: Int = DataSpec.dedupUnitDefault, compressUnit: Int? = nil, fill: Fill = .backref,
        composition: Composition? = nil
    ) throws(InvalidField) {
        guard size >= 0 else {
            throw InvalidField(
                field: "size", value: "\(size)", accepted: "0 to 2^63 - 1 bytes")
        }
        guard (1000...1_000_000_000).contains(dedupRatio.thousandths) else {
            throw InvalidField(
                field: "dedup_ratio", value: "\(dedupRatio)",
                accepted: "1 to 1000000 with at most 3 decimals")
        }
        guard dedupUnit % 512 == 0, (512...1 << 30).contains(dedupUnit) else {
            throw InvalidField(
                field: "dedup_unit", value: "\(dedupUnit)",
                accepted: "a multiple of 512 bytes, 512 to 1 GiB")
        }
        let grain = compressUnit ?? (dedupUnit % 1024 == 0 ? 1024 : 512)
        guard grain % 64 == 0, (512...65536).contains(grain), dedupUnit % grain == 0 else {
            throw InvalidField(
                field: "compress_unit", value: "\(grain)",
                accepted: "a multiple of 64 bytes, 512 to 65536, that divides dedup_unit"
                    + " (\(dedupUnit))")
        }
        // Eight random bytes at least in every grain: 1000 G - o cm >= 8 cm.
        let limit = Ratio(thousandths: 1000 * grain / (Layout.overheadBytes(grain: grain) + 8))
        func requireLegal(_ ratio: Ratio, _ field: String) throws(InvalidField) {
            guard (1000...max(1000, limit.thousandths)).contains(ratio.thousandths) else {
                throw InvalidField(
                    field: field, value: "\(ratio)",
                    accepted: "1 to \(limit) with at most 3 decimals for compress_unit \(grain)")
            }
        }
        try requireLegal(compressRatio, "compress_ratio")
        if let composition {
            try composition.validate()
            for one in composition.compressMix ?? [] {
                try requireLegal(one.ratio, "compress_mix")
            }
            guard composition.copies == nil || dedupRatio == 1 else {
                throw InvalidField(
                    field: "dedup_ratio", value: "\(dedupRatio)",
                    accepted: "none with copies, which say how often contents are repeated")
            }
            guard composition.compressMix == nil || compressRatio == 1 else {
                throw InvalidField(
                    field: "compress_ratio", value: "\(compressRatio)",
                    accepted: "none with compress_mix, which has the ratios of all contents")
            }
        }
        self.size = size
        self.seed = seed
        self.dedupRatio = dedupRatio
        self.compressRatio = compressRatio
        self.dedupUnit = dedupUnit
        self.compressUnit = grain
        self.fill = fill
        self.composition = composition.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The same data set with another seed.
    public func withSeed(_ seed: UInt64) throws(InvalidField) -> DataSpec {
        try DataSpec(
            size: size, seed: seed, dedupRatio: dedupRatio, compressRatio: compressRatio,
            dedupUnit: dedupUnit, compressUnit: compressUnit, fill: fill, composition: composition)
    }

    /// How often the data set has changed; version 1 never does.
    public var generation: Int { composition?.generation ?? 0 }

    /// The same data set after so many changes.
    public func withGeneration(_ generation: Int) throws(InvalidField) -> DataSpec {
        // One of version 1 has not changed, and stays one.
        guard composition != nil || generation > 0 else { return self }
        return try DataSpec(
            size: size, seed: seed, dedupRatio: dedupRatio, compressRatio: compressRatio,
            dedupUnit: dedupUnit, compressUnit: compressUnit, fill: fill,
            composition: (composition ?? Composition()).withGeneration(generation))
    }

    /// Whether both are the same data set, be it after other changes.
    package func isGeneration(of other: DataSpec) -> Bool {
        guard let composition, let others = other.composition, composition.change != nil else {
            return false
        }
        let same = composition.withGeneration(0) == others.withGeneration(0)
        return same && size == other.size && seed == other.seed && dedupRatio == other.dedupRatio
            && compressRatio == other.compressRatio && dedupUnit == other.dedupUnit
            && compressUnit == other.compressUnit && fill == other.fill
    }

    /// Fills `buffer` with the bytes of the data set from `offset` on: one call for a buffer.
    ///
    /// - Precondition: `offset` and the length of `buffer` lie within ``size``.
    /// - Complexity: O(bytes), after some microseconds to reach `offset`.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int = 0) {
        var generator = Generator(self)
        generator.fill(buffer, at: offset)
    }
}
