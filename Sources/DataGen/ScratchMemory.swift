// SPDX-License-Identifier: MIT OR Apache-2.0

/// Memory of one value, aligned to cache lines, that is kept from call to call.
///
/// Values that hold it are copied for other threads: who writes asks for ``unique(_:)`` memory before.
final class ScratchMemory: @unchecked Sendable {
    // Unchecked: written only where one value refers to it.
    let start: UnsafeMutableRawPointer
    private let byteCount: Int

    init(byteCount: Int) {
        self.byteCount = byteCount
        start = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    }

    deinit { start.deallocate() }

    /// `memory`, or other memory of the same size if some other value refers to it too.
    static func unique(_ memory: inout ScratchMemory) -> UnsafeMutableRawPointer {
        if !isKnownUniquelyReferenced(&memory) {
            memory = ScratchMemory(byteCount: memory.byteCount)
        }
        return memory.start
    }
}
