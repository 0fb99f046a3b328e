// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// A file of options in YAML (JSON is YAML): one mapping whose keys are the options in snake case, and what those who
/// start the job want to know.
struct JobFile {
    /// What a job does.
    enum Operation: String, CaseIterable, Codable {
        case generate, verify, test, repair
    }

    /// The texts of each option.
    private(set) var options: Settings.Given = [:]
    /// What the job does, if the file says so.
    private(set) var operation: Operation?

    static func read(_ path: String) throws -> JobFile {
        let text = try FileSystem.readText(
            path, bytesMax: 1 << 20, what: "job file", mayBePipe: true)
        return try parse(text, name: path)
    }

    /// What `text` says.
    ///
    /// - Parameters:
    ///   - text: YAML or JSON.
    ///   - name: what to call the file in messages.
    /// - Returns: the options as texts, not checked yet.
    /// - Throws: ``Failure`` in one line that says where and what.
    static func parse(_ text: String, name: String) throws -> JobFile {
        var file = JobFile()
        guard let root = try YAML.read(text, name: name), !root.isNull else { return file }
        guard case .mapping(let entries) = root else {
            throw Failure(
                .usage, "\(name): a job file is a mapping of options, such as 'size: 1GiB'")
        }
        for entry in entries {
            let name = "\(name):\(entry.line)"
            let (word, value) = (entry.key, entry.value)
            if let key = OptionKey(rawValue: word) {
                file.options[key] = try texts(of: value, for: key, name: name)
            } else if let key = LaunchKey(rawValue: word) {
                do {
                    try key.check(value)
                } catch {
                    throw Failure(.usage, "\(name): \(Failure(error).message)")
                }
            } else {
                let known =
                    OptionKey.allCases.map(\.rawValue) + LaunchKey.allCases.map(\.rawValue)
                let advice = word.nearest(in: known).map { "did you mean '\($0)'?" }
                let all = known.sorted().joined(separator: " ")
                throw Failure(
                    .usage, "\(name): unknown key '\(word)'; \(advice ?? "known: \(all)")")
            }
        }
        try file.noteLaunch(entries, name: name)
        return file
    }

    /// Takes what the program itself wants to know of the launch, and checks that ranks fit on the nodes.
    private mutating func noteLaunch(_ entries: [YAML.Entry], name: String) throws {
        func text(_ key: LaunchKey) -> String? {
            entries.first { $0.key == key.rawValue }?.value.text
        }
        operation = text(.operation).flatMap(Operation.init(rawValue:))
        guard let nodes = text(.nodes).flatMap(LaunchKey.count),
            let ranks = options[.ranks]?.last.flatMap({ Int($0) })
        else { return }
        let most = (text(.ranksPerNode).flatMap(LaunchKey.count) ?? ranks) * nodes
        guard (nodes...max(nodes, most)).contains(ranks) else {
            let refusal = InvalidField(
                field: OptionKey.ranks.rawValue, value: "\(ranks)",
                accepted: "\(nodes) to \(most) for the nodes and ranks_per_node given")
            throw Failure(.usage, "\(name): \(refusal.description)")
        }
    }

    private static func texts(of value: YAML, for key: OptionKey, name: String) throws -> [String] {
        switch (value, key) {
        case (.scalar(let text, isNull: false), _):
            return [text]
        case (.list(let elements), _) where key.isList:
            return try elements.map { try text(of: $0, for: key, name: name) }
        case (.mapping(let entries), .hint):
            return try entries.map {
                "\($0.key)=\(try text(of: $0.value, for: key, name: name))"
            }
        default:
            let accepted =
                switch key {
                case .hint: "a mapping or a list of KEY=VALUE"
                case .phases: "a list of phases"
                case .alsoKnown: "a list of seeds"
                default: "one value"
                }
            throw Failure(.usage, "\(name): \(key.rawValue): give \(accepted)")
        }
    }

    private static func text(of value: YAML, for key: OptionKey, name: String) throws -> String {
        guard let text = value.text else {
            throw Failure(.usage, "\(name): \(key.rawValue): give plain values")
        }
        return text
    }
}
