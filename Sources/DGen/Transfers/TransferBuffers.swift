// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import NUMA

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
    /// What must be there beside them: a library that finds no memory ends the process.
    private static let reserveBytes = 32 << 20
    /// From here on it is asked first whether the machine has so much: it gives more than it has, and then ends processes.
    private static let doubtfulBytesMin = 256 << 20

    deinit { free() }

    /// Exactly `count` buffers of exactly `bytes` bytes, aligned to pages; what others have of them is theirs no longer.
    ///
    /// `sharers` ranks want as much of the same memory. `touch` is called for each new buffer before anything else, to choose
    /// its pages and to write to them.
    func take(
        _ count: Int, bytes: Int, sharers: Int, touch: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(Failure) -> [UnsafeMutableRawBufferPointer] {
        if buffers.count < count || buffers.contains(where: { $0.count < bytes }) {
            free()
            let distance = bytes.dividedRoundingUp(by: Self.pageBytes) * Self.pageBytes
            let isHuge = count * distance >= Self.hugeBytesMin
            let unit = isHuge ? Self.hugePageBytes : Self.pageBytes
            memory = try Self.memory(
                (count * distance).dividedRoundingUp(by: unit) * unit + Self.tailBytes,
                alignment: unit, for: "\(count) buffers of \(ByteSize.format(bytes))",
                sharers: sharers)
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

    /// Memory that the system has; not by `allocate`, which ends the process where there is none.
    private static func memory(
        _ bytes: Int, alignment: Int, for purpose: String, sharers: Int
    ) throws(Failure) -> UnsafeMutableRawBufferPointer {
        let advice = "; give a smaller --transfer-size or --queue-depth"
        if bytes >= doubtfulBytesMin, let free = FreeMemory.bytes(), bytes > free / sharers {
            throw Failure(
                .inputOutput,
                "too little memory for \(purpose)"
                    + (sharers > 1 ? " for each of \(sharers) ranks" : "")
                    + ": the node has \(ByteSize.format(free))" + advice)
        }
        let reserve = malloc(reserveBytes)
        var start: UnsafeMutableRawPointer?
        let status = posix_memalign(&start, alignment, bytes)
        Glibc.free(reserve)
        guard status == 0, let start, reserve != nil else {
            if status == 0 { Glibc.free(start) }
            throw Failure(
                .inputOutput,
                "too little memory for \(purpose): \(Errno(ENOMEM)) "
                    + "(a limit such as ulimit -v?)" + advice)
        }
        return UnsafeMutableRawBufferPointer(start: start, count: bytes)
    }

    private func free() {
        Glibc.free(memory.baseAddress)
        memory = .init(start: nil, count: 0)
        buffers = []
    }
}
