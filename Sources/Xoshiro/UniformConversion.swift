// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CVector

/// Words of the stream as evenly spread numbers (FORMAT.md section 5).
public enum UniformConversion {
    /// Turns words of 32 bits into float32 numbers, in place.
    ///
    /// - Parameters:
    ///   - buffer: of any alignment, and a multiple of 4 bytes.
    ///   - low: the least number.
    ///   - span: how far the numbers reach above that.
    /// - Complexity: O(bytes); sixteen words at a time, with what every processor has.
    public static func apply(
        to buffer: UnsafeMutableRawBufferPointer, low: Float, span: Float
    ) {
        guard let memory = buffer.baseAddress else { return }
        var offset = 0
        while offset &+ 64 <= buffer.count {
            cvector_make_uniform(memory + offset, low, span)
            offset &+= 64
        }
        while offset < buffer.count {
            let word = UInt32(
                littleEndian: memory.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            let number = low + span * (Float(word &>> 8) * 0x1p-24)
            memory.storeBytes(of: number, toByteOffset: offset, as: Float.self)
            offset &+= 4
        }
    }
}
