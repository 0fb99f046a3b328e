// SPDX-License-Identifier: MIT OR Apache-2.0

/// A function of all bytes in their order, which is not joined of those of parts.
package protocol Digest: Sendable {
    /// Takes some more bytes.
    mutating func update(_ bytes: UnsafeRawBufferPointer)

    /// The digest of all bytes that were taken; the last call.
    mutating func finish() -> [UInt8]
}

/// What digests of blocks of 64 bytes have in common (Merkle and Damgård): a state that each block changes, and an end with the
/// number of bits.
protocol BlockDigest: Digest {
    /// Bytes of the last block, which is not full, and how many bytes there were.
    var rest: [UInt8] { get set }
    var count: UInt64 { get set }
    /// Whether words have their most significant byte first.
    static var isBigEndian: Bool { get }
    /// The words of the state.
    var words: [UInt32] { get }

    /// Takes whole blocks.
    mutating func take(_ blocks: UnsafeRawPointer, count: Int)
}

extension BlockDigest {
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        count &+= UInt64(bytes.count)
        var left = bytes[...]
        if !rest.isEmpty {
            let more = left.prefix(64 - rest.count)
            rest += more
            left = left.dropFirst(more.count)
            guard rest.count == 64 else { return }
            let block = rest
            block.withUnsafeBytes { take($0.baseAddress.unsafelyUnwrapped, count: 1) }
            rest.removeAll(keepingCapacity: true)
        }
        let whole = left.count / 64
        if whole > 0, let start = bytes.baseAddress { take(start + left.startIndex, count: whole) }
        rest += left.dropFirst(64 * whole)
    }

    package mutating func finish() -> [UInt8] {
        let bits = count &* 8
        var end: [UInt8] = [0x80]
        end += [UInt8](repeating: 0, count: (119 - rest.count) % 64)
        end += withUnsafeBytes(of: Self.isBigEndian ? bits.bigEndian : bits.littleEndian) {
            [UInt8]($0)
        }
        end.withUnsafeBytes { update($0) }
        return words.flatMap { word in
            withUnsafeBytes(of: Self.isBigEndian ? word.bigEndian : word.littleEndian) {
                [UInt8]($0)
            }
        }
    }
}

@inline(__always)
func rotatedLeft(_ word: UInt32, by bits: UInt32) -> UInt32 {
    word &<< bits | word &>> (32 &- bits)
}
