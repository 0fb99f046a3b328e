// SPDX-License-Identifier: MIT OR Apache-2.0

package import Glibc

/// Where a file is, or will be: an open folder and a name in it, so that nobody changes the way there meanwhile.
///
/// Links are followed by hand, since the kernel lets a link that another user has put into a folder lead anywhere, unless it
/// is set up not to (`fs.protected_symlinks`).
package final class Place {
    /// The path that leads here, as it was given.
    package let path: String
    /// The folder; for names relative to it only, not for reading.
    private(set) var folder: OpenFile
    private(set) var name = ""
    /// Whether the name is a link of `/proc` to an open file, which the kernel alone can follow.
    private(set) var isMagic = false

    /// The most links that are followed, as in the kernel.
    private static let linksMax = 40
    /// Linux's `O_PATH`, which the C library's headers hide from Swift.
    private static let openPath: Int32 = 0o10_000_000

    /// Goes to `path`; the file itself need not be there.
    ///
    /// Fails where there is no such folder, where the way leads through a link that the kernel should not follow in a folder
    /// that all may write to, or where the file itself is a link of another user; with `mayBeLinkOfOthers` only where all may
    /// have put it there.
    package init(_ path: String, mayBeLinkOfOthers: Bool = false) throws(Failure) {
        self.path = path
        folder = try Self.start(of: path, path)
        var rest = Self.components(path)
        var links = 0
        while let component = rest.popLast() {
            let isLast = rest.isEmpty
            let next: OpenFile
            do {
                next = try OpenFile(
                    component, Self.openPath | O_NOFOLLOW, in: folder.descriptor)
            } catch {
                guard isLast, error.code == ENOENT, component != ".." else {
                    throw FileSystem.failure(path, "cannot be reached", error)
                }
                name = component
                return
            }
            let status = try next.status().get(path, "cannot be examined")
            if status.isLink {
                try requireTrust(in: status, always: isLast && !mayBeLinkOfOthers)
                if isLast, isOfProc {
                    (name, isMagic) = (component, true)
                    return
                }
                links += 1
                guard links <= Self.linksMax else {
                    throw Failure(.inputOutput, "\(path): leads through too many links")
                }
                let target = try Self.target(of: next, path)
                if target.hasPrefix("/") { folder = try Self.start(of: target, path) }
                rest += Self.components(target)
            } else if isLast {
                guard component != ".." else { break }
                name = component
                return
            } else {
                guard status.isDirectory else {
                    throw Failure(.inputOutput, "\(path): leads through what is no directory")
                }
                folder = next
            }
        }
        // Nothing but folders was named.
        throw Failure(.inputOutput, "\(path): is a directory; give a file")
    }

    /// What is here; nil for nothing.
    package var found: stat? {
        get throws(Failure) {
            var status = stat()
            let (folder, flags) = (folder.descriptor, isMagic ? 0 : AT_SYMLINK_NOFOLLOW)
            return try System.call { fstatat(folder, name, &status, flags) }.unless(ENOENT)
                .get(path, "cannot be examined").map { _ in status }
        }
    }

    /// The names on a path, the last first.
    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.map(String.init).reversed()
    }

    /// Where a way begins.
    private static func start(of way: String, _ path: String) throws(Failure) -> OpenFile {
        try OpenFile(
            way.hasPrefix("/") ? "/" : ".", openPath | O_DIRECTORY, of: path,
            or: "cannot be reached")
    }

    /// Refuses a link of somebody else, always or in a folder where all may have put it.
    private func requireTrust(in link: stat, always: Bool) throws(Failure) {
        guard try always ? !Self.isTrusted(link) : isPlanted(link) else { return }
        throw Failure(
            .inputOutput,
            "\(path): leads through a link of another user (\(link.st_uid)); what it leads to is left "
                + "as it is")
    }

    /// Whether something in the folder is of another user, and any user may have put it there: what the kernel's
    /// `fs.protected_symlinks` and `fs.protected_regular` are about.
    package func isPlanted(_ status: stat) throws(Failure) -> Bool {
        let own = try folder.status().get(path, "cannot be examined")
        let shared = mode_t(S_ISVTX) | mode_t(S_IWOTH)
        return own.st_mode & shared == shared && !Self.isTrusted(status)
            && status.st_uid != own.st_uid
    }

    /// Whether it is of this user, or of one who may do everything anyway.
    private static func isTrusted(_ status: stat) -> Bool {
        status.st_uid == geteuid() || status.st_uid == 0
    }

    private var isOfProc: Bool {
        guard let own = try? folder.status().get(), let proc = try? System.status("/proc").get()
        else { return false }
        return own.st_dev == proc.st_dev && own.st_dev != 0
    }

    /// Where an open link leads.
    private static func target(of link: borrowing OpenFile, _ path: String) throws(Failure)
        -> String
    {
        let link = link.descriptor
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX) + 1)
        let size = bytes.count
        let count = try System.call {
            bytes.withUnsafeMutableBytes { buffer in
                buffer.bindMemory(to: CChar.self).baseAddress.map {
                    readlinkat(link, "", $0, size)
                } ?? -1
            }
        }.get(path, "cannot be followed")
        guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
            throw Failure(.inputOutput, "\(path): leads through a link that is not UTF-8")
        }
        return text
    }
}
