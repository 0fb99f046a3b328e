// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import Synchronization

/// The number of the last signal; a handler must do no more than store it.
private let received = Atomic<Int32>(0)

/// SIGINT and SIGTERM as a question that the loop over transfers asks.
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
    }

    /// The failure that an interruption is, once there was one.
    static var failure: Failure? {
        let number = received.load(ordering: .relaxed)
        guard number != 0 else { return nil }
        return Failure(.interrupted, "stopped by \(number == SIGINT ? "SIGINT" : "SIGTERM")")
    }
}
