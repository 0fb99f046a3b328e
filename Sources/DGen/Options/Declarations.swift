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
    /// The option of a row.
    init(_ row: OptionRow) {
        self.init(name: row.names, help: row.argumentHelp)
    }
}

extension Option where Value == [String] {
    /// The option of a row that may be repeated.
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

/// A property of a command that holds options.
private protocol Declared {
    /// The texts that were given for it.
    var texts: [String] { get }
}

extension Option: Declared {
    fileprivate var texts: [String] {
        switch wrappedValue {
        case let text as String: [text]
        case let texts as [String]: texts
        default: []
        }
    }
}

extension Argument: Declared {
    fileprivate var texts: [String] { (wrappedValue as? String).map { [$0] } ?? [] }
}

extension Flag: Declared {
    fileprivate var texts: [String] {
        // One without a value of its own says nothing unless it is set.
        guard let isSet = wrappedValue as? Bool, isSet || Value.self == Bool?.self else {
            return []
        }
        return [isSet.description]
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
                guard let declared = value as? any Declared, !declared.texts.isEmpty,
                    let row = rows.first(where: { "_\($0.propertyName)" == label })
                else { continue }
                given[row] = declared.texts
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
