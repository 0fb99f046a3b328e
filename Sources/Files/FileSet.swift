// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen
import Glibc
package import Options

extension FileLayout {
    /// The file of rank `rank` of those that wrote the data set at `path`: eight digits, more where there are more ranks.
    package func path(_ path: String, rank: Int) -> String {
        guard self == .perRank else { return path }
        let digits = String(rank)
        return path + "." + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// The data set and the rank of it that a file with this name would belong to; nil for a name that no rank has.
    package static func rank(of name: String) -> (base: String, rank: Int)? {
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return nil }
        let digits = name[name.index(after: dot)...]
        guard digits.utf8.count >= 8, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            digits.utf8.count == 8 || digits.first != "0", let rank = Int(digits)
        else { return nil }
        return (String(name[..<dot]), rank)
    }

    /// What is there under the names of ranks' files of the data set at `path`, and whether it is a symbolic link or may be.
    ///
    /// - Complexity: O(entries of the folder).
    package static func rankFiles(of path: String) -> [(path: String, isLink: Bool)] {
        // A folder that cannot be read has no files that are found by name.
        guard let folder = opendir(FileSystem.folder(of: path)) else { return [] }
        defer { closedir(folder) }
        let base = FileSystem.name(of: path).lowercased()
        let start = path.utf8.count - FileSystem.name(of: path).utf8.count
        let parent = String(decoding: path.utf8.prefix(start), as: UTF8.self)
        var found: [(path: String, isLink: Bool)] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard rank(of: name)?.base.lowercased() == base else { continue }
            let type = Int(entry.pointee.d_type)
            found.append((parent + name, type == Int(DT_LNK) || type == Int(DT_UNKNOWN)))
        }
        return found
    }
}

/// The files that hold a data set, by how it was written.
package struct FileSet {
    /// The path that users give: the file itself, or what the names of all files begin with.
    package let path: String
    package let layout: FileLayout
    /// What each rank that wrote it has written.
    package let shards: Shards
    /// What it is, if it is no file.
    package let target: Target

    package init(
        path: String, layout: FileLayout, shards: Shards, target: Target = .file
    ) {
        (self.path, self.layout, self.shards, self.target) = (path, layout, shards, target)
    }

    /// Where the manifest is; nil where none is kept.
    package var manifestPath: String? { target.manifestPath(for: path) }

    /// The bytes at `path` that the data set may have, as far as they are there; nil for nothing.
    package func storedBytes(_ path: String) throws(Failure) -> Int? {
        target.isFile
            ? try FileSystem.state(path)?.size : min(target.deviceBytes, shards.size)
    }

    /// The file that holds the shard of a rank that wrote it.
    package func path(of rank: Int) -> String { layout.path(path, rank: rank) }

    /// Fails where a name would be too long for the file system, that of the manifest among them.
    package func requireShortNames() throws(Failure) {
        let endings = [Manifest.path(for: ""), layout.path("", rank: shards.count - 1)]
        let ending = endings.max { $0.utf8.count < $1.utf8.count } ?? ""
        var status = statvfs()
        let known = statvfs(FileSystem.folder(of: path), &status) == 0
        let nameMax = known && status.f_namemax > 0 ? Int(status.f_namemax) : Int(NAME_MAX)
        for (what, bytes, max) in [
            ("name", FileSystem.name(of: path).utf8.count, nameMax),
            ("path", path.utf8.count, Int(PATH_MAX) - 1),
        ] where bytes + ending.utf8.count > max {
            throw Failure(
                .usage,
                "output: a \(what) of \(bytes) bytes; at most \(max - ending.utf8.count) are accepted, "
                    + "since \(max) are the most and one with \(ending) is needed too: \(path)")
        }
    }

    /// A file of the data set, and which part of that it should hold.
    package struct Part {
        package let path: String
        package let range: Range<Int>
    }

    /// How many files there are.
    package var count: Int { layout == .shared ? 1 : shards.count }

    /// One of them.
    package func part(_ number: Int) -> Part {
        Part(
            path: path(of: number), range: layout == .shared ? 0..<shards.size : shards[number])
    }

    /// Fails where the files or the manifest cannot be made or replaced, or the way to one leads through a link of somebody
    /// else, which is found before anything is written through it.
    package func requireWritable() throws(Failure) {
        try FileSystem.requireWritableFolder(FileSystem.folder(of: path))
        _ = try Place(path, mayBeLinkOfOthers: true)
        _ = try Place(Manifest.path(for: path))
        try Manifest.requireOwnPlace(for: path)
    }
}
