// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CNUMA

/// The processors that this process may use.
package enum Processors {
    /// Those in its affinity mask, which `mpirun --bind-to`, Slurm and `taskset` set; nil where the
    /// kernel does not say.
    package static var allowed: [Int]? { allowed(in: "/proc/self/status") }

    /// Those in the mask of the calling thread.
    package static var allowedForThread: [Int]? { allowed(in: "/proc/thread-self/status") }

    /// The affinity mask of the calling thread as the kernel has it, to see whether it changed.
    ///
    /// A system call, where ``allowed`` reads a file. Empty where the kernel does not say.
    package static var affinityMask: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 1024) { bytes, count in
            count = max(0, Int(cnuma_affinity(bytes.baseAddress, CInt(bytes.count))))
        }
    }

    private static func allowed(in path: String) -> [Int]? {
        let status = KernelFile.text(path) ?? ""
        return KernelFile.values(of: "Cpus_allowed_list", in: status).first
            .flatMap { CPUSet.parse(list: $0) }
    }

    /// How many threads it can run at once: its mask, and the quota of its control group.
    package static var usable: Int {
        let count = allowed?.count ?? Topology().threadCount
        return max(1, min(count, quota() ?? count))
    }

    /// The processors' worth of time that control groups grant.
    ///
    /// - Parameter root: the folder that stands for `/`: that itself, or a copy.
    /// - Returns: whole processors, 1 at least; nil where nothing limits them.
    package static func quota(root: String = "/") -> Int? {
        // A link where the kernel mounts it together with cpuacct.
        let least = ControlGroup.folders(of: "cpu", root: root).compactMap { limit($0.path) }.min()
        return least.map { max(1, Int(min($0, 1e6))) }
    }

    /// The quota of one control group, in processors.
    private static func limit(_ folder: String) -> Double? {
        let texts: [Substring]
        if let line = KernelFile.line("\(folder)/cpu.max") {
            texts = line.split(whereSeparator: \.isWhitespace)
        } else if let quota = KernelFile.line("\(folder)/cpu.cfs_quota_us"),
            let period = KernelFile.line("\(folder)/cpu.cfs_period_us")
        {
            texts = [quota, period]
        } else {
            return nil
        }
        // Without a limit the quota is "max", or -1.
        guard texts.count == 2, let quota = Double(texts[0]), let period = Double(texts[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }
}
