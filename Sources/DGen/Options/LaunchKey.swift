// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// What a job file says to those who start the job: the Python package `dgen_mpi.jobs`, and batch scripts.
///
/// The program passes over the values, but not over mistakes: a file is accepted here if it is accepted there.
enum LaunchKey: String, CaseIterable {
    case name, operation, program, launcher, nodes, environment, modules, setup, account, partition,
        directives
    case ranksPerNode = "ranks_per_node"
    case launcherArguments = "launcher_arguments"
    case workingDirectory = "working_directory"
    case stopBefore = "stop_before"

    /// Checks what stands beside the key.
    ///
    /// - Throws: `InvalidField`.
    func check(_ node: YAML) throws {
        switch self {
        case .operation:
            let names = JobFile.Operation.allCases.map(\.rawValue)
            try line(node, accepted: names.joined(separator: " or ")) { names.contains($0) }
        case .nodes, .ranksPerNode:
            try line(node, accepted: "a whole number from 1 to \(Self.countMax)") {
                Self.count($0) != nil
            }
        case .stopBefore:
            try line(node, accepted: Duration.accepted) { Duration.seconds($0) != nil }
        case .name:
            try line(
                node,
                accepted: "1 to 100 letters, digits, '.', '_' and '-', a letter or digit first"
            ) {
                (1...100).contains($0.count) && Self.isWord($0, and: "._-")
                    && !"._-".contains($0.prefix(1))
            }
        case .launcher:
            try line(
                node, accepted: "mpirun, srun, flux, or a command line with {ranks} in it"
            ) {
                ["mpirun", "srun", "flux"].contains($0) || Array($0.utf8).contains("{ranks}".utf8)
            }
        case .program, .account, .partition, .workingDirectory:
            try line(node, accepted: "one line of text") { !$0.isEmpty }
        case .launcherArguments, .modules, .setup, .directives:
            guard case .list(let elements) = node else {
                throw refusal(node, "a list of lines")
            }
            for element in elements {
                try line(element, accepted: "a list of lines") { !$0.isEmpty }
            }
        case .environment:
            let accepted = "a mapping of names to values of one line"
            guard case .mapping(let entries) = node else { throw refusal(node, accepted) }
            for entry in entries {
                try line(.scalar(entry.key, isNull: false), accepted: accepted) {
                    Self.isWord($0, and: "_") && $0.first?.isNumber == false
                }
                try line(entry.value, accepted: accepted) { _ in true }
            }
        }
    }

    /// The most nodes, and ranks on one.
    static let countMax = 1_000_000

    /// A number of nodes, or of ranks on one.
    static func count(_ text: String) -> Int? {
        guard let count = Int(text), (1...countMax).contains(count) else { return nil }
        return count
    }

    private func line(
        _ node: YAML, accepted: String, _ isAccepted: (String) -> Bool
    ) throws {
        guard case .scalar(let text, isNull: false) = node,
            !text.contains(where: { $0.isNewline || $0 == "\0" }), isAccepted(text)
        else { throw refusal(node, accepted) }
    }

    private func refusal(_ node: YAML, _ accepted: String) -> InvalidField {
        let value =
            switch node {
            case .scalar(let text, _): text
            case .mapping: "a mapping"
            case .list: "a list"
            }
        return InvalidField(
            field: rawValue, value: value.split(whereSeparator: \.isNewline).joined(separator: " "),
            accepted: accepted)
    }

    /// Whether `text` is ASCII letters, digits and `others`.
    private static func isWord(_ text: String, and others: String) -> Bool {
        text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || others.contains($0) }
    }
}
