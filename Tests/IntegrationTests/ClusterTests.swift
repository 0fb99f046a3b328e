// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing
import TestSupport

/// Three nodes in namespaces, with a distributed file system on all of them; gone with the value.
private final class Cluster {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Cluster/cluster.sh").path

    /// What it takes.
    static let needs: Comment = "needs root, iproute2 and glusterfs-server"

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

    /// Starts three nodes.
    ///
    /// - Parameter mode: what the file system is to be distrusted for.
    /// - Throws: a failed requirement, where they do not start.
    init(_ mode: String...) throws {
        let outcome = try Launch.run([Self.script, "start", folder, "3"] + mode, seconds: 60)
        try #require(outcome.status == 0, "\(outcome.output) \(outcome.error)")
    }

    deinit { _ = try? Launch.run([Self.script, "stop", folder], seconds: 60) }

    /// Runs the program with ranks on all nodes.
    func ranks(_ ranks: Int, from node: Int = 1, _ words: [String]) throws -> Outcome {
        try Launch.run(
            [Self.script, "mpirun", folder, "-n", "\(ranks)", Launch.program] + words,
            environment: ["FROM": "\(node)"], seconds: 120)
    }

    /// Runs the program with ranks on all nodes, and takes a node off the network in the midst of it: once a rank of that
    /// node has moved some MiB.
    func ranks(
        _ ranks: Int, unplugging node: Int, report: String, _ words: [String]
    ) throws -> Outcome {
        let noted = try Folder()
        let moves =
            Launch.waiting + #"""
                script=$1 folder=$2 node=$3 report=$4 noted=$5; shift 5
                rm -f "$report"
                # Open MPI's launcher may wait for ever for a node that has gone; its ranks do not.
                (timeout --kill-after=5 60 "$script" mpirun "$folder" "$@" --report "$report" || exit 99) &
                until_begun "$report" $!
                # Two ranks are on each node, in order.
                until_moved 8000000 "$(cat "$noted/pid.$((2 * node - 1))")"
                "$script" unplug "$folder" "$node"
                wait $!; status=$?
                # What a node that is on its own still does must have ended before it comes back.
                for try in {1..100}; do
                    ps -p "$(cat "$noted"/pid.* | paste -sd,)" > /dev/null || break
                    sleep 0.2
                done
                "$script" plug "$folder" "$node"
                exit $status
                """#
        return try Launch.run(
            ["bash", "-c", moves, "bash", Self.script, folder, "\(node)", report, noted.path]
                + Launch.noting(noted, ["-n", "\(ranks)"]) + words, seconds: 120)
    }

    /// Waits until every node reads a file and its manifest, which may lie on different nodes, and gets a lock.
    func waitUntilHealthy(_ file: String) throws {
        let look = """
            sleep 0.5
            timeout 10 flock \(file) cat \(file) \(file).dgen.json > /dev/null && ls \(volume) > /dev/null
            """
        // Three times in a row: for a while after a node has come back, what was there may go once more.
        for round in 1...3 {
            for node in 1...3 {
                var tries = 0
                while try on(node, ["sh", "-c", look]).status != 0 {
                    tries += 1
                    try #require(
                        tries < 60, "the file system does not come back on node \(node), \(round)")
                }
            }
        }
    }

    /// Runs a command on one node.
    func on(_ node: Int, _ words: [String]) throws -> Outcome {
        try Launch.run([Self.script, "node", folder, "\(node)"] + words, seconds: 60)
    }
}

extension Integration {
    /// Several nodes for real: host map, shards, a distributed file system.
    ///
    /// One cluster at a time, since all of them have the same addresses.
    @Suite(.serialized) struct ClusterTests {
        @Test(.enabled(if: Cluster.isPossible, Cluster.needs))
        func severalNodesMakeTheBytesOfOneAndReadWhatOthersWrote() throws {
            let cluster = try Cluster()
            let file = cluster.volume + "/f"
            let spec = ["-s", "6000001", "--seed", "5", "--compress-ratio", "1.5"]
            let here = try Folder()
            #expect(try Launch.ranks(2, ["-o", here.file("f")] + spec).status == 0)
            let expected = try here.sha256("f")

            let some: [(Int, [String])] = [(2, ["--collective"]), (3, ["--io", "posix"])]
            let more: [(Int, [String])] = [(1, []), (1, ["--io", "posix", "--direct"])]
            for (node, options) in TestForm.isWhole ? more + some : some {
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

            // A folder that each node has for itself.
            let layouts = [[], ["--io", "posix", "--layout", "per-rank"]]
            for options in TestForm.isWhole ? layouts : [[]] {
                let refused = try cluster.ranks(
                    6, ["-o", "/run/f", "--watchdog", "2"] + spec + options)
                #expect(refused.status == 3, "\(options): \(refused.error)")
                #expect(refused.complaints.count == 1, "\(refused.error)")
                for words in ["rank 0 on node1", "ranks 2, 3 on node2", "ranks 4, 5 on node3"] {
                    #expect(refused.complaints.first?.contains(words) == true, "\(refused.error)")
                }
            }

            let report = here.file("r")
            let orders = [("same", 6), ("shuffle", 5), ("shift", 0)]
            for (order, ownMost) in TestForm.isWhole ? orders : Array(orders.suffix(1)) {
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

            // Readers on the last node see what the others have written, past the caches of the system.
            let watched = try cluster.ranks(
                6,
                Self.updates + ["--direct", "-o", cluster.volume + "/u", "--report", report])
            #expect(watched.status == 0, "\(watched.output) \(watched.error)")
            let readers = try Self.readers(here.json("r"))
            #expect(readers.count == 2)
            for one in readers {
                #expect(one["ranks"] as? Int == 2 && one["on_writers_nodes"] as? Int == 0)
                #expect(one["reads"] as? Int ?? 0 > 150, "\(one)")
            }

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

        /// A test that updates while two ranks read.
        private static let updates = [
            "test", "--phases", "write,update,update", "--readers", "2", "--reads", "100", "--io",
            "posix", "-s", "1MiB", "--seed", "5", "--dedup-unit", "4KiB", "--change", "30%",
            "--align",
            "64KiB",
        ]

        private static func readers(_ report: [String: Any]) throws -> [[String: Any]] {
            let operations = try #require(report["operations"] as? [[String: Any]])
            return operations.compactMap { $0["readers"] as? [String: Any] }
        }

        /// This file system has a node go on with pages that it has read before, whatever others write, and that is found; past
        /// the caches of the system nothing is.
        @Test(
            .enabled(if: Cluster.isPossible, Cluster.needs),
            .onlyWhole("stale pages; the gate reads past the caches"),
            arguments: ["posix", "sync"])
        func readersFindWhatCachesKeep(rule: String) throws {
            let cluster = try Cluster()
            let here = try Folder()
            for isDirect in [true, false] {
                let outcome = try cluster.ranks(
                    6,
                    Self.updates + (isDirect ? ["--direct"] : []) + [
                        "-o", cluster.volume + "/\(isDirect)", "--consistency", rule, "--sync",
                        "every:4", "--repeat", "3", "--report", here.file("r"),
                    ])
                let readers = try Self.readers(here.json("r"))
                let stale = readers.reduce(0) { $0 + ($1["stale"] as? Int ?? 0) }
                #expect(outcome.status == (isDirect ? 0 : 1), "\(outcome.output) \(outcome.error)")
                #expect((stale > 0) == !isDirect, "\(outcome.output)")
                let findings = readers.flatMap { $0["findings"] as? [[String: Any]] ?? [] }
                for finding in findings {
                    // Those of the last node; and what was there before, be it of a former repetition.
                    #expect([4, 5].contains(finding["rank"] as? Int), "\(finding)")
                    #expect(["stale", "early"].contains(finding["kind"] as? String), "\(finding)")
                }
            }
        }

        @Test(
            .enabled(if: Cluster.isPossible, Cluster.needs), .onlyWhole("clusters that fail"),
            arguments: Launch.rounds)
        func aNodeThatIsCutOffEndsTheRunAndTheFileIsFinished(round: Int) throws {
            let cluster = try Cluster()
            let here = try Folder()
            let file = cluster.volume + "/f"
            let spec = ["-s", "300000001", "--seed", "5"]
            #expect(try Launch.alone(["-o", here.file("f"), "--quiet"] + spec).status == 0)
            let expected = try here.sha256("f")
            // So that there is a middle.
            let slowly = ["--io", "posix", "--watchdog", "15", "--quiet", "-t"]
            for words in [
                ["-o", file, "--sync", "each"] + spec + slowly + ["16KiB"],
                ["test", "-o", file, "--phases", "verify", "--repeat", "1000", "--drop-cache"]
                    + spec + slowly + ["64KiB"],
            ] {
                let outcome = try cluster.ranks(6, unplugging: 3, report: here.file("r"), words)
                // Who says so depends on who notices first: the launcher, or the ranks.
                #expect(outcome.status != 0, "\(words): \(outcome.output)")
                let report = try here.json("r")
                #expect(
                    ["failed", "interrupted"].contains(report["status"] as? String), "\(words)")
                #expect((report["damage"] as? [Any])?.isEmpty == true, "\(words)")
                try cluster.waitUntilHealthy(file)
                let manifest = try cluster.on(1, ["cat", file + ".dgen.json"]).output
                #expect(
                    manifest.contains(words[0] == "test" ? #""complete""# : #""writing""#),
                    "\(manifest)")
                // The file system may need more than one try; each says honestly how it ended.
                var repaired: Outcome
                var tries = 0
                repeat {
                    repaired = try cluster.ranks(
                        4, from: 2,
                        ["repair", file, "--io", "posix", "--quiet", "--watchdog", "30"]
                    )
                    #expect([0, 3, 4].contains(repaired.status), "\(words): \(repaired.error)")
                    tries += 1
                } while repaired.status != 0 && tries < 3
                #expect(repaired.status == 0, "\(words): \(repaired.error)")
                for node in 1...3 {
                    let seen = try cluster.on(node, ["sha256sum", file])
                    #expect(String(seen.output.prefix(64)) == expected, "\(words) node \(node)")
                }
            }
        }

        @Test(
            .enabled(if: Cluster.isPossible, Cluster.needs), .onlyWhole("clusters that fail"),
            arguments: Launch.rounds)
        func aFileThatIsMiscountedIsNotCalledComplete(round: Int) throws {
            let cluster = try Cluster("shards")
            let file = cluster.volume + "/f"
            let written = try cluster.ranks(6, ["-o", file, "-s", "40000001", "--seed", "5"])
            let size = try cluster.on(2, ["stat", "-c", "%s", file]).output
            let isRight = size == "40000001\n"
            #expect(written.status == (isRight ? 0 : 3), "\(size) \(written.error)")
            let manifest = try cluster.on(3, ["cat", file + ".dgen.json"]).output
            #expect(manifest.contains(isRight ? #""complete""# : #""writing""#), "\(manifest)")
            if !isRight {
                #expect(written.complaints.first?.contains("40000001") == true, "\(written.error)")
                let verified = try cluster.ranks(3, ["verify", file])
                #expect(verified.status == 1, "\(verified.error)")
            }
            let repaired = try cluster.ranks(2, ["repair", file, "--watchdog", "30"])
            #expect(repaired.status == 0, "\(repaired.error)")
            let here = try Folder()
            let spec = ["-s", "40000001", "--seed", "5", "--quiet"]
            #expect(try Launch.alone(["-o", here.file("f")] + spec).status == 0)
            let seen = try cluster.on(1, ["sha256sum", file])
            #expect(try String(seen.output.prefix(64)) == here.sha256("f"))
        }

        @Test(
            .enabled(if: Cluster.isPossible, Cluster.needs), .onlyWhole("clusters that fail"),
            arguments: Launch.rounds)
        func nodesThatKnowOnlyWhatWasAreNotBelieved(round: Int) throws {
            let cluster = try Cluster("caches")
            let here = try Folder()
            let file = cluster.volume + "/f"
            for seed in ["5", "6"] {
                let spec = ["-s", "40000001", "--seed", seed, "--quiet"]
                let written = try cluster.ranks(
                    6, ["-o", file, "--overwrite", "--io", "posix"] + spec)
                #expect(
                    try Launch.alone(["-o", here.file("f"), "--overwrite"] + spec).status == 0)
                // Complete only if it is so on every node.
                let manifest = try cluster.on(2, ["cat", file + ".dgen.json"]).output
                #expect(manifest.contains(#""complete""#) == (written.status == 0), "\(manifest)")
                if written.status != 0 {
                    #expect(written.status == 3, "\(written.error)")
                    let repaired = try cluster.ranks(2, ["repair", file, "--io", "posix"])
                    #expect(repaired.status == 0, "\(repaired.error)")
                }
                let verified = try cluster.ranks(
                    5, ["verify", file, "--io", "posix", "--report", here.file("r")])
                let kinds = try #require(try here.json("r")["damage"] as? [[String: Any]])
                    .compactMap { $0["kind"] as? String }
                // A node may still read what was: that is said, and is no other damage.
                #expect(
                    verified.status == 0
                        || Set(kinds).isSubset(of: ["stale", "transient", "truncated", "zeros"]),
                    "\(kinds)")
                // The fifth rank has found its shard right, on node 3. What was there before may be in its memory elsewhere.
                let end = ["sh", "-c", #"tail -c +33554433 "$0" | sha256sum"#]
                let seen = try cluster.on(3, end + [file])
                let expected = try Launch.run(end + [here.file("f")])
                #expect(seen.output == expected.output || verified.status == 1)
            }
        }
    }
}
