// SPDX-License-Identifier: MIT OR Apache-2.0

/// Which memory node each thread of a process works on, and with the memory of which.
package struct Placement: Sendable {
    /// When threads and memory are placed.
    package enum Mode: String, CaseIterable, Sendable {
        /// Where this process may use processors of several nodes.
        case auto
        /// Also where there is one node only.
        case force
        case off
    }

    /// A node that this process cannot work on.
    package struct UnusableNode: Error {
        /// The number that was asked for.
        package let node: Int
        /// The nodes that have processors which this process may use.
        package let usable: [Int]
    }

    /// The node of each thread, and the processors of it that this process may use; empty where
    /// nothing is placed.
    package let threads: [(node: Int, cpus: [Int])]

    /// Deals `count` threads to nodes, in proportion to the processors of each that may be used.
    ///
    /// - Parameters:
    ///   - count: threads.
    ///   - mode: when to place them.
    ///   - node: the one node that all shall work on.
    ///   - topology: the nodes of the machine.
    ///   - allowed: the processors that this process may use; nil for all.
    /// - Throws: ``UnusableNode`` for a `node` that is not there or has no processor of `allowed`.
    package init(
        threads count: Int, mode: Mode, node: Int? = nil, topology: Topology, allowed: [Int]?
    ) throws(UnusableNode) {
        let mask = allowed.map(Set.init)
        var usable = topology.nodes.compactMap { node -> (node: Int, cpus: [Int])? in
            let cpus = node.cpus.filter { mask?.contains($0) ?? true }
            return cpus.isEmpty ? nil : (node.id, cpus)
        }
        if let node {
            let all = usable.map(\.node)
            usable.removeAll { $0.node != node }
            guard !usable.isEmpty else { throw UnusableNode(node: node, usable: all) }
        }
        let isPlaced =
            switch mode {
            case .off: false
            case .force: !usable.isEmpty
            case .auto: usable.count > 1 || (node != nil && topology.isNUMA)
            }
        guard isPlaced else {
            threads = []
            return
        }
        // Thread t of n gets the processor that lies t n-ths of the way through all of them.
        let seats = usable.flatMap { place in place.cpus.map { _ in place } }
        threads = (0..<count).map { seats[$0 * seats.count / count] }
    }

    /// Whether threads and memory are placed.
    package var isOn: Bool { !threads.isEmpty }
}
