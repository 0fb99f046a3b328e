// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation

/// How JSON is written: for people too, and the same each time; and how ranks tell each other what is no number.
enum JSON {
    /// A text for people.
    static func encode(_ value: some Encodable) throws(Failure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw Failure(error)
        }
    }

    /// A message to other ranks, in one line.
    static func pack(_ value: some Encodable) throws(Failure) -> [UInt8] {
        do { return Array(try JSONEncoder().encode(value)) } catch { throw Failure(error) }
    }

    /// Reads a message of another rank.
    static func unpack<Value: Decodable>(
        _ bytes: some Sequence<UInt8>, as type: Value.Type = Value.self
    ) throws(Failure) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw Failure(error)
        }
    }
}
