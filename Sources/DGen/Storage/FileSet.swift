// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options

extension FileLayout {
    /// The file of rank `rank` of those that wrote the data set at `path`: eight digits, more where there are more ranks.
    func path(_ path: String, rank: Int) -> String {
        guard self == .perRank else { return path }
        let digits = String(rank)
        return path + "." + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// The data set and the rank of it that a file with this name would belong to; nil for a name that no rank has.
    static func rank(of name: String) -> (base: String, rank: Int)? {
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
    static func rankFiles(of path: String) -> [(path: String, isLink: Bool)] {
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
struct FileSet {
    /// The path that users give: the file itself, or what the names of all files begin with.
    let path: String
    let layout: FileLayout
    /// What each rank that wrote it has written.
    let shards: Shards
    /// What it is, if it is no file.
    var target = Target.file

    /// Where the manifest is; nil where none is kept.
    var manifestPath: String? { target.manifestPath(for: path) }

    /// The bytes at `path` that the data set may have, as far as they are there; nil for nothing.
    func storedBytes(_ path: String) throws(Failure) -> Int? {
        target.isFile
            ? try FileSystem.state(path)?.size : min(target.deviceBytes, shards.size)
    }

    /// The file that holds the shard of a rank that wrote it.
    func path(of rank: Int) -> String { layout.path(path, rank: rank) }

    /// Fails where a name would be too long for the file system, that of the manifest among them.
    func requireShortNames() throws(Failure) {
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
    struct Part {
        let path: String
        let range: Range<Int>
    }

    /// Does something with each of the files that this rank looks after, one after the other: a manifest may tell of millions.
    ///
    /// Of a file that all ranks share the first of all looks after it, or with `onEachNode` the first of each node. Throws
    /// what `body` throws, and between files an interruption.
    func forOwn(
        _ session: Session, onEachNode: Bool = false, _ body: (Part) throws(Failure) -> Void
    ) throws(Failure) {
        let isShared = layout == .shared
        let ranks = isShared && onEachNode ? session.node : session.world
        for number in stride(from: ranks.rank, to: isShared ? 1 : shards.count, by: ranks.size) {
            if number > ranks.rank, let interruption = Interruption.failure { throw interruption }
            try body(
                Part(path: path(of: number), range: isShared ? 0..<shards.size : shards[number]))
        }
    }

    /// Fails where the files or the manifest cannot be made or replaced, or the way to one leads through a link of somebody
    /// else, which is found before anything is written through it.
    func requireWritable() throws(Failure) {
        try FileSystem.requireWritableFolder(FileSystem.folder(of: path))
        _ = try Place(path, mayBeLinkOfOthers: true)
        _ = try Place(Manifest.path(for: path))
        try Manifest.requireOwnPlace(for: path)
    }

    /// Fails where two files of ranks are one, by links; collective.
    func requireApart(_ session: Session) throws(Failure) {
        guard layout == .perRank else { return }
        var linked: [String] = []
        try session.together {
            try forOwn(session) { own in
                FileSystem.identityOfLinked(own.path).map { linked.append($0) }
            }
        }
        let all = try session.collect(linked)
        guard !all.isEmpty else { return }
        let counts = Dictionary(all.map { ($0, 1) }, uniquingKeysWith: +)
        try session.together {
            try forOwn(session) { own throws(Failure) in
                let path = own.path
                guard let identity = FileSystem.identity(path), let count = counts[identity],
                    count > 1 || !linked.contains(identity)
                else { return }
                throw Failure(.usage, "output: \(path) is the file of another rank too, by a link")
            }
        }
    }

    /// Has each node forget what it holds in memory of the files that its ranks read from, each of them a range of the data
    /// set; collective.
    ///
    /// Every rank asks for what it reads; for a file that all of them share, one on each node.
    func dropCache(of range: Range<Int>, _ session: Session) throws(Failure) {
        try session.together {
            guard layout == .perRank else {
                if session.node.rank == 0 { try FileSystem.dropCache(path) }
                return
            }
            guard let last = range.last else { return }
            for rank in shards.rank(of: range.lowerBound)...shards.rank(of: last) {
                if let interruption = Interruption.failure { throw interruption }
                try FileSystem.dropCache(path(of: rank))
            }
        }
    }
}
