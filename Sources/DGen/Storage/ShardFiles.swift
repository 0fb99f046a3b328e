// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// The files of a data set that has one for each rank that wrote it, as one.
///
/// A rank writes its own, which it has open all the time, and opens what it reads when it comes to it.
final class ShardFiles: DataFile {
    private let shards: Shards
    /// The files that this rank asks for their length.
    private let counted: StrideTo<Int>
    private let lengthOfShard: (Int) throws -> Int
    private let open: (Int) throws -> any DataFile
    private var current: (shard: Int, file: any DataFile)?

    /// Prepares to open files.
    ///
    /// - Parameters:
    ///   - shards: what each file holds.
    ///   - rank: this rank.
    ///   - ranks: how many ranks have the files open together.
    ///   - length: the length of a shard's file.
    ///   - open: opens a shard's file, by this rank alone.
    init(
        _ shards: Shards, rank: Int, of ranks: Int, length: @escaping (Int) throws -> Int,
        open: @escaping (Int) throws -> any DataFile
    ) {
        self.shards = shards
        counted = stride(from: rank, to: shards.count, by: ranks)
        lengthOfShard = length
        self.open = open
    }

    /// Opens the file of a shard.
    func open(shard: Int) throws { _ = try file(of: shard) }

    private func file(of shard: Int) throws -> any DataFile {
        if let current, current.shard == shard { return current.file }
        try close()
        let file = try open(shard)
        current = (shard, file)
        return file
    }

    func extentEnd(at offset: Int) -> Int { shards[shards.rank(of: offset)].upperBound }

    func storedEnd(at offset: Int) throws -> Int {
        let shard = shards.rank(of: offset)
        return Self.sum(shards[shard].lowerBound, try file(of: shard).size())
    }

    func size() throws -> Int {
        try counted.reduce(0) {
            // There may be millions.
            if let interruption = Interruption.failure { throw interruption }
            return Self.sum($0, try lengthOfShard($1))
        }
    }

    /// Files with holes may have more bytes together than there are numbers: then the largest one.
    private static func sum(_ first: Int, _ second: Int) -> Int {
        let (sum, isTooLarge) = first.addingReportingOverflow(second)
        return isTooLarge ? .max : sum
    }

    /// Cuts the file that is open.
    func setSize(_ size: Int) throws { try current?.file.setSize(size) }

    func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws {
        let shard = shards.rank(of: offset)
        try file(of: shard).write(buffer, at: offset - shards[shard].lowerBound)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        let shard = shards.rank(of: offset)
        precondition(
            offset + buffer.count <= shards[shard].upperBound, "a read must end with its shard")
        return try file(of: shard).read(into: buffer, at: offset - shards[shard].lowerBound)
    }

    func sync() throws { try current?.file.sync() }

    func close() throws {
        defer { current = nil }
        try current?.file.close()
    }

    func reportedHints() throws -> [(key: String, value: String)] {
        try current?.file.reportedHints() ?? []
    }
}
