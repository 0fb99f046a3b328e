// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Threads that are made once, with the first work, and wait, without using a processor, for work that is
/// split among them.
///
/// The calling thread is worker 0 and works too. Calls from several threads take turns; the pool ends its
/// threads when it goes. A process that was forked has no threads but the one that forked: the pool
/// starts them anew there.
package final class WorkerPool: @unchecked Sendable {
    // Unchecked: everything that threads share is in `shared`, and touched under its mutex.

    /// What the calling thread and the workers share.
    private final class Shared: @unchecked Sendable {
        var mutex = pthread_mutex_t()
        /// Held by the caller whose work is being done.
        var turn = pthread_mutex_t()
        var changed = pthread_cond_t()
        /// The work of the round that runs, by worker.
        var work: (@Sendable (Int) -> Void)?
        /// Counts rounds, so that a worker takes part in each once.
        var round = 0
        var busy = 0
        var isEnding = false
        private let prepare: @Sendable (Int) -> Void
        private var lastWorker = 0

        init(prepare: @escaping @Sendable (Int) -> Void) {
            self.prepare = prepare
            pthread_mutex_init(&mutex, nil)
            pthread_mutex_init(&turn, nil)
            pthread_cond_init(&changed, nil)
        }

        deinit {
            pthread_cond_destroy(&changed)
            pthread_mutex_destroy(&turn)
            pthread_mutex_destroy(&mutex)
        }

        func locked<Result>(_ body: () -> Result) -> Result {
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            return body()
        }

        /// The life of the next worker.
        func serve() {
            let worker = locked {
                lastWorker += 1
                return lastWorker
            }
            prepare(worker)
            var lastRound = 0
            while true {
                let work: (@Sendable (Int) -> Void)? = locked {
                    while round == lastRound, !isEnding { pthread_cond_wait(&changed, &mutex) }
                    lastRound = round
                    return isEnding ? nil : self.work
                }
                guard let work else { return }
                work(worker)
                locked {
                    busy -= 1
                    if busy == 0 { pthread_cond_broadcast(&changed) }
                }
            }
        }
    }

    /// The workers, the calling thread among them.
    package let count: Int

    private let prepare: @Sendable (Int) -> Void
    private var shared: Shared
    private var threads: [pthread_t] = []
    private var isStarted = false
    /// The process that the threads belong to.
    private var process = getpid()

    /// Guards against two threads of a forked process that start a pool anew.
    ///
    /// In such a process itself, nobody holds it at first, whoever did when it was forked.
    nonisolated(unsafe) private static let forkGuard: UnsafeMutablePointer<pthread_mutex_t> = {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        pthread_atfork(nil, nil) { pthread_mutex_init(WorkerPool.forkGuard, nil) }
        return mutex
    }()

    /// Prepares for `count` - 1 threads, which the first work starts.
    ///
    /// - Parameters:
    ///   - count: the workers, the calling thread among them; at least 1.
    ///   - prepare: what each new thread does first, given its number from 1.
    package init(count: Int, prepare: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.prepare = prepare
        shared = Shared(prepare: prepare)
        self.count = max(count, 1)
        _ = Self.forkGuard
    }

    private func start() {
        isStarted = true
        // Signals are for the threads that know what to do with them.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        for _ in 1..<count {
            let shared = Unmanaged.passRetained(shared)
            var thread = pthread_t()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().serve()
                    return nil
                }, shared.toOpaque())
            guard status == 0 else {
                shared.release()
                break
            }
            threads.append(thread)
        }
    }

    /// In a forked process, what the threads of the other one shared may be in any state, so it is left
    /// behind.
    private func leaveBehind() {
        _ = Unmanaged.passRetained(shared)
        shared = Shared(prepare: prepare)
        threads = []
        isStarted = false
        process = getpid()
    }

    deinit {
        // In a forked process there is nobody to wait for.
        guard process == getpid() else {
            _ = Unmanaged.passRetained(shared)
            return
        }
        shared.locked {
            shared.isEnding = true
            pthread_cond_broadcast(&shared.changed)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Runs `work` for some parts at once, one for each worker at most, given its number.
    package func run<Part: Sendable>(_ parts: [Part], _ work: @escaping (Int, Part) -> Void) {
        // Safe to share: each worker has a number and a part of its own, and waits for all others.
        nonisolated(unsafe) let work = work
        run { worker in
            if worker < parts.count { work(worker, parts[worker]) }
        }
    }

    /// Runs `work` once for each worker, at once, and returns when all are through.
    ///
    /// Where the system gives no more threads, the calling one does the work of those that are missing.
    package func run(_ work: @escaping @Sendable (Int) -> Void) {
        if process != getpid() {
            pthread_mutex_lock(Self.forkGuard)
            if process != getpid() { leaveBehind() }
            pthread_mutex_unlock(Self.forkGuard)
        }
        let shared = shared
        pthread_mutex_lock(&shared.turn)
        defer { pthread_mutex_unlock(&shared.turn) }
        if !isStarted { start() }
        shared.locked {
            shared.work = work
            shared.round += 1
            shared.busy = threads.count
            pthread_cond_broadcast(&shared.changed)
        }
        work(0)
        for worker in threads.count + 1..<max(count, threads.count + 1) { work(worker) }
        shared.locked {
            while shared.busy > 0 { pthread_cond_wait(&shared.changed, &shared.mutex) }
            shared.work = nil
        }
    }
}
