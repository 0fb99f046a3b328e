// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

/// Three nodes in namespaces, with a distributed file system on all of them; gone with the value.
private final class Cluster {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Cluster/cluster.sh").path

    /// Whether this user may make namespaces, and has what the script needs.
    static let isPossible: Bool = {
        let found = ["ip", "glusterd", "nsenter"].allSatisfy {
            (try? Launch.run(["which", $0], seconds: 5))?.status == 0
        }
        return found && Launch.mayMount
    }()

    // Where extended attributes are, which memory may not have.
    private let folder = "/var/tmp/dgen-mpi-cluster-\(UUID().uuidString.prefix(8))"
    /// The file system that all nodes have.
    var volume: String { folder + "/volume" }

    init() throws {
        let outcome = try Launch.run([Self.script, "start", folder, "3"], seconds: 60)
        try #require(outcome.status == 0, "\(outcome.output) \(outcome.error)")
    }

    deinit { _ = try? Launch.run([Self.script, "stop", folder], seconds: 60) }

    /// Runs the program with ranks on all nodes.
    func ranks(_ ranks: Int, from node: Int = 1, _ words: [String]) throws -> Outcome {
        try Launch.run(
            [Self.script, "mpirun", folder, "-n", "\(ranks)", Launch.program] + words,
            environment: ["FROM": "\(node)"], seconds: 120)
    }

    /// Runs a command on one node.
    func on(_ node: Int, _ words: [String]) throws -> Outcome {
        try Launch.run([Self.script, "node", folder, "\(node)"] + words, seconds: 60)
    }
}

extension Integration {
    /// Several nodes for real: host map, shards, a distributed file system.
    @Suite struct ClusterTests {
        @Test(.enabled(if: Cluster.isPossible, "needs root, iproute2 and glusterfs-server"))
        func severalNodesMakeTheBytesOfOneAndReadWhatOthersWrote() throws {
            let cluster = try Cluster()
            let file = cluster.volume + "/f"
            let spec = ["-s", "6000001", "--seed", "5", "--compress-ratio", "1.5"]
            let here = try Folder()
            #expect(try Launch.ranks(2, ["-o", here.file("f")] + spec).status == 0)
            let expected = try here.sha256("f")

            for (node, options) in [
                (1, []), (2, ["--collective"]), (3, ["--io", "posix"]),
                (1, ["--io", "posix", "--direct"]),
            ] {
                let written = try cluster.ranks(
                    6, from: node, ["-o", file, "--overwrite", "--align", "64KiB"] + spec + options)
                #expect(written.status == 0, "\(options): \(written.error)")
                #expect(written.output.contains("6 on 3 nodes"), "\(written.output)")
                // Seen from every node, by a program that is not ours.
                for node in 1...3 {
                    let seen = try cluster.on(node, ["sha256sum", file])
                    #expect(String(seen.output.prefix(64)) == expected, "\(options) node \(node)")
                }
                let verified = try cluster.ranks(5, from: 2, ["verify", file])
                #expect(verified.status == 0, "\(verified.error)")
            }

            let report = here.file("r")
            for (order, ownMost) in [("shift", 0), ("same", 6), ("shuffle", 5)] {
                let tested = try cluster.ranks(
                    6,
                    [
                        "test", "-o", cluster.volume + "/t", "--read-order", order, "--repeat", "2",
                        "--drop-cache", "--report", report,
                    ] + spec)
                #expect(tested.status == 0, "\(tested.error)")
                let operations = try #require(
                    try here.json("r")["operations"] as? [[String: Any]])
                #expect(operations.count == 6)
                for own in operations.compactMap({ $0["readers_on_own_node"] as? Int }) {
                    #expect(order == "same" ? own == ownMost : own <= ownMost, "\(order)")
                }
                let nodes = Set(operations.compactMap { $0["slowest_node"] as? String })
                #expect(nodes.isSubset(of: ["node1", "node2", "node3"]), "\(nodes)")
            }
            let mpi = try #require(try here.json("r")["mpi"] as? [String: Any])
            #expect(mpi["nodes"] as? Int == 3)
            #expect(mpi["ranks_per_node"] as? Int == 2)

            // Damage that one node does is found by whoever reads it, once the others forget what they have read before:
            // this file system lets them go on with it.
            let broken = try cluster.on(
                2, ["sh", "-c", "printf x | dd of=\(file) bs=1 seek=4000000 conv=notrunc"])
            #expect(broken.status == 0)
            let found = try cluster.ranks(
                6,
                ["test", "-o", file, "--phases", "verify", "--drop-cache", "--report", report]
                    + spec)
            #expect(found.status == 1, "\(found.output) \(found.error)")
            let damage = try #require(try here.json("r")["damage"] as? [[String: Any]])
            #expect(damage.map { $0["offset"] as? Int } == [4_000_000])
        }
    }
}
