// SPDX-License-Identifier: MIT OR Apache-2.0

/// The memory nodes of a machine, read from a tree that holds `sys/devices/system` and `proc`.
///
/// Machines differ: nodes without processors, sparse numbers, masks instead of lists, files that are
/// missing or broken. What a file does not say is left empty, and of processors it is told; reading never fails.
package struct Topology: Sendable, Equatable {
    /// One memory node.
    package struct Node: Sendable, Equatable {
        /// The kernel's number of the node; numbers may have gaps.
        package let id: Int
        /// The processors that are near to its memory, in ascending order; none on nodes that are
        /// memory only, and where ``cpusProblem`` says why they are not known.
        package let cpus: [Int]
        /// Why the processors are not known; nil where they are.
        package let cpusProblem: String?
        /// Its memory in bytes; nil where the kernel does not say.
        package let memoryTotalBytes: Int?
        /// Its free memory in bytes; nil where the kernel does not say.
        package let memoryFreeBytes: Int?
        /// The distance to each node in the order of ``Topology/nodes``, 10 being its own; empty where
        /// the kernel does not say.
        package let distances: [Int]
    }

    /// The nodes in ascending order of their numbers; one at least.
    package let nodes: [Node]
    /// Cores, each of which may run several threads.
    package let coreCount: Int
    /// Hardware threads: what the kernel calls processors.
    package let threadCount: Int

    /// Whether the processors of all nodes are known; if not, there may be more cores and threads than are counted.
    package let isComplete: Bool

    /// Whether memory has more than one place.
    package var isNUMA: Bool { nodes.count > 1 }

    /// Reads the topology of a machine.
    ///
    /// - Parameter root: the folder that stands for `/`: that itself, or a copy of another machine's
    ///   `/sys/devices/system` and `/proc`.
    package init(root: String = "/") {
        let root = root.hasSuffix("/") ? root : root + "/"
        let folder = root + "sys/devices/system/node"
        let ids = (KernelFile.names(folder) ?? []).compactMap { name -> Int? in
            guard name.hasPrefix("node"), let id = Int(name.dropFirst(4)), id >= 0 else {
                return nil
            }
            return id
        }.sorted()
        let listed = Self.processors(root: root)
        nodes =
            ids.isEmpty
            ? [Self.wholeMachine(root: root, processors: listed)]
            : ids.map { Self.node($0, folder: "\(folder)/node\($0)") }
        let near = Set(nodes.flatMap(\.cpus)).sorted()
        isComplete = nodes.allSatisfy { $0.cpusProblem == nil }
        let threads = near.isEmpty || !isComplete ? Set(near + listed).sorted() : near
        threadCount = max(threads.count, 1)
        coreCount = Self.cores(of: threads, root: root)
    }

    private static func node(_ id: Int, folder: String) -> Node {
        let list = KernelFile.text(folder + "/cpulist")
        // Kernels before 2.6.26 have the mask only.
        let mask = KernelFile.text(folder + "/cpumap")
        let cpus =
            list.flatMap { CPUSet.parse(list: $0) } ?? mask.flatMap { CPUSet.parse(mask: $0) }
        let memory = KernelFile.text(folder + "/meminfo") ?? ""
        let distances = (KernelFile.line(folder + "/distance") ?? "")
            .split(whereSeparator: \.isWhitespace).map { Int($0) }
        return Node(
            id: id, cpus: cpus ?? [],
            cpusProblem: cpus == nil
                ? Self.problem(of: list, "\(folder)/cpulist") ?? Self.problem(
                    of: mask, "\(folder)/cpumap")
                    ?? "\(folder)/cpulist and cpumap: cannot be read" : nil,
            memoryTotalBytes: KernelFile.bytes(of: "Node \(id) MemTotal", in: memory),
            memoryFreeBytes: KernelFile.bytes(of: "Node \(id) MemFree", in: memory),
            distances: distances.contains(nil) ? [] : distances.compactMap { $0 })
    }

    /// What is wrong with the text of a file that should list processors; nil where there is none.
    private static func problem(of text: String?, _ path: String) -> String? {
        guard let text else { return nil }
        let line = KernelFile.line(of: text) ?? text.prefix(while: { !$0.isNewline })
        return "\(path): \(String(reflecting: String(line.prefix(40)))) lists no processors"
    }

    /// A machine whose kernel tells no nodes.
    private static func wholeMachine(root: String, processors: [Int]) -> Node {
        let memory = KernelFile.text(root + "proc/meminfo") ?? ""
        return Node(
            id: 0, cpus: processors,
            cpusProblem: processors.isEmpty
                ? "\(root)proc/cpuinfo and \(root)sys/devices/system/cpu/online: list no processors"
                : nil,
            memoryTotalBytes: KernelFile.bytes(of: "MemTotal", in: memory),
            memoryFreeBytes: KernelFile.bytes(of: "MemFree", in: memory), distances: [10])
    }

    /// The processors that /proc/cpuinfo lists, or else those that are online.
    private static func processors(root: String) -> [Int] {
        let listed = KernelFile.values(
            of: "processor", in: KernelFile.text(root + "proc/cpuinfo") ?? ""
        ).compactMap { Int($0) }
        if !listed.isEmpty { return Set(listed).sorted() }
        let online = KernelFile.text(root + "sys/devices/system/cpu/online")
        return online.flatMap { CPUSet.parse(list: $0) } ?? []
    }

    /// How many cores `threads` belong to; each is its own where the kernel does not say.
    private static func cores(of threads: [Int], root: String) -> Int {
        let cores = threads.map { thread -> String in
            let folder = root + "sys/devices/system/cpu/cpu\(thread)/topology/"
            return KernelFile.line(folder + "thread_siblings").map(String.init)
                ?? "thread \(thread)"
        }
        return max(Set(cores).count, 1)
    }
}
