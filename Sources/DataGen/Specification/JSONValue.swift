// SPDX-License-Identifier: MIT OR Apache-2.0

/// A value of JSON (RFC 8259), with numbers as they are written: 64-bit seeds and ratios stay exact.
///
/// Read strictly: what two readers may take differently, such as a name that is there twice, is refused.
package enum JSONValue: Sendable, Hashable {
    case null
    case boolean(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    /// Values by their names in UTF-8: Swift takes texts for the same that are not the same bytes.
    case object([[UInt8]: JSONValue])

    /// Why a text is no JSON, in a few words.
    package struct Refusal: Error {
        /// Counted from 1.
        package let line: Int
        package let reason: String
    }

    /// How deep arrays and objects may be nested.
    package static let depthMax = 32

    /// Reads a text that is one value.
    ///
    /// - Complexity: O(count of `bytes`) in time and memory.
    package init(parsing bytes: [UInt8]) throws(Refusal) {
        var reader = JSONReader(bytes)
        self = try reader.document()
    }

    /// The value of a name; nil for none, and for what is no object.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let values) = self else { return nil }
        return values[Array(name.utf8)]
    }

    /// A few words for messages.
    package var shown: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .number(let text), .string(let text): text
        case .array: "a list"
        case .object: "an object"
        }
    }
}

extension JSONValue {
    /// An object, of names and what is not nil.
    package init(_ members: KeyValuePairs<String, JSONValue?>) {
        var values: [[UInt8]: JSONValue] = [:]
        for (name, value) in members { values[Array(name.utf8)] = value }
        self = .object(values)
    }

    package static func number(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }

    /// A text for people, and the same each time: names in order, indented, with a line feed at its end.
    package var text: String { text(indent: "") + "\n" }

    private func text(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .null: return "null"
        case .boolean(let value): return "\(value)"
        case .number(let text): return text
        case .string(let text): return Self.quoted(text)
        case .array(let values):
            let lines = values.map { inner + $0.text(indent: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let values):
            let names = values.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            let lines = names.map { name, value in
                let name = Self.quoted(String(decoding: name, as: UTF8.self))
                return "\(inner)\(name) : \(value.text(indent: inner))"
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension JSONValue: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .boolean(let value): try container.encode(value)
        case .number(let text):
            if let value = Int(text) {
                try container.encode(value)
            } else if let value = UInt64(text) {
                try container.encode(value)
            } else {
                try container.encode(Double(text))
            }
        case .string(let text): try container.encode(text)
        case .array(let values): try container.encode(values)
        case .object(let values):
            let names = values.map { (String(decoding: $0, as: UTF8.self), $1) }
            try container.encode(Dictionary(names, uniquingKeysWith: { $1 }))
        }
    }
}

/// Reads JSON from its first byte to its last.
private struct JSONReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONValue.Refusal) -> JSONValue {
        skipBlanks()
        let value = try value(depth: 0)
        skipBlanks()
        guard next == nil else { throw refusal("more behind its end") }
        return value
    }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private func refusal(_ reason: String) -> JSONValue.Refusal {
        let newline = UInt8(ascii: "\n")
        return JSONValue.Refusal(
            line: 1 + bytes[..<min(place, bytes.count)].count { $0 == newline }, reason: reason)
    }

    private mutating func skipBlanks() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { place += 1 }
    }

    /// Goes past `text`, if that is what follows.
    private mutating func take(_ text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes[place...].starts(with: wanted) else { return false }
        place += wanted.count
        return true
    }

    private mutating func value(depth: Int) throws(JSONValue.Refusal) -> JSONValue {
        guard depth <= JSONValue.depthMax else {
            throw refusal("nested more than \(JSONValue.depthMax) deep")
        }
        switch next {
        case UInt8(ascii: "{"):
            var values: [[UInt8]: JSONValue] = [:]
            try readList(until: "}") { (reader) throws(JSONValue.Refusal) in
                let (name, value) = try reader.member(depth: depth + 1)
                guard values.updateValue(value, forKey: name) == nil else {
                    let name = String(decoding: name, as: UTF8.self)
                    throw reader.refusal("'\(name)' is there twice")
                }
            }
            return .object(values)
        case UInt8(ascii: "["):
            var values: [JSONValue] = []
            try readList(until: "]") { (reader) throws(JSONValue.Refusal) in
                values.append(try reader.value(depth: depth + 1))
            }
            return .array(values)
        case UInt8(ascii: "\""): return .string(String(decoding: try string(), as: UTF8.self))
        case nil: throw refusal("it ends too early")
        default:
            if take("null") { return .null }
            if take("true") { return .boolean(true) }
            if take("false") { return .boolean(false) }
            return try number()
        }
    }

    /// Goes from an opening bracket past the closing one, with commas between what `element` reads.
    private mutating func readList(
        until end: StaticString,
        _ element: (inout JSONReader) throws(JSONValue.Refusal) -> Void
    ) throws(JSONValue.Refusal) {
        place += 1
        skipBlanks()
        if take(end) { return }
        while true {
            skipBlanks()
            try element(&self)
            skipBlanks()
            if take(end) { return }
            guard take(",") else { throw refusal(next == nil ? "it ends too early" : "no ','") }
        }
    }

    /// A name in quotes, and its value.
    private mutating func member(depth: Int) throws(JSONValue.Refusal) -> ([UInt8], JSONValue) {
        guard next == UInt8(ascii: "\"") else { throw refusal("no name in quotes") }
        let name = try string()
        skipBlanks()
        guard take(":") else { throw refusal("no ':' behind a name") }
        skipBlanks()
        return (name, try value(depth: depth))
    }

    private mutating func number() throws(JSONValue.Refusal) -> JSONValue {
        let start = place
        _ = take("-")
        let whole = takeDigits()
        var isRight = whole.count == 1 || !whole.isEmpty && whole.first != UInt8(ascii: "0")
        if take(".") { isRight = !takeDigits().isEmpty && isRight }
        if take("e") || take("E") {
            _ = take("+") || take("-")
            isRight = !takeDigits().isEmpty && isRight
        }
        guard isRight else { throw refusal("no value of JSON") }
        return .number(String(decoding: bytes[start..<place], as: UTF8.self))
    }

    private mutating func takeDigits() -> ArraySlice<UInt8> {
        let digits = bytes[place...].prefix(while: \.isDigit)
        place = digits.endIndex
        return digits
    }

    /// The bytes of a text in quotes.
    private mutating func string() throws(JSONValue.Refusal) -> [UInt8] {
        var text: [UInt8] = []
        place += 1
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                place += 1
                guard String(validating: text, as: UTF8.self) != nil else {
                    throw refusal("a text that is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                place += 1
                text += Array(String(try escaped()).utf8)
            case 0..<0x20: throw refusal("a control character in a text")
            default:
                text.append(byte)
                place += 1
            }
        }
        throw refusal("it ends too early")
    }

    private mutating func escaped() throws(JSONValue.Refusal) -> Unicode.Scalar {
        let plain: [UInt8: Unicode.Scalar] = [
            UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/",
            UInt8(ascii: "b"): "\u{8}", UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n",
            UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
        ]
        if let byte = next, let scalar = plain[byte] {
            place += 1
            return scalar
        }
        var unit = try unit()
        if (0xD800..<0xDC00).contains(unit), take("\\") {
            let low = try self.unit()
            guard (0xDC00..<0xE000).contains(low) else { throw refusal("half a character") }
            unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(unit) else { throw refusal("half a character") }
        return scalar
    }

    /// The number of `uXXXX`.
    private mutating func unit() throws(JSONValue.Refusal) -> UInt32 {
        guard take("u"), place + 4 <= bytes.count,
            bytes[place..<place + 4].allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
            let unit = UInt32(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
        else { throw refusal("an escape that JSON does not have") }
        place += 4
        return unit
    }
}

extension UInt8 {
    /// Whether it is an ASCII digit.
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}
