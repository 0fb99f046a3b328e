// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of options, and its check, as Python has them.

internal import CPython
internal import DataGen
internal import Options

/// `options()`: the rows of the table.
func options(_: Arguments) throws(PythonError) -> PythonObject? {
    let topics = OptionRow.topics + [OptionRow.ofBench]
    let rows = topics.flatMap { topic in topic.rows.map { (topic, $0) } }
    return try newList(rows) { (entry) throws(PythonError) in
        let (topic, row) = entry
        let (range, none) = (row.form.range, { cpython_none() })
        return try newDictionary([
            ("name", newText(row.name)),
            ("topic", newText(topic.title)),
            ("about", newText(topic.about)),
            ("short", row.short.map { newText(String($0)) } ?? none()),
            ("kind", newText(row.form.name)),
            ("shape", newText(row.shape.rawValue)),
            ("least", range.map { newInteger($0.lowerBound) } ?? none()),
            ("most", range.map { newInteger($0.upperBound) } ?? none()),
            ("choices", try newList(row.form.choices, newText)),
            ("accepted", newText(row.accepted)),
            ("default", row.defaultWords.map(newText) ?? none()),
            ("help", newText(row.help)),
            ("example", newText(row.example)),
            ("commands", try newList(row.commands) { newText($0.rawValue) }),
        ])
    }
}

/// `check_options(operation, texts)`: the values that the texts of a job file are read as.
func checkOptions(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    var (given, read): (Settings.Given, [(OptionRow, [any Sendable])]) = ([:], [])
    let operation = Operation(rawValue: try arguments.text(0))
    for (name, texts) in try arguments.lists(1) {
        guard let row = OptionRow.all.first(where: { $0.name == name }) else {
            throw .value("'\(name.inOneLine(bytesMax: 300))' is no option")
        }
        given[row] = texts
    }
    do throws(InvalidField) {
        let settings = Settings(commandLine: [:], environment: [:], jobFile: given)
        for row in OptionRow.all {
            if let texts = given[row] { read.append((row, try row.values(texts))) }
        }
        try settings.check()
        if settings.has(.size), operation == .generate || operation == .test {
            _ = try settings.spec(over: nil, size: 0, seed: 0)
        }
    } catch {
        throw .value(error.description)
    }
    var entries: [(String, PythonObject?)] = []
    for (row, values) in read {
        let value =
            switch row.shape {
            case .one: newObject(values.first, given[row]?.last)
            case .joined, .several, .list: try newList(values) { newObject($0, nil) }
            case .pairs, .mapping:
                try newDictionary(
                    values.compactMap { $0 as? Pair }.map { ($0.key, newText($0.value)) })
            }
        entries.append((row.name, value))
    }
    return try newDictionary(entries)
}

/// What Python has for a value; for one that it has nothing for, the text that was given.
private func newObject(_ value: (any Sendable)?, _ text: String?) -> PythonObject? {
    switch value {
    case let number as Int: newInteger(number)
    case let seed as UInt64: PyLong_FromUnsignedLongLong(seed)
    case let flag as Bool: PyBool_FromLong(flag ? 1 : 0)
    case let choice as any RawRepresentable<String>: newText(choice.rawValue)
    case let ratio as Ratio: newText(ratio.description)
    case let line as String: newText(line)
    default: newText(text ?? "")
    }
}

extension Arguments {
    /// A mapping of names to lists of texts.
    fileprivate func lists(_ index: Int) throws(PythonError) -> [(String, [String])] {
        let mapping = try object(index)
        guard PyDict_Size(mapping) >= 0 else { throw PythonError() }
        var found: [(String, [String])] = []
        var (place, key, list): (Int, PythonObject?, PythonObject?) = (0, nil, nil)
        while PyDict_Next(mapping, &place, &key, &list) != 0 {
            guard let key, let list else { continue }
            let count = PyList_Size(list)
            guard count >= 0 else { throw PythonError() }
            var texts: [String] = []
            for element in 0..<count {
                guard let object = PyList_GetItem(list, element) else { throw PythonError() }
                texts.append(try text(of: object))
            }
            found.append((try text(of: key), texts))
        }
        return found
    }
}
