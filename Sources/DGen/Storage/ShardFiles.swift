// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// The files of a data set that has one for each rank that wrote it, as one.
///
/// A rank writes its own, which it has open all the time, and opens what it reads when it comes to it.
final class ShardFiles: DataFile {
    private let shards: Shards
    /// The files that this rank asks for their length.
    private let counted: StrideTo<Int>
    private let lengthOfShard: (Int) throws(Failure) -> Int
    private let open: (Int) throws(Failure) -> any DataFile
    private var current: (shard: Int, file: any DataFile)?
    /// Those that were written to, and not yet brought to stable storage since: an update goes to and fro between them.
    private var unsynced: Set<Int> = []
    /// The most of them, so that memory is constant.
    private static let unsyncedMax = 4096

    /// Prepares to open files, each by the rank alone that asks for it; `ranks` have them open together.
    init(
        _ shards: Shards, rank: Int, of ranks: Int,
        length: @escaping (Int) throws(Failure) -> Int,
        open: @escaping (Int) throws(Failure) -> any DataFile
    ) {
        self.shards = shards
        counted = stride(from: rank, to: shards.count, by: ranks)
        lengthOfShard = length
        self.open = open
    }

    /// Opens the file of a shard.
    func open(shard: Int) throws(Failure) { _ = try file(of: shard) }

    private func file(of shard: Int) throws(Failure) -> any DataFile {
        if let current, current.shard == shard { return current.file }
        try close()
        let file = try open(shard)
        current = (shard, file)
        return file
    }

    func extentEnd(at offset: Int) -> Int { shards[shards.rank(of: offset)].upperBound }

    func storedEnd(at offset: Int) throws(Failure) -> Int {
        let shard = shards.rank(of: offset)
        return Self.sum(shards[shard].lowerBound, try file(of: shard).size())
    }

    func size() throws(Failure) -> Int {
        var bytes = 0
        for shard in counted {
            // There may be millions.
            if let interruption = Interruption.failure { throw interruption }
            bytes = Self.sum(bytes, try lengthOfShard(shard))
        }
        return bytes
    }

    /// Files with holes may have more bytes together than there are numbers: then the largest one.
    private static func sum(_ first: Int, _ second: Int) -> Int {
        let (sum, isTooLarge) = first.addingReportingOverflow(second)
        return isTooLarge ? .max : sum
    }

    func write(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) {
        let shard = shards.rank(of: offset)
        try file(of: shard).write(
            buffer, at: offset - shards[shard].lowerBound, together: together)
        unsynced.insert(shard)
        if unsynced.count >= Self.unsyncedMax { try sync() }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int {
        let shard = shards.rank(of: offset)
        precondition(
            offset + buffer.count <= shards[shard].upperBound, "a read must end with its shard")
        return try file(of: shard).read(
            into: buffer, at: offset - shards[shard].lowerBound, together: together)
    }

    /// Brings every file to stable storage that was written to: to close one does not.
    func sync() throws(Failure) {
        try current?.file.sync()
        if let current { unsynced.remove(current.shard) }
        for shard in unsynced.sorted() {
            if let interruption = Interruption.failure { throw interruption }
            try file(of: shard).sync()
            unsynced.remove(shard)
        }
    }

    func close() throws(Failure) { try current.take()?.file.close() }

    func reportedHints() throws(Failure) -> [(key: String, value: String)] {
        try current?.file.reportedHints() ?? []
    }
}
