// SPDX-License-Identifier: MIT OR Apache-2.0

/// Bytes of a data set that were made together, to be used in small pieces.
///
/// A value: a copy that is made anew gets memory of its own.
struct Window: Sendable {
    /// Longer ranges are made in place as fast.
    static let servedMax = 32 << 10
    /// Small enough for the second-level cache.
    static let bytesMax = 256 << 10

    private var memory = ScratchMemory(byteCount: bytesMax)
    /// The offsets of the bytes that are here.
    private(set) var range = 0..<0

    /// The bytes from `offset` on, `count` at most; nil where they are not here.
    func bytes(_ count: Int, at offset: Int) -> UnsafeRawBufferPointer? {
        guard range.contains(offset), let content = memory.content else { return nil }
        return UnsafeRawBufferPointer(
            start: content + (offset - range.lowerBound),
            count: min(count, range.upperBound - offset))
    }

    /// Memory for other bytes, which the caller makes now.
    mutating func replace(with range: Range<Int>) -> UnsafeMutableRawPointer {
        precondition(range.count <= Self.bytesMax, "a window is small")
        self.range = range
        return memory.forWriting()
    }
}
