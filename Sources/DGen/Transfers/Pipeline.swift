// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import NUMA

/// How a rank moves bytes: how files are reached, in which transfers, and what makes or compares the bytes meanwhile.
///
/// All operations of a run use it, its buffers and its threads one after the other.
final class Pipeline {
    let run: Run
    /// How files are written and read.
    let access: FileAccess
    /// The most bytes of one call.
    let transferSize: Int
    /// Buffers, at most, so that bytes are made or compared while others are moved.
    let depth: Int
    /// Whether bytes may be made between transfers where that is faster: nobody asked for something else, and transfers
    /// keep the processor busy.
    private let mayMakeAlone: Bool
    private let buffers = TransferBuffers()
    /// How long this thread takes to fill one of them.
    private var fillNanoseconds = 0
    private var generator: ParallelGenerator?

    /// How long a thread that makes bytes waits awake, where the rank has several processors: longer, and waking it is
    /// little beside the transfer that it waits for.
    private static let awakeNanoseconds = 2_000_000

    /// Puts together how bytes are moved; there are no buffers yet.
    init(
        _ run: Run, _ access: FileAccess = FileAccess(), transferSize: Int, depth: Int = 1,
        mayMakeAlone: Bool = false
    ) {
        self.run = run
        self.access = access
        self.transferSize = transferSize
        self.depth = depth
        self.mayMakeAlone = mayMakeAlone
    }

    /// The same for some of the ranks, with buffers of their own.
    convenience init(_ whole: Pipeline, of run: Run) {
        self.init(
            run, whole.access, transferSize: whole.transferSize, depth: whole.depth,
            mayMakeAlone: whole.mayMakeAlone)
    }

    /// What makes the bytes of `spec` on this rank, its threads on their memory nodes.
    func generator(_ spec: DataSpec) -> ParallelGenerator {
        if let generator, generator.spec == spec { return generator }
        let (threads, placer) = (run.threads, run.threads.placer)
        placer?.pin(thread: 0)
        let new = ParallelGenerator(
            spec, threads: threads.count, kernel: threads.kernel, logger: run.generatorLogger,
            prepare: { placer?.pin(thread: $0) })
        run.logger.debug("kernel \(threads.kernel.rawValue), \(new.threadCount) threads")
        generator = new
        return new
    }

    /// So many buffers as `depth` for batches of `spec`, on which `work` is done beside the thread that moves them; collective.
    func relay(
        _ batches: Batches, _ spec: DataSpec, _ side: Relay.Side, depth: Int,
        work: ((Int, UnsafeMutableRawBufferPointer) -> Void)?
    ) throws(Failure) -> Relay {
        let placer = run.threads.placer
        let buffers = try run.session.together { try transferBuffers(batches, spec, depth) }
        return Relay(
            buffers, count: batches.count, side,
            ownNanoseconds: mayMakeAlone ? fillNanoseconds : nil,
            awakeNanoseconds: run.threads.hasSpareProcessor ? Self.awakeNanoseconds : 0,
            prepare: { placer?.pin(thread: 0) }, work: work)
    }

    /// Buffers for batches, each part of them on the node of the thread that makes it.
    private func transferBuffers(
        _ batches: Batches, _ spec: DataSpec, _ depth: Int
    ) throws(Failure) -> [UnsafeMutableRawBufferPointer] {
        let generator = generator(spec)
        let (count, bytes) = (min(depth, max(batches.count, 1)), batches.bufferBytes)
        return try buffers.take(count, bytes: bytes, sharers: run.session.node.size) { buffer in
            run.threads.placer?.place(buffer, parts: generator.parts(of: buffer.count))
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            // Once, so that threads and tables are there.
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(bytes, spec.size)])
            generator.fill(part, at: 0)
            let clock = Stopwatch()
            generator.fill(part, at: 0)
            fillNanoseconds = clock.elapsedNanoseconds
            run.logger.debug("a buffer of \(bytes) bytes, filled in \(fillNanoseconds) ns")
        }
    }
}
