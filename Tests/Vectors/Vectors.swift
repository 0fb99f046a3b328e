// SPDX-License-Identifier: MIT OR Apache-2.0
// The reference values of FORMAT.md, for every test target.

import Foundation

/// The parsed `format-v1.json`: values computed by an independent implementation of FORMAT.md.
package struct Vectors: Decodable, Sendable {
    /// A distance and its polynomial, in words of 64 bits, least significant first.
    package struct Jump: Decodable, Sendable {
        package let steps: String
        package let wordsLeastSignificantFirst: [String]
    }

    /// Some bytes of the stream of a seed.
    package struct Stream: Decodable, Sendable {
        package let seed: UInt64
        package let offset: UInt64
        package let hex: String
    }

    /// The digest of the first MiB of the stream of a seed.
    package struct StreamDigest: Decodable, Sendable {
        package let seed: UInt64
        package let sha256: String
    }

    /// A data specification as the manifest has it.
    package struct Spec: Decodable, Sendable {
        package let size: Int64
        package let seed: UInt64
        package let dedupRatio: Double
        package let compressRatio: Double
        package let dedupUnit: Int64
        package let compressUnit: Int64
        package let fill: String
    }

    /// A whole data set and its digest.
    package struct DataSet: Decodable, Sendable {
        package let spec: Spec
        package let blocks: Int64
        package let distinctBlocks: Int64
        package let sha256: String
    }

    /// Some bytes of a data set that is too large to make whole.
    package struct Huge: Decodable, Sendable {
        package struct Sample: Decodable, Sendable {
            package let offset: Int64
            package let hex: String
        }
        package let spec: Spec
        package let blocks: Int64
        package let distinctBlocks: Int64
        package let samples: [Sample]
    }

    package let jumpPolynomials: [Jump]
    package let stream: [Stream]
    package let streamSha256FirstMib: [StreamDigest]
    package let dataSets: [DataSet]
    package let huge: Huge

    /// The values, read once.
    package static let shared: Vectors = {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(Vectors.self, from: Data(PackageResources.format_v1_json))
        } catch {
            preconditionFailure("format-v1.json does not parse: \(error)")
        }
    }()

    /// The bytes that a string of hexadecimal digits stands for.
    package static func bytes(hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }

    /// The SHA-256 digest of `bytes` in hexadecimal, by coreutils' `sha256sum`.
    package static func sha256(_ bytes: [UInt8]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/sha256sum")
        let input = Pipe(), output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(bytes))
        try input.fileHandleForWriting.close()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: text.prefix(64), as: UTF8.self)
    }
}
