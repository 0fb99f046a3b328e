// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// An empty hidden file with a name that nobody can have known: who sees it in a folder sees the folder that it was made in.
///
/// Gone with the value. Numbers of devices and files would not do: network file systems may give them differently on
/// each node.
final class FolderToken {
    let name: String
    private let path: String

    /// Makes a new file in `folder`; nothing that is there is touched.
    init(in folder: String) throws(Failure) {
        let number = [UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)]
        name = ".dgen-mpi-" + number.map { String($0, radix: 36) }.joined() + ".token"
        path = folder + "/" + name
        _ = try OpenFile(
            path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, of: folder,
            or: "no file can be made in it")
    }

    deinit { unlink(path) }

    /// Whether the token with that name is seen in `folder`.
    static func isSeen(_ name: String, in folder: String) -> Bool {
        (try? System.status(folder + "/" + name, followsLink: false).get()) != nil
    }

    /// Has the system ask the store anew what is in `folder`: opening it does, on NFS, which otherwise goes on for half a
    /// minute saying that there is no such file.
    static func refresh(_ folder: String) {
        guard let opened = opendir(folder) else { return }
        closedir(opened)
    }
}
