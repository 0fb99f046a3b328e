// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation

/// The parsed `format-v2.json`: values of part two, computed by an independent model.
package struct Vectors2: Decodable, Sendable {
    /// A number that may be written as a string, since JSON readers may round it.
    package struct Number: Decodable, Sendable {
        package let value: UInt64

        package init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                guard let value = UInt64(text) else {
                    throw DecodingError.dataCorruptedError(
                        in: container, debugDescription: "no number: \(text)")
                }
                self.value = value
            } else {
                value = try container.decode(UInt64.self)
            }
        }
    }

    /// Ratios in thousandths, shares and rates in millionths.
    package struct Spec: Decodable, Sendable {
        package let size: Number
        package let seed: Number
        package let block: Int
        package let grain: Int?
        package let fill: String?
        package let dedup: Int?
        package let copies: [[Int]]?
        package let zeros: Int?
        package let compress: [[Int]]?
        package let run: Int?
        package let change: [[Int]]?
        package let generation: Int?
    }

    /// A permutation, at 0, 1, 2 and its last number; where there are fewer, of what is left modulo their number.
    package struct Permutation: Decodable, Sendable {
        package let key: String
        package let n: Int
        package let of012Last: [Int]

        private enum CodingKeys: String, CodingKey {
            case key, n
            case of012Last = "of_0_1_2_last"
        }
    }

    /// A whole data set.
    package struct DataSet: Decodable, Sendable {
        package let name: String
        package let spec: Spec
        package let blocks: Int
        package let zeroBlocks: Int
        package let contents: Int
        /// First slot, slots, first content, contents.
        package let classes: [[Int]]
        /// Content, ratio, generation of its last change; nil for zeros.
        package let firstBlocks: [[Int]?]
        package let sha256: String

        private enum CodingKeys: String, CodingKey {
            case name, spec, blocks, contents, classes, sha256
            case zeroBlocks = "zero_blocks"
            case firstBlocks = "first_blocks"
        }
    }

    /// Blocks of a data set that is too large to make whole.
    package struct Huge: Decodable, Sendable {
        package struct Block: Decodable, Sendable {
            package let block: Number
            package let location: [Number]
            package let first16: String

            private enum CodingKeys: String, CodingKey {
                case block, location
                case first16 = "first_16"
            }
        }
        package let spec: Spec
        package let contents: Number
        package let blocks: [Block]
    }

    /// a, b, mix(a, b).
    package let mix: [[String]]
    package let permute: [Permutation]
    package let sets: [DataSet]
    package let huge: Huge

    /// The values, read once.
    package static let shared: Vectors2 = {
        do {
            return try JSONDecoder().decode(
                Vectors2.self, from: Data(PackageResources.format_v2_json))
        } catch {
            preconditionFailure("format-v2.json does not parse: \(error)")
        }
    }()
}
