// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI
import NUMA
import Options

/// A command that all ranks carry out: the run, what was asked for, and what is said of it in the end.
final class Execution {
    /// As they fit what is written or read.
    let settings: Settings
    /// What that is.
    let target: Target
    let run: Run
    let pipeline: Pipeline
    /// The depth of the longest queue of any rank.
    let queueDepth: Int
    /// What is known of the command so far; rank 0 writes it.
    var report = Report()
    private let isQuiet: Bool
    private let reportPath: String?
    private var table: Table?

    var session: Session { run.session }
    var logger: Logger { run.logger }
    /// Whether wrong bytes are shown one by one.
    var isDetailed: Bool { logger.logLevel <= .info }

    /// Reads the options that all operations share; the same on every rank; collective.
    ///
    /// The report is wanted at `reportPath`; `-` is stdout, nil nowhere.
    init(_ session: Session, _ settings: Settings, reportPath: String?) throws(Failure) {
        let found = try session.onRoot { try Target.find(settings) }
        var settings = settings
        do throws(InvalidField) { try settings.fit(found) } catch { throw Failure(error) }
        self.settings = settings
        target = found
        self.reportPath = reportPath
        isQuiet = try Failure.reading(settings[.quiet])
        let (transferSize, hints) = try Failure.reading((settings[.transferSize], settings.hints()))
        let (access, isDirect) = try Failure.reading(settings.access())
        let (askedThreads, askedDepth) = try Failure.reading(
            (settings[.threads], settings[.queueDepth]))
        // Each node has processors of its own.
        let kernel = try session.together { try settings.kernel() }
        let share = try session.threadShare()
        // Who asks for one thread has one processor in mind.
        let processors = askedThreads ?? share
        // With no processor to spare, overlap only costs.
        let depth = askedDepth ?? (processors > 1 ? 2 : 1)
        // Where bytes are moved meanwhile, that takes a processor of its own.
        let threads = askedThreads ?? (depth > 1 ? max(1, share - 1) : share)
        let placement = try session.together {
            try settings.placement(threads: threads, topology: Topology())
        }
        let progress = try Failure.reading(settings.progressStyle())
        if let seconds = try Failure.reading(settings[.timeLimit]) {
            Interruption.stop(afterSeconds: seconds)
        }
        session.watch(limitSeconds: try Failure.reading(settings[.watchdog]))
        run = Run(
            session,
            threads: Run.Threads(
                count: threads, hasSpareProcessor: processors > 1, kernel: kernel,
                placer: Placer(placement, logger: Logger(label: "command"))),
            progress: progress)
        pipeline = Pipeline(
            run, FileAccess(access: access, isDirect: isDirect, hints: hints, target: found),
            transferSize: transferSize, depth: depth,
            mayMakeAlone: askedDepth == nil && !isDirect)
        queueDepth = try session.world.allReduce(depth, .maximum)
        report.describe(
            run, pipeline, threads: try session.world.allReduce(threads, .maximum),
            queueDepth: queueDepth)
        logger.info(
            """
            \(session.world.size) ranks on \(session.nodeCount) nodes, \
            \(MPIRuntime.libraryVersion)
            """)
    }

    /// Carries the command out on all ranks, and reports how it ended; collective.
    ///
    /// The report exists, valid, from before the first byte on: should the job be killed, it says so.
    func carryOut(_ command: (Execution) throws(Failure) -> ExitStatus) -> ExitStatus {
        var status: ExitStatus
        var message: String?
        var isReporting = false
        if session.isRoot, let reportPath {
            session.rollCall.last = { [unowned self] failure in
                report.end(failure.status, error: failure.message)
                // The job ends by what is told then; a report that cannot be written changes nothing.
                try? report.write(to: reportPath)
            }
        }
        do {
            try writeReport(to: reportPath == "-" ? nil : reportPath)
            isReporting = true
            status = try command(self)
        } catch {
            (status, message) = (error.status, error.message)
        }
        if session.isRoot, pipeline.access.access == .mpi, reportPath != nil,
            let fileSystem = report.fileSystem
        {
            // A fifth of a second, so only for a report, and not while an operation is timed.
            report.mpi?.ioComponent = IOComponents().used(on: fileSystem)
        }
        report.end(status, error: message)
        if let message { complain(message) }
        do {
            if isReporting { try writeReport(to: reportPath) }
            try session.onRoot {
                if let path = try settings[.csv] {
                    try FileSystem.replace(path, with: Array(OperationsTable.text(report).utf8))
                }
                // After the report: it must not be lost with a reader of stdout that went away.
                if let table { try StandardOutput.write(table.text.utf8) }
            }
        } catch {
            if message == nil { complain(error.message) }
            if status == .done { status = error.status }
        }
        return status
    }

    private func complain(_ message: String) {
        if session.isRoot { StandardError.write("dgen-mpi: error: \(message)\n") }
    }

    private func writeReport(to path: String?) throws(Failure) {
        try session.onRoot {
            if let path { try report.write(to: path) }
        }
    }

    /// Keeps a result for people, to be printed by rank 0 at the end unless stdout is for the report.
    func show(_ table: Table) {
        if session.isRoot, !isQuiet, reportPath != "-" { self.table = table }
    }

    /// Notes what the library says of the hints of the files; says once that this proves nothing where it does not.
    func note(_ hints: OpenDataSet.Hints) {
        let isNews = hints.isEcho == true && report.hints?.reportIsEcho != true
        report.hints?.reported = hints.reported
        if let isEcho = hints.isEcho { report.hints?.reportIsEcho = isEcho }
        guard session.isRoot, isNews else { return }
        logger.warning(
            """
            hints: \(MPIRuntime.libraryVersion) reports whatever it is given, so that a hint is \
            reported does not prove that it is followed
            """)
    }
}
