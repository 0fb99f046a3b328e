// SPDX-License-Identifier: MIT OR Apache-2.0

internal import DataGen

/// What the texts of an option are read as, and what people and editors are told of it.
package struct Kind<Value: Sendable>: Sendable {
    package let form: Form
    /// Reads a text; the name of the field is for the error.
    let read: @Sendable (_ text: String, _ field: String) throws(InvalidField) -> Value

    /// A kind that `parse` reads, which returns nil for what is not accepted.
    init(_ form: Form, _ parse: @escaping @Sendable (String) -> Value?) {
        self.init(form) { (text, field) throws(InvalidField) in
            guard let value = parse(text) else {
                throw InvalidField(field: field, value: text, accepted: form.accepted)
            }
            return value
        }
    }

    private init(
        _ form: Form,
        read: @escaping @Sendable (_ text: String, _ field: String) throws(InvalidField) -> Value
    ) {
        self.form = form
        self.read = read
    }
}

/// What is told of a kind, whatever its values are.
package struct Form: Sendable {
    /// Its name, by which a JSON Schema is chosen.
    package let name: String
    /// What is accepted, in words.
    package let accepted: String
    /// The least and the most, where it is a number or a size within bounds.
    package let range: ClosedRange<Int>?
    package let choices: [String]

    init(
        _ name: String, _ accepted: String, range: ClosedRange<Int>? = nil, choices: [String] = []
    ) {
        (self.name, self.accepted, self.range, self.choices) = (name, accepted, range, choices)
    }
}

extension Kind where Value == Int {
    /// Bytes, as people write them; within bounds, and a multiple of `unit`.
    static func size(
        _ range: ClosedRange<Int> = 0...Int.max, unit: Int = 1, accepted: String? = nil
    ) -> Kind {
        let bounds = "\(ByteSize.format(range.lowerBound)) to \(ByteSize.format(range.upperBound))"
        let words = accepted ?? (range.upperBound == .max ? ByteSize.accepted : bounds)
        return Kind(Form("size", words, range: range)) {
            (text, field) throws(InvalidField) in
            let size = try ByteSize.parse(text, field: field)
            guard range.contains(size), size % unit == 0 else {
                throw InvalidField(field: field, value: text, accepted: words)
            }
            return size
        }
    }

    static func number(_ range: ClosedRange<Int>) -> Kind {
        let most = range.upperBound == .max ? "2^63 - 1" : "\(range.upperBound)"
        let accepted = "a whole number from \(range.lowerBound) to \(most)"
        return Kind(Form("integer", accepted, range: range)) { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A time in seconds.
    static var duration: Kind {
        Kind(Form("duration", Duration.accepted), Duration.seconds)
    }
}

extension Kind where Value == UInt64 {
    /// A number that decides what is drawn, small enough for every reader.
    static var draw: Kind {
        let number = Kind<Int>.number(0...Int.max)
        return Kind(number.form) { (text, field) throws(InvalidField) in
            UInt64(try number.read(text, field))
        }
    }

    /// A number that decides what is drawn.
    static var seed: Kind {
        Kind(Form("seed", "a whole number from 0 to 2^64 - 1")) { text in
            text.utf8.first.map { (48...57).contains($0) } == true ? UInt64(text) : nil
        }
    }
}

extension Kind where Value == Ratio {
    static var ratio: Kind {
        Kind(Form("ratio", "a number from 1 up with at most 3 decimals, such as 2 or 1.333")) {
            (text, field) throws(InvalidField) in try Ratio(parsing: text, field: field)
        }
    }
}

extension Kind where Value == Share {
    static var share: Kind {
        Kind(Form("share", "0 to 1 with at most 6 decimals, or 0% to 100% with at most 4")) {
            (text, field) throws(InvalidField) in try Share(parsing: text, field: field)
        }
    }
}

extension Kind where Value == Composition.CopyClass {
    static var copyClass: Kind {
        Kind(Form("class", Value.accepted)) { (text, field) throws(InvalidField) in
            try Value(parsing: text, field: field)
        }
    }
}

extension Kind where Value == Composition.CompressClass {
    static var compressClass: Kind {
        Kind(Form("class", Value.accepted)) { (text, field) throws(InvalidField) in
            try Value(parsing: text, field: field)
        }
    }
}

extension Kind where Value == Composition.Ring {
    static var ring: Kind {
        Kind(Form("class", Value.accepted)) { (text, field) throws(InvalidField) in
            try Value(parsing: text, field: field)
        }
    }
}

extension Kind where Value == Bool {
    static var flag: Kind {
        Kind(Form("flag", "true or false")) { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        }
    }
}

extension Kind where Value == Sync {
    static var sync: Kind { Kind(Form("text", Value.accepted)) { Value($0) } }
}

extension Kind where Value == Double {
    /// A part of a whole: a number up to 1, or with a sign up to 100%.
    static var part: Kind {
        Kind(Form("part", "a part above 0 and up to 1, or 0% to 100%")) { text in
            let isPercent = text.hasSuffix("%")
            let digits = isPercent ? text.dropLast() : text[...]
            guard digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
                let number = Double(digits), case let part = isPercent ? number / 100 : number,
                part > 0, part <= 1
            else { return nil }
            return part
        }
    }
}

extension Kind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of some names of an enumeration, all if not given; those that this machine does not have are refused.
    static func choice(
        of names: [String] = Value.allCases.map(\.rawValue), accepted: String? = nil
    ) -> Kind {
        let words = accepted ?? names.joined(separator: " or ")
        return Kind(Form("choice", words, choices: names)) { text in
            names.contains(text) ? Value(rawValue: text) : nil
        }
    }
}

extension Kind where Value == String {
    /// A path that every MPI library takes as it is.
    ///
    /// ROMIO takes what is before a colon for the type of the file system, and may so write to another file. The
    /// replacement character stands for bytes that were not UTF-8.
    static var dataPath: Kind {
        Kind(Form("text", "a path in UTF-8 without colons and line ends")) { text in
            text.isEmpty
                || text.unicodeScalars.contains { ":\0\n\u{FFFD}".unicodeScalars.contains($0) }
                ? nil : text
        }
    }

    static func path(_ accepted: String) -> Kind {
        Kind(Form("text", accepted)) { $0.isEmpty ? nil : $0 }
    }

    /// The name of a ready profile, or the path of a file, which has a slash or a point in it.
    static var profile: Kind {
        let names = ReadyProfile.all.map(\.name)
        let accepted = "\(names.joined(separator: ", ")), or a file with '/' or '.' in its path"
        return Kind(Form("text", accepted)) { text in
            names.contains(text) || text.contains { "/.".contains($0) } ? text : nil
        }
    }

    /// A text of one line with something in it.
    static func line(_ accepted: String = "one line of text") -> Kind {
        Kind(Form("text", accepted)) { $0.isEmpty || !$0.isOneLine ? nil : $0 }
    }

    /// A name that is good for folders and batch systems.
    static var word: Kind {
        Kind(Form("word", "1 to 100 letters, digits, '.', '_' and '-', a letter or digit first")) {
            text in
            (1...100).contains(text.count) && text.isWord(and: "._-")
                && text.first.map { !"._-".contains($0) } == true
                ? text : nil
        }
    }

    static var launcher: Kind {
        Kind(Form("launcher", "mpirun, srun, flux, or a command line with {ranks} in it")) { text in
            let isKnown = ["mpirun", "srun", "flux"].contains(text)
            return text.isOneLine && (isKnown || Array(text.utf8).contains("{ranks}".utf8))
                ? text : nil
        }
    }
}

/// A key and what it stands for.
package struct Pair: Sendable {
    package let key: String
    package let value: String
}

extension Kind where Value == Pair {
    static var hint: Kind {
        let limit = OptionLimits.hintBytes
        let accepted =
            "KEY=VALUE, the key at most \(limit.key) bytes, the value \(limit.value)"
        return Kind(Form("hint", accepted)) { text in
            // By bytes: what follows may combine with the sign to one letter.
            guard let sign = text.utf8.firstIndex(of: UInt8(ascii: "=")),
                case let key = String(text[..<sign]),
                case let value = String(text[text.utf8.index(after: sign)...]),
                (1...limit.key).contains(key.utf8.count),
                (1...limit.value).contains(value.utf8.count)
            else { return nil }
            return Pair(key: key, value: value)
        }
    }
}

extension String {
    /// Whether it has no line end, and no NUL.
    var isOneLine: Bool { !contains { $0.isNewline || $0 == "\0" } }

    /// Whether it is ASCII letters, digits and `others`.
    fileprivate func isWord(and others: String) -> Bool {
        allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || others.contains($0) }
    }

    /// Whether it may name a variable of the environment.
    var isVariableName: Bool { isWord(and: "_") && first?.isNumber == false }
}

/// Limits that options have from what lies below; `DGen` asserts that they agree.
package enum OptionLimits {
    /// The most bytes of one MPI call.
    package static let transferBytes = 1 << 30
    /// The longest key and value of a hint that every MPI library takes.
    package static let hintBytes = (key: 35, value: 255)
    /// What transfers and shards past the system's caches are multiples of, in bytes.
    package static let directUnit = 4096
    /// The bytes of one call that are the fastest of those that `make bench` compares.
    package static let transferBytesDefault = 1 << 20
    /// What shards begin at multiples of, if nothing else is known.
    package static let alignment = 1 << 20
}
