// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI
import Options

/// A file that this rank has open by itself, as the other ranks have it too.
final class PosixFile: DataFile {
    /// What buffers, offsets and lengths of `O_DIRECT` are multiples of: the largest block of storage in use.
    static let directUnit = OptionLimits.directUnit

    private let path: String
    /// Nothing once it is closed.
    private var file: OpenFile?
    /// The same past the caches of the system, where that is wanted.
    private var direct: OpenFile?

    /// Linux's `O_DIRECT`, which the C library's headers hide from Swift.
    private static var openDirect: Int32 {
        #if arch(arm64)
            0o200_000
        #else
            0o40_000
        #endif
    }

    /// How much of a device the data set has; nil for a file, which has it alone.
    private let deviceBytes: Int?

    /// Opens the file at `path`, which rank 0 has made; `isDirect` past the system's caches, where offset and length allow it.
    convenience init(_ path: String, _ mode: SharedFile.Mode, isDirect: Bool) throws(Failure) {
        try self.init(path, mode.systemFlags, isDirect: isDirect, deviceBytes: nil)
    }

    /// Opens the device at `path`, of which a data set has so many bytes at the most.
    convenience init(
        _ path: String, _ mode: SharedFile.Mode, isDirect: Bool, as target: Target, bytes: Int
    ) throws(Failure) {
        try self.init(
            path, mode.systemFlags | O_NONBLOCK, isDirect: isDirect, deviceBytes: bytes)
        // Each of them: a link may lead elsewhere in between.
        for opened in [file?.descriptor, direct?.descriptor] {
            guard let opened else { continue }
            var status = stat()
            try System.call { fstat(opened, &status) }.get(path, "cannot be examined")
            try target.require(status, path)
        }
    }

    private init(
        _ path: String, _ mode: Int32, isDirect: Bool, deviceBytes: Int?
    ) throws(Failure) {
        self.path = path
        self.deviceBytes = deviceBytes
        file = try OpenFile(path, mode, or: "cannot be opened")
        guard isDirect else { return }
        direct = try OpenFile(
            path, mode | Self.openDirect, or: "cannot be opened with O_DIRECT (--direct)")
    }

    func size() throws(Failure) -> Int {
        if let deviceBytes {
            let end = try System.call { lseek(descriptor, 0, SEEK_END) }
                .get(path, "its size is not known")
            return min(Int(end), deviceBytes)
        }
        var status = stat()
        try System.call { fstat(descriptor, &status) }.get(path, "cannot be examined")
        return Int(status.st_size)
    }

    /// The corresponding C function is `pwrite`.
    func write(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) {
        precondition(!together, "only what MPI-IO has open is written together")
        var done = 0
        while done < buffer.count {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
            let here = offset + done
            let file = descriptor(for: here, rest.count)
            let count = try System.call {
                pwrite(file, rest.baseAddress, rest.count, off_t(here))
            }.get(path, "pwrite at offset \(here)")
            guard count > 0 else {
                throw Failure(.inputOutput, "\(path): pwrite at offset \(here): stored nothing")
            }
            done += count
        }
    }

    /// The corresponding C function is `pread`.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int {
        precondition(!together, "only what MPI-IO has open is read together")
        let file = descriptor(for: offset, buffer.count)
        return try System.call { pread(file, buffer.baseAddress, buffer.count, off_t(offset)) }
            .get(path, "pread at offset \(offset)")
    }

    private var descriptor: Int32 { file?.descriptor ?? -1 }

    /// The end of a file is seldom a multiple of a block; it goes through the caches.
    private func descriptor(for offset: Int, _ count: Int) -> Int32 {
        let isOnBlocks = offset % Self.directUnit == 0 && count % Self.directUnit == 0
        return isOnBlocks ? direct?.descriptor ?? descriptor : descriptor
    }

    func sync() throws(Failure) {
        // /dev/null has no such call.
        try System.call { fsync(descriptor) }.unless(EINVAL)
            .get(path, "cannot be brought to stable storage")
    }

    func close() throws(Failure) {
        for outcome in [direct.take()?.close(), file.take()?.close()] {
            try outcome?.get(path, "cannot be closed")
        }
    }

    func reportedHints() -> [(key: String, value: String)] { [] }
}

extension SharedFile.Mode {
    /// How the system would open the file: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
    var systemFlags: Int32 {
        switch self {
        case .read: O_RDONLY
        case .update: O_RDWR
        case .createNew, .createOrOpen: O_WRONLY
        }
    }
}
