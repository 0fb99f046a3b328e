// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// The stream for results; or for data alone, where that is asked for.
enum StandardOutput {
    /// Where data goes, once stdout is kept for it; below zero where there was no stdout.
    private nonisolated(unsafe) static var descriptor: Int32?

    /// Writes all of `bytes`, or fails where nobody takes them, such as a full disk or a pipe that was closed.
    static func write(_ bytes: some Sequence<UInt8>) throws(Failure) {
        try FileSystem.writeAll(Array(bytes), to: STDOUT_FILENO, "standard output")
    }

    /// Keeps stdout for data: whatever this process, or a library in it, writes there from now on goes to stderr.
    ///
    /// Only the thread that calls MPI calls this.
    static func keepForData() {
        guard descriptor == nil else { return }
        descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        guard dup2(STDERR_FILENO, STDOUT_FILENO) < 0 else { return }
        // Nothing that is opened later may get its number.
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        if null >= 0, null != STDOUT_FILENO {
            dup2(null, STDOUT_FILENO)
            close(null)
        }
    }

    /// Where it leads, as a path that is good as long as this process goes on, also once it is kept for data.
    static var path: String { "/proc/self/fd/\(descriptor ?? STDOUT_FILENO)" }

    /// Fails where a pipe is the one that stdout or stderr leads to: what is said there would be among the data.
    static func requireApart(_ pipe: stat, _ path: String) throws(Failure) {
        for (name, number) in [("stdout", STDOUT_FILENO), ("stderr", STDERR_FILENO)] {
            var given = stat()
            guard fstat(number, &given) == 0,
                (given.st_dev, given.st_ino) == (pipe.st_dev, pipe.st_ino)
            else { continue }
            throw Failure(
                .usage,
                "output: \(path) is what \(name) leads to, where more than data goes; give '-' for data on "
                    + "stdout")
        }
    }

    /// Gives away where data goes, once; fails where stdout is nothing that data can be led into.
    static func takeForData() throws(Failure) -> OpenFile {
        keepForData()
        let file = OpenFile(owning: descriptor ?? -1)
        descriptor = -1
        let status = try file.status().get("standard output", "cannot be written")
        switch status.st_mode & S_IFMT {
        case S_IFIFO, S_IFSOCK, S_IFREG: break
        case S_IFCHR where status.st_rdev == stat.nullDevice: break
        case S_IFCHR where isatty(file.descriptor) == 1:
            throw Failure(
                .usage,
                "output: stdout is a terminal, as mpirun may give its ranks one; lead it into a pipe or a "
                    + "file, without a launcher")
        case S_IFBLK:
            throw Failure(
                .usage, "output: stdout is a block device; give it with --output and --device")
        default: throw Failure(.usage, "output: stdout is no pipe, no socket and no file")
        }
        return file
    }
}
