// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import MPI
import NUMA

/// `dgen-mpi info`: what this program is and what it found on this machine.
struct Info: Encodable {
    struct Library: Encodable {
        let library: String
        let standard: String
        let ioComponents: [String]
        let ioComponentRequested: String
    }

    /// The memory nodes of the machine, or of the tree that `--sys-root` names.
    struct Memory: Encodable {
        struct Node: Encodable {
            let id: Int
            let cpus: [Int]
            let memoryTotalBytes: Int?
            let memoryFreeBytes: Int?
            let distances: [Int]
        }

        let isNuma: Bool
        let cores: Int
        let threads: Int
        let nodes: [Node]

        init(_ topology: Topology) {
            isNuma = topology.isNUMA
            cores = topology.coreCount
            threads = topology.threadCount
            nodes = topology.nodes.map {
                Node(
                    id: $0.id, cpus: $0.cpus, memoryTotalBytes: $0.memoryTotalBytes,
                    memoryFreeBytes: $0.memoryFreeBytes, distances: $0.distances)
            }
        }
    }

    let format = "dgen-info/1"
    let version = Version.current
    let kernels = Kernel.supported.map(\.rawValue)
    let kernel: String
    /// The processors that this process may use.
    let processors: Int
    let numa: Memory
    let mpi: Library

    /// Looks at the machine; `root` stands for `/` where the memory nodes are read.
    init(_ settings: Settings, root: String) throws {
        let topology = Topology(root: root)
        numa = Memory(topology)
        processors = Processors.allowed?.count ?? topology.threadCount
        kernel = try settings.kernel().rawValue
        let components = IOComponents()
        mpi = Library(
            library: MPIRuntime.libraryVersion, standard: MPIRuntime.standardVersion,
            ioComponents: components.available, ioComponentRequested: components.requested)
    }

    var table: Table {
        var table = Table()
        table.row("version", version)
        table.row("kernel", "\(kernel) (of \(kernels.joined(separator: ", ")))")
        table.row("processors", "\(processors)")
        table.row(
            "memory nodes",
            "\(numa.nodes.count), \(numa.cores) cores, \(numa.threads) threads")
        for node in numa.nodes {
            let memory = node.memoryTotalBytes.map(ByteSize.format) ?? "unknown size"
            let free = node.memoryFreeBytes.map { ", \(ByteSize.format($0)) free" } ?? ""
            table.row("  node \(node.id)", "\(node.cpus.count) processors, \(memory)\(free)")
        }
        table.row("MPI", "\(mpi.library), standard \(mpi.standard)")
        let available =
            mpi.ioComponents.isEmpty ? "not told" : mpi.ioComponents.joined(separator: ", ")
        let requested = mpi.ioComponentRequested
        table.row(
            "MPI-IO",
            "\(available); "
                + (requested.isEmpty ? "the library chooses" : "\(requested) requested"))
        return table
    }
}
