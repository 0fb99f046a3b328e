// SPDX-License-Identifier: MIT OR Apache-2.0

#if canImport(Glibc)
    internal import Glibc
#endif

/// Finds out what has become of damaged ranges.
///
/// Works on what was found in a range, or on samples of it where it is long: memory and time are bounded whatever the
/// damage. A value that remembers its place in the data set: give every thread a copy of its own.
public struct Examination: Sendable {
    /// Bytes that were found at an offset.
    public struct Evidence: Sendable {
        /// Where they were found.
        public let offset: Int
        /// What was found.
        public let bytes: [UInt8]

        /// Notes what was found.
        public init(offset: Int, bytes: [UInt8]) {
            self.offset = offset
            self.bytes = bytes
        }

        fileprivate var range: Range<Int> { offset..<offset + bytes.count }
    }

    /// Zeros and bytes of an earlier data set are recognised from this length on.
    public static let knownMin = 8
    /// Bytes of this data set are recognised elsewhere from this length on.
    public static let misplacedMin = 16
    /// Bits that differ in a wrong byte, on average, where bits were flipped; bytes that have nothing to do with each other
    /// differ in four.
    private static let flippedBitsPerByteMax = 2
    /// What storage writes as a whole: the unit in which mixed damage is told apart, and which torn writes end at.
    private static let sectorBytes = 512
    /// A border may be this much before the first wrong byte, or after the last: some bytes are right by chance.
    private static let slackBytes = 8
    /// Longer ranges are looked at in samples.
    private static let wholeBytesMax = 256 << 10
    private static let endBytes = 64 << 10
    private static let sampleBytes = 4 << 10
    private static let sampleCount = 16

    private let spec: DataSpec
    private let writeBytes: Int
    private var generator: Generator
    private var earlier: [Generator]

    /// Prepares to examine damage.
    ///
    /// - Parameters:
    ///   - spec: what should have been found.
    ///   - earlier: data sets that may have been there before.
    ///   - writeBytes: the length of what was written at once; that of a block if it is not known.
    ///   - kernel: what bytes are made with.
    public init(
        _ spec: DataSpec, earlier: [DataSpec] = [], writeBytes: Int? = nil,
        kernel: Kernel = .fastest
    ) {
        self.spec = spec
        self.writeBytes = writeBytes ?? spec.dedupUnit
        generator = Generator(spec, kernel: kernel)
        self.earlier = earlier.filter { $0 != spec }.map { Generator($0, kernel: kernel) }
    }

    /// The parts of a range that are to be looked at: all of it, or both ends and samples.
    public static func evidenceWanted(of damage: Damage) -> [Range<Int>] {
        let range = damage.offset..<damage.end
        guard !damage.isMissing else { return [] }
        guard damage.bytes > wholeBytesMax else { return [range] }
        let inner = range.lowerBound + endBytes..<range.upperBound - endBytes
        let step = inner.count / sampleCount
        let samples = (0..<sampleCount).map { number in
            let start = inner.lowerBound + number * step
            return start..<min(start + sampleBytes, inner.upperBound)
        }
        return [range.lowerBound..<inner.lowerBound] + samples
            + [inner.upperBound..<range.upperBound]
    }

    /// Says what a range is.
    ///
    /// - Parameters:
    ///   - damage: the range.
    ///   - evidence: what was found at ``evidenceWanted(of:)``; less where the file has become shorter.
    ///   - displacements: what to add to an offset in this range for one at which the found bytes may belong.
    /// - Returns: the kind, and what goes with it.
    /// - Complexity: O(bytes of the evidence x displacements and earlier data sets).
    public mutating func diagnose(
        _ damage: Damage, _ evidence: [Evidence], displacements: [Int] = []
    ) -> Diagnosis {
        let shown = min(Diagnosis.bytesShown, damage.bytes)
        let expected = bytes(damage.offset..<damage.offset + shown)
        var diagnosis =
            damage.isMissing || evidence.allSatisfy(\.bytes.isEmpty)
            ? Diagnosis(.truncated)
            : explain(damage, evidence, displacements + copies(displacements))
        diagnosis.expected = expected
        diagnosis.found = Array(evidence.first?.bytes.prefix(shown) ?? [])
        diagnosis.isSampled = !damage.isMissing && damage.bytes > Self.wholeBytesMax
        diagnosis.tornAt = damage.isMissing ? nil : tornSector(damage)
        if diagnosis.kind == .foreign, diagnosis.tornAt != nil { diagnosis.kind = .torn }
        return diagnosis
    }

    /// The same displacements to the next copy of each block: the bytes before the first copy of one that was found may
    /// lie before the start.
    private func copies(_ displacements: [Int]) -> [Int] {
        let extent = Needles.extent(of: spec)
        return extent < spec.size ? displacements.map { $0 + extent } : []
    }

    private mutating func explain(
        _ damage: Damage, _ evidence: [Evidence], _ displacements: [Int]
    ) -> Diagnosis {
        let count = evidence.reduce(0) { $0 + $1.bytes.count }
        if let whole = explainWhole(evidence, count, displacements) { return whole }
        guard damage.bytes > Self.sectorBytes else { return Diagnosis(.foreign) }
        return explainParts(evidence, displacements)
    }

    /// Says what ranges of a buffer are.
    ///
    /// What nothing explains is looked for elsewhere in the data set.
    ///
    /// - Parameters:
    ///   - ranges: what is wrong, all of it within the buffer.
    ///   - buffer: what was found.
    ///   - offset: where in the data set the buffer should be from.
    ///   - searchBytes: how much of the data set to look through, those bytes that lie around the first such range.
    /// - Returns: a diagnosis for each range.
    /// - Complexity: O(bytes of the ranges), and O(`searchBytes`) where there is something to look for.
    public mutating func diagnose(
        _ ranges: [Damage], in buffer: UnsafeRawBufferPointer, at offset: Int, searchBytes: Int
    ) -> [Diagnosis] {
        let evidence = ranges.map { range in
            Self.evidenceWanted(of: range).map { part in
                Evidence(
                    offset: part.lowerBound,
                    bytes: Array(buffer[part.lowerBound - offset..<part.upperBound - offset]))
            }
        }
        var diagnoses = zip(ranges, evidence).map { diagnose($0, $1) }
        let unexplained = ranges.indices.filter { diagnoses[$0].isUnexplained }
        guard let first = unexplained.first else { return diagnoses }
        let places = Needles.places(amongRanges: unexplained.count)
        let needles = Needles(
            unexplained.flatMap { Needles.take(from: evidence[$0], range: $0, places: places) })
        let hits = needles.search(
            spec, in: Needles.part(of: spec, around: ranges[first].offset, bytes: searchBytes),
            kernel: generator.kernel)
        let displacements = Dictionary(grouping: hits, by: \.range)
        for index in unexplained {
            guard let found = displacements[index] else { continue }
            diagnoses[index] = diagnose(
                ranges[index], evidence[index], displacements: found.map(\.displacement))
        }
        return diagnoses
    }

    /// One explanation for everything that was found.
    private mutating func explainWhole(
        _ evidence: [Evidence], _ count: Int, _ displacements: [Int]
    ) -> Diagnosis? {
        if evidence.allSatisfy({ isEqual($0, displacement: 0) }) { return Diagnosis(.transient) }
        let isMore = count >= Self.knownMin
        if isMore, evidence.allSatisfy({ $0.bytes.allSatisfy { $0 == 0 } }) {
            return Diagnosis(.zeros)
        }
        if let flipped = flippedBits(evidence) { return flipped }
        if isMore {
            for index in earlier.indices
            where evidence.allSatisfy({ Self.isEqual($0, 0, &earlier[index]) }) {
                var diagnosis = Diagnosis(.stale)
                diagnosis.seed = earlier[index].spec.seed
                return diagnosis
            }
        }
        guard count >= Self.misplacedMin, let first = evidence.first else { return nil }
        let offsets = displacements.filter { displacement in
            evidence.allSatisfy { isEqual($0, displacement: displacement) }
        }.map { first.offset + $0 }
        guard let offset = offsets.min() else { return nil }
        var diagnosis = Diagnosis(.misplaced)
        diagnosis.sourceOffset = offset
        return diagnosis
    }

    /// An explanation for each sector; sectors in a row with the same one are a part.
    private mutating func explainParts(
        _ evidence: [Evidence], _ displacements: [Int]
    ) -> Diagnosis {
        var parts: [Diagnosis.Part] = []
        var kinds: Set<Diagnosis.Kind> = []
        for piece in evidence {
            var start = piece.offset
            while start < piece.range.upperBound {
                let end = min(
                    (start / Self.sectorBytes + 1) * Self.sectorBytes, piece.range.upperBound)
                let sector = Evidence(
                    offset: start,
                    bytes: Array(piece.bytes[start - piece.offset..<end - piece.offset]))
                let whole = explainWhole([sector], end - start, displacements)
                let part = Diagnosis.Part(
                    kind: whole?.kind ?? .foreign, offset: start, bytes: end - start,
                    sourceOffset: whole?.sourceOffset, seed: whole?.seed)
                start = end
                // Right bytes between wrong ones; or too few to tell, at a border: they go with their neighbours.
                guard part.kind != .transient, part.bytes >= Self.misplacedMin else { continue }
                kinds.insert(part.kind)
                if let last = parts.last, let joined = Self.join(last, part) {
                    parts[parts.count - 1] = joined
                } else if parts.count < Diagnosis.partsMax {
                    parts.append(part)
                }
            }
        }
        let isOne = kinds.count == 1 && (parts.count == 1 || kinds.first != .misplaced)
        guard let first = parts.first, isOne else {
            var diagnosis = Diagnosis(.mixed)
            diagnosis.parts = parts
            return diagnosis
        }
        var diagnosis = Diagnosis(first.kind)
        (diagnosis.sourceOffset, diagnosis.seed) = (first.sourceOffset, first.seed)
        return diagnosis
    }

    /// Two parts in a row as one, where one explanation holds for both.
    private static func join(_ first: Diagnosis.Part, _ second: Diagnosis.Part) -> Diagnosis.Part? {
        let distance = second.offset - first.offset
        guard first.kind == second.kind, first.seed == second.seed,
            second.sourceOffset == first.sourceOffset.map({ $0 + distance })
        else { return nil }
        return Diagnosis.Part(
            kind: first.kind, offset: first.offset, bytes: distance + second.bytes,
            sourceOffset: first.sourceOffset, seed: first.seed)
    }

    /// The bits that differ, where they are so few that bits were flipped.
    private mutating func flippedBits(_ evidence: [Evidence]) -> Diagnosis? {
        var (wrong, count) = (0, 0)
        var bits: [Diagnosis.Bit] = []
        for piece in evidence {
            let expected = bytes(piece.range)
            for (index, byte) in piece.bytes.enumerated() where byte != expected[index] {
                let difference = byte ^ expected[index]
                wrong += 1
                count += difference.nonzeroBitCount
                for bit in 0..<8 where difference >> bit & 1 == 1 && bits.count < Diagnosis.bitsMax
                {
                    bits.append(Diagnosis.Bit(offset: piece.offset + index, bit: bit))
                }
            }
        }
        guard count <= wrong * Self.flippedBitsPerByteMax else { return nil }
        var diagnosis = Diagnosis(.bitFlips)
        (diagnosis.flippedBits, diagnosis.bits) = (count, bits)
        return diagnosis
    }

    /// The sector at which a range begins, where it begins within a write and goes on to the end of it.
    private func tornSector(_ damage: Damage) -> Int? {
        let sector = damage.offset / Self.sectorBytes * Self.sectorBytes
        let start = damage.offset / writeBytes * writeBytes
        // No more than the data set has; a write at the end of it may be shorter.
        let end = spec.size - start < writeBytes ? spec.size : start + writeBytes
        guard damage.offset - sector < Self.slackBytes, sector > start,
            damage.end <= end, end - damage.end < Self.slackBytes
        else { return nil }
        return sector
    }

    /// What the data set has at a range.
    private mutating func bytes(_ range: Range<Int>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            generator.fill(
                UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[
                        ..<range.count]), at: range.lowerBound)
            count = range.count
        }
    }

    private mutating func isEqual(_ evidence: Evidence, displacement: Int) -> Bool {
        Self.isEqual(evidence, displacement, &generator)
    }

    /// Whether a data set has what was found, at the same offset plus `displacement`.
    private static func isEqual(
        _ evidence: Evidence, _ displacement: Int, _ generator: inout Generator
    ) -> Bool {
        let start = evidence.offset + displacement
        guard start >= 0, start <= generator.spec.size,
            evidence.bytes.count <= generator.spec.size - start
        else { return false }
        var log = DamageLog(generator.spec, limit: 1)
        evidence.bytes.withUnsafeBytes { generator.compare($0, at: start, log: &log) }
        return log.rangeCount == 0
    }
}
