// SPDX-License-Identifier: MIT OR Apache-2.0

import FoundationEssentials
import Glibc
import Synchronization

/// The number of the first signal that asked for an end, the process that sent it, and when that was.
private let received = Atomic<Int32>(0)
private let sender = Atomic<Int32>(0)
private let receivedNanoseconds = Atomic<Int>(0)

/// The launcher that started this process, where another one of its tasks speaks for all; otherwise 0.
private let speakingLauncher = Atomic<Int32>(0)

/// Whether progress was asked for.
private let isAsked = Atomic<Bool>(false)

private let manner = Atomic<Int>(Interruption.Manner.atOnce.rawValue)

/// When the time is over, by the monotonic clock in nanoseconds; 0 for never.
private let deadline = Atomic<Int>(0)

/// Signals and the time limit as questions that the loop over transfers asks.
enum Interruption {
    /// What a signal does.
    enum Manner: Int {
        /// Ends the process, with one line: nobody waits for it, and nothing is half done.
        case atOnce
        /// Is noted; but a library that starts may wait for others for ever, so it has a second to come to its end.
        case starting
        /// Is noted, and asked for at the next transfer.
        case polite
    }

    /// The signals that ask for an end, and what is said where there is no time for more.
    ///
    /// People and launchers send the first two, whatever a shell has done with them that started this process in the
    /// background. Batch systems send the others before a limit, a terminal when it goes, and the system where
    /// processor time ends: whoever started this process may have them ignored, as `nohup` does.
    private static let signals: [(number: Int32, line: StaticString, mayBeIgnored: Bool)] = [
        (SIGINT, "dgen-mpi: error: stopped by SIGINT\n", false),
        (SIGTERM, "dgen-mpi: error: stopped by SIGTERM\n", false),
        (SIGHUP, "dgen-mpi: error: stopped by SIGHUP\n", true),
        (SIGUSR2, "dgen-mpi: error: stopped by SIGUSR2\n", true),
        (SIGXCPU, "dgen-mpi: error: stopped by SIGXCPU\n", true),
    ]
    /// How long after the first SIGINT another one is somebody who does not want to wait any more.
    private static let patienceNanoseconds = 1_000_000_000

    /// From now on the signals end the process with the status of an interruption, and no other.
    static func install(_ launcher: Launcher?) {
        // Touched before a handler may run, which must not be what initialises them.
        received.store(0, ordering: .relaxed)
        sender.store(0, ordering: .relaxed)
        receivedNanoseconds.store(0, ordering: .relaxed)
        isAsked.store(false, ordering: .relaxed)
        speakingLauncher.store((launcher?.task ?? 0) > 0 ? getppid() : 0, ordering: .relaxed)
        manner.store(Manner.atOnce.rawValue, ordering: .relaxed)
        takeSignals()
        handle(SIGALRM) { _ in Interruption.endAtOnce() }
        askBeforeProcessorTimeEnds()
    }

    /// Has signals do something else from now on.
    static func become(_ new: Manner) {
        manner.store(new.rawValue, ordering: .relaxed)
        switch new {
        case .atOnce: break
        case .starting: takeRequestsForProgress()
        case .polite:
            // What started may have taken some: UCX has SIGHUP begin its own log.
            takeSignals()
            takeRequestsForProgress()
            alarm(0)
        }
    }

    /// The signals that whoever started this process has ignored, and may.
    private static let ignored = signals.filter { $0.mayBeIgnored && isIgnored($0.number) }.map(
        \.number)

    private static func takeSignals() {
        var action = sigaction()
        action.__sigaction_handler.sa_sigaction = { number, information, _ in
            Interruption.note(number, information)
        }
        action.sa_flags = SA_RESTART | SA_SIGINFO
        for signal in signals {
            if ignored.contains(signal.number) {
                Glibc.signal(signal.number, SIG_IGN)
            } else {
                sigaction(signal.number, &action, nil)
            }
        }
    }

    private static func takeRequestsForProgress() {
        handle(SIGUSR1) { _ in isAsked.store(true, ordering: .relaxed) }
    }

    static func handle(_ signal: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = handler
        action.sa_flags = SA_RESTART
        sigaction(signal, &action, nil)
    }

    private static func isIgnored(_ signal: Int32) -> Bool {
        var action = sigaction()
        sigaction(signal, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1  // SIG_IGN
    }

    /// Has the signal of the limit of processor time come before the end.
    ///
    /// Shells set both limits to the same, and then the system just ends the process.
    private static func askBeforeProcessorTimeEnds() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_CPU.rawValue), &limit) == 0,
            limit.rlim_max < 1 << 40, limit.rlim_cur >= limit.rlim_max, limit.rlim_max > 1
        else { return }
        limit.rlim_cur = limit.rlim_max - min(max(1, limit.rlim_max / 10), 30)
        setrlimit(__rlimit_resource_t(RLIMIT_CPU.rawValue), &limit)
    }

    /// What the handler does: no more than stores, and calls that are safe there.
    private static func note(_ number: Int32, _ information: UnsafeMutablePointer<siginfo_t>?) {
        let now = Stopwatch.nowNanoseconds
        let (isFirst, first) = received.compareExchange(
            expected: 0, desired: number, ordering: .relaxed)
        if isFirst {
            sender.store(processThatSent(information), ordering: .relaxed)
            receivedNanoseconds.store(now, ordering: .relaxed)
        }
        switch Manner(rawValue: manner.load(ordering: .relaxed)) {
        case .atOnce?: endAtOnce()
        case .starting?: alarm(1)
        default:
            if !isFirst, first == SIGINT, number == SIGINT,
                now - receivedNanoseconds.load(ordering: .relaxed) > patienceNanoseconds
            {
                endAtOnce()
            }
        }
    }

    /// Who sent a signal; 0 where it was the system.
    private static func processThatSent(_ information: UnsafeMutablePointer<siginfo_t>?) -> Int32 {
        guard let information, information.pointee.si_code <= 0 else { return 0 }
        // `si_pid` is a macro that is not imported: the first field behind the three that all signals have.
        return UnsafeRawPointer(information).load(fromByteOffset: 16, as: Int32.self)
    }

    /// Ends the process from within a handler.
    private static func endAtOnce() {
        let number = received.load(ordering: .relaxed)
        // What a launcher sends, all of its tasks get.
        let isToldToAll =
            speakingLauncher.load(ordering: .relaxed) == max(1, sender.load(ordering: .relaxed))
        for signal in signals where signal.number == number && !isToldToAll {
            _ = Glibc.write(STDERR_FILENO, signal.line.utf8Start, signal.line.utf8CodeUnitCount)
        }
        _exit(ExitStatus.interrupted.rawValue)
    }

    static func stop(afterSeconds seconds: Int) {
        deadline.store(Stopwatch.nowNanoseconds + seconds * 1_000_000_000, ordering: .relaxed)
    }

    /// Whether SIGUSR1 has asked for progress since this was asked last.
    static var wantsProgress: Bool { isAsked.exchange(false, ordering: .relaxed) }

    /// The failure that an interruption is, once there was one.
    static var failure: Failure? {
        let number = received.load(ordering: .relaxed)
        guard number != 0 else {
            let end = deadline.load(ordering: .relaxed)
            guard end > 0, Stopwatch.nowNanoseconds > end else { return nil }
            return Failure(.interrupted, "stopped by its time limit (--time-limit)")
        }
        return Failure(.interrupted, "stopped by \(name(of: number))")
    }

    /// The launcher, once it has begun to end the job; it says why.
    static var endingLauncher: Launcher? {
        guard received.load(ordering: .relaxed) == SIGTERM,
            sender.load(ordering: .relaxed) == getppid()
        else { return nil }
        return Launcher(ProcessInfo.processInfo.environment)
    }

    /// A signal, and what it tells of why it came.
    private static func name(of number: Int32) -> String {
        switch number {
        case SIGINT: return "SIGINT"
        case SIGHUP: return "SIGHUP"
        case SIGUSR2: return "SIGUSR2"
        case SIGXCPU: return "SIGXCPU: its processor time is over (ulimit -t)"
        default:
            // `mpirun` of Open MPI 4 that got a signal has decided on its own status before it tells anybody.
            guard let launcher = endingLauncher, launcher.hasOwnStatus else { return "SIGTERM" }
            return
                "SIGTERM from \(launcher.name), whose own exit status, often 1, says nothing of the data"
        }
    }
}
