// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import Options

/// A pipe, a socket or whatever else stdout leads to: takes bytes in order, from one process.
final class StreamFile: DataFile {
    private let name: String
    /// Nothing once it is closed.
    private var file: OpenFile?
    private var position = 0
    /// The most bytes that a call takes without waiting, once the stream takes any; nil where no call waits for a reader.
    private let unwaitedBytes: Int?
    private let isSocket: Bool

    /// How long is waited before it is asked whether the run is to stop, in milliseconds.
    private static let pauseMilliseconds: Int32 = 100
    /// Linux's `F_SETPIPE_SZ`, which the C library's headers hide from Swift, and the most that it grants to all.
    private static let setPipeSize: Int32 = 1031
    private static let pipeBytes: Int32 = 1 << 20
    /// What a pipe that takes anything takes at least.
    private static let pageBytes = 4096
    /// Linux's `MSG_DONTWAIT`, by which a call to a socket does not wait.
    private static let doNotWait: Int32 = 0x40

    /// Opens the pipe at `path`, once it has a reader, or takes what stdout leads to.
    init(_ path: String, _ target: Target) throws(Failure) {
        let file: OpenFile
        if path == Target.standardOutput {
            name = "standard output"
            let given = try StandardOutput.takeForData()
            // Of one's own, which need not wait: what is set for stdout is set for others that have it too.
            if let own = Self.reopened(given) { file = own } else { file = given }
        } else {
            name = path
            file = try Self.pipe(path)
            try target.require(file.status().get(path, "cannot be examined"), path)
        }
        let kind = try file.status().get(name, "cannot be examined").st_mode & S_IFMT
        let isUnwaiting = fcntl(file.descriptor, F_GETFL) & O_NONBLOCK != 0
        unwaitedBytes = isUnwaiting || kind != S_IFIFO ? nil : Self.pageBytes
        isSocket = kind == S_IFSOCK
        // A longer pipe is faster; one that stays as it is does too.
        if kind == S_IFIFO { _ = fcntl(file.descriptor, Self.setPipeSize, Self.pipeBytes) }
        self.file = consume file
    }

    private static func reopened(_ file: borrowing OpenFile) -> OpenFile? {
        guard let status = try? file.status().get(), status.st_mode & S_IFMT == S_IFIFO else {
            return nil
        }
        return try? OpenFile("/proc/self/fd/\(file.descriptor)", O_WRONLY | O_NONBLOCK)
    }

    private static func pipe(_ path: String) throws(Failure) -> OpenFile {
        _ = try Place(path)
        while true {
            do {
                return try OpenFile(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)
            } catch {
                guard error.code == ENXIO else {
                    throw FileSystem.failure(path, "cannot be opened", error)
                }
            }
            // It has no reader yet.
            if let interruption = Interruption.failure { throw interruption }
            usleep(10_000)
        }
    }

    func write(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) {
        precondition(!together && offset == position, "a stream is written in order")
        let descriptor = file?.descriptor ?? -1
        var done = 0
        while done < buffer.count {
            if unwaitedBytes != nil { try wait(descriptor) }
            let count = min(buffer.count - done, unwaitedBytes ?? .max)
            let start = buffer.baseAddress.map { $0 + done }
            do {
                let taken = try System.call {
                    isSocket
                        ? send(descriptor, start, count, Self.doNotWait)
                        : Glibc.write(descriptor, start, count)
                }.get()
                done += taken
                position += taken
            } catch {
                switch error.code {
                case EAGAIN: try wait(descriptor)
                case EPIPE, ECONNRESET:
                    throw Failure(
                        .inputOutput, "\(name): its reader has gone away after \(position) bytes")
                default: throw FileSystem.failure(name, "write after \(position) bytes", error)
                }
            }
        }
    }

    /// Waits until the stream takes something, unless the run is to stop.
    private func wait(_ descriptor: Int32) throws(Failure) {
        while true {
            if let interruption = Interruption.failure { throw interruption }
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            // Also where nobody reads any more, which the next call tells.
            if poll(&ready, 1, Self.pauseMilliseconds) > 0 { return }
        }
    }

    func size() throws(Failure) -> Int { position }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int {
        preconditionFailure("a stream is not read")
    }

    /// Where it leads to a file.
    func sync() throws(Failure) {
        guard let descriptor = file?.descriptor else { return }
        try System.call { fsync(descriptor) }.unless(EINVAL, EROFS)
            .get(name, "cannot be brought to stable storage")
    }

    func close() throws(Failure) {
        try file.take()?.close().get(name, "cannot be closed")
    }

    func reportedHints() -> [(key: String, value: String)] { [] }
}
