// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// MD5 (RFC 1321).
struct MD5: BlockDigest {
    var rest: [UInt8] = []
    var count: UInt64 = 0
    static let isBigEndian = false
    private var state: (UInt32, UInt32, UInt32, UInt32) = (
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476
    )
    var words: [UInt32] { [state.0, state.1, state.2, state.3] }

    /// The integer part of 2^32 |sin(i + 1)|.
    private static let sines: [UInt32] = (0..<64).map {
        UInt32(4_294_967_296 * abs(sin(Double($0 + 1))))
    }

    mutating func take(_ blocks: UnsafeRawPointer, count: Int) {
        var state = state
        Self.sines.withUnsafeBufferPointer { sines in
            for number in 0..<count { Self.take(blocks + 64 * number, &state, sines) }
        }
        self.state = state
    }

    private static func take(
        _ block: UnsafeRawPointer, _ state: inout (UInt32, UInt32, UInt32, UInt32),
        _ sines: UnsafeBufferPointer<UInt32>
    ) {
        var (a, b, c, d) = state
        /// One step with the result of its function, the number of its word, and a rotation.
        @inline(__always)
        func step(_ index: Int, _ mixed: UInt32, _ word: Int, _ bits: UInt32) {
            let message = UInt32(littleEndian: (block + 4 &* word).loadUnaligned(as: UInt32.self))
            let sum = a &+ mixed &+ sines[index] &+ message
            (a, d, c, b) = (d, c, b, b &+ rotatedLeft(sum, by: bits))
        }
        @inline(__always)
        func round(
            _ first: Int, _ bits: (UInt32, UInt32, UInt32, UInt32), _ factor: Int, _ offset: Int,
            _ function: () -> UInt32
        ) {
            for index in stride(from: first, to: first &+ 16, by: 4) {
                step(index, function(), (factor &* index &+ offset) & 15, bits.0)
                step(index &+ 1, function(), (factor &* (index &+ 1) &+ offset) & 15, bits.1)
                step(index &+ 2, function(), (factor &* (index &+ 2) &+ offset) & 15, bits.2)
                step(index &+ 3, function(), (factor &* (index &+ 3) &+ offset) & 15, bits.3)
            }
        }
        round(0, (7, 12, 17, 22), 1, 0) { d ^ (b & (c ^ d)) }
        round(16, (5, 9, 14, 20), 5, 1) { c ^ (d & (b ^ c)) }
        round(32, (4, 11, 16, 23), 3, 5) { b ^ c ^ d }
        round(48, (6, 10, 15, 21), 7, 0) { c ^ (b | ~d) }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d)
    }
}
