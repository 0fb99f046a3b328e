// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Memory for the transfers of this rank, which all operations use one after the other.
///
/// It has been written to once before it is given out, so that no operation is timed while the system finds the pages.
final class TransferBuffers {
    private var buffers: [UnsafeMutableRawBufferPointer] = []

    /// From here on the system is asked for large pages, and memory begins with one.
    private static let hugePageBytes = 2 << 20

    deinit { free() }

    /// At least `count` buffers of `bytes` bytes each; what others have of it is theirs no longer.
    ///
    /// - Parameters:
    ///   - count: how many.
    ///   - bytes: how long each is.
    ///   - touch: called for each new one before anything else, to choose its pages and to write to them.
    /// - Returns: exactly `count` buffers of exactly `bytes` bytes, aligned to pages.
    func take(
        _ count: Int, bytes: Int, touch: (UnsafeMutableRawBufferPointer) -> Void
    ) -> [UnsafeMutableRawBufferPointer] {
        if buffers.count < count || buffers.contains(where: { $0.count < bytes }) {
            free()
            buffers = (0..<count).map { _ in
                let isHuge = bytes >= Self.hugePageBytes
                let buffer = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: bytes, alignment: isHuge ? Self.hugePageBytes : 4096)
                // Where there are none, ordinary pages do.
                if isHuge { madvise(buffer.baseAddress, bytes, MADV_HUGEPAGE) }
                touch(buffer)
                return buffer
            }
        }
        return buffers.prefix(count).map { UnsafeMutableRawBufferPointer(rebasing: $0[..<bytes]) }
    }

    private func free() {
        for buffer in buffers { buffer.deallocate() }
        buffers = []
    }
}
