// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Options

struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dgen-mpi",
        abstract: "Writes and verifies one shared file of test data, with any number of MPI ranks.",
        discussion: """
            The bytes depend on the specification alone: size, seed, ratios, units and fill. Any number \
            of ranks, any transfer size and any machine make the same file, so any later run can verify \
            it.

            Options may also be given in a job file (--job FILE, YAML, names in snake_case) and in the \
            environment (DGEN_SIZE, DGEN_DEDUP_RATIO, ...). The command line goes before the \
            environment, the environment before the job file.

            Exit status: 0 done, 1 data differs from its specification, 2 usage or configuration, \
            3 I/O failed, 4 MPI or launcher, 5 interrupted.
            """,
        version: Version.current,
        subcommands: [
            GenerateCommand.self, VerifyCommand.self, RepairCommand.self, UpdateCommand.self,
            TestCommand.self, ChecksumCommand.self, PlanCommand.self, ProfilesCommand.self,
            BenchCommand.self,
            InfoCommand.self,
        ],
        defaultSubcommand: GenerateCommand.self)
}

/// A subcommand that takes options.
protocol GivesOptions: ParsableCommand {
    var result: ResultOptions { get }
}

extension GivesOptions {
    var command: Command? { Self.configuration.commandName.flatMap(Command.init(rawValue:)) }

    var commandLine: Settings.Given { given(rows: OptionRow.rows(of: command)) }

    func settings(_ environment: [String: String]) throws(Failure) -> Settings {
        try Settings(
            commandLine: commandLine, jobPath: result.job, environment: environment,
            command: command)
    }
}

/// A subcommand that all ranks run together.
protocol RunsUnderMPI: GivesOptions {
    func run(_ execution: Execution) throws(Failure) -> ExitStatus
}

/// One that writes or reads files.
protocol MovesData: RunsUnderMPI {
    var shared: SharedOptions { get }
}

extension MovesData {
    var result: ResultOptions { shared.result }

    /// Whether the command line, or where that is silent the environment, has the data go to stdout.
    func writesToStandardOutput(_ environment: [String: String]) -> Bool {
        let given =
            commandLine[.output]?.last ?? OptionRow.output.variable.flatMap { environment[$0] }
        return given == Target.standardOutput
    }
}

/// A subcommand that one process runs.
protocol RunsAlone: GivesOptions {
    func answer(_ settings: Settings) throws(Failure) -> any Answer
}

/// A result for programs, and for people.
protocol Answer: WritableResult {
    var table: Table { get }
    /// What people are shown: the table, unless it is something else.
    var text: String { get }
}

extension Answer {
    var text: String { table.text }
}
