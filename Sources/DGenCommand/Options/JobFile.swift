// SPDX-License-Identifier: MIT OR Apache-2.0

import Yams

/// A file of options in YAML (JSON is YAML): one mapping whose keys are the options in snake case.
enum JobFile {
    static func read(_ path: String) throws -> Settings.Given {
        let text = try FileSystem.readText(path, bytesMax: 1 << 20, what: "job file")
        return try parse(text, name: path)
    }

    /// The options that `text` gives.
    ///
    /// - Parameters:
    ///   - text: YAML or JSON.
    ///   - name: what to call the file in messages.
    /// - Returns: the texts of each option.
    /// - Throws: ``Failure`` in one line that says where and what.
    static func parse(_ text: String, name: String) throws -> Settings.Given {
        guard let root = try compose(text, name: name) else { return [:] }
        guard let mapping = root.mapping else {
            throw Failure(
                .usage, "\(name): a job file is a mapping of options, such as 'size: 1GiB'")
        }
        var given: Settings.Given = [:]
        for (keyNode, value) in mapping {
            let name = "\(name):\(keyNode.mark?.line ?? 1)"
            guard let word = keyNode.scalar?.string else {
                throw Failure(.usage, "\(name): an option's name must be a word")
            }
            guard let key = OptionKey(rawValue: word) else {
                let advice = OptionKey.nearest(to: word).map { "did you mean '\($0.rawValue)'?" }
                let all = OptionKey.allCases.map(\.rawValue).sorted().joined(separator: " ")
                throw Failure(
                    .usage, "\(name): unknown key '\(word)'; \(advice ?? "known: \(all)")")
            }
            given[key] = try texts(of: value, for: key, name: name)
        }
        return given
    }

    /// Parses YAML, with the parser's complaint in one line.
    static func compose(_ text: String, name: String) throws -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            let words = "\(error)".split(whereSeparator: \.isNewline)
                .map { $0.trimmingPrefix(while: \.isWhitespace) }
            throw Failure(
                .usage, "\(name): not readable as YAML: \(words.prefix(3).joined(separator: " "))")
        }
    }

    private static func texts(of node: Node, for key: OptionKey, name: String) throws -> [String] {
        switch (node, key) {
        case (.scalar(let scalar), _) where node.tag != Tag(.null):
            return [scalar.string]
        case (.sequence(let sequence), .hint):
            return try sequence.map { try text(of: $0, for: key, name: name) }
        case (.mapping(let mapping), .hint):
            return try mapping.map {
                let hint = try text(of: $0.key, for: key, name: name)
                return "\(hint)=\(try text(of: $0.value, for: key, name: name))"
            }
        default:
            let accepted = key == .hint ? "a mapping or a list of KEY=VALUE" : "one value"
            throw Failure(.usage, "\(name): \(key.rawValue): give \(accepted)")
        }
    }

    private static func text(of node: Node, for key: OptionKey, name: String) throws -> String {
        guard let scalar = node.scalar else {
            throw Failure(.usage, "\(name): \(key.rawValue): give plain values")
        }
        return scalar.string
    }
}
