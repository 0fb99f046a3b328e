// SPDX-License-Identifier: MIT OR Apache-2.0

import FoundationEssentials

/// How JSON is written: for people too, and the same each time; and how ranks tell each other what is no number.
enum JSON {
    /// A text for people.
    static func encode(_ value: some Encodable) throws(Failure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try coding(Array(encoder.encode(value)) + [UInt8(ascii: "\n")])
    }

    /// A message to other ranks, in one line.
    static func pack(_ value: some Encodable) throws(Failure) -> [UInt8] {
        try coding(Array(JSONEncoder().encode(value)))
    }

    /// Reads a message of another rank.
    static func unpack<Value: Decodable>(
        _ bytes: some Sequence<UInt8>, as type: Value.Type = Value.self
    ) throws(Failure) -> Value {
        try coding(JSONDecoder().decode(type, from: Data(bytes)))
    }

    /// Foundation's errors have no type of their own.
    private static func coding<Value>(
        _ value: @autoclosure () throws -> Value
    ) throws(Failure) -> Value {
        do { return try value() } catch { throw Failure(error) }
    }
}
