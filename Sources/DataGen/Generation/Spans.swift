// SPDX-License-Identifier: MIT OR Apache-2.0

// The same calls for memory that the compiler keeps in bounds and alive, such as that of an array.

extension DataSpec {
    /// Fills `bytes` with those of the data set from `offset` on, as ``fill(_:at:)`` does a buffer.
    public func fill(_ bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.withUnsafeMutableBytes { fill($0, at: offset) }
    }
}

extension Generator {
    /// Fills `bytes` with those of the data set from `offset` on, as ``fill(_:at:)`` does a buffer.
    public mutating func fill(_ bytes: inout MutableRawSpan, at offset: Int) {
        bytes.withUnsafeMutableBytes { fill($0, at: offset) }
    }

    /// Compares `bytes` with those of the data set from `offset` on, as ``compare(_:at:log:)`` does a buffer.
    public mutating func compare(_ bytes: RawSpan, at offset: Int, log: inout DamageLog) {
        bytes.withUnsafeBytes { compare($0, at: offset, log: &log) }
    }
}

extension ParallelGenerator {
    /// Fills `bytes` with those of the data set from `offset` on, as ``fill(_:at:)`` does a buffer.
    public func fill(_ bytes: inout MutableRawSpan, at offset: Int) {
        bytes.withUnsafeMutableBytes { fill($0, at: offset) }
    }

    /// Compares `bytes` with those of the data set from `offset` on, as ``compare(_:at:log:)`` does a buffer.
    public func compare(_ bytes: RawSpan, at offset: Int, log: inout DamageLog) {
        bytes.withUnsafeBytes { compare($0, at: offset, log: &log) }
    }
}

extension StreamingGenerator {
    /// Fills the start of `bytes` with the next ones and moves on, as ``read(into:)`` does a buffer.
    public mutating func read(into bytes: inout MutableRawSpan) -> Int {
        bytes.withUnsafeMutableBytes { read(into: $0) }
    }
}
