// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI

/// All ranks together find out what has become of damaged ranges.
///
/// Each rank reads again what was found in its share of the ranges. What its bytes do not explain is looked for in the
/// whole data set, of which each rank makes a part; memory is bounded whatever the damage.
struct DamageSearch {
    /// The most bytes of the data set that each rank looks through: some seconds.
    static let searchBytesMax = 64 << 30

    /// What a damaged range is.
    struct Finding {
        let range: Damage
        let diagnosis: Diagnosis
    }

    let pipeline: Pipeline
    let files: FileSet
    let spec: DataSpec
    /// Data sets that may have been there before.
    let earlier: [DataSpec]
    /// How the data set was written, where that is known.
    let pattern: DealtPattern?
    /// Whether only some blocks were looked at.
    var isOfSample = false

    private var run: Run { pipeline.run }

    /// Says what each range is; collective, and the ranges the same on every rank.
    func findings(_ ranges: [Damage]) throws(Failure) -> [Finding] {
        guard !ranges.isEmpty else { return [] }
        let (session, world) = (run.session, run.session.world)
        let data = try OpenDataSet(run, files, .read, by: pipeline.access)
        let mine = Array(stride(from: world.rank, to: ranges.count, by: world.size))
        var write: (@Sendable (Int) -> Range<Int>)?
        if let pattern { write = { pattern.write(of: $0) } }
        var examination = Examination(
            spec, earlier: earlier, write: write, kernel: run.threads.kernel)
        var diagnoses: [Int: Diagnosis] = [:]
        try session.together {
            for index in mine {
                let evidence = try evidence(data, ranges[index])
                diagnoses[index] = examination.diagnose(
                    ranges[index], evidence, rightFrom: rightStart(ranges, index))
            }
        }
        let unexplained = mine.filter { diagnoses[$0]?.isUnexplained == true }
        let count = try world.allReduce(unexplained.count, .sum)
        if count > 0 {
            let places = Needles.places(amongRanges: count)
            let needles = try session.together {
                try unexplained.flatMap { index in
                    Needles.take(
                        from: examination.unexplained(
                            ranges[index], try evidence(data, ranges[index])),
                        range: index, places: places)
                }
            }
            let hits = try search(needles, around: ranges[0].offset)
            try session.together {
                for index in unexplained {
                    guard let displacements = hits[index] else { continue }
                    diagnoses[index] = examination.diagnose(
                        ranges[index], try evidence(data, ranges[index]),
                        displacements: displacements, rightFrom: rightStart(ranges, index))
                }
            }
        }
        try data.close()
        let all = try session.collect([diagnoses]).reduce(into: [:]) { $0.merge($1) { $1 } }
        return ranges.indices.compactMap { index in
            all[index].map { Finding(range: ranges[index], diagnosis: $0) }
        }
    }

    /// From where on all bytes before a range are known to be right.
    private func rightStart(_ ranges: [Damage], _ index: Int) -> Int {
        let before = index > 0 ? ranges[index - 1].end : 0
        guard isOfSample else { return before }
        // Of other blocks nothing is known.
        return max(before, ranges[index].offset / spec.dedupUnit * spec.dedupUnit)
    }

    /// What is found in a range now.
    private func evidence(
        _ data: OpenDataSet, _ range: Damage
    ) throws(Failure) -> [Examination.Evidence] {
        var evidence: [Examination.Evidence] = []
        for part in Examination.evidenceWanted(of: range) {
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: part.count, alignment: 64)
            defer { memory.deallocate() }
            try data.read(from: part.lowerBound, into: memory) { extent in
                evidence.append(
                    Examination.Evidence(
                        offset: extent.range.lowerBound,
                        bytes: Array(memory[extent.place..<extent.place + extent.read])))
            }
        }
        return evidence
    }

    /// Looks for words of all ranks in the data set; the displacements of each range.
    private func search(_ mine: [Needles.Needle], around offset: Int) throws(Failure) -> [Int:
        [Int]]
    {
        let world = run.session.world
        let all = try world.combine(
            numbers: mine.flatMap { [$0.range, $0.offset, Int(bitPattern: UInt($0.word))] }
        ) { $0 + $1 }
        let needles = stride(from: 0, to: all.count, by: 3).map {
            Needles.Needle(
                range: all[$0], offset: all[$0 + 1], word: UInt64(UInt(bitPattern: all[$0 + 2])))
        }
        let (most, isLarge) = Self.searchBytesMax.multipliedReportingOverflow(by: world.size)
        let part = Needles.part(of: spec, around: offset, bytes: isLarge ? Int.max : most)
        let share = Needles.share(of: part, rank: world.rank, ranks: world.size)
        run.logger.debug("looking for \(needles.count) words in \(share.count) bytes")
        let hits = Needles(needles).search(
            spec, in: share, kernel: run.threads.kernel, isStopped: { Interruption.failure != nil })
        let found = try world.combine(numbers: Self.numbers(hits)) {
            Self.numbers(Needles.bounded(Self.hits($0 + $1)))
        }
        return Dictionary(grouping: Self.hits(found), by: \.range)
            .mapValues { $0.map(\.displacement) }
    }

    /// Hits as numbers, to be told to other ranks.
    private static func numbers(_ hits: [Needles.Hit]) -> [Int] {
        hits.flatMap { [$0.range, $0.displacement] }
    }

    private static func hits(_ numbers: [Int]) -> [Needles.Hit] {
        stride(from: 0, to: numbers.count, by: 2).map {
            Needles.Hit(range: numbers[$0], displacement: numbers[$0 + 1])
        }
    }
}
