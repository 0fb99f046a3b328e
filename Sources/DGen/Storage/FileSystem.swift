// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc

/// What dgen-mpi asks of the operating system's files, outside MPI-IO.
///
/// The one gate for `errno`.
enum FileSystem {
    /// A system call that failed, in the system's own words.
    static func failure(_ path: String, _ doing: String) -> Failure {
        let limit = errno == EFBIG ? " (EFBIG)\(lengthLimit)" : ""
        return Failure(
            .inputOutput, "\(path): \(doing): \(String(cString: strerror(errno)))\(limit)")
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
    static func requireLength(_ bytes: Int, of path: String) throws {
        guard let most = lengthMax, bytes > most else { return }
        errno = EFBIG
        throw failure(path, "needs \(ByteSize.format(bytes))")
    }

    /// What is known of a file.
    struct State: Codable {
        let size: Int
        let allocatedBytes: Int
        let isRegular: Bool
        let isDirectory: Bool
    }

    /// The state of the file at `path`, links followed; nil where there is none.
    static func state(_ path: String) throws -> State? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            // A name that is too long is that of nothing.
            if errno == ENOENT || errno == ENAMETOOLONG { return nil }
            throw failure(path, "cannot be examined")
        }
        return State(
            size: Int(status.st_size), allocatedBytes: 512 * Int(status.st_blocks),
            isRegular: status.st_mode & S_IFMT == S_IFREG,
            isDirectory: status.st_mode & S_IFMT == S_IFDIR)
    }

    /// The folder that holds `path`.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The name of the file at `path` in its folder.
    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// Bytes that an ordinary user may still store on the file system of `path`; nil where it does not tell: ramfs, and
    /// many in user space, say that they have no blocks at all.
    static func freeBytes(_ path: String) throws -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            if errno == ENOSYS || errno == EOPNOTSUPP { return nil }
            throw failure(path, "the free space is not known")
        }
        guard status.f_blocks > 0 else { return nil }
        let (bytes, overflow) = Int(clamping: status.f_bavail)
            .multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflow ? .max : bytes
    }

    /// Fails where the file system has no names so long as those of the files at `path` with one of `endings` behind it.
    static func requireShortNames(_ path: String, endings: [String]) throws {
        let ending = endings.max { $0.utf8.count < $1.utf8.count } ?? ""
        var status = statvfs()
        let known = statvfs(folder(of: path), &status) == 0
        let nameMax = known && status.f_namemax > 0 ? Int(status.f_namemax) : Int(NAME_MAX)
        for (what, bytes, max) in [
            ("name", name(of: path).utf8.count, nameMax),
            ("path", path.utf8.count, Int(PATH_MAX) - 1),
        ] where bytes + ending.utf8.count > max {
            throw Failure(
                .usage,
                "output: a \(what) of \(bytes) bytes; at most \(max - ending.utf8.count) are accepted, "
                    + "since \(max) are the most and one with \(ending) is needed too: \(path)")
        }
    }

    /// Fails where fewer than `bytes` bytes may still be stored in the folder of `path`.
    static func requireSpace(for path: String, bytes: Int) throws {
        guard let free = try freeBytes(folder(of: resolved(path))), free < bytes else { return }
        throw Failure(
            .inputOutput,
            "output: \(path) needs \(ByteSize.format(bytes)) but its file system has "
                + "\(ByteSize.format(free)) free (--no-space-check where the store reduces data)")
    }

    /// The type of the file system of `path` as /proc/self/mountinfo names it, such as `lustre`.
    static func type(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return "unknown" }
        defer { free(resolved) }
        guard
            let mounts = try? readText("/proc/self/mountinfo", bytesMax: 16 << 20, what: "mounts")
        else { return "unknown" }
        return type(of: String(cString: resolved), mounts: mounts)
    }

    /// The type of the file system that the innermost of `mounts` above `path` has.
    ///
    /// Not by device number: btrfs gives its files others than its mounts.
    static func type(of path: String, mounts: String) -> String {
        var best = (length: 0, type: "unknown")
        // "36 35 98:0 /root /mount/point options [tags] - type source options"
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count
            else { continue }
            let point = fields[4].replacing("\\040", with: " ")
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            // A later mount at the same place lies over the earlier one.
            if isAbove, point.count >= best.length {
                best = (point.count, String(fields[dash + 1]))
            }
        }
        return best.type
    }

    /// The names of what is mounted right in `folder`, a path without links.
    static func mounts(in folder: String) -> [String] {
        let mounts = try? readText("/proc/self/mountinfo", bytesMax: 16 << 20, what: "mounts")
        return names(in: folder, mounts: mounts ?? "")
    }

    /// The names of those of `mounts` that lie right in `folder`.
    static func names(in folder: String, mounts: String) -> [String] {
        let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        return mounts.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count > 4 else { return nil }
            let point = escapes.reduce(String(fields[4])) { $0.replacing($1.0, with: $1.1) }
            return self.folder(of: point) == folder ? name(of: point) : nil
        }
    }

    /// How long a pipe that is read may take, in seconds.
    static let pipeSecondsMax = 10

    /// A small text file, whole, in bounded time and memory.
    ///
    /// - Parameters:
    ///   - path: a regular file, or /dev/null.
    ///   - bytesMax: the longest text.
    ///   - what: what messages call the file.
    ///   - mayBePipe: whether it may also be a pipe, such as a shell's `<(...)`.
    /// - Returns: the text.
    /// - Throws: ``Failure`` in one line.
    static func readText(
        _ path: String, bytesMax: Int, what: String, mayBePipe: Bool = false
    ) throws -> String {
        func refusal(_ reason: String) -> Failure {
            Failure(.inputOutput, "\(path): the \(what) cannot be read: \(reason)")
        }
        var status = stat()
        // Asked before it is opened: to open some devices does something.
        guard stat(path, &status) == 0 else { throw refusal(String(cString: strerror(errno))) }
        func requireReadable() throws {
            switch status.st_mode & S_IFMT {
            case S_IFREG: break
            case S_IFIFO where mayBePipe: break
            case S_IFCHR where status.st_rdev == Self.nullDevice: break
            case S_IFDIR: throw refusal("it is a directory; give a file")
            default: throw refusal("it is not a regular file")
            }
        }
        try requireReadable()
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw refusal(String(cString: strerror(errno))) }
        defer { close(file) }
        guard fstat(file, &status) == 0 else { throw refusal(String(cString: strerror(errno))) }
        try requireReadable()
        let isPipe = status.st_mode & S_IFMT == S_IFIFO
        let clock = Stopwatch()
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if isPipe {
                guard clock.elapsedNanoseconds < pipeSecondsMax * 1_000_000_000 else {
                    throw refusal("a pipe that does not end within \(pipeSecondsMax) s")
                }
                if let interruption = Interruption.failure { throw interruption }
                var ready = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
                guard poll(&ready, 1, 100) > 0 else { continue }
            }
            let count = Glibc.read(file, &part, part.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count >= 0 else { throw failure(path, "the \(what) cannot be read") }
            if count == 0 { break }
            bytes += part[..<count]
            guard bytes.count <= bytesMax else {
                throw Failure(.usage, "\(path): the \(what) is larger than \(bytesMax) bytes")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.usage, "\(path): the \(what) is not UTF-8")
        }
        return text
    }

    /// The number of /dev/null, as Linux has it: device 3 of driver 1.
    private static let nullDevice: dev_t = 0x103

    /// Replaces the file at `path` by one with `bytes`, which has its mode.
    ///
    /// A reader sees the old or the new file whole, and the new one survives a power cut; links are
    /// followed, but for those of other users. What is no regular file, such as a device, is written to. A file that
    /// exists is overwritten where it stands if there is no room for another one beside it.
    static func replace(_ path: String, with bytes: [UInt8]) throws {
        let place = try Place(path)
        let existing = try place.found
        if let existing, try place.isPlanted(existing) {
            throw Failure(
                .inputOutput, "\(path): is of another user (\(existing.st_uid)); give another file")
        }
        if let existing, existing.st_mode & S_IFMT != S_IFREG {
            guard existing.st_mode & S_IFMT != S_IFDIR else {
                throw Failure(.inputOutput, "\(path): is a directory; give a file")
            }
            return try overwrite(place, with: bytes)
        }
        do {
            try put(bytes, in: place, over: existing)
        } catch {
            guard existing != nil else { throw error }
            try overwrite(place, with: bytes)
        }
    }

    /// Makes a file with `bytes` at `path`, where there must be nothing.
    ///
    /// - Throws: ``Failure`` also where there is no file but a link that leads nowhere.
    static func make(_ path: String, with bytes: [UInt8]) throws {
        guard try !isTaken(path) else {
            throw Failure(.inputOutput, "\(path): has come to be there meanwhile")
        }
        try put(bytes, in: Place(path), over: nil, mayReplace: false)
    }

    /// Writes a file beside the place and moves it there; what is there is only replaced where it may be.
    private static func put(
        _ bytes: [UInt8], in place: Place, over existing: stat?, mayReplace: Bool = true
    ) throws {
        let path = place.path
        // A short name, since that of the file itself may be as long as names can be.
        let number = UInt64.random(in: 0...UInt64.max)
        let temporary = ".dgen-mpi-\(String(number, radix: 36)).tmp"
        // A new file of our own: never through a link that someone else has put there. Nobody reads it who might not
        // read the one that it replaces.
        let file = openat(
            place.folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
            existing == nil ? 0o644 : 0o600)
        guard file >= 0 else { throw failure(path, "cannot be written") }
        do {
            if let existing { try adopt(existing, file, path) }
            try writeAll(bytes, to: file, path)
            guard fsync(file) == 0 else { throw failure(path, "cannot be stored") }
        } catch {
            close(file)
            unlinkat(place.folder, temporary, 0)
            throw error
        }
        close(file)
        do {
            try move(temporary, to: place, mayReplace: mayReplace)
        } catch {
            unlinkat(place.folder, temporary, 0)
            throw error
        }
        try synchronize(folder(of: path))
    }

    private static func move(_ name: String, to place: Place, mayReplace: Bool) throws {
        if !mayReplace {
            // A second name fails where there is one; some file systems have no second names, but for which nothing was
            // there a moment ago.
            if linkat(place.folder, name, place.folder, place.name, 0) == 0 {
                unlinkat(place.folder, name, 0)
                return
            }
            guard errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK else {
                throw failure(place.path, "cannot be put in place")
            }
        }
        guard renameat(place.folder, name, place.folder, place.name) == 0 else {
            throw failure(place.path, "cannot be put in place")
        }
    }

    /// Gives an open file the mode of one that it will replace, and the owner and the group, where this user may.
    private static func adopt(_ existing: stat, _ file: Int32, _ path: String) throws {
        var own = stat()
        guard fstat(file, &own) == 0 else { throw failure(path, "cannot be examined") }
        var mode = existing.st_mode & 0o777
        if own.st_uid != existing.st_uid || own.st_gid != existing.st_gid,
            fchown(file, existing.st_uid, existing.st_gid) != 0,
            fchown(file, .max, existing.st_gid) != 0, own.st_gid != existing.st_gid
        {
            // Another group is not meant.
            mode &= ~0o070
        }
        guard fchmod(file, mode) == 0 else { throw failure(path, "its mode cannot be kept") }
    }

    private static func overwrite(_ place: Place, with bytes: [UInt8]) throws {
        let path = place.path
        let file = openat(
            place.folder, place.name, O_WRONLY | O_CLOEXEC | (place.isMagic ? 0 : O_NOFOLLOW))
        guard file >= 0 else { throw failure(path, "cannot be written") }
        defer { close(file) }
        try writeAll(bytes, to: file, path)
        // Neither means anything for a device or a pipe.
        guard ftruncate(file, off_t(bytes.count)) == 0 || errno == EINVAL,
            fsync(file) == 0 || errno == EINVAL || errno == EROFS
        else { throw failure(path, "cannot be stored") }
    }

    /// Whether there is anything at `path`, be it a link that leads nowhere.
    static func isTaken(_ path: String) throws -> Bool {
        var status = stat()
        guard lstat(path, &status) != 0 else { return true }
        // A name that is too long is that of nothing.
        guard [ENOENT, ENOTDIR, ENAMETOOLONG].contains(errno) else {
            throw failure(path, "cannot be examined")
        }
        return false
    }

    /// The file that `path` leads to through links; `path` itself where there is none.
    static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Asks the system for the reason why a library could not open a file; nothing is made or changed.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - mode: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
    /// - Returns: why it cannot be opened; nil where it can.
    static func reasonNotToOpen(_ path: String, _ mode: Int32) -> Failure? {
        let file = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file < 0 else {
            close(file)
            return nil
        }
        let folder = folder(of: path)
        guard errno == ENOENT, mode != O_RDONLY else { return failure(path, "cannot be opened") }
        // It was to be made.
        return access(folder, W_OK | X_OK) == 0
            ? nil : failure(folder, "no file can be made in it")
    }

    /// Whether the file at `path` has those bytes at `offset`.
    static func holds(_ path: String, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws
        -> Bool
    {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(file) }
        var found = [UInt8](repeating: 0, count: bytes.count)
        var done = 0
        while done < bytes.count {
            let count = found.withUnsafeMutableBytes {
                pread(file, $0.baseAddress.map { $0 + done }, $0.count - done, off_t(offset + done))
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "pread at offset \(offset + done)") }
            if count == 0 { return false }
            done += count
        }
        return found.elementsEqual(bytes)
    }

    /// Whether `path` is a symbolic link.
    static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// What tells a file from all others, links followed; nil where there is none.
    static func identity(_ path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return "\(status.st_dev):\(status.st_ino)"
    }

    /// ``identity(_:)`` of a file that has several names, or that `path` is a link to; otherwise nil.
    static func identityOfLinked(_ path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_nlink > 1 || isLink(path) else { return nil }
        return identity(path)
    }

    /// Refuses an output that is a link that leads nowhere: what is written would come to be somewhere else.
    static func requireNoDanglingLink(_ path: String) throws {
        var status = stat()
        guard !isLink(path) || stat(path, &status) == 0 else {
            throw Failure(.usage, "output: \(path) is a symbolic link that leads nowhere")
        }
    }

    /// Removes a file that this run has made and nothing was written to.
    static func removeEmpty(_ path: String) {
        // A failure changes nothing: the run ends with the error that led here.
        if (try? state(path))??.size == 0 { unlink(path) }
    }

    /// Marks a file as being written by this process, as long as it lives.
    final class Lock {
        private let file: Int32

        /// Takes the lock of the file at `path`.
        ///
        /// - Throws: ``Failure`` if another process has it. File systems that have no locks are left
        ///   alone.
        init(_ path: String) throws {
            file = open(path, O_RDWR | O_CLOEXEC)
            guard file >= 0 else { throw failure(path, "cannot be opened") }
            guard flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
            throw Failure(.inputOutput, "\(path): another run is writing it")
        }

        deinit { if file >= 0 { close(file) } }
    }

    /// Takes a file away, if it is there.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw failure(path, "cannot be removed")
        }
    }

    /// Has the file system reserve room for `bytes` bytes of the file at `path`.
    ///
    /// The corresponding C function is `posix_fallocate`.
    static func allocate(_ path: String, bytes: Int) throws {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(file) }
        // It returns its error, and leaves errno alone.
        errno = posix_fallocate(file, 0, off_t(bytes))
        guard errno == 0 else { throw failure(path, "cannot be preallocated") }
    }

    /// Cuts the file at `path` to `bytes` bytes.
    ///
    /// The corresponding C function is `truncate`.
    static func cut(_ path: String, to bytes: Int) throws {
        guard truncate(path, off_t(bytes)) == 0 else {
            throw failure(path, "cannot be cut to \(bytes) bytes")
        }
    }

    /// Asks the system to forget what this node holds of a file in memory.
    ///
    /// The corresponding C function is `posix_fadvise`.
    static func dropCache(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(file) }
        errno = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
        guard errno == 0 else { throw failure(path, "its cache cannot be dropped") }
    }

    /// Writes all of `bytes` to an open file, which messages call `path`.
    static func writeAll(_ bytes: [UInt8], to file: Int32, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(file, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "cannot be written") }
            done += count
        }
    }

    /// Brings a file or a folder to stable storage, as far as this node holds it in memory.
    static func synchronize(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(file) }
        // Some file systems cannot sync a folder and say so with EINVAL.
        guard fsync(file) == 0 || errno == EINVAL else {
            throw failure(path, "cannot be brought to stable storage")
        }
    }

    /// Fails where the folder of `path` is gone.
    static func requireFolder(of path: String) throws {
        guard let working = getcwd(nil, 0) else {
            // Below a folder that has no name any more nothing can be made, nor found by a library.
            if !path.hasPrefix("/") { throw failure(path, "the working directory is gone") }
            return
        }
        free(working)
        guard try state(folder(of: path)) != nil else {
            throw Failure(.inputOutput, "\(folder(of: path)): no such directory")
        }
    }

    /// Whether this user may make files in `folder`.
    static func requireWritableFolder(_ folder: String) throws {
        guard let state = try state(folder) else {
            throw Failure(.inputOutput, "\(folder): no such directory")
        }
        guard state.isDirectory else { throw Failure(.inputOutput, "\(folder): not a directory") }
        guard access(folder, W_OK | X_OK) == 0 else { throw failure(folder, "not writable") }
    }
}
