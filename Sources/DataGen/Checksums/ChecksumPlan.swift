// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What has to be made for the checksums of a range, or of its parts, of a data set. A remainder is linear in the bytes, so that
// what repeats is made once:
// - Blocks of version 1 go round: a range that is longer than all distinct blocks is made of whole rounds and a part of one, so
//   that remainders of the first round, up to each place where a part begins or ends, are enough.
// - Blocks of version 2 are scattered. Where contents are fewer than blocks each is made once, and its remainder is moved to
//   where each of its blocks lies.

public import Checksums

/// The cyclic redundancy checks of a range of a data set, or of parts of it, as work that is shared and put together.
public struct ChecksumPlan: Sendable {
    /// Parts of a range, in a row and of one length but for the last.
    public struct Parts: Sendable, RandomAccessCollection {
        /// All of them.
        public let range: Range<Int>
        /// The bytes of each.
        public let partBytes: Int

        /// The most parts: as many as an object of S3 has.
        public static let countMax = 10_000

        /// Cuts a range in parts of `partBytes`; one part where there is no length.
        ///
        /// - Throws: ``InvalidField`` for a range that leaves the data set, and for too many parts.
        public init(
            _ range: Range<Int>, of spec: DataSpec, partBytes: Int? = nil
        ) throws(InvalidField) {
            guard range.lowerBound >= 0, range.upperBound <= spec.size else {
                throw InvalidField(
                    field: "offset, length", value: "\(range.lowerBound), \(range.count)",
                    accepted: "a range within the \(spec.size) bytes of the data set")
            }
            if let partBytes {
                let (whole, more) = range.count.quotientAndRemainder(dividingBy: Self.countMax)
                let least = Swift.max(1, whole + (more > 0 ? 1 : 0))
                guard partBytes >= least else {
                    throw InvalidField(
                        field: "part_size", value: "\(partBytes)",
                        accepted: "at least \(least) bytes, so that there are at most "
                            + "\(Self.countMax) parts")
                }
            }
            self.range = range
            self.partBytes = Swift.max(1, partBytes ?? range.count)
        }

        /// The index of the first part.
        public var startIndex: Int { 0 }
        /// How many there are: one at least.
        public var endIndex: Int {
            Swift.max(1, range.count / partBytes + (range.count % partBytes == 0 ? 0 : 1))
        }

        /// The bytes of a part.
        public subscript(index: Int) -> Range<Int> {
            let start = range.lowerBound + index * partBytes
            return
                start..<(range.upperBound - start > partBytes
                ? start + partBytes : range.upperBound)
        }
    }

    /// What is made.
    enum Work {
        /// Bytes from a place on, as many as the last cut says; and after how many of them they repeat.
        case bytes(origin: Int, cuts: [Int], period: Int?)
        /// Each content, and what parts have beside whole blocks.
        case contents(ContentLayout)
    }

    /// The data set.
    public let spec: DataSpec
    /// What checksums are wanted of.
    public let parts: Parts
    let codes: [CyclicCode]
    let work: Work
    /// Units of work, which may be done in any order, by anybody.
    public let unitCount: Int
    /// The bytes of a unit, at most.
    public let unitBytes: Int

    /// Plans the work.
    ///
    /// - Complexity: O(parts).
    public init(_ spec: DataSpec, _ parts: Parts, codes: [CyclicCode]) {
        self.spec = spec
        self.parts = parts
        self.codes = codes
        let layout = Layout(spec)
        let isRound = spec.composition == nil && layout.distinctBlockCount < layout.blockCount
        let round = isRound ? layout.distinctBlockCount * spec.dedupUnit : 0
        let contents =
            spec.composition == nil ? nil : Self.contents(spec, instead: parts.range.count)
        if let contents {
            work = .contents(contents)
            (unitCount, unitBytes) = (contents.contentCount + 2 * parts.count, spec.dedupUnit)
            return
        }
        unitBytes = 64 << 10
        if isRound, parts.range.count > round {
            var cuts = Set(parts.flatMap { [$0.lowerBound % round, $0.upperBound % round] })
            cuts.remove(0)
            work = .bytes(origin: 0, cuts: cuts.sorted() + [round], period: round)
            unitCount = (round + unitBytes - 1) / unitBytes
        } else {
            let origin = parts.range.lowerBound
            work = .bytes(origin: origin, cuts: parts.map { $0.upperBound - origin }, period: nil)
            let count = parts.range.count
            unitCount = count / unitBytes + (count % unitBytes == 0 ? 0 : 1)
        }
    }

    /// What finding all blocks of all contents takes, in bytes that could be made meanwhile, for each block.
    private static let findBytes = 1000.0

    /// The contents of a data set of version 2, where making each of them once takes less time than all bytes of a range.
    private static func contents(_ spec: DataSpec, instead count: Int) -> ContentLayout? {
        let layout = ContentLayout(spec)
        let cost =
            Double(layout.contentCount) * Double(spec.dedupUnit)
            + Double(layout.blockCount) * findBytes
        return cost < Double(count) ? layout : nil
    }

    // MARK: Rounds

    /// The end of a round that begins with unit `first`, in which each thread does what takes as long as making so many bytes.
    ///
    /// Not by the bytes of units alone: finding the blocks of a content may take much longer than making it.
    func roundEnd(from first: Int, worth bytes: Int, threads: Int) -> Int {
        var (cost, end) = (Double(unitBytes), unitCount)
        if case .contents(let layout) = work,
            let mine = layout.classes.first(where: { $0.contents.contains(first) })
        {
            cost += Double(mine.slots.count) / Double(mine.contents.count) * Self.findBytes
            // Those of another class may take longer.
            end = mine.contents.upperBound
        }
        let most = max(1, Int(Double(bytes) / cost)) * threads
        return end - first > most ? first + most : end
    }

    // MARK: Values

    /// Numbers that those who share the work have, to be added (by exclusive or) to those of the others.
    public var valueCount: Int {
        switch work {
        case .bytes(_, let cuts, _): cuts.count * codes.count
        case .contents: 2 * parts.count * codes.count
        }
    }

    /// Of values that are complete, the remainders of a check for all parts.
    ///
    /// - Complexity: O(parts).
    func remainders(
        _ values: [UInt64], of number: Int, _ kernel: RemainderKernel
    ) -> [UInt64] {
        let code = codes[number]
        switch work {
        case .contents:
            return parts.enumerated().map { index, part in
                let blocks = values[2 * index * codes.count + number]
                let rest = part.upperBound % spec.dedupUnit
                return code.move(blocks, by: rest, kernel: kernel)
                    ^ values[(2 * index + 1) * codes.count + number]
            }
        case .bytes(let origin, let cuts, let period):
            // Of all bytes from the origin up to each cut.
            var upTo = [0: UInt64(0)]
            var last = (end: 0, remainder: UInt64(0))
            for (index, end) in cuts.enumerated() {
                last.remainder =
                    code.move(last.remainder, by: end - last.end, kernel: kernel)
                    ^ values[index * codes.count + number]
                last.end = end
                upTo[end] = last.remainder
            }
            let whole = last.remainder
            func remainder(upTo place: Int) -> UInt64 {
                guard let period else { return upTo[place] ?? 0 }
                let (rounds, rest) = place.quotientAndRemainder(dividingBy: period)
                let before = code.repeated(whole, bytes: period, count: rounds, kernel: kernel)
                return code.move(before, by: rest, kernel: kernel) ^ (upTo[rest] ?? 0)
            }
            var start = remainder(upTo: parts.range.lowerBound - origin)
            return parts.map { part in
                let end = remainder(upTo: part.upperBound - origin)
                defer { start = end }
                return code.move(start, by: part.count, kernel: kernel) ^ end
            }
        }
    }
}

extension Kernel {
    /// The kernel of checksums that the variable `DGEN_KERNEL` means, or the fastest where it is nil.
    ///
    /// - Throws: ``InvalidField`` where ``chosen(by:)`` does.
    package static func remainders(by name: String?) throws(InvalidField) -> RemainderKernel {
        guard name != nil else { return .fastest }
        return switch try chosen(by: name) {
        case .scalar: .scalar
        #if arch(x86_64)
            case .baseline: .tables
        #else
            case .baseline: RemainderKernel.folding.orNext
        #endif
        case .x86V3: RemainderKernel.folding.orNext
        case .x86V4: RemainderKernel.wideFolding.orNext
        }
    }
}
