// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen
internal import Glibc
internal import Logging
internal import NUMA

/// The threads that make bytes, shared by all data sources that want them alike.
final class Threads {
    let pool: WorkerPool
    let placer: Placer

    /// What was asked for.
    struct Wish: Hashable {
        /// Nil for as many as may be used.
        fileprivate(set) var count: Int?
        let mode: Placement.Mode
        let node: Int?
        /// Where the variable `DGEN_THREADS` goes before what may be used.
        fileprivate let isLeftToEnvironment: Bool

        /// As many as may be used, or as the environment says.
        static let any = Wish(count: nil, mode: .auto, node: nil, isLeftToEnvironment: true)
        static let one = Wish(count: 1, mode: .off, node: nil, isLeftToEnvironment: false)

        /// The count as arguments have it.
        var number: Int { isLeftToEnvironment ? -1 : count ?? 0 }

        /// Whether it matters at once where they are.
        var isPlaced: Bool { node != nil || mode == .force }

        /// What it comes to with the environment as it is.
        func now() throws(PythonError) -> Wish {
            guard isLeftToEnvironment, let variable = getenv("DGEN_THREADS"), variable.pointee != 0
            else { return self }
            let text = String(cString: variable)
            let isNumber = text.utf8.allSatisfy { (48...57).contains($0) }
            // More than fit are more than are ever started.
            let number = isNumber ? Int(text) ?? threadsMax : 0
            guard number > 0 else {
                let refusal = InvalidField(
                    field: "DGEN_THREADS", value: text, accepted: "a number of threads")
                throw .value(refusal.description)
            }
            var wish = self
            wish.count = min(number, threadsMax)
            return wish
        }
    }

    private static let threadsMax = 4096

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

    private init(_ wish: Wish, count: Int) throws(Placement.UnusableNode) {
        let placement = try Placement(
            threads: count, mode: wish.mode, node: wish.node, topology: Topology(),
            allowed: Processors.allowed)
        let placer = Placer(placement, logger: Logger(label: "threads"))
        self.placer = placer
        pool = WorkerPool(count: count, prepare: placer.pin(thread:))
    }

    /// What some arguments ask for: how many threads (0: as many as may be used, -1: as the environment says, or as many),
    /// when they are placed on memory nodes, and the node that they are to be on (-1: any).
    static func wish(_ arguments: Arguments, _ index: Int) throws(PythonError) -> Wish {
        let count = try arguments.integer(index, "max_threads", in: -1...threadsMax)
        let mode: Placement.Mode = try arguments.choice(
            index + 1, "numa_mode", "auto, force or disabled")
        let node = try arguments.integer(index + 2, "numa_node", in: -1...65535)
        return Wish(
            count: count > 0 ? count : nil, mode: mode, node: node < 0 ? nil : node,
            isLeftToEnvironment: count < 0)
    }

    /// The threads that some arguments ask for.
    static func wanted(_ arguments: Arguments, _ index: Int) throws(PythonError) -> Threads {
        try wanted(try wish(arguments, index).now())
    }

    static func wanted(_ wish: Wish) throws(PythonError) -> Threads {
        let count = wish.count ?? usableProcessors()
        let key = Wish(count: count, mode: wish.mode, node: wish.node, isLeftToEnvironment: false)
        if let threads = made[key] { return threads }
        do {
            let threads = try Threads(key, count: count)
            made[key] = threads
            return threads
        } catch {
            let usable = error.usable.map(String.init).joined(separator: " ")
            throw .value(
                "numa_node: '\(error.node)' is not accepted; give a node with processors that this "
                    + "process may use: \(usable)")
        }
    }
}
