// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
internal import CStart
import DataGen
import FoundationEssentials
import Glibc
import Logging
import MPI
import Options

/// What is done should MPI end the process while it starts, as Open MPI does with status 1: that would be data that differs.
nonisolated(unsafe) private var whenStartFails: (() -> ExitStatus)?

private func endInsteadOfMPI() {
    guard let failed = whenStartFails else { return }
    whenStartFails = nil
    cstart_on_exit(nil)
    _exit(failed().rawValue)
}

/// From arguments to an exit status: every message once, every rank the same status.
package enum Program {
    package static func main() {
        let environment = ProcessInfo.processInfo.environment
        let launcher = Launcher(environment)
        // First of all: what a signal leads to must not depend on how far a rank is.
        Interruption.install(launcher)
        // Nothing that is opened later gets a number by which others read or write: what is closed fails as before.
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            _ = open("/dev/null", O_RDONLY)
        }
        // A reader of our output that goes away is an error to report, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // So is a file that grows beyond what this process may write (`ulimit -f`).
        signal(SIGXFSZ, SIG_IGN)
        // MPI libraries make files that all may write, unless this takes it away.
        umask(umask(0o077) | S_IWOTH)
        let status: ExitStatus
        do {
            switch try RootCommand.parseAsRoot(Array(CommandLines.words.dropFirst())) {
            case let command as any RunsUnderMPI:
                status = runTogether(command, environment, launcher)
            case let command as any RunsAlone:
                status = onFirstTask(launcher) { runAlone(command, environment) }
            case var command:
                // What ArgumentParser does by itself, such as help.
                try command.run()
                status = .done
            }
        } catch {
            status = end(of: error, launcher)
        }
        exit(status.rawValue)
    }

    /// Starts MPI, or ends the process with the status that `failed` gives.
    private static func starting<Result>(
        _ start: @autoclosure () throws(Failure) -> Result, orEnd failed: @escaping () -> ExitStatus
    ) throws(Failure) -> Result {
        whenStartFails = failed
        cstart_on_exit { endInsteadOfMPI() }
        atexit { endInsteadOfMPI() }
        defer {
            whenStartFails = nil
            cstart_on_exit(nil)
        }
        return try start()
    }

    /// Ends a run that was over before it began: help, version, or a command line that is not one.
    private static func end(of error: any Error, _ launcher: Launcher?) -> ExitStatus {
        let text = RootCommand.fullMessage(for: error)
        guard RootCommand.exitCode(for: error) != .success else {
            return onFirstTask(launcher) {
                status { () throws(Failure) in try StandardOutput.write((text + "\n").utf8) }
            }
        }
        let reason = RootCommand.message(for: error).split(whereSeparator: \.isNewline)
            .joined(separator: " ")
        return onFirstTask(launcher, others: .usage) { complain(Failure(.usage, reason)) }
    }

    /// Does on the first task of a launch what needs no other, once it is known that all were asked for the same.
    ///
    /// Tasks that leave one by one with a status are killed by their launcher, the one with the message perhaps first; so
    /// they meet in MPI before they leave, all with the same status. Where MPI cannot tell the others how the first has
    /// ended, they end as `others` says.
    private static func onFirstTask(
        _ launcher: Launcher?, others: ExitStatus = .done, _ body: @escaping () -> ExitStatus
    ) -> ExitStatus {
        guard let launcher, launcher.tasks > 1 else { return body() }
        let isFirst = launcher.task == 0
        guard launcher.tellsMPI else { return isFirst ? body() : others }
        var status = others
        do {
            let library = try MPILibrary.required()
            try starting(
                Failure.mapping { () throws(MPIError) in
                    try MPIRuntime.start(library, isAlone: false)
                }
            ) {
                if isFirst { return body() }
                sleep(1)
                return others
            }
            let world = try Ranks.world()
            do {
                try CommandLines.requireSame(world)
                // The others take almost nothing of the processors while they wait for the status of the first.
                status = isFirst ? body() : .done
                let sum = try world.startSum([Int(status.rawValue)]).wait()[0]
                status = ExitStatus(rawValue: Int32(clamping: sum)) ?? status
            } catch {
                // What the library reports on another task the first one may not know.
                if isFirst || error.status == .mpi { complain(error) }
                status = error.status
            }
            // All know how it ends, and whoever is first to leave with a status has the others killed.
            Interruption.become(.polite)
            try Failure.mapping(MPIRuntime.stop)
        } catch {
            complain(error)
            if status == .done { status = .mpi }
        }
        return status
    }

    /// Says why the run cannot go on, and gives the status that this leads to.
    @discardableResult
    private static func complain(_ failure: Failure) -> ExitStatus {
        let hint = failure.status == .usage ? " (dgen-mpi --help)" : ""
        StandardError.write("dgen-mpi: error: \(failure.message)\(hint)\n")
        return failure.status
    }

    /// How `body` ends.
    private static func status(of body: () throws(Failure) -> Void) -> ExitStatus {
        do {
            try body()
            return .done
        } catch {
            return complain(error)
        }
    }

    private static func runAlone(
        _ command: any RunsAlone, _ environment: [String: String]
    ) -> ExitStatus {
        status { () throws(Failure) in
            let settings = try command.settings(environment)
            try Failure.reading(settings.check())
            let destination = try destination(settings)
            let answer = try command.answer(settings)
            if let destination { try answer.write(to: destination) }
            if destination != "-" { try StandardOutput.write(answer.text.utf8) }
        }
    }

    private static func runTogether(
        _ command: any RunsUnderMPI, _ environment: [String: String], _ launcher: Launcher?
    ) -> ExitStatus {
        var status: ExitStatus
        var isFirst = (launcher?.task ?? 0) == 0
        var watchdog: Watchdog?
        // Before a library may say something there; what a job file says is read later.
        if let mover = command as? any MovesData, mover.writesToStandardOutput(environment) {
            StandardOutput.keepForData()
        }
        do throws(Failure) {
            Interruption.become(.starting)
            let session = try starting(Session(launcher)) { [isFirst] in
                let failure = Failure(
                    .mpi,
                    "MPI does not start: \(MPIRuntime.libraryVersion) ended the process"
                        + (launcher?.advice(MPIRuntime.slurmInterfaces) ?? ""))
                endUnbegun(failure, command, environment, isFirst: isFirst)
                return failure.status
            }
            (isFirst, watchdog) = (session.isRoot, session.watchdog)
            Interruption.become(.polite)
            // Other nodes may have another environment, and need not read the job file at all.
            let settings = try session.onRoot { try command.settings(environment) }
            if settings.text(.output) == Target.standardOutput { StandardOutput.keepForData() }
            let reportPath = try session.onRoot { try destination(settings) }
            do throws(Failure) {
                try session.agree(Interruption.failure)
                try Failure.reading(settings.check())
                try Failure.reading(logLevels(settings)).install(
                    origin: "rank \(session.world.rank) \(session.host)")
                let execution = try Execution(session, settings, reportPath: reportPath)
                for (name, nearest) in isFirst ? settings.unknownVariables : [] {
                    let advice = nearest.map { "; did you mean \($0)?" } ?? ""
                    execution.logger.warning("environment: \(name) is not known here\(advice)")
                }
                status = execution.carryOut(command.run)
            } catch {
                if isFirst, let reportPath { try refuseInReport(error, reportPath) }
                throw error
            }
        } catch {
            if watchdog == nil {
                endUnbegun(error, command, environment, isFirst: isFirst)
            } else if isFirst {
                complain(error)
            }
            status = error.status
        }
        do {
            // The end may hang too, after a call that failed.
            watchdog?.enter(.agreement)
            if MPIRuntime.isRunning { try MPIRuntime.stop() }
        } catch {
            if isFirst { complain(Failure(error)) }
            if status == .done { status = .mpi }
        }
        watchdog?.stop()
        return status
    }

    /// Says why MPI does not start, also in the report.
    private static func endUnbegun(
        _ failure: Failure, _ command: any RunsUnderMPI, _ environment: [String: String],
        isFirst: Bool
    ) {
        guard isFirst else {
            // The first one to leave has all others killed, the one with the message among them.
            sleep(1)
            return
        }
        complain(failure)
        // What is wrong with the options is not what is told then.
        guard let settings = try? command.settings(environment),
            let path = try? destination(settings)
        else { return }
        try? refuseInReport(failure, path)
    }

    /// The levels that `settings` ask for: `DGEN_LOG`, and for what it does not name `--verbose` or `--quiet`.
    private static func logLevels(_ settings: Settings) throws(InvalidField) -> LogLevels {
        let (isVerbose, isQuiet) = try (settings[.verbose], settings[.quiet])
        return try LogLevels(
            settings.environment["DGEN_LOG"],
            default: isVerbose ? .info : isQuiet ? .error : .warning)
    }

    /// Where `settings` want the report, `-` being stdout, nil nowhere; no file of the run may be one with another.
    private static func destination(_ settings: Settings) throws(Failure) -> String? {
        try NamedFiles(settings).requireApart()
        return try Failure.reading(settings[.report])
    }

    /// A report of an earlier run must not stand for one that was refused.
    private static func refuseInReport(_ failure: Failure, _ path: String) throws(Failure) {
        var report = Report()
        report.end(failure.status, error: failure.message)
        try report.write(to: path)
    }
}
