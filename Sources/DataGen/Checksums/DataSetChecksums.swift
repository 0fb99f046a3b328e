// SPDX-License-Identifier: MIT OR Apache-2.0

public import Checksums

/// A checksum of a range of a data set.
public struct RangeChecksum: Sendable, Hashable {
    /// How it was computed.
    public let algorithm: ChecksumAlgorithm
    /// What it is of.
    public let range: Range<Int>
    /// The most significant byte first, as it is written.
    public let value: [UInt8]

    /// A checksum that is known.
    public init(_ algorithm: ChecksumAlgorithm, _ range: Range<Int>, value: [UInt8]) {
        (self.algorithm, self.range, self.value) = (algorithm, range, value)
    }

    /// Digits of 16.
    public var hex: String { ChecksumText.hex(value) }
    /// As HTTP headers have it.
    public var base64: String { ChecksumText.base64(value) }

    /// That of this range and one that follows it; nil where it does not follow, or where checksums are not joined.
    ///
    /// - Complexity: O(log of the bytes).
    public func joined(with next: RangeChecksum) -> RangeChecksum? {
        guard let code = algorithm.code, next.algorithm == algorithm,
            range.upperBound == next.range.lowerBound
        else { return nil }
        let sum = code.combine(
            code.checksum(value), code.checksum(next.value), bytes: next.range.count)
        return RangeChecksum(
            algorithm, range.lowerBound..<next.range.upperBound, value: code.bytes(sum))
    }
}

/// Checksums of parts of a data set, computed by several who share the work: ranks, and threads of each.
///
/// Each goes through its share in rounds, so that it can look in between whether it should stop; then all add their ``values``,
/// in any order, and have the same results. Memory does not depend on the size of the data set: some MiB for each thread, and
/// some words for each part.
public final class DataSetChecksums: @unchecked Sendable {
    // Unchecked: each thread touches its own element of `workers`, `digesters` and its own values only, and only in a round.

    /// Which checksums, in this order.
    public let algorithms: [ChecksumAlgorithm]
    private let plan: ChecksumPlan
    private let kernel: RemainderKernel
    private let pool: WorkerPool
    private let share: Range<Int>
    private var next: Int
    private var workers: UnsafeMutableBufferPointer<ChecksumWorker>
    private var digesters: UnsafeMutableBufferPointer<DigestWorker>
    /// Those of each thread: of checks, and then eight words for each digest of each part, all zeros but of who has it.
    private let threadValues: UnsafeMutableBufferPointer<UInt64>
    private let digestAlgorithms: [ChecksumAlgorithm]

    /// How many bytes a thread makes in a round: some milliseconds' worth.
    private static let roundBytes = 64 << 20
    /// The same of digests, which take longer.
    private static let digestRoundBytes = 4 << 20

    /// Prepares the share of one of several.
    ///
    /// - Parameters:
    ///   - spec: what the bytes are.
    ///   - parts: what checksums are wanted of.
    ///   - algorithms: which, each once.
    ///   - rank: who takes which share, of how many; all get to do something as long as there are enough bytes.
    ///   - pool: the threads.
    ///   - kernel: how bytes are made.
    ///   - remainders: how checks are computed.
    ///   - blocksMax: of a content that is repeated, the most blocks in a unit of work; for tests.
    /// - Precondition: this machine supports both kernels.
    package init(
        _ spec: DataSpec, _ parts: ChecksumPlan.Parts, _ algorithms: [ChecksumAlgorithm],
        rank: (number: Int, count: Int) = (0, 1), pool: WorkerPool, kernel: Kernel = .fastest,
        remainders: RemainderKernel = .fastest, blocksMax: Int? = nil
    ) {
        self.algorithms = algorithms
        self.pool = pool
        self.kernel = remainders
        let plan = ChecksumPlan(
            spec, parts, codes: algorithms.compactMap(\.code), blocksMax: blocksMax)
        self.plan = plan
        digestAlgorithms = algorithms.filter { $0.code == nil }
        share = plan.codes.isEmpty ? 0..<0 : plan.share(rank.number, of: rank.count)
        next = share.lowerBound
        let generator = Generator(spec, kernel: kernel)
        workers = .allocate(capacity: pool.count)
        workers.initialize(
            repeating: ChecksumWorker(plan, generator: generator, remainders))
        digesters = .allocate(capacity: pool.count)
        let all = rank.count * pool.count
        for thread in 0..<pool.count {
            let first = rank.number + thread * rank.count
            let mine =
                digestAlgorithms.isEmpty
                ? [] : Array(stride(from: first, to: parts.count, by: all))
            digesters.initializeElement(
                at: thread,
                to: DigestWorker(parts, mine, digestAlgorithms, generator: generator))
        }
        let count = plan.valueCount + parts.count * digestAlgorithms.count * DigestWorker.words
        threadValues = .allocate(capacity: count * pool.count)
        threadValues.initialize(repeating: 0)
    }

    deinit {
        workers.deinitialize()
        workers.deallocate()
        digesters.deinitialize()
        digesters.deallocate()
        threadValues.deallocate()
    }

    /// What this share takes, in bytes that could be made meanwhile: as many as it makes, but where finding what repeats takes
    /// longer.
    public var shareBytes: Int {
        let digests = digesters.reduce(0) { $0 + $1.bytes }
        let (bytes, isMore) = plan.cost(share).addingReportingOverflow(digests)
        return isMore ? .max : bytes
    }

    /// Does some of the share, for some milliseconds.
    ///
    /// - Returns: what of ``shareBytes`` that was; nil where there was nothing left to do.
    public func advance() -> Int? {
        if next < share.upperBound {
            let end = plan.roundEnd(from: next, worth: Self.roundBytes, threads: pool.count)
            let round = next..<min(end, share.upperBound)
            next = round.upperBound
            let parts = Array(Shards(size: round.count, ranks: pool.count, alignment: 1))
            let count = threadValues.count / pool.count
            pool.run(parts) { [workers, threadValues] thread, part in
                guard let values = threadValues.baseAddress else { return }
                workers[thread].add(
                    round.lowerBound + part.lowerBound..<round.lowerBound + part.upperBound,
                    to: values + thread * count)
            }
            return plan.cost(round)
        }
        guard digesters.contains(where: { !$0.isDone }) else { return nil }
        let before = digesters.reduce(0) { $0 + $1.doneBytes }
        let (count, start) = (threadValues.count / pool.count, plan.valueCount)
        pool.run(Array(0..<pool.count)) { [digesters, threadValues] thread, _ in
            guard let values = threadValues.baseAddress else { return }
            digesters[thread].advance(
                Self.digestRoundBytes, values: values + thread * count + start)
        }
        return digesters.reduce(0) { $0 + $1.doneBytes } - before
    }

    /// What has come of the share, to be added by exclusive or to what has come of the others.
    public var values: [UInt64] {
        let count = threadValues.count / pool.count
        return (0..<count).map { index in
            (0..<pool.count).reduce(0) { $0 ^ threadValues[$1 * count + index] }
        }
    }

    /// The checksums of all parts, part after part in the order of ``algorithms``, that the values of all shares add up to.
    public func results(_ values: [UInt64]) -> [RangeChecksum] {
        let remainders = plan.codes.indices.map { plan.remainders(values, of: $0, kernel) }
        return plan.parts.enumerated().flatMap { index, part in
            var (check, digest) = (0, 0)
            return algorithms.map { algorithm in
                let value: [UInt8]
                if let code = algorithm.code {
                    let sum = code.checksum(
                        remainders[check][index], bytes: part.count, kernel: kernel)
                    value = code.bytes(sum)
                    check += 1
                } else {
                    let place =
                        plan.valueCount
                        + (index * digestAlgorithms.count + digest) * DigestWorker.words
                    value = DigestWorker.bytes(
                        values[place..<place + DigestWorker.words], of: algorithm)
                    digest += 1
                }
                return RangeChecksum(algorithm, part, value: value)
            }
        }
    }

    /// Goes through the share, as the only one, and gives the results; nil where `isStopped` says so.
    package func run(isStopped: () -> Bool = { false }) -> [RangeChecksum]? {
        while advance() != nil {
            if isStopped() { return nil }
        }
        return results(values)
    }
}

/// Digests of some parts, one after another.
private struct DigestWorker {
    /// Words that a digest takes: 32 bytes.
    static let words = 4

    private let parts: ChecksumPlan.Parts
    private var left: ArraySlice<Int>
    private let algorithms: [ChecksumAlgorithm]
    private var generator: Generator
    private var memory: ScratchMemory
    /// Those of the part at hand, and how far it is.
    private var digests: [any Digest] = []
    private var offset: Int?
    let bytes: Int
    private(set) var doneBytes = 0

    var isDone: Bool { left.isEmpty }

    private static let pieceBytes = 1 << 20

    init(
        _ parts: ChecksumPlan.Parts, _ mine: [Int], _ algorithms: [ChecksumAlgorithm],
        generator: Generator
    ) {
        self.parts = parts
        self.algorithms = algorithms
        self.generator = generator
        left = mine[...]
        bytes = mine.reduce(0) { $0 + parts[$1].count }
        memory = ScratchMemory(byteCount: Self.pieceBytes)
    }

    /// Goes on with so many bytes.
    mutating func advance(_ count: Int, values: UnsafeMutablePointer<UInt64>) {
        var budget = count
        while let index = left.first, budget > 0 {
            let part = parts[index]
            if offset == nil { digests = algorithms.compactMap(\.digest) }
            let start = offset ?? part.lowerBound
            let piece = UnsafeMutableRawBufferPointer(
                start: memory.forWriting(), count: min(Self.pieceBytes, part.upperBound - start))
            generator.fill(piece, at: start, isPastCache: false)
            for number in digests.indices { digests[number].update(UnsafeRawBufferPointer(piece)) }
            offset = start + piece.count
            (budget, doneBytes) = (budget - max(1, piece.count), doneBytes + piece.count)
            guard start + piece.count == part.upperBound else { continue }
            for number in digests.indices {
                let place = values + (index * algorithms.count + number) * Self.words
                let found = digests[number].finish()
                UnsafeMutableRawBufferPointer(start: place, count: found.count).copyBytes(
                    from: found)
            }
            (left, offset) = (left.dropFirst(), nil)
        }
    }

    /// The bytes that words are of.
    static func bytes(_ words: ArraySlice<UInt64>, of algorithm: ChecksumAlgorithm) -> [UInt8] {
        Array(words).withUnsafeBytes { Array($0.prefix(algorithm.byteCount)) }
    }
}
