// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI
import Options

extension ReadOrder {
    /// At which place the rank is whose data the rank at `place` reads, and the one that reads its own; ranks are counted
    /// node after node, `ranksPerNode` at most on one.
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

    /// Runs `body` with the ranks in the order of what they read, and how many read what their own node wrote; collective.
    ///
    /// O(1) memory for each rank, and a sort of all ranks by the library (`MPI_Comm_split`).
    func deal<Result>(
        _ session: Session, seed: UInt64,
        _ body: (_ readers: Ranks, _ onOwnNode: Int) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let world = session.world
        let (place, ofNode) = try session.placeByNode()
        let (target, origin) = partners(
            of: place, among: world.size, ranksPerNode: session.ranksPerNode, seed: seed)
        // Who wrote for this one to read tells its rank, which is its shard's number.
        let shard = try world.ordered(by: place) {
            try $0.exchange(world.rank, to: origin, from: target)
        }
        let isOwn = ofNode.contains(target)
        let onOwnNode = try world.allReduce(isOwn ? 1 : 0, .sum)
        return try world.ordered(by: shard) {
            try body($0, onOwnNode)
        }
    }
}
