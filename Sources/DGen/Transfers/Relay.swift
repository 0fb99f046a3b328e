// SPDX-License-Identifier: MIT OR Apache-2.0

import Dispatch
import Synchronization

/// A few buffers that go to and fro between a thread that makes or compares bytes and one that moves them, so that both
/// work at once.
///
/// The thread that owns the relay moves: it takes a buffer, uses it, and gives it back. What is done to each buffer is
/// done before it is taken (bytes that are written), or after it was given back (bytes that were read). With one buffer
/// there is no second thread, and the two take turns.
///
/// Bytes travel between the caches of two processors. Where these share none, as on different dies of one package, that
/// takes longer than to make the bytes; a thread that is so slow is let go, and its owner goes on alone.
final class Relay {
    /// When the work on a buffer is done.
    enum Side {
        case beforeTaken, afterGivenBack
    }

    private var buffers: [UnsafeMutableRawBufferPointer]
    private let side: Side
    private let count: Int
    /// Does item number `index` in a buffer; nil where nothing is to be done.
    private let work: ((_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Void)?

    /// Buffers that may be worked on, and those that may be taken.
    private let workable: Gate
    private let takeable: Gate
    private let isStopped = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)
    private let workNanosecondsStored = Atomic<Int>(0)
    private var taken = 0
    private var hasThread: Bool
    /// How long the owner takes for an item; nil where the thread is wanted however slow it is.
    private let ownNanoseconds: Int?
    /// The shortest time that the thread has taken for an item.
    private let threadNanoseconds = Atomic<Int>(.max)
    /// Items that are done before the owner does any in turn: by the thread, for the owner once that has ended.
    private var done = 0

    /// How many items the thread is judged by.
    private static let trialCount = 4
    /// How many times as long as its owner the thread may take.
    ///
    /// Measured with a MiB: 1.1 times on a processor that shares a cache, 5 times on one that does not.
    private static let slownessMax = 2

    /// Starts the thread if there are several buffers; otherwise makes the first item, if it is made before it is taken.
    ///
    /// Nobody else uses `buffers` until ``finish()``. The thread does `prepare` first, and then `work` for each of `count`
    /// items; one that takes several times `ownNanoseconds`, what its owner takes, is let go. Whoever waits for the other
    /// stays awake for `awakeNanoseconds`: 0 where both have one processor.
    init(
        _ buffers: [UnsafeMutableRawBufferPointer], count: Int, _ side: Side,
        ownNanoseconds: Int? = nil, awakeNanoseconds: Int = 0, prepare: @escaping () -> Void = {},
        work: ((_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Void)?
    ) {
        self.buffers = buffers
        self.count = count
        self.side = side
        self.work = work
        self.ownNanoseconds = side == .beforeTaken ? ownNanoseconds : nil
        hasThread = buffers.count > 1
        workable = Gate(awakeNanoseconds: awakeNanoseconds)
        takeable = Gate(awakeNanoseconds: awakeNanoseconds)
        for _ in buffers { (side == .beforeTaken ? workable : takeable).signal() }
        if hasThread { hasThread = startThread(prepare) }
        guard !hasThread else { return }
        // One that goes to and fro with nobody is the one that is taken.
        self.buffers = Array(buffers.prefix(1))
        if side == .beforeTaken, count > 0 {
            timed(0, buffers[0])
            done = 1
        }
    }

    /// Whether there is a thread now.
    private func startThread(_ prepare: @escaping () -> Void) -> Bool {
        // Safe to share: the semaphores hand each buffer from one thread to the other, and the owner
        // waits for the thread before it uses them for anything else.
        SystemThread.start { [self] in
            prepare()
            run()
        }
    }

    /// The time that the work has taken so far; all of it after ``finish()``.
    var workNanoseconds: Int { workNanosecondsStored.load(ordering: .acquiring) }

    /// Whether the thread was let go since it was slow.
    private(set) var isOwnerAlone = false

    /// The buffer of the next item.
    func take() -> UnsafeMutableRawBufferPointer {
        precondition(taken < count, "there are no more items")
        if hasThread, taken == Self.trialCount, isThreadSlow {
            endThread()
            isOwnerAlone = true
        }
        if hasThread {
            takeable.wait()
        } else if side == .beforeTaken, taken >= done {
            // Always the same, which stays in a cache.
            timed(taken, buffers[0])
            return buffers[0]
        }
        return buffers[taken % buffers.count]
    }

    /// Gives the buffer back that was taken last.
    func giveBack() {
        if hasThread {
            workable.signal()
        } else if side == .afterGivenBack {
            timed(taken, buffers[0])
        }
        taken += 1
    }

    /// Waits until all work on what was given back is done; no item is begun after it.
    ///
    /// May be called again.
    func finish() {
        if hasThread { endThread() }
    }

    private var isThreadSlow: Bool {
        guard let ownNanoseconds else { return false }
        return threadNanoseconds.load(ordering: .relaxed) > Self.slownessMax * ownNanoseconds
    }

    /// Waits for what the thread does just now.
    private func endThread() {
        isStopped.store(true, ordering: .releasing)
        workable.signal()
        ended.wait()
        hasThread = false
    }

    /// Does an item, and tells how long that took.
    @discardableResult
    private func timed(_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let work else { return 0 }
        let clock = Stopwatch()
        work(index, buffer)
        let nanoseconds = clock.elapsedNanoseconds
        workNanosecondsStored.add(nanoseconds, ordering: .releasing)
        return nanoseconds
    }

    private func run() {
        for index in 0..<count {
            workable.wait()
            // What was given back is compared to the last, now that nothing more is; what nobody will take is not made.
            if isStopped.load(ordering: .acquiring), side == .beforeTaken || index >= taken {
                break
            }
            let nanoseconds = timed(index, buffers[index % buffers.count])
            if nanoseconds < threadNanoseconds.load(ordering: .relaxed) {
                threadNanoseconds.store(nanoseconds, ordering: .relaxed)
            }
            done = index + 1
            takeable.signal()
        }
        ended.signal()
    }
}
