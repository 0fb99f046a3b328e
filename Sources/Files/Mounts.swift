// SPDX-License-Identifier: MIT OR Apache-2.0

/// What is mounted where.
extension FileSystem {
    /// The mounts as the kernel lists them; nothing where it does not.
    package static var mounts: String {
        (try? readText("/proc/self/mountinfo", bytesMax: 16 << 20, what: "mounts")) ?? ""
    }

    /// The type of the file system of `path` as /proc/self/mountinfo names it, such as `lustre`.
    package static func type(_ path: String) -> String {
        guard let resolved = realPath(path) else { return "unknown" }
        return type(of: resolved, mounts: mounts)
    }

    /// The type of the file system that the innermost of `mounts` above `path` has.
    ///
    /// Not by device number: btrfs gives its files others than its mounts.
    package static func type(of path: String, mounts: String) -> String {
        var best = (length: 0, type: "unknown")
        for (point, type, _, _) in parsed(mounts) {
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            // A later mount at the same place lies over the earlier one.
            if isAbove, point.count >= best.length { best = (point.count, type) }
        }
        return best.type
    }

    /// Where each of `mounts` is, and of which type; which device is said to hold it, by number and by path.
    package static func parsed(
        _ mounts: String
    ) -> [(point: String, type: String, number: String, source: String)] {
        // "36 35 98:0 /root /mount/point options [tags] - type source options"
        mounts.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count
            else { return nil }
            return (
                unescaped(fields[4]), String(fields[dash + 1]), String(fields[2]),
                dash + 2 < fields.count ? unescaped(fields[dash + 2]) : ""
            )
        }
    }

    /// A path as the kernel lists it, with what it has written as octal numbers.
    package static func unescaped(_ path: Substring) -> String {
        let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        return escapes.reduce(String(path)) { $0.replacing($1.0, with: $1.1) }
    }

    /// The names of those of `mounts` that lie right in `folder`, a path without links.
    package static func names(in folder: String, mounts: String = mounts) -> [String] {
        parsed(mounts).map(\.point).filter { self.folder(of: $0) == folder }.map(name)
    }
}
