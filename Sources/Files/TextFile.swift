// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Small files of others, which may be anything.
extension FileSystem {
    /// How long a pipe that is read may take, in seconds.
    package static let pipeSecondsMax = 10

    /// A small text file, whole, in bounded time and memory.
    ///
    /// A regular one, /dev/null, or where something is to be done while one `waits` also a pipe, such as a shell's `<(...)`.
    /// Messages call it `what`.
    package static func readText(
        _ path: String, bytesMax: Int, what: String, waits: (() throws(Failure) -> Void)? = nil
    ) throws(Failure) -> String {
        func refusal(_ reason: String) -> Failure {
            Failure(.inputOutput, "\(path): the \(what) cannot be read: \(reason)")
        }
        func requireReadable(_ found: Result<stat, Errno>) throws(Failure) -> stat {
            let status = try found.get(path, "the \(what) cannot be read")
            switch status.st_mode & S_IFMT {
            case S_IFREG: break
            case S_IFIFO where waits != nil: break
            case S_IFCHR where status.st_rdev == stat.nullDevice: break
            case S_IFDIR: throw refusal("it is a directory; give a file")
            default: throw refusal("it is not a regular file")
            }
            return status
        }
        // Asked before it is opened: to open some devices does something.
        _ = try requireReadable(System.status(path))
        let file = try OpenFile(
            path, O_RDONLY | O_NONBLOCK | O_NOCTTY, or: "the \(what) cannot be read")
        let status = try requireReadable(file.status())
        let isPipe = status.st_mode & S_IFMT == S_IFIFO
        let end = ContinuousClock.now + .seconds(pipeSecondsMax)
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if isPipe {
                guard ContinuousClock.now < end else {
                    throw refusal("a pipe that does not end within \(pipeSecondsMax) s")
                }
                try waits?()
                var ready = pollfd(fd: file.descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&ready, 1, 100) > 0 else { continue }
            }
            guard
                let count = try System.call({ read(file.descriptor, &part, part.count) })
                    .unless(EAGAIN).get(path, "the \(what) cannot be read")
            else { continue }
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
}
