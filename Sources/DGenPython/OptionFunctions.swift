// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of options, and its check, as Python has them.

internal import CPython
internal import DataGen
internal import Options

func options(_: Arguments) throws(PythonError) -> PythonObject? {
    let topics = OptionRow.topics + [OptionRow.ofBench]
    let rows = topics.flatMap { topic in
        topic.rows.map { row -> PythonDictionary in
            [
                "name": row.name, "topic": topic.title, "about": topic.about,
                "short": row.short.map { String($0) }, "kind": row.form.name,
                "shape": row.shape.rawValue, "least": row.form.range?.lowerBound,
                "most": row.form.range?.upperBound, "choices": PythonList(row.form.choices),
                "accepted": row.accepted, "default": row.defaultWords, "help": row.help,
                "example": row.example, "commands": PythonList(row.commands.map(\.rawValue)),
                "of_profile": OptionRow.ofProfile.contains(row),
            ]
        }
    }
    return PythonList(rows).newObject()
}

func profiles(_: Arguments) throws(PythonError) -> PythonObject? {
    PythonDictionary(entries: ReadyProfile.all.map { ($0.name, $0.text) }).newObject()
}

func checkOptions(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    var (given, read): (Settings.Given, [(OptionRow, [any Sendable])]) = ([:], [])
    let operation = Operation(rawValue: try arguments.text(0))
    for (name, texts) in try arguments.lists(1) { given[try option(name)] = texts }
    var profile: Settings.Given = [:]
    for (name, texts) in try arguments.lists(2) { profile[try option(name)] = texts }
    try orValueError { () throws(InvalidField) in
        var settings = Settings(commandLine: [:], environment: [:], jobFile: given)
        settings.add(profile: profile)
        for row in OptionRow.all {
            if let texts = given[row] { read.append((row, try row.values(texts))) }
        }
        try settings.check()
        if settings.has(.size), operation == .generate || operation == .test {
            _ = try settings.spec(over: nil, size: 0, seed: 0)
        }
    }
    var all: PythonDictionary = [:]
    for (row, values) in read {
        let value: any PythonValue =
            switch row.shape {
            case .one: pythonValue(values.first, given[row]?.last)
            case .joined, .several, .list: PythonList(values.map { pythonValue($0, nil) })
            case .pairs, .mapping:
                PythonDictionary(
                    entries: values.compactMap { $0 as? Pair }.map { ($0.key, $0.value) })
            }
        all.entries.append((row.name, value))
    }
    return all.newObject()
}

private func option(_ name: String) throws(PythonError) -> OptionRow {
    guard let row = OptionRow.all.first(where: { $0.name == name }) else {
        throw .value("'\(name.inOneLine(bytesMax: 300))' is no option")
    }
    return row
}

/// What Python has for a value; for one that it has nothing for, the text that was given.
private func pythonValue(_ value: (any Sendable)?, _ text: String?) -> any PythonValue {
    switch value {
    case let value as any PythonValue: value
    // However it was written.
    case let share as Share: share.description
    case let choice as any RawRepresentable<String>: choice.rawValue
    case let value as any CustomStringConvertible: text ?? value.description
    default: text ?? ""
    }
}
