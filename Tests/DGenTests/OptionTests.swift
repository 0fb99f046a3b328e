// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import Foundation
import MPI
import Testing

@testable import DGen
@testable import Options

@Suite struct OptionTests {
    /// What ArgumentParser knows of the commands, as far as it is compared.
    private struct Help: Decodable {
        struct Command: Decodable {
            let commandName: String
            let arguments: [Argument]?
            let subcommands: [Command]?
        }

        struct Argument: Decodable {
            struct Name: Decodable {
                let kind: String
                let name: String
            }

            let kind: String
            let names: [Name]?
            let abstract: String?
            let isRepeating: Bool
        }

        let command: Command
    }

    /// What is declared beside the rows: options of which job files know nothing.
    private static let others: Set = ["--job", "--sys-root", "--help", "--version"]

    @Test func declarationsAreThoseOfTheRowsAndNoOthers() throws {
        let help = try JSONDecoder().decode(Help.self, from: Data(RootCommand._dumpHelp().utf8))
        let declared = try #require(help.command.subcommands).filter { $0.commandName != "help" }
        #expect(Set(declared.map(\.commandName)) == Set(Command.allCases.map(\.rawValue)))
        for parsed in declared {
            let command = try #require(Command(rawValue: parsed.commandName))
            let rows = OptionRow.rows(of: command).filter { $0.commands.contains(command) }
            var (found, unset): (Set<OptionRow>, Set<OptionRow>) = ([], [])
            for argument in parsed.arguments ?? [] {
                let names = (argument.names ?? []).map {
                    ($0.kind == "short" ? "-" : "--") + $0.name
                }
                if !Self.others.isDisjoint(with: names) { continue }
                // The name of a profile is no option.
                if argument.kind == "positional", !rows.contains(.output) { continue }
                if let row = rows.first(where: { names.contains("--no-\($0.word)") }) {
                    unset.insert(row)
                    continue
                }
                let row = try #require(
                    argument.kind == "positional"
                        ? .output : rows.first { names.contains("--\($0.word)") }, "\(names)")
                let isFlag = row.form.name == "flag"
                let isShort = row.short.map { names.contains("-\($0)") } ?? true
                #expect(found.insert(row).inserted, "\(row.name) of \(command) is there twice")
                #expect(argument.kind == "positional" || isShort, "\(command) \(names)")
                #expect((argument.kind == "flag") == isFlag, "\(row.name) of \(command)")
                #expect(argument.isRepeating == [.several, .pairs].contains(row.shape))
                #expect(argument.abstract == row.argumentHelp.abstract, "\(row.name) of \(command)")
            }
            let flags = rows.filter { $0.form.name == "flag" }
            #expect(unset == Set(flags), "\(command): \(unset.symmetricDifference(flags))")
            #expect(found == Set(rows), "\(command): \(found.symmetricDifference(rows))")
        }
    }

    @Test func defaultsAndExamplesAreAccepted() throws {
        for row in OptionRow.all + OptionRow.ofBench.rows {
            if let fallback = row.fallback { _ = try row.values([fallback]) }
            let rows = OptionRow.rows(of: row.commands == [.bench] ? .bench : nil)
            let given = try JobFile.parse("\(row.name): \(row.example)", name: "j", rows: rows)
            _ = try row.values(try #require(given[row]))
            #expect(row.help.hasSuffix("."), "\(row.name)")
        }
        #expect(Set(OptionRow.all).count == OptionRow.all.count, "a name is there twice")
    }

    @Test func limitsOfWhatLiesBelowAgree() {
        #expect(OptionLimits.transferBytes == SharedFile.transferBytesMax)
        #expect(OptionLimits.hintBytes.key <= SharedFile.hintBytesMax.key)
        #expect(OptionLimits.hintBytes.value <= SharedFile.hintBytesMax.value)
        #expect(OptionRow.benchBufferSizes.form.range?.upperBound == BenchMemory.bytes)
    }

    /// An option that nobody has.
    private static let colour = Setting(
        "colour_of_bytes", Kind<DataSpec.Fill>.choice(), default: "zeros", short: "c",
        help: "Which colour the bytes have.", example: "backref", of: [.generate])

    private struct Coloured: ParsableCommand {
        @Option(OptionTests.colour) var colourOfBytes: String?
    }

    @Test func aRowIsSeenWhereverOptionsAre() throws {
        let (colour, rows) = (Self.colour, OptionRow.all + [Self.colour])
        // Help and command line.
        let help = Coloured.helpMessage()
        #expect(help.contains("-c, --colour-of-bytes"))
        #expect(help.contains("Which colour the bytes have (backref or zeros"))
        #expect(help.contains("default:"))
        let given = try Coloured.parse(["--colour-of-bytes", "backref"]).given(rows: rows)
        #expect(given == [colour: ["backref"]])
        // Job file and environment, in their order.
        let file = try JobFile.parse("colour_of_bytes: zeros\n", name: "j", rows: rows)
        func settings(
            _ commandLine: Settings.Given = [:], _ environment: [String: String] = [:]
        ) -> Settings {
            Settings(
                commandLine: commandLine, environment: environment, jobFile: file, rows: rows)
        }
        let variable = ["DGEN_COLOUR_OF_BYTES": "backref"]
        #expect(try settings()[colour] == .zeros)
        #expect(try settings([:], variable)[colour] == .backref)
        #expect(settings([:], variable).unknownVariables.isEmpty)
        #expect(try settings(given)[colour] == .backref)
        // What is refused, in the words of the row.
        let wrong = #expect(throws: InvalidField.self) { try settings([colour: ["red"]]).check() }
        #expect(
            wrong?.description
                == "colour_of_bytes: 'red' is not accepted; give backref or zeros")
        #expect(throws: Failure.self) {
            try JobFile.parse("colour_of_bytes: [a]", name: "j", rows: rows)
        }
        // Without the row nobody knows it.
        #expect(throws: Failure.self) {
            try JobFile.parse("colour_of_bytes: zeros", name: "j")
        }
    }

    @Test func benchHasListsFromEveryPlace() throws {
        let rows = OptionRow.rows(of: .bench)
        let file = try JobFile.parse(
            "buffer_sizes: [4KiB, 1MiB]\nthreads: 3\nsize: 1GiB\n", name: "j", rows: rows)
        let settings = Settings(
            commandLine: try BenchCommand.parse(["--operations", "fill,random"]).commandLine,
            environment: ["DGEN_REPEAT": "2", "DGEN_DEDUP_RATIOS": "1,1.5"], jobFile: file,
            rows: rows)
        try settings.check()
        #expect(try settings[.benchBufferSizes] == [4096, 1 << 20])
        #expect(try settings[.benchThreads] == [3])
        #expect(try settings[.benchOperations] == [.fill, .random])
        #expect(try settings[.benchRepeats] == 2)
        #expect(try settings[.benchDedupRatios] == [1, 1.5])
    }
}
