// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import DataGen
import FoundationEssentials
import Logging
import MPI
import NUMA
import Options
import Synchronization

struct InfoCommand: RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Print version, kernels, processors, memory nodes and the MPI library.",
        discussion: """
            With --threads, --numa or --numa-node it also fills a buffer as a run with these options \
            would, and prints where threads and pages are then.
            """)

    @Option(help: "Read memory nodes from a copy of another machine's /sys and /proc.")
    var sysRoot = "/"

    @OptionGroup(title: "Placement") var placement: PlacementOptions
    @OptionGroup(title: "Result") var result: ResultOptions

    func answer(_ settings: Settings) throws(Failure) -> any Answer {
        try Info(settings, root: sysRoot)
    }
}

/// `dgen-mpi info`: what this program is and what it found on this machine.
struct Info: Answer {
    struct Library: Encodable {
        let library: String
        /// Where it is, why that one is taken, and what stands between; empty where there is none.
        let libraryPath: String
        let libraryRule: String
        let backend: String
        /// Why there is none; empty where there is one.
        let problem: String
        let standard: String
        let ioComponents: [String]
        let ioComponentRequested: String
    }

    /// The memory nodes of the machine, or of the tree that `--sys-root` names.
    struct Memory: Encodable {
        struct Node: Encodable {
            let id: Int
            /// Nil where they are not known, for the reason that comes next.
            let cpus: [Int]?
            let cpusProblem: String?
            let memoryTotalBytes: Int?
            let memoryFreeBytes: Int?
            let distances: [Int]
        }

        let isNuma: Bool
        /// Whether all processors are known; if not, there are so many at least.
        let complete: Bool
        let cores: Int
        let threads: Int
        let nodes: [Node]

        init(_ topology: Topology) {
            isNuma = topology.isNUMA
            complete = topology.isComplete
            cores = topology.coreCount
            threads = topology.threadCount
            nodes = topology.nodes.map {
                Node(
                    id: $0.id, cpus: $0.cpusProblem == nil ? $0.cpus : nil,
                    cpusProblem: $0.cpusProblem, memoryTotalBytes: $0.memoryTotalBytes,
                    memoryFreeBytes: $0.memoryFreeBytes, distances: $0.distances)
            }
        }
    }

    /// What the kernel says of one thread and its part of a buffer, after it was filled.
    struct ThreadPlace: Encodable {
        let thread: Int
        /// The node that it was given; nil where nothing is placed.
        let nodeWanted: Int?
        let cpu: Int
        let cpusAllowed: [Int]
        /// Pages of its part by the node that they lie on.
        let pagesByNode: [String: Int]
    }

    let format = "dgen-info/1"
    let version = Version.current
    let kernels = Kernel.supported.map(\.rawValue)
    let kernel: String
    let processors: Int
    let numa: Memory
    /// Where threads and pages went, if that was asked.
    let placement: [ThreadPlace]?
    let mpi: Library

    /// Looks at the machine; `root` stands for `/` where the memory nodes are read.
    init(_ settings: Settings, root: String) throws(Failure) {
        let topology = Topology(root: root)
        numa = Memory(topology)
        processors = Processors.usable
        let isPlacementAsked = [.threads, .numa, .numaNode].contains(where: settings.has)
        placement =
            isPlacementAsked
            ? try Failure.reading(Self.place(settings, threadsDefault: processors, topology)) : nil
        kernel = try Failure.reading(settings.kernel().rawValue)
        var problem = ""
        do { try MPILibrary.load() } catch { problem = error.message }
        let found = MPILibrary.current
        let components = IOComponents()
        mpi = Library(
            library: MPIRuntime.libraryVersion, libraryPath: found?.path ?? "",
            libraryRule: found?.rule ?? "", backend: found?.backend ?? "", problem: problem,
            standard: MPIRuntime.standardVersion,
            ioComponents: components.available, ioComponentRequested: components.requested)
    }

    /// Fills a buffer as a run would, and asks the kernel where everything is.
    private static func place(
        _ settings: Settings, threadsDefault: Int, _ topology: Topology
    ) throws(InvalidField) -> [ThreadPlace] {
        let threads = try settings[.threads] ?? threadsDefault
        let placement = try settings.placement(threads: threads, topology: topology)
        let placer = Placer(placement, logger: Logger(label: "command"))
        // The memory first: pinning the calling thread must not decide for it.
        let size = max(threads, 2) << 20
        let generator = ParallelGenerator(
            try DataSpec(size: size, seed: 0), threads: threads, prepare: placer.pin(thread:))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
        defer { buffer.deallocate() }
        placer.place(buffer, parts: generator.parts(of: buffer.count))
        placer.pin(thread: 0)
        generator.fill(buffer, at: 0)
        let parts = generator.parts(of: size)
        let places = Mutex<[ThreadPlace]>([])
        nonisolated(unsafe) let start = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
        generator.onEachThread { thread in
            let part = thread < parts.count ? parts[thread] : 0..<0
            var pages: [String: Int] = [:]
            for offset in stride(from: part.lowerBound, to: part.upperBound, by: 4096) {
                let node = try? MemoryPolicy.node(of: start + offset)
                pages[node.map(String.init) ?? "unknown", default: 0] += 1
            }
            let place = ThreadPlace(
                thread: thread, nodeWanted: placement.isOn ? placement.threads[thread].node : nil,
                cpu: MemoryPolicy.currentProcessor(),
                cpusAllowed: Processors.allowedForThread ?? [], pagesByNode: pages)
            places.withLock { $0.append(place) }
        }
        return places.withLock { $0.sorted { $0.thread < $1.thread } }
    }

    var table: Table {
        var table = Table()
        table.row("version", version)
        table.row("kernel", "\(kernel) (of \(kernels.joined(separator: ", ")))")
        table.row("processors", "\(processors)")
        let least = numa.complete ? "" : "at least "
        table.row(
            "memory nodes",
            "\(numa.nodes.count), \(least)\(numa.cores) cores, \(numa.threads) threads")
        for node in numa.nodes {
            let memory = node.memoryTotalBytes.map(ByteSize.format) ?? "unknown size"
            let free = node.memoryFreeBytes.map { ", \(ByteSize.format($0)) free" } ?? ""
            let count = node.cpus.map { "\($0.count)" } ?? "unknown"
            table.row("  node \(node.id)", "\(count) processors, \(memory)\(free)")
            if let problem = node.cpusProblem { table.row("", problem) }
        }
        for place in placement ?? [] {
            let pages = place.pagesByNode.sorted { $0.key < $1.key }
                .map { "\($0.value) on node \($0.key)" }.joined(separator: ", ")
            table.row(
                "  thread \(place.thread)",
                (place.nodeWanted.map { "for node \($0), " } ?? "")
                    + "on processor \(place.cpu), pages: \(pages)")
        }
        if mpi.problem.isEmpty {
            table.row("MPI", "\(mpi.library), standard \(mpi.standard)")
            table.row("  library", "\(mpi.libraryPath) (\(mpi.libraryRule))")
            table.row("  backend", mpi.backend)
        } else {
            table.row("MPI", mpi.problem)
        }
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
