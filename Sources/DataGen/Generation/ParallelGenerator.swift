// SPDX-License-Identifier: MIT OR Apache-2.0

public import Logging

/// ``Generator`` with several threads: the same bytes, each thread making a part of the buffer.
///
/// One call at a time; the threads wait between calls without using a processor.
public final class ParallelGenerator: @unchecked Sendable {
    // Unchecked: each worker touches its own element of `workers` only, and only within a call.

    /// A part smaller than this is made sooner than a thread wakes up.
    private static let partBytesMin = 1 << 20
    /// Shorter buffers are left to one thread.
    package static let splitBytesMin = 2 * partBytesMin

    /// For shorter ones no thread is woken unless one follows another: that takes a part of the time in which they are made.
    private static let wakingBytesMin = 8 << 20

    /// What the bytes are.
    public let spec: DataSpec
    /// What they are made with.
    public let kernel: Kernel

    private let pool: WorkerPool
    private let workers: UnsafeMutableBufferPointer<Worker>

    private struct Worker {
        var generator: Generator
        var log: DamageLog
    }

    /// The threads that work, the calling one among them.
    public var threadCount: Int { pool.count }

    /// Prepares the threads, which start when they are needed first.
    ///
    /// - Parameters:
    ///   - spec: what the bytes are.
    ///   - threads: how many work, the calling thread among them; at least 1.
    ///   - kernel: how the bytes are made.
    ///   - logger: gets a line for each block at trace level.
    ///   - prepare: what each new thread does first, such as choosing its processors, given its number;
    ///     the calling thread has number 0 and is not asked.
    /// - Precondition: this machine supports `kernel`.
    public convenience init(
        _ spec: DataSpec, threads: Int, kernel: Kernel = .fastest,
        logger: Logger = Logger(label: "generator"),
        prepare: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.init(
            spec, pool: WorkerPool(count: threads, prepare: prepare), kernel: kernel,
            logger: logger)
    }

    /// ``init(_:threads:kernel:logger:prepare:)`` with threads that others use too, in turn.
    package init(
        _ spec: DataSpec, pool: WorkerPool, kernel: Kernel = .fastest,
        logger: Logger = Logger(label: "generator")
    ) {
        self.spec = spec
        self.kernel = kernel
        self.pool = pool
        workers = .allocate(capacity: pool.count)
        workers.initialize(
            repeating: Worker(
                generator: Generator(spec, kernel: kernel, logger: logger),
                log: DamageLog(spec, limit: 1)))
    }

    deinit {
        workers.deinitialize()
        workers.deallocate()
    }

    /// Fills `buffer` as ``Generator/fill(_:at:)`` does.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        guard isSplit(buffer.count) else { return workers[0].generator.fill(buffer, at: offset) }
        if buffer.count < Self.wakingBytesMin, !pool.isInUse {
            workers[0].generator.fill(buffer, at: offset)
            return pool.noteWork()
        }
        let isPastCache = buffer.count >= Generator.pastCacheMin
        split(buffer.count) { worker, part in
            worker.generator.fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[part]),
                at: offset + part.lowerBound, isPastCache: isPastCache)
        }
    }

    /// Fills parts of `buffer`, each with a range of the data set; one after another.
    package func fill(
        _ parts: [(place: Int, range: Range<Int>)], of buffer: UnsafeMutableRawBufferPointer
    ) {
        if parts.count == 1 {
            let (place, range) = parts[0]
            fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + range.count]),
                at: range.lowerBound)
        } else if !parts.isEmpty {
            workers[0].generator.fill(parts, of: buffer)
        }
    }

    /// Compares `buffer` as ``Generator/compare(_:at:log:)`` does.
    public func compare(_ buffer: UnsafeRawBufferPointer, at offset: Int, log: inout DamageLog) {
        guard isSplit(buffer.count) else {
            return workers[0].generator.compare(buffer, at: offset, log: &log)
        }
        let empty = DamageLog(spec, limit: log.limit)
        for index in workers.indices { workers[index].log = empty }
        split(buffer.count) { worker, part in
            worker.generator.compare(
                UnsafeRawBufferPointer(rebasing: buffer[part]), at: offset + part.lowerBound,
                log: &worker.log)
        }
        for worker in workers { log.append(worker.log) }
    }

    private func isSplit(_ count: Int) -> Bool {
        count >= Self.splitBytesMin && pool.count > 1
    }

    /// The parts of a buffer of `count` bytes that are made by threads 0, 1, ...
    public func parts(of count: Int) -> [Range<Int>] { Self.parts(of: count, threads: pool.count) }

    /// ``parts(of:)`` where there are so many threads.
    package static func parts(of count: Int, threads: Int) -> [Range<Int>] {
        guard count >= splitBytesMin, threads > 1 else { return [0..<count] }
        // Boundaries at whole grains, pages and cache lines: no grain is made twice.
        let shards = Shards(
            size: count, ranks: min(threads, count / partBytesMin), alignment: 64 << 10)
        return (0..<shards.count).map { shards[$0] }
    }

    /// Runs `body` on every thread at once, given its number, and returns when all are through.
    package func onEachThread(_ body: @escaping @Sendable (Int) -> Void) { pool.run(body) }

    /// Gives each thread its part of `count` bytes, its number, and what makes bytes there.
    func onEachPart(
        of count: Int, _ work: @escaping (Int, Range<Int>, inout Generator) -> Void
    ) {
        guard isSplit(count) else { return work(0, 0..<count, &workers[0].generator) }
        pool.run(parts(of: count)) { [workers] index, part in
            work(index, part, &workers[index].generator)
        }
    }

    /// Runs `body` for some parts at once, one for each thread at most, given its number.
    func work<Part: Sendable>(on parts: [Part], _ body: @escaping (Int, Part) -> Void) {
        pool.run(parts, body)
    }

    /// Gives each worker its part of `count` bytes.
    private func split(_ count: Int, _ work: @escaping (inout Worker, Range<Int>) -> Void) {
        pool.run(parts(of: count)) { [workers] index, part in work(&workers[index], part) }
    }
}
