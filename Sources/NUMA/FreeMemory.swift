// SPDX-License-Identifier: MIT OR Apache-2.0

/// How much memory a process may still take, before the system ends one for want of it.
package enum FreeMemory {
    /// What the machine has, with its swap, and what each control group around this process still grants.
    ///
    /// - Parameter root: the folder that stands for `/`: that itself, or a copy.
    /// - Returns: bytes; nil where nothing is known.
    package static func bytes(root: String = "/") -> Int? {
        let memory = KernelFile.text(root + "/proc/meminfo") ?? ""
        let machine = KernelFile.bytes(of: "MemAvailable", in: memory).map {
            $0 + (KernelFile.bytes(of: "SwapFree", in: memory) ?? 0)
        }
        let groups = ControlGroup.folders(of: "memory", root: root).map(granted)
        return (groups + [machine]).compactMap { $0 }.min()
    }

    /// What a control group grants beyond what its processes hold; files that are only kept in memory go first.
    private static func granted(_ folder: String, isSecond: Bool) -> Int? {
        let name = isSecond ? "memory.max" : "memory.limit_in_bytes"
        // Without a limit it is "max", or close to the largest number.
        guard let text = KernelFile.text("\(folder)/\(name)"), let limit = Int(text[...].trimmed),
            limit < 1 << 60
        else { return nil }
        let held = isSecond ? "anon " : "total_rss "
        let line = (KernelFile.text(folder + "/memory.stat") ?? "").split(separator: "\n").first {
            $0.hasPrefix(held)
        }
        return max(0, limit - (line.flatMap { Int($0.dropFirst(held.count)) } ?? 0))
    }
}
