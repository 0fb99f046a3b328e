// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen
internal import Logging
internal import NUMA

/// The threads that make bytes, shared by all data sources that want them alike.
final class Threads {
    let pool: WorkerPool
    let placer: Placer

    private struct Wish: Hashable {
        let count: Int
        let mode: Placement.Mode
        let node: Int?
    }

    // Touched under Python's lock only.
    nonisolated(unsafe) private static var made: [Wish: Threads] = [:]

    /// How many processors this process may use, as it was found with an affinity mask.
    nonisolated(unsafe) private static var usable: (mask: [UInt8], count: Int)?

    /// Looks again only when the mask has changed: reading files of `/proc` and `/sys` takes longer than all the
    /// rest of opening a data set.
    private static func usableProcessors() -> Int {
        let mask = Processors.affinityMask
        if let usable, !mask.isEmpty, usable.mask == mask { return usable.count }
        let count = Processors.usable
        usable = (mask, count)
        return count
    }

    private init(_ wish: Wish) throws(Placement.UnusableNode) {
        let placement = try Placement(
            threads: wish.count, mode: wish.mode, node: wish.node, topology: Topology(),
            allowed: Processors.allowed)
        let placer = Placer(placement, logger: Logger(label: "threads"))
        self.placer = placer
        pool = WorkerPool(count: wish.count, prepare: placer.pin(thread:))
    }

    /// The threads that some arguments ask for: how many (0: as many as may be used), when they are placed
    /// on memory nodes, and the node that they are to be on (-1: any).
    static func wanted(_ arguments: Arguments, _ index: Int) throws(PythonError) -> Threads {
        let count = try arguments.integer(index, "max_threads", in: 0...4096)
        let mode: Placement.Mode = try arguments.choice(
            index + 1, "numa_mode", "auto, force or disabled")
        let node = try arguments.integer(index + 2, "numa_node", in: -1...65535)
        let wish = Wish(
            count: count == 0 ? usableProcessors() : count, mode: mode, node: node < 0 ? nil : node)
        if let threads = made[wish] { return threads }
        do {
            let threads = try Threads(wish)
            made[wish] = threads
            return threads
        } catch {
            let usable = error.usable.map(String.init).joined(separator: " ")
            throw .value(
                "numa_node: '\(error.node)' is not accepted; give a node with processors that this "
                    + "process may use: \(usable)")
        }
    }
}
