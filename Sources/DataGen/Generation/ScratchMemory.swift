// SPDX-License-Identifier: MIT OR Apache-2.0

/// Memory of one value, aligned to cache lines: there from its first use on, and kept from call to call.
///
/// A copy of the value, for another thread, gets memory of its own when it is used.
struct ScratchMemory: Sendable {
    private final class Bytes: @unchecked Sendable {
        // Unchecked: written only where one value refers to it.
        let start: UnsafeMutableRawPointer

        init(count: Int) {
            start = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        }

        deinit { start.deallocate() }
    }

    private let byteCount: Int
    private var bytes: Bytes?

    init(byteCount: Int) { self.byteCount = byteCount }

    /// What was written last; nil before the first use.
    var content: UnsafeRawPointer? { bytes.map { UnsafeRawPointer($0.start) } }

    /// The memory, for writing; it may hold something else than before.
    mutating func forWriting() -> UnsafeMutableRawPointer {
        if let start = bytes?.start, isKnownUniquelyReferenced(&bytes) { return start }
        let new = Bytes(count: byteCount)
        bytes = new
        return new.start
    }
}
