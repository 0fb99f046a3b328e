// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import NUMA
import Testing

@Suite struct QuotaTests {
    private func quota(_ files: [String: String]) throws -> Int? {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in files {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return Processors.quota(root: root.path)
    }

    @Test func theLeastOfAllGroupsAroundCounts() throws {
        let group = ["proc/self/cgroup": "0::/batch/job/step\n"]
        func limited(_ limits: [String: String]) throws -> Int? {
            try quota(group.merging(limits) { $1 })
        }
        #expect(try limited([:]) == nil)
        #expect(try limited(["sys/fs/cgroup/batch/job/step/cpu.max": "max 100000\n"]) == nil)
        #expect(try limited(["sys/fs/cgroup/batch/job/step/cpu.max": "400000 100000\n"]) == 4)
        #expect(
            try limited([
                "sys/fs/cgroup/batch/cpu.max": "250000 100000\n",
                "sys/fs/cgroup/batch/job/step/cpu.max": "800000 100000\n",
            ]) == 2)
        #expect(try limited(["sys/fs/cgroup/cpu.max": "50000 100000\n\0\0"]) == 1)
        #expect(try limited(["sys/fs/cgroup/batch/cpu.max": "rubbish\n"]) == nil)
        #expect(try limited(["sys/fs/cgroup/batch/cpu.max": "1e400 1\n"]) == 1_000_000)
    }

    @Test func theFirstVersionIsReadToo() throws {
        let group = ["proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n"]
        func limited(_ quota: String) throws -> Int? {
            try self.quota(
                group.merging([
                    "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": quota,
                    "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                ]) { $1 })
        }
        #expect(try limited("-1\n") == nil)
        #expect(try limited("300000\n") == 3)
    }
}
