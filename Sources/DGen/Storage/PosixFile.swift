// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI

/// A file that this rank has open by itself, as the other ranks have it too.
final class PosixFile: DataFile {
    /// What buffers, offsets and lengths of `O_DIRECT` are multiples of: the largest block of storage in use.
    static let directUnit = 4096

    private let path: String
    private let file: Int32
    /// Past the caches of the system; -1 for none.
    private let direct: Int32

    /// Linux's `O_DIRECT`, which the C library's headers hide from Swift.
    private static var openDirect: Int32 {
        #if arch(arm64)
            0o200_000
        #else
            0o40_000
        #endif
    }

    /// Opens the file at `path`, which rank 0 has made.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - mode: what is done with it.
    ///   - isDirect: whether the system's caches are passed by, where offset and length allow it.
    /// - Throws: ``Failure`` with what the system says.
    init(_ path: String, _ mode: SharedFile.Mode, isDirect: Bool) throws {
        self.path = path
        let mode =
            switch mode {
            case .read: O_RDONLY
            case .update: O_RDWR
            case .createNew, .createOrOpen: O_WRONLY
            }
        file = open(path, mode | O_CLOEXEC)
        guard file >= 0 else {
            direct = -1
            throw FileSystem.failure(path, "cannot be opened")
        }
        direct = isDirect ? open(path, mode | O_CLOEXEC | Self.openDirect) : -1
        guard !isDirect || direct >= 0 else {
            throw FileSystem.failure(path, "cannot be opened with O_DIRECT (--direct)")
        }
    }

    deinit {
        if file >= 0, !isClosed { _ = Glibc.close(file) }
        if direct >= 0, !isClosed { _ = Glibc.close(direct) }
    }

    private var isClosed = false

    /// Makes a file for writing; on one rank, before the others open it.
    static func create(_ path: String, isNew: Bool) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (isNew ? O_EXCL : 0), 0o644)
        guard file >= 0 else { throw FileSystem.failure(path, "cannot be made") }
        Glibc.close(file)
    }

    func size() throws -> Int {
        var status = stat()
        guard fstat(file, &status) == 0 else {
            throw FileSystem.failure(path, "cannot be examined")
        }
        return Int(status.st_size)
    }

    // One file holds all bytes.
    func extentEnd(at offset: Int) -> Int { .max }
    func storedEnd(at offset: Int) throws -> Int { try size() }

    func setSize(_ size: Int) throws {
        // The same on every rank, before any of them writes.
        guard ftruncate(file, off_t(size)) == 0 else {
            throw FileSystem.failure(path, "cannot be cut to \(size) bytes")
        }
    }

    /// The corresponding C function is `pwrite`.
    func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
            let count = pwrite(
                descriptor(for: offset + done, rest.count), rest.baseAddress, rest.count,
                off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw FileSystem.failure(path, "pwrite at offset \(offset + done)")
            }
            done += count
        }
    }

    /// The corresponding C function is `pread`.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        while true {
            let count = pread(
                descriptor(for: offset, buffer.count), buffer.baseAddress, buffer.count,
                off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileSystem.failure(path, "pread at offset \(offset)") }
            return count
        }
    }

    /// The end of a file is seldom a multiple of a block; it goes through the caches.
    private func descriptor(for offset: Int, _ count: Int) -> Int32 {
        let isOnBlocks = offset % Self.directUnit == 0 && count % Self.directUnit == 0
        return direct >= 0 && isOnBlocks ? direct : file
    }

    func sync() throws {
        guard fsync(file) == 0 else {
            throw FileSystem.failure(path, "cannot be brought to stable storage")
        }
    }

    func close() throws {
        isClosed = true
        let isDirectClosed = direct < 0 || Glibc.close(direct) == 0
        guard Glibc.close(file) == 0, isDirectClosed else {
            throw FileSystem.failure(path, "cannot be closed")
        }
    }

    func reportedHints() -> [(key: String, value: String)] { [] }
}
