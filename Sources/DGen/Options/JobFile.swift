// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// A file of options in YAML (JSON is YAML): one mapping whose keys are the options in snake case, and what those who
/// start the job want to know.
enum JobFile {
    /// A kind of such files.
    struct Sort {
        /// What is said of a file that is no mapping.
        let isNone: String
        let rows: [OptionRow]
        /// Keys with texts for people: one, or a list.
        var remarks: [String] = []
        /// Whether all values are checked where they stand, and not only those that the program passes over otherwise.
        var isChecked = false
    }

    static func read(
        _ path: String, rows: [OptionRow] = OptionRow.all
    ) throws(Failure) -> Settings.Given {
        let text = try FileSystem.readTextOrPipe(
            path, bytesMax: 1 << 20, what: "job file")
        return try parse(text, name: path, rows: rows)
    }

    /// The options that `text` gives, of a file that messages call `name`; only those are checked that the program passes
    /// over otherwise.
    static func parse(
        _ text: String, name: String, rows: [OptionRow] = OptionRow.all
    ) throws(Failure) -> Settings.Given {
        try parse(
            text, name: name,
            as: Sort(isNone: "a job file is a mapping of options, such as 'size: 1GiB'", rows: rows)
        ).given
    }

    /// The options that `text` gives, and its texts for people by their keys.
    static func parse(
        _ text: String, name: String, as sort: Sort
    ) throws(Failure) -> (given: Settings.Given, remarks: [String: [String]]) {
        let rows = sort.rows
        var given: Settings.Given = [:]
        var remarks: [String: [String]] = [:]
        guard let root = try YAML.read(text, name: name), !root.isNull else {
            return (given, remarks)
        }
        guard case .mapping(let entries) = root else {
            throw Failure(.usage, "\(name): \(sort.isNone)")
        }
        for entry in entries {
            let name = "\(name):\(entry.line)"
            if sort.remarks.contains(entry.key) {
                guard let texts = remark(entry.value) else {
                    throw Failure(.usage, "\(name): '\(entry.key)' is a text or a list of texts")
                }
                remarks[entry.key] = texts
                continue
            }
            guard let row = rows.first(where: { $0.name == entry.key }) else {
                let known = rows.map(\.name) + sort.remarks
                let advice = entry.key.nearest(in: known).map { "did you mean '\($0)'?" }
                let all = known.sorted().joined(separator: " ")
                throw Failure(
                    .usage, "\(name): unknown key '\(entry.key)'; \(advice ?? "known: \(all)")")
            }
            do throws(InvalidField) {
                given[row] = try texts(of: entry.value, for: row)
                if sort.isChecked || row.commands.isEmpty { _ = try row.values(given[row] ?? []) }
            } catch {
                throw Failure(.usage, "\(name): \(error.description)")
            }
        }
        return (given, remarks)
    }

    private static func remark(_ value: YAML) -> [String]? {
        switch value {
        case .scalar(let text, _): return [text]
        case .list(let elements):
            let texts = elements.compactMap(\.text)
            return texts.count == elements.count ? texts : nil
        case .mapping: return nil
        }
    }

    private static func texts(
        of value: YAML, for row: OptionRow
    ) throws(InvalidField) -> [String] {
        var texts: [String] = []
        switch (value, row.shape) {
        case (.scalar(let text, isNull: false), let shape)
        where shape != .list && shape != .mapping:
            texts = [text]
        case (.list(let elements), _) where row.isList:
            for element in elements { texts.append(try text(of: element, for: row)) }
        case (.mapping(let entries), .pairs):
            for entry in entries {
                texts.append("\(entry.key)=\(try text(of: entry.value, for: row))")
            }
        case (.mapping(let entries), .mapping):
            for entry in entries { texts += [entry.key, try text(of: entry.value, for: row)] }
        default: throw row.refusal(words(for: value))
        }
        return texts
    }

    private static func text(of value: YAML, for row: OptionRow) throws(InvalidField) -> String {
        // A hint may have any word as its value.
        guard let text = value.text, !value.isNull || row.shape == .pairs else {
            throw row.refusal(words(for: value))
        }
        return text
    }

    private static func words(for value: YAML) -> String {
        switch value {
        case .scalar(let text, _): text.isEmpty ? "nothing" : text
        case .mapping: "a mapping"
        case .list: "a list"
        }
    }
}
