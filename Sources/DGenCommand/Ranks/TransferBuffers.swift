// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Memory for the transfers of this rank, which all operations use one after the other.
///
/// It has been written to once before it is given out, so that no operation is timed while the system finds the pages.
final class TransferBuffers {
    /// Memory for all buffers.
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var buffers: [UnsafeMutableRawBufferPointer] = []

    private static let pageBytes = 4096
    /// What the system gives as one page where it can.
    ///
    /// Whoever copies from there, such as another rank in a collective write, has fewer pages to look up: 5 % of a
    /// collective write of 64 KiB transfers with 4 ranks.
    private static let hugePageBytes = 2 << 20
    /// The memory ends so far into a page, and what the MPI library takes next begins there.
    ///
    /// Otherwise that would begin 16 bytes into a page, where copies to it are slow on some processors, as
    /// `MPIRuntime` explains: collective writes of 1 MiB by 4 ranks took 1.4 times as long, and reads three times.
    private static let tailBytes = 1024
    /// From here on the system is asked for such pages.
    private static let hugeBytesMin = 256 << 10

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
            let distance = bytes.dividedRoundingUp(by: Self.pageBytes) * Self.pageBytes
            let isHuge = count * distance >= Self.hugeBytesMin
            let unit = isHuge ? Self.hugePageBytes : Self.pageBytes
            memory = .allocate(
                byteCount: (count * distance).dividedRoundingUp(by: unit) * unit + Self.tailBytes,
                alignment: unit)
            // Where there are none, ordinary pages do.
            if isHuge { madvise(memory.baseAddress, memory.count, MADV_HUGEPAGE) }
            buffers = (0..<count).map { index in
                let buffer = UnsafeMutableRawBufferPointer(
                    rebasing: memory[index * distance..<index * distance + bytes])
                touch(buffer)
                return buffer
            }
        }
        return buffers.prefix(count).map { UnsafeMutableRawBufferPointer(rebasing: $0[..<bytes]) }
    }

    private func free() {
        memory.deallocate()
        memory = .init(start: nil, count: 0)
        buffers = []
    }
}
