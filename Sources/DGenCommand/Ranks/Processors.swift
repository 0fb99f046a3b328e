// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation

/// The processors that this process may use.
enum Processors {
    /// How many there are in its affinity mask, which `mpirun --bind-to`, Slurm and `taskset` set.
    static var allowed: Int {
        // Foundation's activeProcessorCount does not look at the mask.
        let status = try? FileSystem.readText(
            "/proc/self/status", bytesMax: 1 << 20, what: "status")
        let line = status?.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
        return line.flatMap { count(inList: String($0.dropFirst("Cpus_allowed_list:".count))) }
            ?? ProcessInfo.processInfo.processorCount
    }

    /// The number of processors in a list as the kernel writes it, such as `0,2-4,7`; nil where it is
    /// none.
    static func count(inList list: String) -> Int? {
        let words = list.split(whereSeparator: \.isWhitespace)
        guard words.count == 1 else { return nil }
        var count = 0
        for part in words[0].split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
                first >= 0, last >= first
            else { return nil }
            count += last - first + 1
        }
        return count
    }
}
