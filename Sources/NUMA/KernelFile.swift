// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// Small files and folders of /proc and /sys, or of a copy of them.
enum KernelFile {
    /// The text of a file; nil where it cannot be read.
    ///
    /// Bytes that are not UTF-8 are replaced.
    static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        // A copy of them may have pipes and devices in it.
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16 << 10)
        // Sixteen MiB are far more than the largest /proc/cpuinfo.
        while bytes.count < 16 << 20 {
            let count = read(file, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += part[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The line that a file such as `cpulist` consists of, without white space around it; nil where there is none.
    ///
    /// What comes after it is no part of it: copies of such files end in zero bytes up to the size of a page, or in what was in
    /// memory before.
    static func line(of text: some StringProtocol) -> Substring? {
        let text = Substring(text)
        let rest = text.drop(while: \.isWhitespace)
        let line = rest.prefix { !$0.isNewline && !$0.isStray }
        // An empty line is one, too.
        guard line.isEmpty else { return line.trimmed }
        return text[..<rest.startIndex].contains(where: \.isNewline) ? line : nil
    }

    /// The line that the file at `path` consists of; nil where there is none.
    static func line(_ path: String) -> Substring? { text(path).flatMap(line(of:)) }

    /// The names in a folder; nil where it cannot be read.
    static func names(_ path: String) -> [String]? {
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The lines `name : value` of a file such as /proc/cpuinfo whose name is `name`, spaces around
    /// both ignored.
    static func values(of name: String, in text: String) -> [Substring] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let sides = line.split(separator: ":", maxSplits: 1)
            guard sides.count == 2, sides[0].trimmed == name else { return nil }
            return sides[1].prefix { !$0.isStray }.trimmed
        }
    }

    /// A line `name: 123 kB`, in bytes.
    static func bytes(of name: String, in text: String) -> Int? {
        guard let value = values(of: name, in: text).first,
            let kibibytes = value.split(separator: " ").first.flatMap({ Int($0) })
        else { return nil }
        let (bytes, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
        return overflow || bytes < 0 ? nil : bytes
    }
}

extension Character {
    /// Whether the kernel writes no such character: control characters, and bytes that are no UTF-8.
    fileprivate var isStray: Bool {
        unicodeScalars.contains {
            $0.value < 0x20 && $0 != "\t" || $0.value == 0x7F || $0 == "\u{FFFD}"
        }
    }
}

extension Substring {
    /// Without white space at both ends.
    var trimmed: Substring {
        let start = drop(while: \.isWhitespace)
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else {
            return start.prefix(0)
        }
        return start[...last]
    }
}
