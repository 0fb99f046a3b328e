// SPDX-License-Identifier: MIT OR Apache-2.0
// What makes a data set one of version 2, as Python gives and gets it.

internal import CPython
internal import DataGen
internal import Options

extension Arguments {
    /// A composition, given as lists of texts by the names of its options; nil for no names.
    ///
    /// The ratios that were given are among them: they and classes exclude each other.
    func composition(_ index: Int) throws(PythonError) -> Composition? {
        let fields = try lists(index)
        guard !fields.isEmpty else { return nil }
        let rows: [OptionRow] = [
            .dedupRatio, .compressRatio, .copies, .zeros, .compressMix, .run, .change, .generation,
        ]
        var given: Settings.Given = [:]
        for (name, texts) in fields {
            guard let row = rows.first(where: { $0.name == name }) else {
                throw .value("'\(name.inOneLine(bytesMax: 300))' is no field of a data set")
            }
            given[row] = texts
        }
        return try orValueError { () throws(InvalidField) in
            let settings = Settings(commandLine: given, environment: [:], jobFile: [:], rows: [])
            return try settings.composition()
        }
    }

    /// A mapping of names to lists of texts.
    func lists(_ index: Int) throws(PythonError) -> [(String, [String])] {
        let mapping = try object(index)
        guard PyDict_Size(mapping) >= 0 else { throw .wrongType("a mapping is needed") }
        var found: [(String, [String])] = []
        var (place, key, list): (Int, PythonObject?, PythonObject?) = (0, nil, nil)
        while PyDict_Next(mapping, &place, &key, &list) != 0 {
            guard let key, let list else { continue }
            let count = PyList_Size(list)
            guard count >= 0 else { throw .wrongType("lists of texts are needed") }
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

extension PythonError {
    /// Python's own error for it is that of a function that has a defect.
    fileprivate static func wrongType(_ message: String) -> PythonError {
        PyErr_Clear()
        return PythonError(cpython_type_error(), message)
    }
}

extension DataSpec {
    /// The ratios and the fields of version 2, None for what was not given; the numbers are the nearest to what is exact.
    var reductionFields: [(String, any PythonValue)] {
        let (copies, mix) = (composition?.copies, composition?.compressMix)
        let change = composition?.change
        return [
            ("dedup_ratio", copies == nil ? PythonFloat(dedupRatio.doubleValue) : nil),
            ("compress_ratio", mix == nil ? PythonFloat(compressRatio.doubleValue) : nil),
            ("copies", copies.map { pairs($0.map { ($0.copies, $0.share) }) }),
            ("zeros", composition?.zeros.map { PythonFloat($0.doubleValue) }),
            (
                "compress_mix",
                mix.map { pairs($0.map { (PythonFloat($0.ratio.doubleValue), $0.share) }) }
            ),
            ("run", composition?.run),
            (
                "change",
                change.map { pairs($0.map { (PythonFloat($0.share.doubleValue), $0.rate) }) }
            ),
            ("generation", composition?.generation),
        ]
    }

    private func pairs(_ pairs: [(any PythonValue, Share)]) -> PythonTuple {
        PythonTuple(pairs.map { PythonTuple($0, PythonFloat($1.doubleValue)) })
    }
}
