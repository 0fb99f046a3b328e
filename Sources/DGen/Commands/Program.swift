// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
internal import CStart
import Foundation
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
        _ start: () throws -> Result, orEnd failed: @escaping () -> ExitStatus
    ) rethrows -> Result {
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
                do {
                    try StandardOutput.write((text + "\n").utf8)
                    return .done
                } catch {
                    complain(Failure(error))
                    return Failure(error).status
                }
            }
        }
        let reason = RootCommand.message(for: error).split(whereSeparator: \.isNewline)
            .joined(separator: " ")
        return onFirstTask(launcher, others: .usage) {
            complain(Failure(.usage, reason))
            return .usage
        }
    }

    /// Does on the first task of a launch what needs no other, once it is known that all were asked for the same.
    ///
    /// Tasks that leave one by one with a status are killed by their launcher, the one with the message perhaps first; so
    /// they meet in MPI before they leave.
    ///
    /// - Parameters:
    ///   - launcher: what started this process.
    ///   - others: what the other tasks end with, where MPI cannot tell them how the first has ended.
    ///   - body: what is done.
    /// - Returns: how it ended, the same on every task.
    private static func onFirstTask(
        _ launcher: Launcher?, others: ExitStatus = .done, _ body: @escaping () -> ExitStatus
    ) -> ExitStatus {
        guard let launcher, launcher.tasks > 1 else { return body() }
        let isFirst = launcher.task == 0
        guard launcher.tellsMPI else { return isFirst ? body() : others }
        var status = others
        do {
            try starting {
                try MPIRuntime.start(isAlone: false)
            } orEnd: {
                if isFirst { return body() }
                sleep(1)
                return others
            }
            let world = try Ranks.world()
            do {
                try CommandLines.requireSame(world)
                status = try share(isFirst ? body() : .done, world)
            } catch let failure as Failure {
                // What the library reports on another task the first one may not know.
                if isFirst || failure.status == .mpi { complain(failure) }
                status = failure.status
            }
            // All know how it ends, and whoever is first to leave with a status has the others killed.
            Interruption.become(.polite)
            try MPIRuntime.stop()
        } catch {
            complain(Failure(error))
            if status == .done { status = .mpi }
        }
        return status
    }

    /// Gives the status of the first task to all others, which take almost nothing of the processors while they wait.
    private static func share(_ status: ExitStatus, _ world: Ranks) throws -> ExitStatus {
        let sum = try world.startSum([Int(status.rawValue)]).wait()
        return ExitStatus(rawValue: Int32(clamping: sum[0])) ?? status
    }

    private static func complain(_ failure: Failure) {
        let hint = failure.status == .usage ? " (dgen-mpi --help)" : ""
        StandardError.write("dgen-mpi: error: \(failure.message)\(hint)\n")
    }

    private static func runAlone(
        _ command: any RunsAlone, _ environment: [String: String]
    ) -> ExitStatus {
        do {
            let settings = try Settings(
                commandLine: command.commandLine, jobPath: command.job, environment: environment,
                command: command.command)
            try settings.check()
            let destination = try destination(settings)
            let (table, json) = try command.result(settings)
            switch destination {
            case "-": try StandardOutput.write(try JSON.encode(json))
            case let path?:
                try FileSystem.replace(path, with: try JSON.encode(json))
                try StandardOutput.write(table.text.utf8)
            case nil: try StandardOutput.write(table.text.utf8)
            }
            return .done
        } catch {
            complain(Failure(error))
            return Failure(error).status
        }
    }

    private static func runTogether(
        _ command: any RunsUnderMPI, _ environment: [String: String], _ launcher: Launcher?
    ) -> ExitStatus {
        var status: ExitStatus
        var isFirst = (launcher?.task ?? 0) == 0
        var watchdog: Watchdog?
        do {
            Interruption.become(.starting)
            let session = try starting {
                try Session(launcher)
            } orEnd: { [isFirst] in
                let failure = Failure(
                    .mpi, "MPI does not start: \(MPIRuntime.libraryVersion) ended the process")
                if isFirst {
                    complain(failure)
                    refuseInReport(failure, command, environment)
                } else {
                    // The first one to leave has all others killed, the one with the message among them.
                    sleep(1)
                }
                return failure.status
            }
            (isFirst, watchdog) = (session.isRoot, session.watchdog)
            Interruption.become(.polite)
            // Other nodes may have another environment, and need not read the job file at all.
            let settings = try session.onRoot {
                try Settings(
                    commandLine: command.commandLine, jobPath: command.job,
                    environment: environment)
            }
            let reportPath = try session.onRoot { try destination(settings) }
            do {
                try session.agree(Interruption.failure)
                try settings.check()
                try logLevels(settings).install(
                    origin: "rank \(session.world.rank) \(session.host)")
                let execution = try Execution(session, settings, reportPath: reportPath)
                if isFirst { warn(of: settings.unknownVariables, execution.logger) }
                status = execution.carryOut(command.run)
            } catch {
                if isFirst, let reportPath { try refuseInReport(error, reportPath) }
                throw error
            }
        } catch {
            let failure = Failure(error)
            if isFirst { complain(failure) }
            status = failure.status
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

    /// The levels that `settings` ask for: `DGEN_LOG`, and for what it does not name `--verbose` or `--quiet`.
    private static func logLevels(_ settings: Settings) throws -> LogLevels {
        let isVerbose = try settings[.verbose]
        let isQuiet = try settings[.quiet]
        return try LogLevels(
            settings.environment["DGEN_LOG"],
            default: isVerbose ? .info : isQuiet ? .error : .warning)
    }

    /// Where `settings` want the report, `-` being stdout; nil for nowhere.
    ///
    /// - Throws: ``Failure`` where that, or another file of the run, is one with a second one.
    private static func destination(_ settings: Settings) throws -> String? {
        try NamedFiles(settings).requireApart()
        return try settings[.report]
    }

    /// A report of an earlier run must not stand for one that was refused.
    private static func refuseInReport(_ error: any Error, _ path: String) throws {
        let failure = Failure(error)
        var report = Report()
        report.end(failure.status, error: failure.message)
        try report.write(to: path)
    }

    /// The same where MPI did not start; what is wrong with the options is not what is told then.
    private static func refuseInReport(
        _ failure: Failure, _ command: any RunsUnderMPI, _ environment: [String: String]
    ) {
        guard
            let settings = try? Settings(
                commandLine: command.commandLine, jobPath: command.job, environment: environment),
            let path = try? destination(settings)
        else { return }
        try? refuseInReport(failure, path)
    }

    private static func warn(
        of variables: [(name: String, nearest: String?)], _ logger: Logger
    ) {
        for variable in variables {
            let advice = variable.nearest.map { "; did you mean \($0)?" } ?? ""
            logger.warning("environment: \(variable.name) is not known here\(advice)")
        }
    }
}
