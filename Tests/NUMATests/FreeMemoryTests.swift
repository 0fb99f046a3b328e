// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import NUMA
import Testing

@Suite struct FreeMemoryTests {
    /// A machine of files.
    private func bytes(_ files: [String: String]) throws -> Int? {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        for (name, text) in files {
            let file = root.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return FreeMemory.bytes(root: root.path)
    }

    private let memory = "MemTotal: 9000 kB\nMemAvailable:    4000 kB\nSwapFree:  1000 kB\n"

    @Test func theLeastOfTheMachineAndItsGroupsCounts() throws {
        #expect(try bytes([:]) == nil)
        #expect(try bytes(["proc/meminfo": memory]) == 5000 << 10)
        let second = [
            "proc/meminfo": memory, "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": "2000000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 500000\nfile 900000\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
        ]
        #expect(try bytes(second) == 1_500_000)
        let first = [
            "proc/meminfo": memory, "proc/self/cgroup": "9:cpu:/x\n4:memory:/job\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "3000000\n",
            "sys/fs/cgroup/memory/job/memory.stat": "rss 1\ntotal_rss 1000000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ]
        #expect(try bytes(first) == 2_000_000)
    }

    @Test func thisMachineHasSome() throws {
        #expect(try #require(FreeMemory.bytes()) > 0)
    }
}
