// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// Into how many files a data set is written.
enum FileLayout: String, CaseIterable, Codable {
    /// One that all ranks share.
    case shared
    /// One for each rank, which holds its shard.
    case perRank = "per-rank"

    /// The file of rank `rank` of those that wrote the data set at `path`: eight digits, more where there are more ranks.
    func path(_ path: String, rank: Int) -> String {
        guard self == .perRank else { return path }
        let digits = String(rank)
        return path + "." + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

/// The files that hold a data set, by how it was written.
struct FileSet {
    /// The path that users give: the file itself, or what the names of all files begin with.
    let path: String
    let layout: FileLayout
    /// What each rank that wrote it has written.
    let shards: Shards

    /// The file that holds the shard of a rank that wrote it.
    func path(of rank: Int) -> String { layout.path(path, rank: rank) }

    /// Has each node forget what it holds in memory of the files that its ranks read from, each of them a range of the data
    /// set; collective.
    ///
    /// Every rank asks for what it reads; for a file that all of them share, one on each node.
    func dropCache(of range: Range<Int>, _ session: Session) throws {
        try session.together {
            guard layout == .perRank else {
                if session.node.rank == 0 { try FileSystem.dropCache(path) }
                return
            }
            guard let last = range.last else { return }
            for rank in shards.rank(of: range.lowerBound)...shards.rank(of: last) {
                try FileSystem.dropCache(path(of: rank))
            }
        }
    }
}
