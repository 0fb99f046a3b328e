// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Options
import Testing

@testable import DGen

/// Job files that the program and the Python package take or refuse alike: the tests of both go through one table.
@Suite struct JobFileLinesTests {
    private struct Lines: Decodable {
        /// What each of the others is put before, without those of its lines whose keys they have.
        let base: String
        let accepted: [String]
        let refused: [String]
    }

    private static let lines: Lines = {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../JobFiles/lines.json")
        do {
            return try JSONDecoder().decode(Lines.self, from: Data(contentsOf: file))
        } catch {
            preconditionFailure("\(file.path): \(error)")
        }
    }()

    /// What `dgen-mpi plan` does before it prints.
    private func plan(_ lines: String) throws {
        func keys(_ text: String) -> [Substring] {
            text.split(separator: "\n").compactMap { $0.split(separator: ":").first }
        }
        let given = keys(lines)
        let kept = Self.lines.base.split(separator: "\n").filter { line in
            !given.contains { line.hasPrefix("\($0):") }
        }
        let text = kept.map { $0 + "\n" }.joined() + lines + "\n"
        let settings = Settings(
            commandLine: [:], environment: [:],
            jobFile: try JobFile.parse(text, name: "job.yaml"))
        try settings.check()
        try NamedFiles(settings).requireApart()
        _ = try Plan(settings)
    }

    @Test(arguments: lines.accepted) func accepted(lines: String) throws { try plan(lines) }

    @Test(arguments: lines.refused) func refusedInOneLineThatNamesTheField(lines: String) {
        do {
            try plan(lines)
            Issue.record("accepted")
        } catch {
            let failure = Failure(error)
            #expect(failure.status == .usage)
            #expect(!failure.message.isEmpty && !failure.message.contains("\n"))
            let keys = lines.split(separator: "\n").compactMap { $0.split(separator: ":").first }
            #expect(
                failure.message.contains("job.yaml")
                    || keys.contains { failure.message.contains($0) }, "\(failure.message)")
        }
    }
}
