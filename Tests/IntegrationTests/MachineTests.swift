// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// The program on machines that are not this one: emulated, bound, or not allowed everything.
    @Suite struct MachineTests {
        /// What `info --report -` says of one thread.
        struct ThreadPlace: Decodable {
            let thread: Int
            let nodeWanted: Int?
            let cpu: Int
            let cpusAllowed: [Int]
            let pagesByNode: [String: Int]
        }
        struct Info: Decodable {
            struct Memory: Decodable {
                struct Node: Decodable {
                    let id: Int
                    let cpus: [Int]
                }
                let nodes: [Node]
            }
            let numa: Memory
            let placement: [ThreadPlace]
            let processors: Int
        }

        private func info(_ outcome: Outcome) throws -> Info {
            try #require(outcome.status == 0, "\(outcome.error)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(Info.self, from: Data(outcome.output.utf8))
        }

        /// Runs the program on an emulated machine with two nodes of two processors.
        private func onTwoNodes(_ words: [String]) throws -> Outcome {
            let script = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "Guests/two-nodes.sh").path
            // The kernel is fetched once, and stays with what was built.
            let kernel = Launch.built("guests")
            return try Launch.run([script, kernel, Launch.program] + words, seconds: 300)
        }

        @Test(.onlyWhole("emulated machines are booted for it"))
        func threadsAndPagesFollowTheNodesOfTheMachine() throws {
            let info = try info(try onTwoNodes(["info", "--threads", "4", "--report", "-"]))
            #expect(info.numa.nodes.map(\.cpus) == [[0, 1], [2, 3]])
            #expect(info.placement.map(\.nodeWanted) == [0, 0, 1, 1])
            for place in info.placement {
                let node = try #require(place.nodeWanted)
                #expect(place.cpusAllowed == info.numa.nodes[node].cpus)
                #expect(place.cpusAllowed.contains(place.cpu))
                #expect(place.pagesByNode == ["\(node)": 256])
            }
        }

        @Test(.onlyWhole("emulated machines are booted for it"))
        func oneNodeHoldsAllThreadsAndPages() throws {
            let info = try info(
                try onTwoNodes(["info", "--threads", "3", "--numa-node", "1", "--report", "-"]))
            #expect(info.placement.count == 3)
            for place in info.placement {
                #expect(place.nodeWanted == 1)
                #expect([2, 3].contains(place.cpu))
                #expect(Array(place.pagesByNode.keys) == ["1"])
            }
        }

        @Test(.onlyWhole("emulated machines are booted for it"))
        func nothingIsPlacedWhenThatIsOff() throws {
            let info = try info(
                try onTwoNodes(["info", "--threads", "2", "--numa", "off", "--report", "-"]))
            #expect(info.placement.map(\.nodeWanted) == [nil, nil])
            #expect(info.placement.allSatisfy { $0.cpusAllowed == [0, 1, 2, 3] })
        }

        /// Containers often forbid the system calls of memory placement.
        @Test func placementThatIsForbiddenIsSaidAndLeftOut() throws {
            let folder = try Folder()
            let words = [
                Launch.program, "-o", folder.path + "/f", "-s", "8MiB", "--seed", "1",
                "--numa", "force", "-v", "--threads", "2", "-t", "4MiB",
            ]
            let script = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "forbid-placement.py").path
            let outcome = try Launch.run(["python3", script] + words)
            #expect(outcome.status == 0, "\(outcome.error)")
            let lines = outcome.error.split(separator: "\n").filter {
                $0.contains("memory nodes are not used")
            }
            #expect(lines.count == 1, "\(outcome.error)")
            #expect(lines.first?.contains("get_mempolicy: Operation not permitted") == true)
            #expect(try Launch.alone(["verify", folder.path + "/f"]).status == 0)
        }

        @Test func nodesThatCannotBeUsedAreRefused() throws {
            for words in [["--numa-node", "77"], ["--numa", "off", "--numa-node", "0"]] {
                let outcome = try Launch.alone(["info"] + words)
                #expect(outcome.status == 2)
                #expect(outcome.complaints.count == 1)
                #expect(outcome.complaints.first?.contains("numa_node: '") == true)
            }
        }

        /// Ranks that share a mask share its processors; none is left out, none is used twice.
        ///
        /// Where bytes are moved meanwhile, that takes one of them.
        @Test(arguments: [1, 2]) func ranksDivideTheProcessorsThatTheyShare(depth: Int) throws {
            let count = ProcessInfo.processInfo.activeProcessorCount
            for ranks in TestForm.isWhole ? [1, 2, 3] : [3] {
                let folder = try Folder()
                let launch = Launch.mpirun(ranks) + (Launch.isMPICH ? [] : ["--bind-to", "none"])
                let outcome = try Launch.run(
                    launch + [
                        Launch.program, "-o", folder.path + "/f", "-s", "1MiB", "--seed", "1",
                        "--queue-depth", "\(depth)", "--report", folder.path + "/r",
                    ], environment: ["DGEN_LOG": "debug"])
                #expect(outcome.status == 0, "\(outcome.error)")
                let threads = outcome.error.split(separator: "\n").compactMap { line in
                    line.contains("kernel ") && line.hasSuffix(" threads")
                        ? Int(line.split(separator: " ").dropLast().last ?? "") : nil
                }.sorted()
                let expected = (0..<ranks).map {
                    max(1, max(1, count / ranks + ($0 < count % ranks ? 1 : 0)) - (depth - 1))
                }.sorted()
                #expect(threads == expected, "\(ranks) ranks on \(count) processors")
            }
        }

        /// Ranks with one processor have one buffer, others two; they agree after the same transfers all the same.
        @Test(arguments: ["400KiB", "64KiB"])
        func ranksOfSeveralSharesOfTheProcessorsStayInStep(transfer: String) throws {
            let folder = try Folder()
            let program = [
                Launch.program, "test", "-o", folder.path + "/f", "-s", "20MiB", "-t", transfer,
                "--collective", "--read-order", "same",
            ]
            let outcome = try Launch.run(
                Launch.mpirun(1) + (Launch.isMPICH ? [] : ["--bind-to", "none"])
                    + ["taskset", "-c", "0"] + program + [":", "-n", "1"] + program, seconds: 60)
            #expect(outcome.status == 0, "\(outcome.error)")
        }

        /// By a limit of the process, and by what the machine has; for one rank and several.
        @Test(arguments: [
            (1, "300000", ["-t", "32MiB", "--queue-depth", "8"]),
            (1, "unlimited", ["-t", "1GiB", "--queue-depth", "64"]),
            (2, "800000", ["-t", "512MiB", "--queue-depth", "4"]),
        ])
        func tooLittleMemoryForTheBuffersIsOneLine(
            ranks: Int, limit: String, options: [String]
        ) throws {
            let folder = try Folder()
            let limited =
                (ranks > 1 ? Launch.mpirun(ranks) : [])
                + ["bash", "-c", "ulimit -v \(limit); exec \"$@\"", "bash", Launch.program]
            let file = ["-s", "400GiB", "--seed", "1", "--report", folder.file("r")]
            for words in [
                ["-o", folder.file("f"), "--no-space-check"], ["verify", folder.file("g")],
            ] {
                if words[0] == "verify" {
                    _ = try folder.fileForWriting("g")
                    try folder.truncate("g", to: 400 << 30)
                }
                let outcome = try Launch.run(limited + words + file + options)
                #expect(outcome.status == 3, "\(outcome.status) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(outcome.complaints.first?.contains("too little memory") == true)
                let report = try JSONSerialization.jsonObject(
                    with: Data(contentsOf: URL(filePath: folder.file("r"))))
                #expect((report as? [String: Any])?["status"] as? String == "failed")
            }
        }

        @Test(.enabled(if: !Launch.isMPICH, "settings of Open MPI"), arguments: [1, 2])
        func anMPIThatDoesNotStartIsNoDamage(ranks: Int) throws {
            let folder = try Folder()
            let launched = ranks > 1 ? Launch.mpirun(ranks) : []
            for (words, status) in [(["verify"], 4), (["verify", "--no-such-option"], 2)] {
                let outcome = try Launch.run(
                    launched + ["env", "OMPI_MCA_pml=nonesuch", Launch.program] + words + [
                        folder.file("f"), "--report", folder.file("r"),
                    ])
                #expect(outcome.status == status, "\(outcome.status) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
            }
            let report = try folder.json("r")
            #expect(report["status"] as? String == "failed")
            #expect(report["exit_status"] as? Int == 4)
        }

        /// UCX, which MPICH's ranks talk by, does not start without /proc.
        @Test(
            .enabled(if: Launch.mayMount, "hiding /proc needs root"),
            arguments: Launch.isMPICH ? [1] : [1, 2])
        func withoutProcTheArgumentsStay(ranks: Int) throws {
            let folder = try Folder()
            let launched = ranks > 1 ? Launch.mpirun(ranks).joined(separator: " ") : ""
            let outcome = try Launch.run([
                "unshare", "--mount", "bash", "-c",
                #"mount -t tmpfs none /proc && exec \#(launched) "$@""#, "bash", Launch.program,
                "-o",
                folder.file("f"), "-s", "1MiB", "--seed", "5", "--report", folder.file("r"),
            ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try folder.size("f") == 1 << 20)
            let words = try #require(try folder.json("r")["command_line"] as? [String])
            #expect(words.dropFirst().first == "-o" && words.count == 9, "\(words)")
        }

        /// The working directory, or the folder of the data, in the midst of it.
        @Test(arguments: [[], ["--io", "posix"]])
        func aFolderThatIsRemovedUnderTheRunIsOneLine(options: [String]) throws {
            let folder = try Folder()
            let gone = try Launch.run(
                [
                    "bash", "-c", #"mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@""#,
                    folder.file("d"), Launch.program, "-o", "f", "-s", "1MiB",
                ] + options)
            #expect(gone.status == 3, "\(gone.status) \(gone.error)")
            #expect(gone.complaints.count == 1, "\(gone.error)")
            let midst = try Launch.run(
                [
                    "bash", "-c",
                    #"""
                    mkdir "$0"
                    "$@" &
                    until test -s "$0/f.dgen.json" || ! kill -0 $!; do sleep 0.02; done
                    rm -rf "$0"
                    wait $!
                    """#, folder.file("d"), Launch.program, "test", "-o", folder.file("d/f"), "-s",
                    "4MiB", "--repeat", "10000",
                ] + options)
            #expect(midst.status == 3, "\(midst.status) \(midst.error)")
            #expect(midst.complaints.count == 1, "\(midst.error)")
        }

        #if arch(x86_64)
            /// A processor without AVX, emulated: the program must find out before it is too late.
            @Test(arguments: [nil, "scalar", "baseline"])
            func anOldProcessorMakesTheSameBytes(kernel: String?) throws {
                let folder = try Folder()
                let words = [
                    "-s", "3000001", "--seed", "7", "--compress-ratio", "1.5", "--dedup-ratio", "2",
                    "-o", folder.path + "/f", "--checksum", "crc64nvme,crc32c,crc32",
                ]
                let choice = kernel.map { ["env", "DGEN_KERNEL=\($0)"] } ?? []
                let outcome = try Launch.run(choice + Self.old + words, seconds: 300)
                #expect(outcome.status == 0, "\(outcome.error)")
                #expect(try Launch.alone(["verify", folder.path + "/f"]).status == 0)
                // What it has summed up, with what this processor has for it.
                let summed = try Launch.alone([
                    "verify", folder.path + "/f", "--checksum", "crc64nvme,crc32c,crc32",
                ])
                #expect(summed.status == 0, "\(summed.output)")
                let info = try Launch.run(choice + Self.old + ["info"])
                let chosen = "\(kernel ?? "scalar") (of scalar, baseline)"
                #expect(info.output.contains(chosen), "\(info.output)")
            }

            @Test func anOldProcessorRefusesTheKernelsOfNewerOnes() throws {
                let refused = try Launch.run(["env", "DGEN_KERNEL=x86-v3"] + Self.old + ["info"])
                #expect(refused.status == 2)
                #expect(refused.complaints.first?.contains("scalar baseline") == true)
            }

            /// One with carry-less multiplication, and without AVX.
            @Test func aProcessorOfItsTimeFolds() throws {
                let words = ["checksum", "-s", "3000001", "--seed", "7", "--quiet", "--report"]
                let folder = try Folder()
                let westmere = ["qemu-x86_64", "-cpu", "Westmere", Launch.program]
                #expect(
                    try Launch.run(westmere + words + [folder.file("a")], seconds: 300).status == 0)
                #expect(try Launch.alone(words + [folder.file("b")]).status == 0)
                let sums = try ["a", "b"].map {
                    try #require(try folder.json($0)["checksums"] as? [[String: Any]])[0]["hex"]
                        as? String
                }
                #expect(sums[0] != nil && sums[0] == sums[1])
            }

            private static let old = ["qemu-x86_64", "-cpu", "Nehalem", Launch.program]
        #endif
    }
}
