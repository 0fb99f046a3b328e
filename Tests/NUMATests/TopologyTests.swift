// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import NUMA
import Testing

@Suite struct CPUSetTests {
    @Test func listsAreRead() {
        #expect(CPUSet.parse(list: "0,2-4,7\n") == [0, 2, 3, 4, 7])
        #expect(CPUSet.parse(list: "\n") == [])
        #expect(CPUSet.parse(list: "3-3") == [3])
        for broken in ["abc", "1-", "4-2", "1,,2", "-1", "1 2", "1-2-3", "0-99999999999", "٣"] {
            #expect(CPUSet.parse(list: broken) == nil, "accepted: \(broken)")
        }
    }

    @Test func strayBytesBehindAListAreNoPartOfIt() {
        for stray in [
            "\0", "\n\0", "\0\0\0\0", "\n\0junk", "\0,9", "\r\n\0", "\n9-", "\u{1}", "\u{FFFD}",
            "\n\u{FFFD}x",
        ] {
            #expect(
                CPUSet.parse(list: "0-2,7" + stray) == [0, 1, 2, 7], "\(stray.debugDescription)")
            #expect(CPUSet.parse(mask: "00000003" + stray) == [0, 1], "\(stray.debugDescription)")
        }
        #expect(CPUSet.parse(list: "\n\0\0") == [])
        // No line at all is no empty list.
        for nothing in ["", "\0", "\0\n", "\u{FFFD}"] {
            #expect(CPUSet.parse(list: nothing) == nil, "\(nothing.debugDescription)")
        }
    }

    @Test func masksAreRead() {
        #expect(CPUSet.parse(mask: "00000003\n") == [0, 1])
        #expect(CPUSet.parse(mask: "0000,0000003f") == [0, 1, 2, 3, 4, 5])
        #expect(CPUSet.parse(mask: "1,80000000,00000000") == [63, 64])
        #expect(CPUSet.parse(mask: "0") == [])
        for broken in ["", "xyz", "1,,2", "123456789", "0x3", "1 2"] {
            #expect(CPUSet.parse(mask: broken) == nil, "accepted: \(broken)")
        }
    }
}

/// Copies of kernel files in which there is something else.
@Suite struct StrangeTreeTests {
    @Test(.timeLimit(.minutes(5))) func pipesAndDevicesAreNotRead() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let nodes = root.appending(path: "sys/devices/system/node")
        for name in ["node0", "node1"] {
            try FileManager.default.createDirectory(
                at: nodes.appending(path: name), withIntermediateDirectories: true)
        }
        try #require(mkfifo(nodes.appending(path: "node0/cpulist").path, 0o600) == 0)
        try FileManager.default.createSymbolicLink(
            atPath: nodes.appending(path: "node1/cpulist").path,
            withDestinationPath: "/dev/zero")
        // It ends, and says of both what it says of files that are not there.
        let (found, empty) = (Topology(root: root.path), Topology(root: root.path + "/none"))
        #expect(found.threadCount == empty.threadCount)
    }
}

/// Trees captured on real machines, and what they hold.
@Suite struct TopologyTests {
    struct Expected: Decodable {
        struct Node: Decodable {
            let id: Int
            let cpus: [Int]
            let memoryTotalKib: Int?
            let memoryFreeKib: Int?
            let distances: [Int]?
        }
        let nodes: [Node]
        let cpuinfoProcessors: Int
    }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Topologies")

    static let expected: [String: Expected] = {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            let data = try Data(contentsOf: folder.appending(path: "expected.json"))
            return try decoder.decode([String: Expected].self, from: data)
        } catch {
            preconditionFailure("expected.json does not parse: \(error)")
        }
    }()

    /// Unpacks a tree and gives what is read from it.
    private func read(_ name: String) throws -> Topology {
        let target = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: target) }
        let archive = Self.folder.appending(path: name + ".tar.bz2").path
        let tar = try Process.run(
            URL(filePath: "/bin/tar"),
            arguments: ["xjf", archive, "--strip-components=1", "-C", target.path])
        tar.waitUntilExit()
        try #require(tar.terminationStatus == 0)
        return Topology(root: target.path)
    }

    @Test(arguments: expected.keys.sorted())
    func everyCapturedTreeIsReadAsItIs(name: String) throws {
        let expected = try #require(Self.expected[name])
        let topology = try read(name)
        guard !expected.nodes.isEmpty else {
            #expect(topology.nodes.count == 1)
            #expect(topology.nodes[0].cpus == Array(0..<expected.cpuinfoProcessors))
            #expect(!topology.isNUMA)
            return
        }
        #expect(topology.nodes.map(\.id) == expected.nodes.map(\.id))
        for (found, node) in zip(topology.nodes, expected.nodes) {
            #expect(found.cpus == node.cpus)
            #expect(found.memoryTotalBytes == node.memoryTotalKib.map { 1024 * $0 })
            #expect(found.memoryFreeBytes == node.memoryFreeKib.map { 1024 * $0 })
            #expect(found.distances == node.distances ?? [])
        }
        #expect(topology.threadCount == Set(expected.nodes.flatMap(\.cpus)).count)
        #expect((1...topology.threadCount).contains(topology.coreCount))
    }

    @Test func coresOfHyperthreadsAreCountedOnce() throws {
        // 8 nodes of 8 cores of 4 threads; 4 sockets of 2 cores of 2 threads.
        #expect(try read("256ppc-8n8s4t").coreCount == 64)
        #expect(try read("16em64t-4s2c2t-offlines").threadCount == 16)
    }

    @Test func anEmptyOrMissingTreeIsOneNode() throws {
        for root in ["/nowhere/at/all", FileManager.default.temporaryDirectory.path + "/"] {
            let topology = Topology(root: root)
            #expect(topology.nodes.count == 1)
            #expect(topology.threadCount == 1)
            #expect(!topology.isNUMA)
        }
    }

    @Test func processorsThatCannotBeReadAreTold() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let captured: [(files: [String: String], cpus: [Int], isTold: Bool)] = [
            (["cpulist": "0-3\n\0\0"], [0, 1, 2, 3], false),
            (["cpulist": "4-5\0"], [4, 5], false),
            (["cpulist": "\n\0\0\0"], [], false),
            (["cpulist": "\0\0\0"], [], true),
            (["cpulist": ""], [], true),
            (["cpulist": "6-", "cpumap": "000000c0\n\0"], [6, 7], false),
            (["cpulist": "8-", "cpumap": "x"], [], true),
            (["meminfo": "Node 7 MemTotal: 4 kB\n\0\0"], [], true),
        ]
        for (number, node) in captured.enumerated() {
            let folder = root.appending(path: "sys/devices/system/node/node\(number)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for (name, text) in node.files {
                try Data(text.utf8).write(to: folder.appending(path: name))
            }
        }
        let topology = Topology(root: root.path)
        #expect(topology.nodes.map(\.cpus) == captured.map(\.cpus))
        #expect(topology.nodes.map { $0.cpusProblem != nil } == captured.map(\.isTold))
        #expect(!topology.isComplete)
        #expect(topology.threadCount == 8)
        #expect(
            topology.nodes[6].cpusProblem?.hasSuffix("node6/cpulist: \"8-\" lists no processors")
                == true)
        #expect(topology.nodes[7].memoryTotalBytes == 4096)
        // Those that the nodes lack are counted by what else lists them.
        let proc = root.appending(path: "proc")
        try FileManager.default.createDirectory(at: proc, withIntermediateDirectories: true)
        let listed = (0..<12).map { "processor : \($0)\n" }.joined() + "processor : 12\0\0"
        try Data(listed.utf8).write(to: proc.appending(path: "cpuinfo"))
        #expect(Topology(root: root.path).threadCount == 13)
    }

    @Test func brokenFilesLeaveTheirPartEmpty() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let nodes = root.appending(path: "sys/devices/system/node")
        for (name, files) in [
            ("node0", ["cpulist": "zero", "cpumap": "0000000f", "distance": "10 x"]),
            ("node7", ["cpulist": "4-5", "meminfo": "Node 7 MemTotal: much kB\n\u{1}\u{2}"]),
            ("nodeX", ["cpulist": "9"]), ("node-1", ["cpulist": "8"]),
        ] {
            let folder = nodes.appending(path: name)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for (file, text) in files {
                try Data(text.utf8).write(to: folder.appending(path: file))
            }
        }
        let topology = Topology(root: root.path)
        #expect(topology.nodes.map(\.id) == [0, 7])
        #expect(topology.nodes.map(\.cpus) == [[0, 1, 2, 3], [4, 5]])
        #expect(topology.nodes[0].distances == [])
        #expect(topology.nodes[1].memoryTotalBytes == nil)
    }

    /// As coreutils count them.
    @Test func thisMachineHasTheProcessorsThatTheSystemSays() throws {
        func count(_ options: String...) throws -> Int {
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/nproc")
            process.arguments = options
            process.standardOutput = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            process.waitUntilExit()
            return try #require(Int(text.trimmingCharacters(in: .newlines)))
        }
        let allowed = try #require(Processors.allowed)
        #expect(allowed.count == (try count()))
        #expect(Set(allowed).count == allowed.count)
        #expect((allowed.count...(try count("--all"))).contains(Topology().threadCount))
    }
}
