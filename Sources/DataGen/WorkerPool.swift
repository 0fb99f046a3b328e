// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Threads that are made once and wait, without using a processor, for work that is split among them.
///
/// The calling thread is worker 0 and works too. One call at a time; the pool ends its threads when it
/// goes.
package final class WorkerPool: @unchecked Sendable {
    // Unchecked: everything that threads share is in `shared`, and touched under its mutex.

    /// What the calling thread and the workers share.
    private final class Shared: @unchecked Sendable {
        var mutex = pthread_mutex_t()
        var changed = pthread_cond_t()
        /// The work of the round that runs, by worker.
        var work: (@Sendable (Int) -> Void)?
        /// Counts rounds, so that a worker takes part in each once.
        var round = 0
        var busy = 0
        var isEnding = false

        init() {
            pthread_mutex_init(&mutex, nil)
            pthread_cond_init(&changed, nil)
        }

        deinit {
            pthread_cond_destroy(&changed)
            pthread_mutex_destroy(&mutex)
        }

        func locked<Result>(_ body: () -> Result) -> Result {
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            return body()
        }

        /// The life of one worker.
        func serve(_ worker: Int) {
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

    /// What a new thread is told.
    private final class Assignment {
        let shared: Shared
        let worker: Int

        init(_ shared: Shared, _ worker: Int) {
            self.shared = shared
            self.worker = worker
        }
    }

    private let shared = Shared()
    private var threads: [pthread_t] = []

    /// The workers, the calling thread among them; fewer than asked for where the system gives no more
    /// threads.
    package var count: Int { threads.count + 1 }

    /// Starts `count` - 1 threads.
    package init(count: Int) {
        for worker in 1..<max(count, 1) {
            let assignment = Unmanaged.passRetained(Assignment(shared, worker))
            var thread = pthread_t()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let assignment = Unmanaged<Assignment>.fromOpaque(argument).takeRetainedValue()
                    assignment.shared.serve(assignment.worker)
                    return nil
                }, assignment.toOpaque())
            guard status == 0 else {
                assignment.release()
                break
            }
            threads.append(thread)
        }
    }

    deinit {
        shared.locked {
            shared.isEnding = true
            pthread_cond_broadcast(&shared.changed)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Runs `work` once for each worker, at once, and returns when all are through.
    package func run(_ work: @escaping @Sendable (Int) -> Void) {
        shared.locked {
            shared.work = work
            shared.round += 1
            shared.busy = threads.count
            pthread_cond_broadcast(&shared.changed)
        }
        work(0)
        shared.locked {
            while shared.busy > 0 { pthread_cond_wait(&shared.changed, &shared.mutex) }
            shared.work = nil
        }
    }
}
