// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Threads that one can do without: Foundation's `Thread` does not tell when the system gives none (`ulimit -u`, a control
/// group), and whoever waits for it waits for ever.
enum SystemThread {
    private final class Assignment {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    /// Runs `body` on a thread of its own, which takes no signals; false where there is none, and nothing was done.
    static func start(stackBytes: Int = 1 << 20, _ body: @escaping () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // Signals are for the main thread, which knows what to do with them; the new one inherits what is blocked now.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let assignment = Unmanaged.passRetained(Assignment(body))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Assignment>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, assignment.toOpaque())
        if status != 0 { assignment.release() }
        return status == 0
    }
}
