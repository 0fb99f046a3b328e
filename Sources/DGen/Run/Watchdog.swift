// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI
import Synchronization

/// Ends the job, saying where it hangs, when one step takes longer than any working machine needs.
///
/// Collective calls cannot be taken back: a rank that is stuck in one stays there, and so do all others.
/// A thread of its own looks at what the rank is doing, five times a second; that costs the rank three stores a step. Where
/// the system gives no more threads, a timer does the same on the main thread.
final class Watchdog: Sendable {
    /// What a rank may be stuck in.
    enum Phase: Int, Sendable {
        case idle, rootStep, open, write, read, sync, close, agreement, round, othersToFinish
        case sharing, acknowledge

        /// What it is called after "stuck in".
        var name: String {
            switch self {
            case .idle: "no step"
            case .rootStep: "a step of rank 0 on files beside the data"
            case .othersToFinish: "waiting for other ranks to make progress"
            case .agreement: "agreeing with other ranks"
            case .sharing: "looking at the folder of the data"
            case .acknowledge: "the counter of what is acknowledged"
            case .round: "agreeing with other ranks on the next transfers"
            default: "\(self)"
            }
        }

        /// What else may be tried, after what it is stuck in.
        ///
        /// Open MPI's own component opens a file of locks beside the data on all nodes, and waits for ever where one of
        /// them does not see it at once. May go when it opens that file only for those who use it.
        var advice: String {
            guard self == .open else { return "" }
            return
                "; where nodes do not see each other's new files at once, try --io posix or another component of "
                + "the library (Open MPI: --mca io romio321)"
        }

        var isWaiting: Bool { self == .agreement || self == .round || self == .othersToFinish }

        var status: ExitStatus { isWaiting ? .mpi : .inputOutput }
    }

    private let place: String
    /// The longest that one step may take; 0 for no limit.
    var limitNanoseconds: Int { limitNanosecondsStored.load(ordering: .relaxed) }
    private let limitNanosecondsStored = Atomic<Int>(0)
    private let phase = Atomic<Int>(Phase.idle.rawValue)
    private let offset = Atomic<Int>(0)
    /// The steps that were begun and ended so far.
    private let steps = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)
    /// The step that was under way at the last look, when that was, and how long the process has run since it began.
    private let seenStep = Atomic<Int>(0)
    private let seenNanoseconds = Atomic<Int>(Stopwatch.nowNanoseconds)
    private let ranNanoseconds = Atomic<Int>(0)

    /// Why the job ends, once this rank knows that it does, and how long others then have for an answer.
    private let known = Mutex<Failure?>(nil)
    private let answerNanoseconds = Atomic<Int>(0)

    private static let tickMicroseconds: UInt32 = 200_000

    /// The one that the timer looks for, where there is no thread.
    private static let timed = Atomic<UInt>(0)

    /// Notes what it is told, until it is to watch the rank that messages call `place`.
    init(place: String) { self.place = place }

    /// Starts to watch, unless there is no limit, 0; only time counts in which the process ran; once.
    func start(limitSeconds: Int) {
        limitNanosecondsStored.store(limitSeconds * 1_000_000_000, ordering: .relaxed)
        guard limitSeconds > 0 else { return }
        // Safe to share: nothing but what is atomic changes.
        let isWatched = SystemThread.start { [self] in
            while !isStopped.load(ordering: .relaxed) {
                usleep(Self.tickMicroseconds)
                look { MPIRuntime.abort(status: $0) }
            }
        }
        if !isWatched { watchByTimer() }
    }

    func during<Result, Problem: Error>(
        _ phase: Phase, offset: Int = -1, _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        enter(phase, offset: offset)
        defer { enter(.idle) }
        return try step()
    }

    /// Starts the time of a step anew.
    func enter(_ phase: Phase, offset: Int = -1) {
        self.offset.store(offset, ordering: .relaxed)
        self.phase.store(phase.rawValue, ordering: .relaxed)
        // Only this rank's main thread counts.
        steps.store(steps.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// Notes that this rank knows of a failure: from now on it waits for others for a time of its own, 0 for no such limit.
    func knows(_ failure: Failure, limitNanoseconds: Int) {
        known.withLock { if $0 == nil { $0 = failure } }
        answerNanoseconds.store(limitNanoseconds, ordering: .relaxed)
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Has a signal come whenever it is time to look: no thread is left to do that.
    private func watchByTimer() {
        Self.timed.store(
            UInt(bitPattern: Unmanaged.passRetained(self).toOpaque()), ordering: .releasing)
        Interruption.handle(SIGALRM) { _ in
            guard
                let pointer = UnsafeRawPointer(
                    bitPattern: Watchdog.timed.load(ordering: .acquiring))
            else { return }
            // What the main thread is stuck in may not be called once more, and a launcher ends the job of a process that
            // leaves with a status.
            Unmanaged<Watchdog>.fromOpaque(pointer).takeUnretainedValue().look { _exit($0) }
        }
        let tick = timeval(tv_sec: 0, tv_usec: Int(Self.tickMicroseconds))
        var timer = itimerval(it_interval: tick, it_value: tick)
        setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
    }

    /// Looks at the rank once, and ends the job by `abort` if it has been at one step for too long.
    private func look(abort: (Int32) -> Void) {
        guard !isStopped.load(ordering: .relaxed) else { return }
        let now = Stopwatch.nowNanoseconds
        let gap = now - seenNanoseconds.exchange(now, ordering: .relaxed)
        let step = steps.load(ordering: .acquiring)
        guard step == seenStep.exchange(step, ordering: .relaxed) else {
            return ranNanoseconds.store(0, ordering: .relaxed)
        }
        let ran = ranNanoseconds.add(Stopwatch.ran(gap), ordering: .relaxed).newValue
        let phase = Phase(rawValue: phase.load(ordering: .relaxed)) ?? .idle
        guard phase != .idle else { return }
        // Whoever waits for others is patient a little longer: the one who is stuck speaks first.
        var limit = phase.isWaiting ? limitNanoseconds * 5 / 4 + 2_000_000_000 : limitNanoseconds
        let answer = answerNanoseconds.load(ordering: .relaxed)
        if answer > 0, phase != .rootStep {
            // Where the main thread can look for answers itself, it knows more.
            let isLooking = phase == .agreement || phase == .othersToFinish
            limit = min(limit, isLooking ? RollCall.endNanoseconds(answer) + 3_000_000_000 : answer)
            if ran > limit, let failure = known.withLock({ $0 }) {
                return end(
                    Failure(
                        failure.status,
                        "\(failure.message); other ranks did not answer for \(ran / 1_000_000_000) s "
                            + "(\(phase.name)); ending the job"), abort: abort)
            }
        }
        guard ran > limit else { return }
        let offset = offset.load(ordering: .relaxed)
        end(
            Failure(
                phase.status,
                "\(place): stuck in \(phase.name)" + (offset >= 0 ? " at offset \(offset)" : "")
                    + " for \(ran / 1_000_000_000) s (limit --watchdog)\(phase.advice); "
                    + "ending the job"),
            abort: abort)
    }

    /// Ends the job, whatever other ranks do, and says why.
    func end(_ failure: Failure, abort: (Int32) -> Void = { MPIRuntime.abort(status: $0) }) {
        // Another rank has said why, or whoever stopped the launcher knows.
        if Interruption.endingLauncher == nil {
            StandardError.write("dgen-mpi: error: \(failure.message)\n")
        }
        // A launcher that is told to end the job may forget what it has not yet passed on.
        usleep(200_000)
        // Should MPI_Abort hang as well, the alarm ends this process, and the launcher the others.
        signal(SIGALRM, SIG_DFL)
        alarm(10)
        abort(failure.status.rawValue)
        exit(failure.status.rawValue)
    }
}
