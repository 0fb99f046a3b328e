// SPDX-License-Identifier: MIT OR Apache-2.0
// How rows of the table become declarations of ArgumentParser, and what was parsed becomes texts of options.

import ArgumentParser
import Options

extension OptionRow {
    fileprivate var names: NameSpecification {
        NameSpecification([.customLong(word)] + (short.map { [.customShort($0)] } ?? []))
    }

    /// The help of the command line: sentences, what is accepted, the default.
    var argumentHelp: ArgumentHelp {
        let facts = [
            form.name == "flag" ? nil : accepted, defaultWords.map { "default: \($0)" },
        ].compactMap { $0 }.joined(separator: "; ")
        let sentence = help.hasSuffix(".") ? String(help.dropLast()) : help
        return ArgumentHelp(stringLiteral: "\(sentence) (\(facts)).".filter { $0 != "`" })
    }
}

extension Option where Value == String? {
    init(_ row: OptionRow) {
        self.init(name: row.names, help: row.argumentHelp)
    }
}

extension Option where Value == [String] {
    init(_ row: OptionRow) {
        self.init(wrappedValue: [], name: row.names, help: row.argumentHelp)
    }
}

extension Flag where Value == Bool? {
    /// The flag of a row, which `--no-` turns off.
    init(_ row: OptionRow) {
        self.init(name: row.names, inversion: .prefixedNo, help: row.argumentHelp)
    }
}

extension Argument where Value == String? {
    /// The option of a row, as an argument without a name.
    init(_ row: OptionRow) {
        var help = row.argumentHelp
        help.valueName = "path"
        self.init(help: help)
    }
}

/// The texts that were given for a property of a command that holds an option.
private func texts(of property: Any) -> [String] {
    switch property {
    case let option as Option<String?>: option.wrappedValue.map { [$0] } ?? []
    case let option as Option<[String]>: option.wrappedValue
    case let argument as Argument<String?>: argument.wrappedValue.map { [$0] } ?? []
    case let flag as Flag<Bool?>: flag.wrappedValue.map { [$0.description] } ?? []
    default: []
    }
}

private protocol Group {
    var properties: Mirror { get }
}

extension OptionGroup: Group {
    fileprivate var properties: Mirror { Mirror(reflecting: wrappedValue) }
}

extension ParsableArguments {
    /// The options that were given, by the names of the properties that declare them.
    func given(rows: [OptionRow] = OptionRow.all) -> Settings.Given {
        var given: Settings.Given = [:]
        func add(_ properties: Mirror) {
            for (label, value) in properties.children {
                if let group = value as? any Group { add(group.properties) }
                let texts = texts(of: value)
                if !texts.isEmpty, let row = rows.first(where: { "_\($0.propertyName)" == label }) {
                    given[row] = texts
                }
            }
        }
        add(Mirror(reflecting: self))
        return given
    }
}

extension OptionRow {
    /// `dedup_ratio` as properties are named: `dedupRatio`.
    fileprivate var propertyName: String {
        let words = name.split(separator: "_")
        return words[0]
            + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}
