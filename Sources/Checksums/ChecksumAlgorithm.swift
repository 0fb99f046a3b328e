// SPDX-License-Identifier: MIT OR Apache-2.0

/// How bytes are summed up, by the names that object stores have for it.
public enum ChecksumAlgorithm: String, Sendable, CaseIterable {
    /// CRC-64/NVME: what S3 takes by default.
    case crc64nvme
    /// CRC-32C.
    case crc32c
    /// CRC-32 (ISO-HDLC).
    case crc32
    /// MD5, of which S3 makes an ETag.
    case md5
    /// SHA-256.
    case sha256

    /// What is computed where it is a cyclic redundancy check, so that checksums of parts can be joined.
    public var code: CyclicCode? {
        switch self {
        case .crc64nvme: .crc64nvme
        case .crc32c: .crc32c
        case .crc32: .crc32
        case .md5, .sha256: nil
        }
    }

    /// What is computed where it is none.
    package var digest: (any Digest)? {
        switch self {
        case .crc64nvme, .crc32c, .crc32: nil
        case .md5: MD5()
        case .sha256: SHA256()
        }
    }

    /// The bytes of a checksum.
    public var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha256: 32
        default: (code?.width ?? 0) / 8
        }
    }

    /// Whether S3 has a checksum of the checksums of parts by this algorithm.
    public var hasComposite: Bool { self != .crc64nvme }

    /// The checksum of `bytes`.
    package func checksum(
        of bytes: UnsafeRawBufferPointer, kernel: RemainderKernel = .fastest
    ) -> [UInt8] {
        if let code { return code.bytes(code.checksum(of: bytes, kernel: kernel)) }
        guard var digest else { preconditionFailure("an algorithm is a check or a digest") }
        digest.update(bytes)
        return digest.finish()
    }

    /// The checksum of the checksums of several parts, one after another.
    public func composite(of parts: some Sequence<[UInt8]>) -> [UInt8] {
        Array(parts.joined()).withUnsafeBytes { checksum(of: $0) }
    }
}

extension [ChecksumAlgorithm] {
    /// Each of them once, in the order in which they were named first.
    package var eachOnce: Self {
        indices.filter { !self[..<$0].contains(self[$0]) }.map { self[$0] }
    }
}

extension CyclicCode {
    /// A checksum as it is written: the most significant byte first.
    public func bytes(_ checksum: UInt64) -> [UInt8] {
        stride(from: width - 8, through: 0, by: -8).map {
            UInt8(truncatingIfNeeded: checksum &>> UInt64($0))
        }
    }

    /// A checksum that is written so.
    public func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 &<< 8 | UInt64($1) }
    }
}

/// Bytes as text.
public enum ChecksumText {
    /// Two digits for each byte.
    public static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// The bytes that digits stand for; nil for what is none.
    package static func bytes(hex text: String) -> [UInt8]? {
        let digits = text.utf8.map { $0 >= 0x61 ? Int($0) - 0x57 : Int($0) - 0x30 }
        let isHex = text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
        }
        guard isHex, digits.count % 2 == 0 else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(16 * digits[$0] + digits[$0 + 1])
        }
    }

    /// Four characters for three bytes (RFC 4648).
    public static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let word = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
            for place in 0..<4 {
                text.append(place <= part.count ? digits[word >> (18 - 6 * place) & 63] : "=")
            }
        }
        return text
    }
}
