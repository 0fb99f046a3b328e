// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc
internal import Synchronization

/// Threads that are made once, with the first work, and wait for work that is split among them: awake for some tens of
/// microseconds, since waking takes as long as a MiB, and then without using a processor.
///
/// The calling thread is worker 0 and works too. Calls from several threads take turns; the pool ends its
/// threads when it goes. A process that was forked has no threads but the one that forked: the pool
/// starts them anew there.
package final class WorkerPool: @unchecked Sendable {
    // Unchecked: what threads share is in `shared`: atomic, or touched under its mutex, or, as the work of a round, written
    // before the round begins and read by those who have claimed a part of it.

    /// So long threads look for what is next before they sleep.
    private static let awakeNanoseconds = 50_000

    /// Work that begins so soon after the last follows on it.
    private static let followingNanoseconds = 200_000

    /// Whether work was done a moment ago, so that more is likely to follow.
    ///
    /// For a single piece that is short, waking threads takes more than they do of it.
    package var isInUse: Bool {
        Self.now() < ended.load(ordering: .relaxed) + Self.followingNanoseconds
    }

    /// Notes that work was done now, by whomever.
    package func noteWork() { ended.store(Self.now(), ordering: .relaxed) }

    /// Whether `isTrue` came to be while a thread could stay awake.
    private static func spin(until isTrue: () -> Bool) -> Bool {
        var end = 0
        repeat {
            for _ in 0..<16 where isTrue() { return true }
            let nanoseconds = now()
            if end == 0 { end = nanoseconds + awakeNanoseconds }
            // Whoever is to make it true may wait for this processor.
            if nanoseconds > end - awakeNanoseconds / 2 { sched_yield() }
            if nanoseconds > end { return isTrue() }
        } while true
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// A round of work: its number, how many parts it has, and whether any thread may do any of them.
    private struct Round {
        let number: Int
        let parts: Int
        let isShared: Bool

        /// One word, larger from round to round.
        var ticket: Int { (number << 16 | parts) << 1 | (isShared ? 1 : 0) }

        init(number: Int, parts: Int, isShared: Bool) {
            precondition(parts < 1 << 16, "more threads than a process has")
            (self.number, self.parts, self.isShared) = (number, parts, isShared)
        }

        init(ticket: Int) {
            self.init(
                number: ticket >> 17, parts: ticket >> 1 & 0xFFFF, isShared: ticket & 1 != 0)
        }
    }

    /// What the calling thread and the workers share.
    private final class Shared: @unchecked Sendable {
        var mutex = pthread_mutex_t()
        /// Held by the caller whose work is being done.
        var turn = pthread_mutex_t()
        var begun = pthread_cond_t()
        var ended = pthread_cond_t()
        /// The work of the round that runs, by part.
        var work: (@Sendable (Int) -> Void)?
        /// The ticket of the last round that was begun.
        let round = Atomic<Int>(0)
        /// Its parts that are not done.
        let left = Atomic<Int>(0)
        /// Workers that sleep, and whether the caller does.
        let sleepers = Atomic<Int>(0)
        let isCallerAsleep = Atomic<Bool>(false)
        /// For each part the ticket of the last round in which somebody took it.
        private let taken: UnsafeMutablePointer<Atomic<Int>>
        private let count: Int
        var isEnding = false
        private let prepare: @Sendable (Int) -> Void
        private var lastWorker = 0

        init(count: Int, prepare: @escaping @Sendable (Int) -> Void) {
            self.prepare = prepare
            self.count = count
            taken = .allocate(capacity: count)
            for part in 0..<count { (taken + part).initialize(to: Atomic(0)) }
            pthread_mutex_init(&mutex, nil)
            pthread_mutex_init(&turn, nil)
            pthread_cond_init(&begun, nil)
            pthread_cond_init(&ended, nil)
        }

        deinit {
            pthread_cond_destroy(&ended)
            pthread_cond_destroy(&begun)
            pthread_mutex_destroy(&turn)
            pthread_mutex_destroy(&mutex)
            taken.deinitialize(count: count)
            taken.deallocate()
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
            var last = 0
            while let ticket = next(after: last) {
                last = ticket
                let round = Round(ticket: ticket)
                // One that comes late finds nothing left.
                takeOne(worker, of: round)
                if round.isShared { takeAll(of: round) }
            }
        }

        /// The ticket of the next round; nil at the end.
        private func next(after last: Int) -> Int? {
            if !WorkerPool.spin(until: { round.load(ordering: .acquiring) != last }) {
                locked {
                    // Whoever begins a round looks for sleepers after that.
                    sleepers.add(1, ordering: .sequentiallyConsistent)
                    while round.load(ordering: .sequentiallyConsistent) == last, !isEnding {
                        pthread_cond_wait(&begun, &mutex)
                    }
                    sleepers.subtract(1, ordering: .sequentiallyConsistent)
                }
            }
            let ticket = round.load(ordering: .acquiring)
            return ticket == last ? nil : ticket
        }

        /// Does a part of a round that nobody has taken.
        func takeOne(_ part: Int, of round: Round) {
            let (mine, before) = (round.ticket, taken[part].load(ordering: .acquiring))
            guard part < round.parts, before < mine,
                taken[part].compareExchange(
                    expected: before, desired: mine, ordering: .acquiringAndReleasing
                ).exchanged
            else { return }
            // There until all parts that were taken are done.
            work?(part)
            guard left.subtract(1, ordering: .sequentiallyConsistent).newValue == 0,
                isCallerAsleep.load(ordering: .sequentiallyConsistent)
            else { return }
            locked { _ = pthread_cond_broadcast(&ended) }
        }

        /// Does what is left of a round.
        func takeAll(of round: Round) {
            for part in 0..<round.parts { takeOne(part, of: round) }
        }

        /// Waits until all parts are done.
        func waitForAll() {
            if WorkerPool.spin(until: { left.load(ordering: .acquiring) == 0 }) { return }
            locked {
                isCallerAsleep.store(true, ordering: .sequentiallyConsistent)
                while left.load(ordering: .sequentiallyConsistent) > 0 {
                    pthread_cond_wait(&ended, &mutex)
                }
                isCallerAsleep.store(false, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// The workers, the calling thread among them.
    package let count: Int

    private let prepare: @Sendable (Int) -> Void
    private var shared: Shared
    private var threads: [pthread_t] = []
    private var isStarted = false
    /// When work was done last.
    private let ended = Atomic<Int>(0)
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
        self.count = max(count, 1)
        shared = Shared(count: self.count, prepare: prepare)
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
        shared = Shared(count: count, prepare: prepare)
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
            pthread_cond_broadcast(&shared.begun)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Runs `work` for some parts at once, one for each worker at most, given its number.
    ///
    /// What a thread has not begun when others are through is done by these: no work waits for one that sleeps.
    package func run<Part: Sendable>(_ parts: [Part], _ work: @escaping (Int, Part) -> Void) {
        precondition(parts.count <= count, "a part for each worker at most")
        // Safe to share: each part is done once, and the caller waits for all of them.
        nonisolated(unsafe) let work = work
        begin(parts.count, isShared: true) { part in work(part, parts[part]) }
    }

    /// Runs `work` once for each worker, at once and on its own thread, and returns when all are through.
    ///
    /// Where the system gives no more threads, the calling one does the work of those that are missing.
    package func run(_ work: @escaping @Sendable (Int) -> Void) {
        begin(count, isShared: false, work)
    }

    private func begin(
        _ parts: Int, isShared: Bool, _ work: @escaping @Sendable (Int) -> Void
    ) {
        if process != getpid() {
            pthread_mutex_lock(Self.forkGuard)
            if process != getpid() { leaveBehind() }
            pthread_mutex_unlock(Self.forkGuard)
        }
        let shared = shared
        pthread_mutex_lock(&shared.turn)
        defer { pthread_mutex_unlock(&shared.turn) }
        if !isStarted { start() }
        let last = Round(ticket: shared.round.load(ordering: .relaxed))
        let round = Round(number: last.number + 1, parts: parts, isShared: isShared)
        shared.work = work
        shared.left.store(parts, ordering: .relaxed)
        shared.round.store(round.ticket, ordering: .sequentiallyConsistent)
        if shared.sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            shared.locked { _ = pthread_cond_broadcast(&shared.begun) }
        }
        shared.takeOne(0, of: round)
        for part in threads.count + 1..<max(parts, threads.count + 1) {
            shared.takeOne(part, of: round)
        }
        if isShared { shared.takeAll(of: round) }
        shared.waitForAll()
        shared.work = nil
        noteWork()
    }
}
