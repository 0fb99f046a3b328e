// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import MPI
import Synchronization

/// Ends the job, saying where it hangs, when one step takes longer than any working machine needs.
///
/// Collective calls cannot be taken back: a rank that is stuck in one stays there, and so do all others.
/// A thread of its own looks at what the rank is doing, five times a second; that costs the rank three stores a step.
final class Watchdog: Sendable {
    /// What a rank may be stuck in.
    enum Phase: Int, Sendable {
        case idle, rootStep, open, write, read, sync, close, agreement, othersToFinish
        case sharing

        /// What it is called after "stuck in".
        var name: String {
            switch self {
            case .idle: "no step"
            case .rootStep: "a step of rank 0 on files beside the data"
            case .othersToFinish: "waiting for other ranks to make progress"
            case .agreement: "agreeing with other ranks"
            case .sharing: "looking at the folder of the data"
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

        var status: ExitStatus {
            self == .agreement || self == .othersToFinish ? .mpi : .inputOutput
        }
    }

    private let place: String
    private let limitNanoseconds: Int
    private let phase = Atomic<Int>(Phase.idle.rawValue)
    private let offset = Atomic<Int>(0)
    /// The steps that were begun and ended so far.
    private let steps = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)

    /// Starts to watch.
    ///
    /// - Parameters:
    ///   - place: how messages name this rank.
    ///   - limitSeconds: the longest that one step may take; 0 for no limit.
    init(place: String, limitSeconds: Int) {
        self.place = place
        limitNanoseconds = limitSeconds * 1_000_000_000
        guard limitSeconds > 0 else { return }
        Thread { [self] in watch() }.start()
    }

    /// Runs a step under watch.
    func during<Result>(
        _ phase: Phase, offset: Int = -1, _ step: () throws -> Result
    ) rethrows -> Result {
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

    func stop() { isStopped.store(true, ordering: .relaxed) }

    private func watch() {
        var step = 0
        var clock = Stopwatch()
        while !isStopped.load(ordering: .relaxed) {
            usleep(200_000)
            let now = steps.load(ordering: .acquiring)
            if now != step { (step, clock) = (now, Stopwatch()) }
            let phase = Phase(rawValue: phase.load(ordering: .relaxed)) ?? .idle
            let waited = clock.elapsedNanoseconds
            // Whoever waits for others is patient a little longer: the one who is stuck speaks first.
            let isWaiting = phase == .agreement || phase == .othersToFinish
            let limit = isWaiting ? limitNanoseconds * 5 / 4 + 2_000_000_000 : limitNanoseconds
            if phase != .idle, waited > limit { end(phase, waitedSeconds: waited / 1_000_000_000) }
        }
    }

    private func end(_ phase: Phase, waitedSeconds: Int) {
        let offset = offset.load(ordering: .relaxed)
        StandardError.write(
            "dgen-mpi: error: \(place): stuck in \(phase.name)"
                + (offset >= 0 ? " at offset \(offset)" : "")
                + " for \(waitedSeconds) s (limit --watchdog)\(phase.advice); ending the job\n")
        // A launcher that is told to end the job may forget what it has not yet passed on.
        usleep(200_000)
        // Should MPI_Abort hang as well, the alarm ends this process, and the launcher the others.
        signal(SIGALRM, SIG_DFL)
        alarm(10)
        MPIRuntime.abort(status: phase.status.rawValue)
        exit(phase.status.rawValue)
    }
}
