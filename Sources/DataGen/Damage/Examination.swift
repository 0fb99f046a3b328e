// SPDX-License-Identifier: MIT OR Apache-2.0

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

        /// What was found in a part of it.
        fileprivate func part(_ range: Range<Int>) -> Evidence {
            Evidence(offset: range.lowerBound, bytes: Array(self[range]))
        }

        fileprivate subscript(range: Range<Int>) -> ArraySlice<UInt8> {
            bytes[range.lowerBound - offset..<range.upperBound - offset]
        }
    }

    /// Zeros and bytes of an earlier data set are recognised from this length on.
    public static let knownMin = 8
    /// Bytes of this data set are recognised elsewhere from this length on.
    public static let misplacedMin = 16
    /// What storage writes as a whole, which torn writes end at.
    static let sectorBytes = 512
    /// Fewer bytes than these at a border may be right by chance, each with a probability of 1 in 256.
    static let slackBytes = 4
    /// So many bytes in a row are not right by chance, nor wrong by bits that were flipped one by one.
    static let rowBytes = 8
    /// Other versions of a block that it is compared with: the last ones before it, and the next ones.
    private static let versions = (before: 16, after: 4)
    /// Longer ranges are looked at in samples.
    private static let wholeBytesMax = 256 << 10
    private static let endBytes = 64 << 10
    private static let sampleBytes = 4 << 10
    private static let sampleCount = 16

    private let spec: DataSpec
    private let write: (@Sendable (Int) -> Range<Int>)?
    private var generator: Generator
    private var earlier: [Generator]
    /// Of a data set that changes.
    private let contents: ContentLayout?

    /// Prepares to examine damage.
    ///
    /// - Parameters:
    ///   - spec: what should have been found.
    ///   - earlier: data sets that may have been there before.
    ///   - write: what was written at once with the byte at an offset; its block if that is not known.
    ///   - kernel: what bytes are made with.
    public init(
        _ spec: DataSpec, earlier: [DataSpec] = [],
        write: (@Sendable (Int) -> Range<Int>)? = nil, kernel: Kernel = .fastest
    ) {
        self.spec = spec
        self.write = write
        generator = Generator(spec, kernel: kernel)
        self.earlier = earlier.filter { $0 != spec }.map { Generator($0, kernel: kernel) }
        contents = spec.composition.map { _ in ContentLayout(spec) }
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
    ///   - evidence: what was found at ``evidenceWanted(of:)``, in ascending order; less where the file has become shorter.
    ///   - displacements: what to add to an offset in this range for one at which the found bytes may belong.
    ///   - start: from where on all bytes before the range are known to be right.
    /// - Returns: the kind, and what goes with it: true of every byte that was found, and of all others of the range where
    ///   ``Diagnosis/isSampled`` says that there are any, an estimate.
    /// - Complexity: O(bytes of the evidence x displacements and earlier data sets).
    public mutating func diagnose(
        _ damage: Damage, _ evidence: [Evidence], displacements: [Int] = [],
        rightFrom start: Int = 0
    ) -> Diagnosis {
        let evidence = Self.joined(evidence)
        let shown = min(Diagnosis.bytesShown, damage.bytes)
        var diagnosis =
            damage.isMissing || evidence.isEmpty
            ? Diagnosis(.truncated) : explain(damage, evidence, displacements)
        diagnosis.expected = generator.bytes(at: damage.offset..<damage.offset + shown).bytes
        diagnosis.found = Array(
            evidence.first { $0.offset == damage.offset }?.bytes.prefix(shown) ?? [])
        diagnosis.isSampled = !damage.isMissing && damage.bytes > Self.wholeBytesMax
        // Where bits were flipped, or are right again, no write has stopped.
        guard ![.bitFlips, .transient, .truncated].contains(diagnosis.kind) else {
            return diagnosis
        }
        diagnosis.tornAt = tornSector(damage, rightFrom: start)
        diagnosis.isWriteKnown = write != nil
        // Right bytes between unknown ones were written, too.
        if diagnosis.kind == .foreign, diagnosis.tornAt != nil, diagnosis.parts.count == 1 {
            diagnosis.kind = .torn
        }
        if diagnosis.kind != .mixed { diagnosis.parts = [] }
        return diagnosis
    }

    /// What of the evidence finds no explanation, which may be elsewhere in the data set.
    ///
    /// - Complexity: as ``diagnose(_:_:displacements:rightFrom:)``.
    public mutating func unexplained(_ damage: Damage, _ evidence: [Evidence]) -> [Evidence] {
        let evidence = Self.joined(evidence)
        return allParts(of: damage, evidence, []).filter { $0.kind == .foreign }.flatMap { part in
            evidence.compactMap { piece -> Evidence? in
                let range = piece.range.clamped(to: part.offset..<part.offset + part.bytes)
                guard !range.isEmpty else { return nil }
                return Evidence(offset: range.lowerBound, bytes: Array(piece[range]))
            }
        }
    }

    /// Pieces of evidence that follow one another as one, none of them empty.
    ///
    /// Of several files, each brings its own.
    private static func joined(_ evidence: [Evidence]) -> [Evidence] {
        evidence.reduce(into: []) { joined, piece in
            guard !piece.bytes.isEmpty else { return }
            if let last = joined.last, last.range.upperBound == piece.offset {
                joined[joined.count - 1] = Evidence(
                    offset: last.offset, bytes: last.bytes + piece.bytes)
            } else {
                joined.append(piece)
            }
        }
    }

    /// What to add to an offset for one at which the found bytes may belong, each once; also in the next copy of each block:
    /// the bytes before the first copy of one that was found may lie before the start.
    private func withCopies(_ displacements: [Int]) -> [Int] {
        let extent = Needles.extent(of: spec)
        guard extent < spec.size else { return Set(displacements).sorted() }
        let copies = displacements.compactMap { displacement -> Int? in
            let (copy, isTooLarge) = displacement.addingReportingOverflow(extent)
            return isTooLarge ? nil : copy
        }
        return Set(displacements + copies).sorted()
    }

    private mutating func explain(
        _ damage: Damage, _ evidence: [Evidence], _ displacements: [Int]
    ) -> Diagnosis {
        let displacements = withCopies(displacements)
        let isWhole = Self.gaps(damage, evidence).isEmpty
        if isWhole, let whole = explainWhole(evidence, displacements) { return whole }
        let parts = allParts(of: damage, evidence, displacements)
        // Unknown bytes with right ones between them are no less unknown.
        let isForeign = parts.allSatisfy { $0.kind == .foreign }
        var diagnosis = Diagnosis(isForeign ? .foreign : .mixed)
        diagnosis.staleBlocks = staleBlocks(of: parts)
        diagnosis.parts = Array(parts.prefix(Diagnosis.partsMax))
        diagnosis.partCount = isForeign ? 0 : parts.count
        diagnosis.isUnexplained = parts.contains { $0.kind == .foreign }
        return diagnosis
    }

    /// What was wanted of a range and is not there.
    private static func gaps(_ damage: Damage, _ evidence: [Evidence]) -> [Range<Int>] {
        let found = RangeSet(evidence.map(\.range))
        return evidenceWanted(of: damage).flatMap { RangeSet($0).subtracting(found).ranges }
    }

    /// The parts of a range, in ascending order; bytes in none of them are right, or were not looked at.
    private mutating func allParts(
        of damage: Damage, _ evidence: [Evidence], _ displacements: [Int]
    ) -> [Diagnosis.Part] {
        var parts = Self.gaps(damage, evidence).map { Diagnosis.Part(.truncated, $0) }
        for piece in evidence {
            parts += explainParts(
                piece, displacements,
                isFirst: piece.offset == damage.offset, isLast: piece.range.upperBound == damage.end
            )
        }
        parts.sort { $0.offset < $1.offset }
        return evidence.count > 1 ? Self.joinedAcrossSamples(parts, evidence) : parts
    }

    /// Parts that go on from the end of one sample to the start of the next, as one: what lies between is taken for the same.
    private static func joinedAcrossSamples(
        _ parts: [Diagnosis.Part], _ evidence: [Evidence]
    ) -> [Diagnosis.Part] {
        let borders = zip(evidence, evidence.dropFirst()).map {
            (end: $0.range.upperBound, start: $1.offset)
        }
        return parts.reduce(into: []) { joined, part in
            let isNext = borders.contains { border in
                guard let last = joined.last else { return false }
                return (0..<slackBytes).contains(border.end - last.offset - last.bytes)
                    && (0..<slackBytes).contains(part.offset - border.start)
            }
            if isNext, let last = joined.last, let both = last.joined(with: part) {
                joined[joined.count - 1] = both
            } else {
                joined.append(part)
            }
        }
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
        // What lies before the buffer is not known.
        return diagnose(ranges, evidence, rightFrom: offset, searchBytes: searchBytes)
    }

    /// As ``diagnose(_:in:at:searchBytes:)``, with what was found of each range at ``evidenceWanted(of:)``, where from
    /// `start` on all bytes between the ranges are known to be right.
    package mutating func diagnose(
        _ ranges: [Damage], _ evidence: [[Evidence]], rightFrom start: Int, searchBytes: Int
    ) -> [Diagnosis] {
        let starts = [start] + ranges.dropLast().map(\.end)
        var diagnoses = ranges.indices.map {
            diagnose(ranges[$0], evidence[$0], rightFrom: starts[$0])
        }
        let open = ranges.indices.filter { diagnoses[$0].isUnexplained }
        guard let first = open.first else { return diagnoses }
        let places = Needles.places(amongRanges: open.count)
        let needles = Needles(
            open.flatMap {
                Needles.take(
                    from: unexplained(ranges[$0], evidence[$0]), range: $0, places: places)
            })
        let hits = needles.search(
            spec, in: Needles.part(of: spec, around: ranges[first].offset, bytes: searchBytes),
            kernel: generator.kernel)
        let displacements = Dictionary(grouping: hits, by: \.range)
        for index in open {
            guard let found = displacements[index] else { continue }
            diagnoses[index] = diagnose(
                ranges[index], evidence[index], displacements: found.map(\.displacement),
                rightFrom: starts[index])
        }
        return diagnoses
    }

    /// One explanation for everything that was found.
    private mutating func explainWhole(
        _ evidence: [Evidence], _ displacements: [Int]
    ) -> Diagnosis? {
        let count = evidence.reduce(0) { $0 + $1.bytes.count }
        if evidence.allSatisfy({ generator.has($0) }) { return Diagnosis(.transient) }
        let isMore = count >= Self.knownMin
        if isMore, evidence.allSatisfy({ $0.bytes.allSatisfy { $0 == 0 } }) {
            return Diagnosis(.zeros)
        }
        if let flipped = flippedBits(evidence) { return flipped }
        if isMore {
            for index in earlier.indices
            where evidence.allSatisfy({ earlier[index].has($0) }) {
                var diagnosis = Diagnosis(.stale)
                diagnosis.seed = earlier[index].spec.seed
                return diagnosis
            }
        }
        if isMore, let stale = otherVersion(evidence) { return stale }
        guard count >= Self.misplacedMin, let first = evidence.first else { return nil }
        // In ascending order, so that the first one is the lowest.
        let displacement = displacements.first { displacement in
            evidence.allSatisfy { generator.has($0, displacement: displacement) }
        }
        guard let displacement else { return nil }
        var diagnosis = Diagnosis(.misplaced)
        diagnosis.sourceOffset = first.offset + displacement
        if let contents {
            let source = contents.content(
                ofBlock: (first.offset + displacement) / spec.dedupUnit)
            diagnosis.sourceBlocks = source.map(contents.blockCount(of:)) ?? contents.zeroCount
        }
        return diagnosis
    }

    /// What was found as blocks of other generations, each at its place, with right ones between them.
    private mutating func otherVersion(_ evidence: [Evidence]) -> Diagnosis? {
        var parts: [Diagnosis.Part] = []
        for piece in evidence {
            for range in blocks(of: piece.range) where !generator.has(piece.part(range)) {
                guard let generation = version(of: piece.part(range)) else { return nil }
                parts.append(Diagnosis.Part(.stale, range, generation: generation))
            }
        }
        guard let first = parts.first else { return nil }
        var diagnosis = Diagnosis(.stale)
        diagnosis.generation =
            parts.allSatisfy { $0.generation == first.generation } ? first.generation : nil
        diagnosis.staleBlocks = staleBlocks(of: parts)
        return diagnosis
    }

    /// The generation in which a part of a block was made as it was found; nil where it is none that is looked for.
    private mutating func version(of part: Evidence) -> Int? {
        versions(ofBlockAt: part.offset).first { generation in
            generator.bytes(at: part.range, madeIn: generation) == part.bytes
        }
    }

    private func versions(ofBlockAt offset: Int) -> [Int] {
        guard let contents, let content = contents.content(ofBlock: offset / spec.dedupUnit) else {
            return []
        }
        return contents.otherVersions(
            of: content, before: Self.versions.before, after: Self.versions.after)
    }

    /// The parts of a range that lie in one block each.
    private func blocks(of range: Range<Int>) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(block(of: start).upperBound, range.upperBound)
            parts.append(start..<end)
            start = end
        }
        return parts
    }

    /// How many blocks have parts of each generation.
    private func staleBlocks(of parts: [Diagnosis.Part]) -> [Int: Int] {
        var counts: [Int: Int] = [:]
        var last: [Int: Int] = [:]
        for part in parts {
            guard let generation = part.generation else { continue }
            let block = part.offset / spec.dedupUnit
            if last[generation] != block { counts[generation, default: 0] += 1 }
            last[generation] = block
        }
        return counts
    }

    /// Tells a piece of evidence apart, whose first or last byte was wrong when it was compared.
    private mutating func explainParts(
        _ piece: Evidence, _ displacements: [Int], isFirst: Bool, isLast: Bool
    ) -> [Diagnosis.Part] {
        var explanations = Explanations(
            found: piece.bytes, expected: generator.bytes(at: piece.range).bytes,
            offset: piece.offset)
        explanations.add(.zeros, (0, Array(repeating: 0, count: piece.bytes.count)))
        for index in earlier.indices {
            let seed = earlier[index].spec.seed
            explanations.add(.stale, seed: seed, earlier[index].bytes(at: piece.range))
        }
        if contents != nil {
            for range in blocks(of: piece.range) where !generator.has(piece.part(range)) {
                for generation in versions(ofBlockAt: range.lowerBound) {
                    let bytes = generator.bytes(at: range, madeIn: generation)
                    explanations.add(
                        .stale, generation: generation, (range.lowerBound - piece.offset, bytes))
                }
            }
        }
        for displacement in displacements {
            explanations.add(
                .misplaced, displacement: displacement,
                generator.bytes(at: piece.range, displacement: displacement))
        }
        return explanations.parts(isFirstWrong: isFirst, isLastWrong: isLast)
    }

    /// The bits that differ, where they are so few that bits were flipped.
    private mutating func flippedBits(_ evidence: [Evidence]) -> Diagnosis? {
        var flips = Flips()
        var bits: [Diagnosis.Bit] = []
        for piece in evidence {
            let expected = generator.bytes(at: piece.range).bytes
            for (index, byte) in piece.bytes.enumerated() {
                let difference = byte ^ expected[index]
                flips.add(difference)
                guard difference != 0, bits.count < Diagnosis.bitsMax else { continue }
                for bit in 0..<8 where difference >> bit & 1 == 1 && bits.count < Diagnosis.bitsMax
                {
                    bits.append(Diagnosis.Bit(offset: piece.offset + index, bit: bit))
                }
            }
            // What lies between two samples is not known.
            flips.endRow()
        }
        guard flips.isLikely else { return nil }
        var diagnosis = Diagnosis(.bitFlips)
        (diagnosis.flippedBits, diagnosis.bits) = (flips.bits, bits)
        return diagnosis
    }

    /// The sector at which a range begins, where it begins within a write, right up to there, and goes on to the end of it.
    private func tornSector(_ damage: Damage, rightFrom: Int) -> Int? {
        let sector = damage.offset / Self.sectorBytes * Self.sectorBytes
        let written = write?(damage.offset) ?? block(of: damage.offset)
        guard damage.offset - sector < Self.slackBytes, sector > written.lowerBound,
            rightFrom <= written.lowerBound, damage.end <= written.upperBound,
            written.upperBound - damage.end < Self.slackBytes
        else { return nil }
        return sector
    }

    private func block(of offset: Int) -> Range<Int> {
        let start = offset / spec.dedupUnit * spec.dedupUnit
        // The last one may be shorter.
        return start..<(spec.size - start < spec.dedupUnit ? spec.size : start + spec.dedupUnit)
    }

}

extension Generator {
    /// Whether the data set has what was found, at the same offset plus `displacement`.
    fileprivate mutating func has(
        _ evidence: Examination.Evidence, displacement: Int = 0
    ) -> Bool {
        guard let source = place(evidence.range, displacement),
            source.count == evidence.bytes.count
        else { return false }
        var log = DamageLog(spec, limit: 1)
        evidence.bytes.withUnsafeBytes { compare($0, at: source.lowerBound, log: &log) }
        return log.rangeCount == 0
    }

    /// What a part of a block is after its change in a generation.
    fileprivate mutating func bytes(at range: Range<Int>, madeIn generation: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        bytes.withUnsafeMutableBytes { fill($0, at: range.lowerBound, madeIn: generation) }
        return bytes
    }

    /// What the data set has at a range plus `displacement`, and where in the range it begins: none where that is outside.
    fileprivate mutating func bytes(
        at range: Range<Int>, displacement: Int = 0
    ) -> (start: Int, bytes: [UInt8]) {
        guard let source = place(range, displacement) else { return (0, []) }
        var bytes = [UInt8](repeating: 0, count: source.count)
        bytes.withUnsafeMutableBytes { fill($0, at: source.lowerBound) }
        return (source.lowerBound - displacement - range.lowerBound, bytes)
    }

    /// The part of a range plus `displacement` that lies in the data set; nil for none.
    private func place(_ range: Range<Int>, _ displacement: Int) -> Range<Int>? {
        let (start, isStartOutside) = range.lowerBound.addingReportingOverflow(displacement)
        guard !isStartOutside, start < spec.size else { return nil }
        let (end, isEndOutside) = range.upperBound.addingReportingOverflow(displacement)
        let source = max(0, start)..<max(0, isEndOutside ? spec.size : min(end, spec.size))
        return source.isEmpty ? nil : source
    }
}
