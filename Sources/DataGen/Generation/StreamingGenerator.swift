// SPDX-License-Identifier: MIT OR Apache-2.0

/// The bytes of a data set in order, a buffer at a time: for more than memory holds.
public struct StreamingGenerator: Sendable {
    private var generator: Generator
    /// The offset of the next byte, 0 to the size of the data set; set it to go elsewhere.
    ///
    /// - Precondition: lies within the data set.
    public var position = 0 {
        didSet {
            precondition(
                (0...generator.spec.size).contains(position), "the position is outside the data set"
            )
        }
    }

    /// A stream that stands at the start of the data set of `spec`.
    public init(_ spec: DataSpec) {
        generator = Generator(spec)
    }

    /// What the bytes are.
    public var spec: DataSpec { generator.spec }

    /// Fills the start of `buffer` with the next bytes and moves on.
    ///
    /// - Returns: the bytes filled: fewer than the length of `buffer` only at the end of the data
    ///   set, 0 there. The rest of `buffer` is left as it was.
    /// - Complexity: O(bytes returned).
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, spec.size - position)
        generator.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: position)
        position += count
        return count
    }
}
