// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Synchronization

/// A few buffers that go to and fro between a thread that makes or compares bytes and one that moves them, so that both
/// work at once.
///
/// The thread that owns the relay moves: it takes a buffer, uses it, and gives it back. What is done to each buffer is
/// done before it is taken (bytes that are written), or after it was given back (bytes that were read). With one buffer
/// there is no second thread, and the two take turns.
final class Relay {
    /// When the work on a buffer is done.
    enum Side {
        case beforeTaken, afterGivenBack
    }

    private let buffers: [UnsafeMutableRawBufferPointer]
    private let side: Side
    private let count: Int
    /// Does item number `index` in a buffer.
    private let work: (_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Void

    /// Buffers that may be worked on, and those that may be taken.
    private let workable: DispatchSemaphore
    private let takeable: DispatchSemaphore
    private let isStopped = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)
    private let workNanosecondsStored = Atomic<Int>(0)
    private var taken = 0
    private var hasThread: Bool { buffers.count > 1 }

    /// Makes the buffers, and starts the thread if there are several.
    ///
    /// - Parameters:
    ///   - buffers: memory, which the relay frees.
    ///   - count: how many items there are.
    ///   - side: when `work` is done.
    ///   - prepare: what the other thread does first.
    ///   - work: what is done for each item; on the other thread, if there is one.
    init(
        _ buffers: [UnsafeMutableRawBufferPointer], count: Int, _ side: Side,
        prepare: @escaping () -> Void = {},
        work: @escaping (_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.buffers = buffers
        self.count = count
        self.side = side
        self.work = work
        // From nothing upwards: a semaphore may not end below the value that it began with.
        workable = DispatchSemaphore(value: 0)
        takeable = DispatchSemaphore(value: 0)
        for _ in buffers { (side == .beforeTaken ? workable : takeable).signal() }
        guard hasThread else { return }
        // Safe to share: the semaphores hand each buffer from one thread to the other, and the owner
        // waits for the thread before it frees anything.
        nonisolated(unsafe) let relay = self
        nonisolated(unsafe) let prepare = prepare
        let thread = Thread {
            prepare()
            relay.run()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// The time that the work has taken so far; all of it after ``finish()``.
    var workNanoseconds: Int { workNanosecondsStored.load(ordering: .acquiring) }

    /// The buffer of the next item.
    func take() -> UnsafeMutableRawBufferPointer {
        precondition(taken < count, "there are no more items")
        let buffer = buffers[taken % buffers.count]
        if hasThread {
            takeable.wait()
        } else if side == .beforeTaken {
            timed(taken, buffer)
        }
        return buffer
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

    /// Waits until all work on what was given back is done, and frees the buffers; no item is begun after it.
    func finish() {
        if hasThread {
            isStopped.store(true, ordering: .releasing)
            workable.signal()
            ended.wait()
        }
        for buffer in buffers { buffer.deallocate() }
    }

    private func timed(_ index: Int, _ buffer: UnsafeMutableRawBufferPointer) {
        let clock = Stopwatch()
        work(index, buffer)
        workNanosecondsStored.add(clock.elapsedNanoseconds, ordering: .releasing)
    }

    private func run() {
        for index in 0..<count {
            workable.wait()
            // What was given back is compared to the last; what nobody will take is not made.
            if isStopped.load(ordering: .acquiring), side == .beforeTaken || isThrough(index) {
                break
            }
            timed(index, buffers[index % buffers.count])
            takeable.signal()
        }
        ended.signal()
    }

    /// Whether item `index` was never given back; asked once the owner gives nothing back any more.
    private func isThrough(_ index: Int) -> Bool { index >= taken }
}
