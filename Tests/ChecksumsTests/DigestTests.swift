// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import TestSupport
import Testing

@Suite struct DigestTests {
    private static func hex(_ algorithm: ChecksumAlgorithm, _ bytes: [UInt8]) -> String {
        ChecksumText.hex(bytes.withUnsafeBytes { algorithm.checksum(of: $0) })
    }

    /// Of RFC 1321 and FIPS 180-4.
    @Test func publishedDigestsAreFound() {
        #expect(Self.hex(.md5, []) == "d41d8cd98f00b204e9800998ecf8427e")
        #expect(Self.hex(.md5, Array("abc".utf8)) == "900150983cd24fb0d6963f7d28e17f72")
        #expect(
            Self.hex(.sha256, Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Self.hex(.sha256, [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        #expect(
            Self.hex(.md5, [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
                == "7707d6ae4e027c70eea2a935c2296f21")
    }

    @Test(arguments: [ChecksumAlgorithm.md5, .sha256])
    func itDoesNotMatterInWhichPiecesBytesCome(algorithm: ChecksumAlgorithm) throws {
        var numbers = RandomNumbers()
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
            var digest = try #require(algorithm.digest)
            var start = 0
            while start < count {
                let end = min(count, start + 1 + numbers.number(below: 90))
                bytes[start..<end].withUnsafeBytes { digest.update($0) }
                start = end
            }
            #expect(ChecksumText.hex(digest.finish()) == Self.hex(algorithm, bytes), "\(numbers)")
        }
    }

    /// RFC 4648, section 10.
    @Test func base64IsPadded() {
        let texts = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        for (count, text) in texts.enumerated() {
            #expect(ChecksumText.base64(Array("foobar".utf8.prefix(count))) == text)
        }
    }

    /// What S3 answers for an object of parts that are `a` and `b`, each by itself.
    @Test func compositesAreDigestsOfDigests() {
        let parts = [Array("a".utf8), Array("b".utf8)].map { part in
            part.withUnsafeBytes { ChecksumAlgorithm.md5.checksum(of: $0) }
        }
        #expect(
            ChecksumText.hex(ChecksumAlgorithm.md5.composite(of: parts))
                == Self.hex(.md5, parts[0] + parts[1]))
    }
}
