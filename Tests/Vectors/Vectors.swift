// SPDX-License-Identifier: MIT OR Apache-2.0
// The reference values of FORMAT.md, for every test target.

import Foundation

/// The parsed `format-v1.json`: values computed by an independent implementation of FORMAT.md.
public struct Vectors: Decodable, Sendable {
    /// A distance and its polynomial, in words of 64 bits, least significant first.
    public struct Jump: Decodable, Sendable {
        public let steps: String
        public let wordsLeastSignificantFirst: [String]
    }

    /// Some bytes of the stream of a seed.
    public struct Stream: Decodable, Sendable {
        public let seed: UInt64
        public let offset: UInt64
        public let hex: String
    }

    /// The digest of the first MiB of the stream of a seed.
    public struct StreamDigest: Decodable, Sendable {
        public let seed: UInt64
        public let sha256: String
    }

    /// A data specification as the manifest has it.
    public struct Spec: Decodable, Sendable {
        public let size: Int64
        public let seed: UInt64
        public let dedupRatio: Double
        public let compressRatio: Double
        public let dedupUnit: Int64
        public let compressUnit: Int64
        public let fill: String
    }

    /// A whole data set and its digest.
    public struct DataSet: Decodable, Sendable {
        public let spec: Spec
        public let blocks: Int64
        public let distinctBlocks: Int64
        public let sha256: String
    }

    /// Some bytes of a data set that is too large to make whole.
    public struct Huge: Decodable, Sendable {
        public struct Sample: Decodable, Sendable {
            public let offset: Int64
            public let hex: String
        }
        public let spec: Spec
        public let blocks: Int64
        public let distinctBlocks: Int64
        public let samples: [Sample]
    }

    public let jumpPolynomials: [Jump]
    public let stream: [Stream]
    public let streamSha256FirstMib: [StreamDigest]
    public let dataSets: [DataSet]
    public let huge: Huge

    /// The values, read once.
    public static let shared: Vectors = {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(Vectors.self, from: Data(PackageResources.format_v1_json))
        } catch {
            preconditionFailure("format-v1.json does not parse: \(error)")
        }
    }()

    /// The bytes that a string of hexadecimal digits stands for.
    public static func bytes(hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }

    /// The SHA-256 digest of `bytes` in hexadecimal, by coreutils' `sha256sum`.
    public static func sha256(_ bytes: [UInt8]) throws -> String {
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
