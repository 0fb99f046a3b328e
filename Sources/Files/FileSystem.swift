// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
package import Glibc

/// What dgen-mpi asks of the operating system's files, outside MPI-IO.
package enum FileSystem {
    /// A system call that failed, in the system's own words.
    package static func failure(_ path: String, _ doing: String, _ error: Errno) -> Failure {
        let limit = error.code == EFBIG ? " (EFBIG)\(lengthLimit)" : ""
        return Failure(.inputOutput, "\(path): \(doing): \(error)\(limit)")
    }

    /// The most bytes that a file of this process may have, as its limits (`ulimit -f`) say; nil where they do not.
    private static var lengthMax: Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0,
            limit.rlim_cur < UInt(Int.max)
        else { return nil }
        return Int(limit.rlim_cur)
    }

    /// What is said of that limit where a file cannot grow, after what went wrong.
    private static var lengthLimit: String {
        lengthMax.map { "; files may have \(ByteSize.format($0)) at most here (ulimit -f)" } ?? ""
    }

    /// Fails where the file at `path` may not get as long as `bytes` bytes: what lies beyond would be refused when it is
    /// written.
    package static func requireLength(_ bytes: Int, of path: String) throws(Failure) {
        guard let most = lengthMax, bytes > most else { return }
        throw failure(path, "needs \(ByteSize.format(bytes))", Errno(EFBIG))
    }

    /// The state of the file at `path`, links followed; nil where there is none.
    package static func state(_ path: String) throws(Failure) -> stat? {
        // A name that is too long is that of nothing.
        try System.status(path).unless(ENOENT, ENAMETOOLONG).get(path, "cannot be examined")
    }

    /// The state of the regular file at `path`, links followed; nil where there is none and may be none.
    @discardableResult
    package static func regular(_ path: String, mayBeMissing: Bool = false) throws(Failure) -> stat?
    {
        let state = try state(path)
        guard state != nil || mayBeMissing else {
            throw Failure(.inputOutput, "\(path): no such file")
        }
        guard state?.isRegular ?? true else {
            throw Failure(.inputOutput, "\(path): not a regular file")
        }
        return state
    }

    /// The folder that holds `path`.
    package static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The name of the file at `path` in its folder.
    package static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// Bytes that an ordinary user may still store on the file system of `path`; nil where it does not tell: ramfs, and
    /// many in user space, say that they have no blocks at all.
    package static func freeBytes(_ path: String) throws(Failure) -> Int? {
        var status = statvfs()
        guard
            try System.call({ statvfs(path, &status) }).unless(ENOSYS, EOPNOTSUPP)
                .get(path, "the free space is not known") != nil, status.f_blocks > 0
        else { return nil }
        let (bytes, overflow) = Int(clamping: status.f_bavail)
            .multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflow ? .max : bytes
    }

    /// Fails where fewer than `bytes` bytes may still be stored in the folder of `path`.
    package static func requireSpace(for path: String, bytes: Int) throws(Failure) {
        guard let free = try freeBytes(folder(of: resolved(path))), free < bytes else { return }
        throw Failure(
            .inputOutput,
            "output: \(path) needs \(ByteSize.format(bytes)) but its file system has "
                + "\(ByteSize.format(free)) free (--no-space-check where the store reduces data)")
    }

    /// Whether there is anything at `path`, be it a link that leads nowhere.
    package static func isTaken(_ path: String) throws(Failure) -> Bool {
        // A name that is too long is that of nothing.
        try System.status(path, followsLink: false).unless(ENOENT, ENOTDIR, ENAMETOOLONG)
            .get(path, "cannot be examined") != nil
    }

    /// The file that `path` leads to through links; `path` itself where there is none.
    package static func resolved(_ path: String) -> String {
        realPath(path) ?? path
    }

    /// The file that `path` leads to through links; nil where there is none.
    package static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Asks the system for the reason why a library could not open a file, nil where it can; nothing is made or changed.
    package static func reasonNotToOpen(_ path: String, _ mode: Int32) -> Failure? {
        do {
            _ = try OpenFile(path, mode | O_NONBLOCK | O_NOCTTY)
        } catch {
            guard error.code == ENOENT, mode != O_RDONLY else {
                return failure(path, "cannot be opened", error)
            }
            // It was to be made.
            return requireAccess(folder(of: path), or: "no file can be made in it")
        }
        return nil
    }

    /// Why this user may not make files in `folder`; nil where it is so.
    private static func requireAccess(_ folder: String, or doing: String) -> Failure? {
        guard case .failure(let error) = System.call({ access(folder, W_OK | X_OK) }) else {
            return nil
        }
        return failure(folder, doing, error)
    }

    /// Whether the file at `path` has those bytes at `offset`.
    package static func holds(_ path: String, _ bytes: UnsafeRawBufferPointer, at offset: Int)
        throws(Failure)
        -> Bool
    {
        let file = try OpenFile(path, O_RDONLY, or: "cannot be opened")
        var found = [UInt8](repeating: 0, count: bytes.count)
        var done = 0
        while done < bytes.count {
            let count = try found.withUnsafeMutableBytes {
                file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: $0[done...]), at: offset + done)
            }.get(path, "pread at offset \(offset + done)")
            if count == 0 { return false }
            done += count
        }
        return found.elementsEqual(bytes)
    }

    /// Whether `path` is a symbolic link.
    package static func isLink(_ path: String) -> Bool {
        let status = try? System.status(path, followsLink: false).get()
        return status?.isLink ?? false
    }

    /// What tells a file from all others, links followed; nil where there is none.
    package static func identity(_ path: String) -> String? {
        (try? System.status(path).get()).map { "\($0.st_dev):\($0.st_ino)" }
    }

    /// ``identity(_:)`` of a file that has several names, or that `path` is a link to; otherwise nil.
    package static func identityOfLinked(_ path: String) -> String? {
        guard let status = try? System.status(path).get(), status.st_nlink > 1 || isLink(path)
        else { return nil }
        return identity(path)
    }

    /// Refuses an output that is a link that leads nowhere: what is written would come to be somewhere else.
    package static func requireNoDanglingLink(_ path: String) throws(Failure) {
        guard !isLink(path) || identity(path) != nil else {
            throw Failure(
                .usage, "output: \(path) is a symbolic link that leads nowhere",
                isInTheWay: true)
        }
    }

    /// Removes a file that this run has made and nothing was written to.
    package static func removeEmpty(_ path: String) {
        // A failure changes nothing: the run ends with the error that led here.
        if let state = (try? state(path)) ?? nil, state.isRegular, state.size == 0 { unlink(path) }
    }

    /// The file at `path`, which is marked as being written by this process as long as it is open; file systems that have no
    /// locks are left alone.
    package static func locked(_ path: String) throws(Failure) -> OpenFile {
        let file = try OpenFile(path, O_RDWR, or: "cannot be opened")
        if case .failure(Errno(EWOULDBLOCK)) = file.lock() {
            throw Failure(.inputOutput, "\(path): another run is writing it")
        }
        return file
    }

    /// Makes a file for writing, where with `isNew` there must be none.
    package static func create(_ path: String, isNew: Bool) throws(Failure) {
        _ = try OpenFile(
            path, O_WRONLY | O_CREAT | (isNew ? O_EXCL : 0), mode: 0o644, or: "cannot be made")
    }

    /// Takes a file away, if it is there.
    package static func remove(_ path: String) throws(Failure) {
        let status = try? System.status(path, followsLink: false).get()
        guard status?.isDevice != true else {
            throw Failure(.inputOutput, "\(path): is a device, which is not removed")
        }
        try System.call { unlink(path) }.unless(ENOENT).get(path, "cannot be removed")
    }

    /// Has the file system reserve room for `bytes` bytes of the file at `path`.
    ///
    /// The corresponding C function is `posix_fallocate`.
    package static func allocate(_ path: String, bytes: Int) throws(Failure) {
        let file = try OpenFile(path, O_WRONLY, or: "cannot be opened")
        try System.code { posix_fallocate(file.descriptor, 0, off_t(bytes)) }
            .get(path, "cannot be preallocated")
    }

    /// Cuts the file at `path` to `bytes` bytes.
    ///
    /// The corresponding C function is `truncate`.
    package static func cut(_ path: String, to bytes: Int) throws(Failure) {
        try System.call { truncate(path, off_t(bytes)) }
            .get(path, "cannot be cut to \(bytes) bytes")
    }

    /// Asks the system to forget what this node holds of a file in memory.
    ///
    /// The corresponding C function is `posix_fadvise`.
    package static func dropCache(_ path: String) throws(Failure) {
        let file = try OpenFile(path, O_RDONLY, or: "cannot be opened")
        try System.code { posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED) }
            .get(path, "its cache cannot be dropped")
    }

    /// Writes all of `bytes` to an open file, which messages call `path`; a pipe whose calls do not wait is waited for.
    package static func writeAll(_ bytes: [UInt8], to file: Int32, _ path: String) throws(Failure) {
        var done = 0
        while done < bytes.count {
            let taken = try bytes.withUnsafeBytes { bytes in
                System.call {
                    write(file, bytes.baseAddress.map { $0 + done }, bytes.count - done)
                }
            }.unless(EAGAIN).get(path, "cannot be written")
            if let taken {
                done += taken
            } else {
                var ready = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
            }
        }
    }

    /// Brings a file or a folder to stable storage, as far as this node holds it in memory.
    package static func synchronize(_ path: String) throws(Failure) {
        let file = try OpenFile(path, O_RDONLY, or: "cannot be opened")
        // Some file systems cannot sync a folder and say so with EINVAL.
        try file.synchronize().unless(EINVAL).get(path, "cannot be brought to stable storage")
    }

    /// Fails where the folder of `path` is gone.
    package static func requireFolder(of path: String) throws(Failure) {
        guard realPath(".") != nil else {
            // Below a folder that has no name any more nothing can be made, nor found by a library.
            if !path.hasPrefix("/") {
                throw failure(path, "the working directory is gone", Errno(ENOENT))
            }
            return
        }
        guard try state(folder(of: path)) != nil else {
            throw noDirectory(folder(of: path))
        }
    }

    private static func noDirectory(_ folder: String) -> Failure {
        Failure(.inputOutput, "\(folder): no such directory")
    }

    /// Whether this user may make files in `folder`.
    package static func requireWritableFolder(_ folder: String) throws(Failure) {
        guard let state = try state(folder) else { throw noDirectory(folder) }
        guard state.isDirectory else { throw Failure(.inputOutput, "\(folder): not a directory") }
        if let failure = requireAccess(folder, or: "not writable") { throw failure }
    }
}
