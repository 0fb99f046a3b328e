// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// Which rank reads back what which rank wrote.
///
/// A node that reads what it wrote itself may be given it from its own memory, which says nothing of the storage.
enum ReadOrder: String, CaseIterable {
    /// Each rank reads its own shard.
    case same
    /// Each rank reads the shard of one on the next node, by where the ranks really are.
    case shift
    /// Shards are dealt anew, by a number that is the same for the same seed.
    case shuffle

    /// The ranks in the order of what they read, and how many of them read what their own node wrote.
    struct Readers {
        var ranks: Communicator
        let onOwnNode: Int
    }

    /// Whose data the rank at a place reads, and at which place its own is read; ranks are counted node after node.
    ///
    /// - Parameters:
    ///   - place: 0 ..< `count`.
    ///   - count: all ranks.
    ///   - ranksPerNode: the most ranks on one node.
    ///   - seed: for ``shuffle``.
    /// - Returns: the two places.
    func partners(
        of place: Int, among count: Int, ranksPerNode: Int, seed: UInt64
    ) -> (target: Int, origin: Int) {
        switch self {
        case .same: return (place, place)
        case .shift:
            // Past all ranks of any node.
            let distance = ranksPerNode % count
            return ((place + distance) % count, (place + count - distance) % count)
        case .shuffle:
            let permutation = Permutation(count: count, seed: seed)
            return (permutation[place], permutation.place(of: place))
        }
    }

    /// Deals the shards; collective.
    ///
    /// O(1) memory for each rank, and a sort of all ranks by the library (`MPI_Comm_split`).
    ///
    /// - Parameters:
    ///   - session: the ranks.
    ///   - seed: for ``shuffle``.
    /// - Returns: the readers; their communicator is to be released.
    /// - Throws: `MPIError`.
    func readers(_ session: Session, seed: UInt64) throws -> Readers {
        let (world, node) = (session.world, session.node)
        // Ranks node after node: the place of this one, and where its node begins.
        var before = try world.ordered(by: node.rank == 0 ? world.rank : world.size + world.rank)
        let nodeStart = try before.scanBefore(node.rank == 0 ? node.size : 0, .sum, initial: 0)
        let start = try node.allReduce(node.rank == 0 ? nodeStart : 0, .sum)
        let place = start + node.rank
        var byPlace = try world.ordered(by: place)
        let (target, origin) = partners(
            of: place, among: world.size, ranksPerNode: session.ranksPerNode, seed: seed)
        // Who wrote for this one to read tells its rank, which is its shard's number.
        let shard = try byPlace.exchange(world.rank, to: origin, from: target)
        try before.release()
        try byPlace.release()
        let isOwn = (start..<start + node.size).contains(target)
        return Readers(
            ranks: try world.ordered(by: shard),
            onOwnNode: try world.allReduce(isOwn ? 1 : 0, .sum))
    }
}

/// A shuffled order of 0 ..< count, any place of which is found in constant time: a Feistel network over the next
/// power of 4, walked until it is back in range (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
struct Permutation {
    private let count: Int
    private let halfBits: Int
    private let keys: [UInt64]

    /// An order that is the same for the same `count` and `seed`.
    init(count: Int, seed: UInt64) {
        precondition(count >= 1, "a permutation needs a place")
        self.count = count
        halfBits = max(1, (Int.bitWidth - (count - 1).leadingZeroBitCount + 1) / 2)
        keys = (1...4).map { Self.mixed(seed &+ $0 &* 0x9E37_79B9_7F4A_7C15) }
    }

    /// What stands at `place`.
    subscript(place: Int) -> Int { walk(from: place, keys) }

    /// Where `value` stands.
    func place(of value: Int) -> Int { walk(from: value, nil) }

    /// - Complexity: O(1) on average: at least a quarter of the network's values are in range.
    private func walk(from start: Int, _ forward: [UInt64]?) -> Int {
        var value = UInt64(start)
        repeat {
            value = forward == nil ? backward(value) : self.forward(value)
        } while value >= count
        return Int(value)
    }

    private func forward(_ value: UInt64) -> UInt64 {
        var (left, right) = halves(value)
        for key in keys { (left, right) = (right, left ^ round(right, key)) }
        return left << UInt64(halfBits) | right
    }

    private func backward(_ value: UInt64) -> UInt64 {
        var (left, right) = halves(value)
        for key in keys.reversed() { (left, right) = (right ^ round(left, key), left) }
        return left << UInt64(halfBits) | right
    }

    private var mask: UInt64 { 1 << UInt64(halfBits) - 1 }

    private func halves(_ value: UInt64) -> (UInt64, UInt64) {
        (value >> UInt64(halfBits) & mask, value & mask)
    }

    private func round(_ half: UInt64, _ key: UInt64) -> UInt64 { Self.mixed(half ^ key) & mask }

    /// The finaliser of SplitMix64.
    static func mixed(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
