// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

@Suite struct WorkerPoolTests {
    @Test(arguments: [1, 2, 5])
    func everyWorkerRunsOnceARound(count: Int) {
        let pool = WorkerPool(count: count)
        #expect(pool.count == count)
        for _ in 0..<200 {
            let seen = Locked<[Int]>([])
            pool.run { worker in seen.withLock { $0.append(worker) } }
            #expect(seen.withLock { $0.sorted() } == Array(0..<count))
        }
    }

    @Test func newThreadsPrepareThemselvesAndTakeNoSignals() {
        let prepared = Locked<[Int]>([])
        let pool = WorkerPool(count: 3) { worker in prepared.withLock { $0.append(worker) } }
        let blocked = Locked<[Bool]>([])
        pool.run { worker in
            guard worker > 0 else { return }
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            blocked.withLock { $0.append(sigismember(&mask, SIGTERM) == 1) }
        }
        #expect(prepared.withLock { $0.sorted() } == [1, 2])
        #expect(blocked.withLock { $0 } == [true, true])
    }

    @Test(arguments: [1, 2, 5])
    func everyPartIsDoneOnce(count: Int) {
        let pool = WorkerPool(count: count)
        for round in 0..<2000 {
            let parts = Array(0...round % count)
            let seen = Locked<[Int]>([])
            pool.run(parts) { index, part in
                #expect(index == part)
                seen.withLock { $0.append(part) }
            }
            #expect(seen.withLock { $0.sorted() } == parts)
            if round % 10 == 0 {
                let workers = Locked<[Int]>([])
                pool.run { worker in workers.withLock { $0.append(worker) } }
                #expect(workers.withLock { $0.sorted() } == Array(0..<count))
            }
        }
    }

    @Test func knowsWhetherWorkWasDoneAMomentAgo() {
        let pool = WorkerPool(count: 2)
        #expect(!pool.isInUse)
        for work in [{ pool.noteWork() }, { pool.run { _ in } }, { pool.run([0]) { _, _ in } }] {
            // At once, as far as the machine lets this thread run.
            #expect(
                (0..<1000).contains { _ in
                    work(); return pool.isInUse
                })
            usleep(1000)
            #expect(!pool.isInUse)
        }
    }

    /// A thread that comes late takes no part of a later round for that of its own.
    @Test func workDoesNotWaitForThreadsThatSleep() {
        let gate = DispatchSemaphore(value: 0)
        let pool = WorkerPool(count: 4) { _ in gate.wait() }
        for round in 0..<100 {
            let seen = Locked<[Int]>([])
            pool.run(Array(0..<4)) { _, part in seen.withLock { $0.append(part) } }
            #expect(seen.withLock { $0.sorted() } == [0, 1, 2, 3], "round \(round)")
        }
        for _ in 1..<4 { gate.signal() }
        for _ in 0..<2000 {
            let seen = Locked<[Int]>([])
            pool.run(Array(0..<4)) { _, part in seen.withLock { $0.append(part) } }
            #expect(seen.withLock { $0.sorted() } == [0, 1, 2, 3])
        }
    }

    /// Threads that wait must leave the processors to others.
    @Test func waitingUsesNoProcessor() {
        let pool = WorkerPool(count: 3)
        let used = Locked<[Int: Double]>([:])
        @Sendable func note(_ worker: Int, _ sign: Double) {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            let seconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
            used.withLock { $0[worker, default: 0] += sign * seconds }
        }
        pool.run { note($0, -1) }
        usleep(500_000)
        pool.run { note($0, 1) }
        for worker in [1, 2] {
            let seconds = used.withLock { $0[worker] } ?? .infinity
            #expect(seconds < 0.05, "worker \(worker) used \(seconds) of 0.5 s")
        }
    }
}

/// A value that several threads change, in a way that the thread sanitizer understands.
private final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        lock.withLock { body(&value) }
    }
}
