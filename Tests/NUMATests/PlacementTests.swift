// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import NUMA
import Testing

@Suite struct PlacementTests {
    /// A machine with nodes 0 and 2 of two and six processors, and node 5 that is memory only.
    private func topology() throws -> Topology {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        for (id, cpus) in [(0, "0-1"), (2, "2-7"), (5, "")] {
            let node = root.appending(path: "sys/devices/system/node/node\(id)")
            try FileManager.default.createDirectory(at: node, withIntermediateDirectories: true)
            try Data(cpus.utf8).write(to: node.appending(path: "cpulist"))
        }
        return Topology(root: root.path)
    }

    @Test func threadsFollowTheProcessorsOfEachNode() throws {
        let topology = try topology()
        func nodes(_ count: Int, _ mode: Placement.Mode, _ allowed: [Int]?) throws -> [Int] {
            try Placement(threads: count, mode: mode, topology: topology, allowed: allowed)
                .threads.map(\.node)
        }
        #expect(try nodes(8, .auto, nil) == [0, 0, 2, 2, 2, 2, 2, 2])
        #expect(try nodes(4, .auto, nil) == [0, 2, 2, 2])
        #expect(try nodes(1, .auto, nil) == [0])
        #expect(try nodes(16, .auto, nil).filter { $0 == 0 }.count == 4)
        #expect(try nodes(8, .off, nil) == [])
        // Bound to one node, as mpirun does, there is nothing to decide.
        #expect(try nodes(2, .auto, [3, 4]) == [])
        #expect(try nodes(2, .force, [3, 4]) == [2, 2])
    }

    @Test func threadsStayWithinTheMask() throws {
        let placement = try Placement(
            threads: 3, mode: .auto, topology: topology(), allowed: [1, 4, 6])
        #expect(placement.threads.map(\.cpus) == [[1], [4, 6], [4, 6]])
    }

    @Test func oneNodeIsKept() throws {
        let topology = try topology()
        let placement = try Placement(
            threads: 2, mode: .auto, node: 2, topology: topology, allowed: nil)
        #expect(placement.threads.map(\.node) == [2, 2])
        for (node, allowed) in [(1, nil), (5, nil), (0, [3])] {
            #expect(throws: Placement.UnusableNode.self) {
                try Placement(
                    threads: 2, mode: .auto, node: node, topology: topology, allowed: allowed)
            }
        }
    }

    @Test(.enabled(if: MemoryPolicy.obstacle == nil, "the system forbids memory placement"))
    func threadAndPagesGoWhereTheyAreTold() throws {
        let topology = Topology()
        let allowed = try #require(Processors.allowed)
        let placement = try Placement(
            threads: 1, mode: .force, topology: topology, allowed: [allowed[0]])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 4096)
        defer { buffer.deallocate() }
        try MemoryPolicy.place(buffer, on: placement.threads[0].node)
        nonisolated(unsafe) let start = try #require(buffer.baseAddress)
        let done = DispatchSemaphore(value: 0)
        // A thread of its own: the others of the tests keep their processors.
        let thread = Thread {
            do {
                try MemoryPolicy.pin(to: placement.threads[0].cpus)
                memset(start, 1, 1 << 16)
                #expect(Processors.allowedForThread == [allowed[0]])
                #expect(MemoryPolicy.currentProcessor() == allowed[0])
                #expect(try MemoryPolicy.node(of: start) == placement.threads[0].node)
            } catch {
                Issue.record(error)
            }
            done.signal()
        }
        thread.start()
        done.wait()
    }

    @Test func whatTheKernelRefusesIsSaid() {
        #expect(throws: PlacementError.self) { try MemoryPolicy.pin(to: []) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 4096)
        defer { buffer.deallocate() }
        do {
            try MemoryPolicy.place(buffer, on: 1000)
            Issue.record("memory was placed on a node that no machine has")
        } catch {
            #expect(error.description.hasPrefix("mbind: "))
        }
    }
}
