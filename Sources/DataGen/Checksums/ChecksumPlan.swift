// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What has to be made for the checksums of a range, or of its parts, of a data set. A remainder is linear in the bytes, so that
// what repeats is made once:
// - Blocks of version 1 go round: a range that is longer than all distinct blocks is made of whole rounds and a part of one, so
//   that remainders of the first round, up to each place where a part begins or ends, are enough.
// - Blocks of version 2 are scattered. Where contents are fewer than blocks each is made once, and its remainder is moved to
//   where each of its blocks lies; one that has very many blocks is made for each of several lots of them.

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
        /// Each content of all classes, and what parts have beside whole blocks.
        case contents(ContentLayout, [ContentUnits])
    }

    /// Units of work that are contents of one class, each with some of its blocks.
    struct ContentUnits {
        /// Their numbers: all contents with the first lot of their blocks, then all with the second one, and so on.
        let units: Range<Int>
        private let contents: Range<Int>
        /// The most blocks of a content in a unit.
        let blocks: Int

        /// Those of a class, from a number on, with so many blocks at the most.
        init(from first: Int, of one: ContentLayout.Class, blocks most: Int) {
            contents = one.contents
            let copies = contents.isEmpty ? 0 : (one.slots.count - 1) / contents.count + 1
            blocks = min(copies, most)
            let lots = contents.isEmpty ? 0 : (copies - 1) / blocks + 1
            units = first..<first + contents.count * lots
        }

        /// The contents of some units, and which blocks of each, up to where another lot begins.
        func stretch(_ numbers: Range<Int>) -> (contents: Range<Int>, blocks: Range<Int>) {
            let (lot, place) = (numbers.lowerBound - units.lowerBound)
                .quotientAndRemainder(dividingBy: contents.count)
            let count = min(numbers.count, contents.count - place)
            let first = contents.lowerBound + place
            return (first..<first + count, lot * blocks..<(lot + 1) * blocks)
        }
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
        self.init(spec, parts, codes: codes, blocksMax: nil)
    }

    /// Plans it in units that have so many blocks of a content at the most.
    init(_ spec: DataSpec, _ parts: Parts, codes: [CyclicCode], blocksMax: Int?) {
        self.spec = spec
        self.parts = parts
        self.codes = codes
        let layout = Layout(spec)
        let isRound = spec.composition == nil && layout.distinctBlockCount < layout.blockCount
        let round = isRound ? layout.distinctBlockCount * spec.dedupUnit : 0
        let contents =
            spec.composition == nil ? nil : Self.contents(spec, instead: parts.range.count)
        if let contents {
            // To make one once more takes a small part of the time that its blocks do.
            let most = blocksMax ?? max(1 << 16, 4 * spec.dedupUnit / Self.findBytes)
            var (units, count) = ([ContentUnits](), 0)
            for one in contents.classes {
                units.append(ContentUnits(from: count, of: one, blocks: most))
                count = units.last?.units.upperBound ?? count
            }
            work = .contents(contents, units)
            (unitCount, unitBytes) = (count + 2 * parts.count, spec.dedupUnit)
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

    /// What finding a block takes, in bytes that could be made meanwhile.
    private static let findBytes = 1000

    /// The contents of a data set of version 2, where making each of them once takes less time than all bytes of a range.
    private static func contents(_ spec: DataSpec, instead count: Int) -> ContentLayout? {
        let layout = ContentLayout(spec)
        let cost =
            UInt128(layout.contentCount) * UInt128(spec.dedupUnit)
            + UInt128(layout.blockCount) * UInt128(findBytes)
        return cost < UInt128(count) ? layout : nil
    }

    // MARK: Shares and rounds

    /// Units that take equally long, in a row; what each takes is told in bytes that could be made meanwhile.
    ///
    /// Not the bytes of units alone: finding the blocks of a content may take much longer than making it.
    private var stretches: [(units: Range<Int>, cost: UInt128)] {
        guard case .contents(_, let classes) = work else {
            return [(0..<unitCount, UInt128(unitBytes))]
        }
        let rests = (classes.last?.units.upperBound ?? 0)..<unitCount
        return classes.map { ($0.units, UInt128(unitBytes + $0.blocks * Self.findBytes)) }
            + [(rests, UInt128(unitBytes))]
    }

    /// What some units take.
    func cost(_ units: Range<Int>) -> Int {
        Int(
            clamping: stretches.reduce(0) {
                $0 + UInt128(units.clamped(to: $1.units).count) * $1.cost
            })
    }

    /// The units of one of several, so that all take equally long.
    func share(_ number: Int, of count: Int) -> Range<Int> {
        let all = stretches.reduce(0) { $0 + UInt128($1.units.count) * $1.cost }
        func end(_ shares: Int) -> Int {
            var left = all * UInt128(shares) / UInt128(count)
            for (units, cost) in stretches {
                let whole = UInt128(units.count) * cost
                if left < whole { return units.lowerBound + Int(left / cost) }
                left -= whole
            }
            return unitCount
        }
        return end(number)..<end(number + 1)
    }

    /// The end of a round that begins with unit `first`, in which each thread does what takes as long as making so many bytes.
    func roundEnd(from first: Int, worth bytes: Int, threads: Int) -> Int {
        // Those of another stretch may take longer.
        guard let mine = stretches.first(where: { $0.units.contains(first) }) else { return first }
        let most = max(1, bytes / Int(clamping: mine.cost)) * threads
        let end = mine.units.upperBound
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
