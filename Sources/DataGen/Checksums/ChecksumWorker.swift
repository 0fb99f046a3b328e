// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Checksums

/// Makes bytes of a data set in memory that stays in the caches, and takes their checksums; one for each thread.
struct ChecksumWorker {
    private let plan: ChecksumPlan
    private let kernel: RemainderKernel
    private var generator: Generator
    private var memory: ScratchMemory
    private let pieceBytes: Int
    /// Of each check, where contents are moved to their blocks.
    private let distances: [Distances]

    /// What moves a remainder on by a number of blocks: a factor for each digit of it.
    private struct Distances {
        private static let digitBits = 10
        /// Of each digit, those of its values.
        private let factors: [UInt64]
        private let code: CyclicCode
        private let kernel: RemainderKernel

        init(_ code: CyclicCode, blockBytes: Int, blocks: Int, _ kernel: RemainderKernel) {
            let bits = Int.bitWidth - blocks.leadingZeroBitCount
            let digits = max(1, (bits + Self.digitBits - 1) / Self.digitBits)
            var step = code.distance(blockBytes, kernel: kernel)
            var factors: [UInt64] = []
            for _ in 0..<digits {
                var power = code.distance(0, kernel: kernel)
                for _ in 0..<1 << Self.digitBits {
                    factors.append(power)
                    power = code.multiply(power, step, kernel: kernel)
                }
                step = power
            }
            (self.factors, self.code, self.kernel) = (factors, code, kernel)
        }

        /// `remainder`, so many blocks on.
        @inline(__always)
        func move(_ remainder: UInt64, by blocks: Int) -> UInt64 {
            var (moved, left, start) = (remainder, blocks, 0)
            while left > 0 {
                let digit = left & (1 << Self.digitBits - 1)
                if digit > 0 {
                    moved = code.multiply(moved, factors[start &+ digit], kernel: kernel)
                }
                left >>= Self.digitBits
                start &+= 1 << Self.digitBits
            }
            return moved
        }
    }

    init(_ plan: ChecksumPlan, generator: Generator, _ kernel: RemainderKernel) {
        self.plan = plan
        self.kernel = kernel
        self.generator = generator
        pieceBytes = Self.pieceBytes(plan.spec)
        memory = ScratchMemory(byteCount: pieceBytes)
        if case .contents(let layout, _) = plan.work {
            let spec = plan.spec
            distances = plan.codes.map {
                Distances($0, blockBytes: spec.dedupUnit, blocks: layout.blockCount, kernel)
            }
        } else {
            distances = []
        }
    }

    /// How many bytes are made at once: few enough to be in the second-level cache when they are read, unless blocks are made
    /// side by side, which is faster by more than a larger cache is slower.
    static func pieceBytes(_ spec: DataSpec) -> Int {
        let isPlain = spec.composition == nil && spec.compressRatio == 1
        return isPlain ? 256 << 10 : min(max(16 * spec.dedupUnit, 256 << 10), 512 << 10)
    }

    /// Does units of the plan, and adds what comes of them to `values`.
    mutating func add(_ units: Range<Int>, to values: UnsafeMutablePointer<UInt64>) {
        guard !units.isEmpty else { return }
        switch plan.work {
        case .bytes(let origin, let cuts, _):
            let unit = plan.unitBytes
            // The last unit may end past 2^63.
            let (start, last) = (units.lowerBound * unit, (units.upperBound - 1) * unit)
            let end = last + min(unit, (cuts.last ?? 0) - last)
            add(start..<end, from: origin, cuts, to: values)
        case .contents(let layout, let classes):
            for one in classes {
                var mine = units.clamped(to: one.units)
                while !mine.isEmpty {
                    let (contents, blocks) = one.stretch(mine)
                    addContents(contents, blocks, layout, to: values)
                    mine = mine.dropFirst(contents.count)
                }
            }
            let first = classes.last?.units.upperBound ?? 0
            for rest in units.clamped(to: first..<plan.unitCount) {
                addRest(rest - first, to: values)
            }
        }
    }

    /// Adds bytes, counted from the origin, each piece moved to the end of the part that cuts make of them.
    private mutating func add(
        _ range: Range<Int>, from origin: Int, _ cuts: [Int],
        to values: UnsafeMutablePointer<UInt64>
    ) {
        // The first cut behind the begin.
        var (low, high) = (0, cuts.count)
        while low < high {
            let middle = (low + high) / 2
            if cuts[middle] > range.lowerBound { high = middle } else { low = middle + 1 }
        }
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(cuts[low], range.upperBound)
            add(
                origin + start..<origin + end, before: cuts[low] - end,
                to: values + low * plan.codes.count)
            (start, low) = (end, low + 1)
        }
    }

    /// Adds bytes that have so many behind them.
    private mutating func add(
        _ range: Range<Int>, before rest: Int, to values: UnsafeMutablePointer<UInt64>
    ) {
        guard !range.isEmpty else { return }
        var remainders = [UInt64](repeating: 0, count: plan.codes.count)
        forEachPiece(of: range) { piece, codes, kernel in
            for (number, code) in codes.enumerated() {
                remainders[number] = code.remainder(remainders[number], then: piece, kernel: kernel)
            }
        }
        for (number, code) in plan.codes.enumerated() {
            values[number] ^= code.move(remainders[number], by: rest, kernel: kernel)
        }
    }

    /// Makes a range in pieces that end where blocks do that are made side by side.
    private mutating func forEachPiece(
        of range: Range<Int>,
        _ body: (UnsafeRawBufferPointer, [CyclicCode], RemainderKernel) -> Void
    ) {
        let bytes = memory.forWriting()
        var start = range.lowerBound
        while start < range.upperBound {
            let step = pieceBytes - start % pieceBytes
            let piece = UnsafeMutableRawBufferPointer(
                start: bytes, count: min(step, range.upperBound - start))
            generator.fill(piece, at: start, isPastCache: false)
            body(UnsafeRawBufferPointer(piece), plan.codes, kernel)
            start += piece.count
        }
    }

    // MARK: Contents

    /// What a part has before its first whole block, or after its last one.
    private mutating func addRest(_ number: Int, to values: UnsafeMutablePointer<UInt64>) {
        let (index, side) = number.quotientAndRemainder(dividingBy: 2)
        let (part, unit) = (plan.parts[index], plan.spec.dedupUnit)
        let end = part.upperBound - part.upperBound % unit
        // Where it has no whole block, all of it is before that.
        let step = part.lowerBound % unit == 0 ? 0 : unit - part.lowerBound % unit
        let start = part.count > step ? part.lowerBound + step : part.upperBound
        let range = side == 0 ? part.lowerBound..<start : max(start, end)..<part.upperBound
        add(
            range, before: part.upperBound - range.upperBound,
            to: values + (2 * index + 1) * plan.codes.count)
    }

    /// The part that a block lies in, all of it.
    private func part(ofBlock block: Int) -> (index: Int, blocksBehind: Int)? {
        let (parts, unit) = (plan.parts, plan.spec.dedupUnit)
        let start = block * unit
        guard start >= parts.range.lowerBound, start < parts.range.upperBound else { return nil }
        let index = (start - parts.range.lowerBound) / parts.partBytes
        let end = parts[index].upperBound
        return end - start < unit ? nil : (index, (end - start) / unit - 1)
    }

    /// Makes some contents and adds each as often as there are blocks of it in the parts, among `numbers` of its blocks.
    private mutating func addContents(
        _ range: Range<Int>, _ numbers: Range<Int>, _ layout: ContentLayout,
        to values: UnsafeMutablePointer<UInt64>
    ) {
        let unit = plan.spec.dedupUnit
        let most = max(1, pieceBytes / unit)
        var wanted: [(content: Int, block: Int)] = []
        func blocks(of content: Int) -> some Sequence<Int> {
            layout.blocks(numbers, ofContent: content)
        }
        for content in range {
            if let block = blocks(of: content).first(where: { part(ofBlock: $0) != nil }) {
                wanted.append((content, block))
            }
            guard wanted.count == most || content == range.upperBound - 1, !wanted.isEmpty else {
                continue
            }
            let remainders = remainders(wanted.map(\.block))
            for (index, one) in wanted.enumerated() {
                let mine = remainders[index * plan.codes.count..<(index + 1) * plan.codes.count]
                for block in blocks(of: one.content) {
                    guard let (part, behind) = part(ofBlock: block) else { continue }
                    for (number, remainder) in mine.enumerated() {
                        values[2 * part * plan.codes.count + number] ^=
                            distances[number].move(remainder, by: behind)
                    }
                }
            }
            wanted.removeAll(keepingCapacity: true)
        }
    }

    /// The remainders of whole blocks, of which as many are made at once as there is memory for: for each block those of all
    /// checks.
    private mutating func remainders(_ blocks: [Int]) -> [UInt64] {
        let (unit, codes, kernel) = (plan.spec.dedupUnit, plan.codes, kernel)
        guard unit <= pieceBytes else {
            return blocks.flatMap { block in
                var remainders = [UInt64](repeating: 0, count: codes.count)
                add(
                    block * unit..<block * unit + unit, before: 0, to: &remainders)
                return remainders
            }
        }
        let memory = UnsafeMutableRawBufferPointer(
            start: memory.forWriting(), count: unit * blocks.count)
        generator.fill(
            blocks.enumerated().map { (unit * $0, unit * $1..<unit * $1 + unit) }, of: memory)
        return blocks.indices.flatMap { index in
            let block = UnsafeRawBufferPointer(
                rebasing: memory[unit * index..<unit * index + unit])
            return codes.map { $0.remainder(then: block, kernel: kernel) }
        }
    }
}
