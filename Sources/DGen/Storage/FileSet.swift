// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// The files of a data set, as ranks share them.
extension FileSet {
    /// Does something with each of the files that this rank looks after, one after the other: a manifest may tell of millions.
    ///
    /// Of a file that all ranks share the first of all looks after it, or with `onEachNode` the first of each node. Throws
    /// what `body` throws, and between files an interruption.
    func forOwn(
        _ session: Session, onEachNode: Bool = false, _ body: (Part) throws(Failure) -> Void
    ) throws(Failure) {
        let isShared = layout == .shared
        let ranks = isShared && onEachNode ? session.node : session.world
        for number in stride(from: ranks.rank, to: count, by: ranks.size) {
            if number > ranks.rank, let interruption = Interruption.failure { throw interruption }
            try body(part(number))
        }
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
