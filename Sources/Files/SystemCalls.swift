// SPDX-License-Identifier: MIT OR Apache-2.0

package import Glibc

/// What the system says of a call that failed: a value of C's `errno`.
package struct Errno: Error, Equatable, CustomStringConvertible {
    package let code: Int32

    package init(_ code: Int32) { self.code = code }

    /// The system's own words.
    package var description: String { String(cString: strerror(code)) }
}

/// Calls of the system.
package enum System {
    /// The one gate for `errno`, which is read where it is set, before anything else is done.
    ///
    /// What a signal has interrupted is called again, unless `once` is set.
    @inline(never)
    package static func call<Value: FixedWidthInteger>(
        once: Bool = false, _ call: () -> Value
    ) -> Result<Value, Errno> {
        while true {
            let value = call()
            guard value == -1 else { return .success(value) }
            let code = errno
            guard code == EINTR, !once else { return .failure(Errno(code)) }
        }
    }

    /// The gate for calls that return their error and leave `errno` alone.
    package static func code(_ call: () -> Int32) -> Result<Void, Errno> {
        while true {
            let code = call()
            guard code == EINTR else { return code == 0 ? .success(()) : .failure(Errno(code)) }
        }
    }

    /// What is known of the file at `path`.
    ///
    /// The corresponding C functions are `stat` and `lstat`.
    package static func status(_ path: String, followsLink: Bool = true) -> Result<stat, Errno> {
        var status = stat()
        return call { followsLink ? stat(path, &status) : lstat(path, &status) }
            .map { _ in status }
    }
}

extension stat {
    private var kind: mode_t { st_mode & S_IFMT }

    package var size: Int { Int(st_size) }
    package var allocatedBytes: Int { 512 * Int(st_blocks) }
    package var isRegular: Bool { kind == S_IFREG }
    package var isDirectory: Bool { kind == S_IFDIR }
    package var isLink: Bool { kind == S_IFLNK }
    package var isBlockDevice: Bool { kind == S_IFBLK }
    package var isDevice: Bool { isBlockDevice || kind == S_IFCHR }

    /// The number of /dev/null, as Linux has it: device 3 of driver 1.
    package static let nullDevice: dev_t = 0x103
}

extension Result where Failure == Errno {
    /// The result, nil for some errors.
    package func unless(_ codes: Int32...) -> Result<Success?, Errno> {
        if case .failure(let error) = self, codes.contains(error.code) { return .success(nil) }
        return map { $0 }
    }

    /// The result, or a failure of storage: of what, and what could not be done with it.
    @discardableResult
    package func get(_ path: String, _ doing: @autoclosure () -> String) throws(Files.Failure)
        -> Success
    {
        do { return try get() } catch { throw FileSystem.failure(path, doing(), error) }
    }
}

/// A file that is open as long as this lives.
package struct OpenFile: ~Copyable {
    package let descriptor: Int32

    /// Opens the file called `name` in an open folder, or in the working directory.
    ///
    /// The corresponding C function is `openat`.
    package init(
        _ name: String, _ flags: Int32, mode: mode_t = 0, in folder: Int32 = AT_FDCWD
    ) throws(Errno) {
        descriptor = try System.call { openat(folder, name, flags | O_CLOEXEC, mode) }.get()
    }

    /// The same, or a failure that says what could not be done, and of what if it is not `name`.
    package init(
        _ name: String, _ flags: Int32, mode: mode_t = 0, in folder: Int32 = AT_FDCWD,
        of path: String? = nil, or doing: @autoclosure () -> String
    ) throws(Failure) {
        descriptor = try System.call { openat(folder, name, flags | O_CLOEXEC, mode) }
            .get(path ?? name, doing())
    }

    /// Takes a file that is open, or below zero none.
    package init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = Glibc.close(descriptor) }

    /// Closes the file where it matters whether the system has something to say then.
    ///
    /// The corresponding C function is `close`, which closes also where it was interrupted.
    package consuming func close() -> Result<Int32, Errno> {
        let descriptor = descriptor
        discard self
        return System.call(once: true) { Glibc.close(descriptor) }
    }

    /// The corresponding C function is `fstat`.
    package func status() -> Result<stat, Errno> {
        var status = stat()
        return System.call { fstat(descriptor, &status) }.map { _ in status }
    }

    /// Reads up to the length of `buffer` from `offset` on.
    ///
    /// The corresponding C function is `pread`.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Result<
        Int, Errno
    > {
        System.call { pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    /// Locks the file for this process alone, or, if that is `shared`, with others that share it; fails with EWOULDBLOCK.
    ///
    /// The corresponding C function is `flock`.
    package func lock(shared: Bool = false) -> Result<Int32, Errno> {
        System.call { flock(descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) }
    }

    /// Brings what was written to stable storage.
    ///
    /// The corresponding C function is `fsync`.
    package func synchronize() -> Result<Int32, Errno> { System.call { fsync(descriptor) } }
}
