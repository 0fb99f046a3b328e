// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import DataGen

extension Report {
    /// A checksum of a range of the data set; in a verification that of the file.
    struct Checksum: Encodable {
        let algorithm: String
        let offset: Int
        let bytes: Int
        let hex: String
        let base64: String
        /// What it should be, where the bytes of a file were summed up.
        var expectedHex: String?

        init(_ sum: RangeChecksum, expected: RangeChecksum? = nil) {
            algorithm = sum.algorithm.rawValue
            (offset, bytes) = (sum.range.lowerBound, sum.range.count)
            (hex, base64) = (sum.hex, sum.base64)
            expectedHex = expected?.hex
        }
    }

    /// The checksum of the checksums of all parts, as S3 has it of an object that was uploaded in parts.
    struct Composite: Encodable {
        let algorithm: String
        let offset: Int
        let bytes: Int
        let partBytes: Int
        let parts: Int
        let hex: String
        let base64: String
        /// As S3 writes it: an ETag of MD5, base64 otherwise, and the number of parts behind a hyphen.
        let text: String

        init(_ algorithm: ChecksumAlgorithm, _ sums: [RangeChecksum], of parts: ChecksumPlan.Parts)
        {
            let value = algorithm.composite(of: sums.map(\.value))
            self.algorithm = algorithm.rawValue
            (offset, bytes) = (parts.range.lowerBound, parts.range.count)
            (partBytes, self.parts) = (parts.partBytes, parts.count)
            (hex, base64) = (ChecksumText.hex(value), ChecksumText.base64(value))
            text = (algorithm == .md5 ? hex : base64) + "-\(parts.count)"
        }
    }
}
