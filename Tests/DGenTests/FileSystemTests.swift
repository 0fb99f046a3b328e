// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct FileSystemTests {
    @Test func theInnermostMountSaysTheType() {
        let mounts = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            30 22 0:26 / /dev/shm rw shared:4 - tmpfs tmpfs rw
            31 22 0:27 / /mnt/my\\040disk rw - xfs /dev/vdb rw
            32 22 0:28 / /scratch rw - lustre mgs@tcp:/scratch rw
            33 32 0:29 / /scratch rw - beegfs beegfs rw
            broken line
            """
        #expect(FileSystem.type(of: "/home/user", mounts: mounts) == "ext4")
        #expect(FileSystem.type(of: "/dev/shm/a/b", mounts: mounts) == "tmpfs")
        #expect(FileSystem.type(of: "/dev/shmem", mounts: mounts) == "ext4")
        #expect(FileSystem.type(of: "/mnt/my disk/a", mounts: mounts) == "xfs")
        #expect(FileSystem.type(of: "/scratch/a", mounts: mounts) == "beegfs")
        #expect(FileSystem.type(of: "/a", mounts: "") == "unknown")
        #expect(FileSystem.names(in: "/mnt", mounts: mounts) == ["my disk"])
        #expect(FileSystem.names(in: "/dev", mounts: mounts) == ["shm"])
        #expect(FileSystem.names(in: "/home", mounts: mounts).isEmpty)
    }

    @Test func foldersOfPaths() {
        #expect(FileSystem.folder(of: "file") == ".")
        #expect(FileSystem.folder(of: "/file") == "/")
        #expect(FileSystem.folder(of: "a/b/file") == "a/b")
    }
}
