// SPDX-License-Identifier: MIT OR Apache-2.0

import Dispatch
import Glibc
import Synchronization

/// A counting semaphore whose waiters stay awake for a while, where there is a processor to spare.
///
/// Waking a thread that sleeps costs the one that wakes it 25 us on a virtual machine, more than a MiB takes to be made;
/// one that is awake costs it nothing.
final class Gate: Sendable {
    /// Signals that nobody has waited for; below zero, the waiters that sleep.
    private let signals = Atomic<Int>(0)
    private let sleepers = DispatchSemaphore(value: 0)
    private let awakeNanoseconds: Int

    /// Makes a gate that lets nobody through yet.
    ///
    /// - Parameter awakeNanoseconds: how long a waiter stays awake.
    init(awakeNanoseconds: Int) { self.awakeNanoseconds = awakeNanoseconds }

    /// Lets one through.
    func signal() {
        if signals.add(1, ordering: .acquiringAndReleasing).oldValue < 0 { sleepers.signal() }
    }

    /// Waits until one is let through, and goes.
    func wait() {
        if awakeNanoseconds > 0 {
            let clock = Stopwatch()
            while signals.load(ordering: .relaxed) <= 0, clock.elapsedNanoseconds < awakeNanoseconds
            {
                // Whoever else wants the processor has it.
                sched_yield()
            }
        }
        if signals.subtract(1, ordering: .acquiringAndReleasing).oldValue <= 0 { sleepers.wait() }
    }
}
