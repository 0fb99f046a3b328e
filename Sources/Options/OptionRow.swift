// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen

/// An option, described in one place: a row of the table of options.
///
/// `--dedup-ratio` on the command line, `DGEN_DEDUP_RATIO` in the environment and `dedup_ratio` in a job file are the same
/// option. A row that no command has is of job files alone: it says how a job is launched.
package class OptionRow: Hashable, @unchecked Sendable {
    /// What a job file may give.
    package enum Shape: String, Sendable {
        /// One value.
        case one
        /// One text with commas, or a list; one value at least.
        case joined
        /// One value or a list.
        case several
        /// One value, a list or a mapping, whose entries are `KEY=VALUE`.
        case pairs
        /// A list only.
        case list
        /// A mapping only; its texts are key, value, key, value.
        case mapping
    }

    /// Its name in job files.
    package let name: String
    /// Its letter on the command line.
    package let short: Character?
    package let shape: Shape
    package let form: Form
    package let accepted: String
    /// The value that it has where it is not given.
    package let fallback: String?
    /// What happens where it is not given, in words.
    package let otherwise: String?
    /// Sentences; the first one says what it is.
    package let help: String
    /// A value, as job files have it.
    package let example: String
    package let commands: [Command]

    fileprivate init(
        _ name: String, short: Character? = nil, shape: Shape = .one, form: Form,
        accepted: String? = nil, fallback: String? = nil, otherwise: String? = nil, help: String,
        example: String, of commands: [Command] = []
    ) {
        self.name = name
        self.short = short
        self.shape = shape
        self.form = form
        self.accepted = accepted ?? form.accepted
        self.fallback = fallback
        self.otherwise = otherwise
        self.help = help
        self.example = example
        self.commands = commands
    }

    /// Its name on the command line, without the dashes.
    package var word: String { String(name.map { $0 == "_" ? "-" : $0 }) }

    /// Its name in the environment; nil for what only job files have.
    package var variable: String? { commands.isEmpty ? nil : "DGEN_" + name.uppercased() }

    /// Its default, in words.
    package var defaultWords: String? { otherwise ?? fallback }

    /// Whether a list in a job file is one value.
    package var isList: Bool { [.joined, .several, .pairs, .list].contains(shape) }

    /// Reads texts that were given for it: its value, or the values of a list.
    package func values(_ texts: [String]) throws(InvalidField) -> [any Sendable] { [] }

    package func refusal(_ value: String, _ accepted: String? = nil) -> InvalidField {
        InvalidField(field: name, value: value, accepted: accepted ?? self.accepted)
    }

    package static func == (one: OptionRow, other: OptionRow) -> Bool { one.name == other.name }

    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// An option whose value has a type.
package final class Setting<Value: Sendable>: OptionRow, @unchecked Sendable {
    private let read: @Sendable (_ texts: [String]) throws(InvalidField) -> Value
    private let elements: @Sendable (Value) -> [any Sendable]
    private let absent: Value?

    /// Reads texts; nil where none were given.
    func value(_ texts: [String]?) throws(InvalidField) -> Value {
        if texts == nil, let absent { return absent }
        return try read(texts ?? fallback.map { [$0] } ?? [])
    }

    package override func values(_ texts: [String]) throws(InvalidField) -> [any Sendable] {
        elements(try read(texts))
    }

    /// An option with a default, whose last value counts.
    package init(
        _ name: String, _ kind: Kind<Value>, default fallback: String, otherwise: String? = nil,
        accepted: String? = nil, short: Character? = nil, help: String, example: String,
        of commands: [Command]
    ) {
        read = { (texts) throws(InvalidField) in try kind.read(texts.last ?? "", name) }
        elements = { [$0] }
        absent = nil
        super.init(
            name, short: short, form: kind.form, accepted: accepted, fallback: fallback,
            otherwise: otherwise, help: help, example: example, of: commands)
    }

    /// An option that is on or off; the example is the other one than the default.
    package convenience init(
        flag name: String, isOn: Bool = false, short: Character? = nil, help: String,
        of commands: [Command]
    ) where Value == Bool {
        self.init(
            name, .flag, default: isOn ? "yes" : "no", short: short, help: help,
            example: isOn ? "false" : "true", of: commands)
    }

    /// An option that may be left out, whose last value counts.
    package init<Given>(
        _ name: String, _ kind: Kind<Given>, otherwise: String? = nil, accepted: String? = nil,
        short: Character? = nil, help: String, example: String, of commands: [Command] = []
    ) where Value == Given? {
        read = { (texts) throws(InvalidField) in try kind.read(texts.last ?? "", name) }
        elements = { $0.map { [$0] } ?? [] }
        absent = .some(nil)
        super.init(
            name, short: short, form: kind.form, accepted: accepted, otherwise: otherwise,
            help: help, example: example, of: commands)
    }

    /// An option with several values.
    package init<Element: Sendable>(
        _ name: String, listOf kind: Kind<Element>, shape: Shape = .several,
        most: Int = .max, default fallback: String? = nil, otherwise: String? = nil,
        accepted: String? = nil, help: String, example: String, of commands: [Command] = []
    ) where Value == [Element] {
        let isJoined = shape == .joined
        read = { (texts) throws(InvalidField) in
            let parts =
                isJoined
                ? texts.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }
                    .map(String.init) : texts
            guard parts.count <= most, !isJoined || !parts.isEmpty else {
                throw InvalidField(
                    field: name, value: parts.isEmpty ? "" : "\(parts.count) values",
                    accepted: parts.isEmpty ? kind.form.accepted : "\(most) values at most")
            }
            var values: [Element] = []
            for part in parts { values.append(try kind.read(part, name)) }
            return values
        }
        elements = { $0 }
        absent = fallback == nil ? [] : nil
        super.init(
            name, shape: shape, form: kind.form, accepted: accepted, fallback: fallback,
            otherwise: otherwise, help: help, example: example, of: commands)
    }

    /// Names and what they stand for, in job files only.
    package init(mapping name: String, help: String, example: String) where Value == [Pair] {
        let form = Form("mapping", "a mapping of names to values of one line")
        read = { (texts) throws(InvalidField) in
            var pairs: [Pair] = []
            for index in stride(from: 0, to: texts.count - 1, by: 2) {
                let (key, value) = (texts[index], texts[index + 1])
                guard key.isVariableName, value.isOneLine else {
                    throw InvalidField(
                        field: name, value: key.isVariableName ? value : key,
                        accepted: form.accepted)
                }
                pairs.append(Pair(key: key, value: value))
            }
            return pairs
        }
        elements = { $0 }
        absent = []
        super.init(name, shape: .mapping, form: form, help: help, example: example)
    }
}
