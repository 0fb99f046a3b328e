// SPDX-License-Identifier: MIT OR Apache-2.0

/// The control groups that this process is in, by which containers and batch systems limit it.
enum ControlGroup {
    /// The folder of each group that may limit something: a group has at most what those around it have.
    ///
    /// - Parameters:
    ///   - controller: what limits it, as version 1 names it.
    ///   - root: the folder that stands for `/`.
    /// - Returns: paths, and whether they are of version 2.
    static func folders(
        of controller: Substring, root: String
    ) -> [(path: String, isSecond: Bool)] {
        let lines = (KernelFile.text(root + "/proc/self/cgroup") ?? "").split(separator: "\n")
        return lines.flatMap { line -> [(path: String, isSecond: Bool)] in
            // hierarchy:controllers:path; version 2 has no controllers here.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            let isSecond = parts[0] == "0" && parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains(controller) else { return [] }
            let mount = root + "/sys/fs/cgroup" + (isSecond ? "" : "/\(controller)")
            let names = parts[2].split(separator: "/")
            return (0...names.count).map { depth in
                (names.prefix(depth).reduce(mount) { "\($0)/\($1)" }, isSecond)
            }
        }
    }
}
