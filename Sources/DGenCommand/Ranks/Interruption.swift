// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import Synchronization

/// The number of the last signal; a handler must do no more than store it.
private let received = Atomic<Int32>(0)

/// Whether progress was asked for.
private let isAsked = Atomic<Bool>(false)

/// When the time is over, by the monotonic clock in nanoseconds; 0 for never.
private let deadline = Atomic<Int>(0)
private let clock = Stopwatch()

/// Signals and the time limit as questions that the loop over transfers asks.
enum Interruption {
    /// From now on the signals no longer end the process.
    static func install() {
        // Touched before the handler may run, which must not be what initialises it.
        received.store(0, ordering: .relaxed)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            received.store(number, ordering: .relaxed)
        }
        action.sa_flags = SA_RESTART
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
        isAsked.store(false, ordering: .relaxed)
        action.__sigaction_handler.sa_handler = { _ in isAsked.store(true, ordering: .relaxed) }
        sigaction(SIGUSR1, &action, nil)
    }

    /// Stops the run after that many seconds from now.
    static func stop(afterSeconds seconds: Int) {
        deadline.store(clock.elapsedNanoseconds + seconds * 1_000_000_000, ordering: .relaxed)
    }

    /// Whether SIGUSR1 has asked for progress since this was asked last.
    static var wantsProgress: Bool { isAsked.exchange(false, ordering: .relaxed) }

    /// The failure that an interruption is, once there was one.
    static var failure: Failure? {
        let number = received.load(ordering: .relaxed)
        guard number != 0 else {
            let end = deadline.load(ordering: .relaxed)
            guard end > 0, clock.elapsedNanoseconds > end else { return nil }
            return Failure(.interrupted, "stopped by its time limit (--time-limit)")
        }
        return Failure(.interrupted, "stopped by \(number == SIGINT ? "SIGINT" : "SIGTERM")")
    }
}
