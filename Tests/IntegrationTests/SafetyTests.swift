// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// No success without the data stored.
    @Suite struct SafetyTests {
        /// Runs on a small tmpfs of its own; gives the outcome, the report, and the manifest.
        private func onSmallDisk(
            ranks: Int, component: String?, _ options: [String], _ folder: Folder,
            mebibytes: Int = 16
        ) throws -> Outcome {
            try FileManager.default.createDirectory(
                atPath: folder.file("disk"), withIntermediateDirectories: false)
            let command =
                Launch.mpirun(ranks, component: component) + [
                    Launch.program, "-o", folder.file("disk/f"), "-s", "64MiB", "--report",
                    folder.file("r"),
                ]
            // The mount lives in a namespace of its own and ends with it.
            return try Launch.run(
                [
                    "unshare", "--mount", "sh", "-c",
                    #"""
                    mount -t tmpfs -o size=\#(mebibytes)m tmpfs "$0"/disk || exit 99
                    "$@"
                    status=$?
                    cp "$0"/disk/f.dgen.json "$0"/manifest 2>/dev/null
                    exit $status
                    """#, folder.path,
                ] + command + options, seconds: 30)
        }

        /// Ranks, what writes for them, and how.
        struct Way: CustomTestStringConvertible {
            let ranks: Int
            let component: String?
            let options: [String]
            var testDescription: String {
                (["\(ranks)", component ?? ""] + options).joined(separator: " ")
            }

            init(_ ranks: Int, _ component: String?, _ options: [String] = []) {
                self.ranks = ranks
                self.component = component
                self.options = options
            }

            /// All combinations but those that the gate has.
            static func others(
                than gate: [Way], _ ranks: [Int], _ components: [String?], _ options: [[String]]
            ) -> [Way] {
                let names = Set(gate.map(\.testDescription))
                return ranks.flatMap { ranks in
                    components.flatMap { component in options.map { Way(ranks, component, $0) } }
                }.filter { !names.contains($0.testDescription) }
            }
        }

        private static let waysToFill: [Way] = {
            let components = Launch.components
            let gate = [
                Way(1, components.last ?? nil), Way(2, components[0]),
                Way(4, components[0], ["--collective"]),
            ]
            return TestForm.cases(
                gate,
                more: Way.others(than: gate, [1, 2, 4, 8], components, [[], ["--collective"]]),
                of: "aFullFileSystemFailsTheRun")
        }()

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: waysToFill)
        func aFullFileSystemFailsTheRun(way: Way) throws {
            let folder = try Folder()
            let outcome = try onSmallDisk(
                ranks: way.ranks, component: way.component, ["--no-space-check"] + way.options,
                folder)
            #expect(outcome.status == 3, "\(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("0 B free") == true, "\(outcome.error)")
            #expect(try folder.json("manifest")["status"] as? String == "writing")
            let report = try folder.json("r")
            #expect(report["status"] as? String == "failed")
            #expect(report["exit_status"] as? Int == 3)
            #expect((report["error"] as? String)?.isEmpty == false)
        }

        private static let waysToFillTogether: [Way] = {
            let gate = [Way(3, Launch.components[0], ["-t", "4KiB"])]
            let names = Set(gate.map(\.testDescription))
            let more = Launch.components.flatMap { component in
                ["4KiB", "1MiB", "8MiB"].flatMap { size in
                    [
                        Way(3, component, ["-t", size]),
                        Way(4, component, ["-t", size, "--sync", "each"]),
                        Way(5, component, ["-t", size, "--strided"]),
                        Way(3, component, ["-t", size, "--sync", "none"]),
                    ]
                }
            }.filter { !names.contains($0.testDescription) }
            return TestForm.cases(
                gate, more: more, of: "collectiveWritesToAFullFileSystemStopSoon")
        }()

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: waysToFillTogether)
        func collectiveWritesToAFullFileSystemStopSoon(way: Way) throws {
            let folder = try Folder()
            // So much that nobody waits until all of it was made.
            let outcome = try onSmallDisk(
                ranks: way.ranks, component: way.component,
                ["--no-space-check", "--collective", "-s", "200GiB"] + way.options, folder,
                // Ranks of MPICH never yield a processor, so that each of thousands of calls waits for its turn.
                mebibytes: way.options.contains("4KiB") ? 1 : 16)
            let note = "\(outcome.error.prefix(2000))"
            #expect(outcome.status == 3, "\(note)")
            #expect(outcome.complaints.count == 1, "\(note)")
            // The library's own, and the launcher's.
            #expect(outcome.error.split(separator: "\n").count < 60, "\(note)")
            #expect(try folder.json("manifest")["status"] as? String == "writing")
        }

        @Test(.enabled(if: Launch.mayMount, "mounting needs root"))
        func roomThatIsNotToldIsNotMissed() throws {
            let folder = try Folder()
            let outcome = try Launch.run(
                [
                    "unshare", "--mount", "sh", "-c",
                    #"mount -t ramfs ramfs "$0" && "$@" && cmp "$0/f" "$0/g""#, folder.path, "sh",
                    "-c", #""$@" -o "$0/f" && "$@" -o "$0/g" --collective && "$@" repair "$0/f""#,
                    folder.path,
                ] + Launch.mpirun(2) + [Launch.program],
                environment: ["DGEN_SIZE": "1MiB", "DGEN_SEED": "4"])
            #expect(outcome.status == 0, "\(outcome.error)")
        }

        /// What makes a file that cannot be opened to write, what ends that, and the system's words for it.
        private static let obstacles: [(String, String, String)] = [
            (
                "cp /bin/sleep f; chmod +x f; ./f 30 & until [ /proc/$!/exe -ef f ]; do :; done",
                "kill $!", "Text file busy"
            ),
            ("echo > f; chattr +i f", "chattr -i f", "Operation not permitted"),
            ("echo > f; chattr +a f", "chattr -a f", "Operation not permitted"),
        ]

        private static let waysToOpen: [Way] = {
            let gate = [Way(2, Launch.components[0])]
            return TestForm.cases(
                gate,
                more: Way.others(
                    than: gate, [2], Launch.components, [[], ["--collective"], ["--io", "posix"]]),
                of: "whatTheSystemRefusesIsToldInItsOwnWords")
        }()

        @Test(
            .enabled(if: Launch.mayMount, "attributes of files need root"), arguments: obstacles,
            waysToOpen)
        func whatTheSystemRefusesIsToldInItsOwnWords(
            obstacle: (make: String, end: String, reason: String), way: Way
        ) throws {
            // Not in memory, which has no attributes.
            let folder = try Folder(in: "/var/tmp")
            let script =
                #"cd "$0"; \#(obstacle.make); "$@"; status=$?; \#(obstacle.end); exit $status"#
            let outcome = try Launch.run(
                ["bash", "-c", script, folder.path]
                    + Launch.mpirun(way.ranks, component: way.component)
                    + [Launch.program, "-o", "f", "-s", "1MiB", "--overwrite"] + way.options)
            #expect(outcome.status == 3, "\(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(
                outcome.complaints.first?.contains(obstacle.reason) == true, "\(outcome.error)")
            #expect(!folder.exists("f.dgen.json"), "\(outcome.error)")
        }

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: TestForm.cases(
                [(1, []), (4, ["--collective"])], more: [(1, ["--collective"]), (4, [])],
                of: "tooLittleSpaceIsRefusedBeforeTheFirstByte"))
        func tooLittleSpaceIsRefusedBeforeTheFirstByte(ranks: Int, mode: [String]) throws {
            let folder = try Folder()
            let outcome = try onSmallDisk(
                ranks: ranks, component: Launch.components[0], mode, folder)
            #expect(outcome.status == 3, "\(outcome.error)")
            #expect(outcome.complaints.count == 1)
            #expect(outcome.complaints.first?.contains("needs 64 MiB") == true)
            #expect(!folder.exists("manifest"))
            #expect(try folder.json("r")["status"] as? String == "failed")
        }

        @Test func anExistingFileStaysWithoutOverwriteAndGoesWithIt() throws {
            let folder = try Folder()
            try folder.write(String(repeating: "old ", count: 1_000_000), to: "f")
            let options = ["-o", folder.file("f"), "-s", "100000", "--seed", "1"]
            let refused = try Launch.ranks(2, options)
            #expect(refused.status == 2)
            #expect(try folder.size("f") == 4_000_000)
            #expect(!folder.exists("f.dgen.json"))
            let replaced = try Launch.ranks(2, options + ["--overwrite"])
            #expect(replaced.status == 0, "\(replaced.error)")
            // MPI's create would have left the tail of the longer file.
            #expect(try folder.size("f") == 100_000)
            #expect(try Launch.ranks(1, ["verify", folder.file("f")]).status == 0)
        }

        @Test func aFileThatIsBeingWrittenIsLeftToItsRun() throws {
            let folder = try Folder()
            let outcome = try Launch.run(
                [
                    "sh", "-c",
                    #"""
                    file=$1; shift
                    "$@" -s 512MiB -t 4KiB --seed 1 &
                    until [ -s "$file" ]; do sleep 0.01; done
                    # It is held in the midst of it, however fast the machine is.
                    kill -STOP $!
                    "$@" -s 1MiB --seed 2 --overwrite
                    second=$?
                    kill -CONT $!
                    wait $! && exit $second
                    """#, "sh", folder.file("f"), Launch.program, "-o", folder.file("f"), "--quiet",
                ])
            #expect(outcome.status == 3, "\(outcome.error)")
            #expect(outcome.complaints.count == 1)
            #expect(outcome.complaints.first?.contains("another run is writing it") == true)
            let verified = try Launch.ranks(2, ["verify", folder.file("f")])
            #expect(verified.status == 0, "\(verified.output)")
        }

        @Test(.enabled(if: Launch.mayMount, "being somebody else needs root"))
        func whatCannotBeOverwrittenKeepsItsManifest() throws {
            // Not in /dev/shm: Open MPI needs a folder there that is the user's own.
            let folder = try Folder(in: "/var/tmp")
            let written = try Launch.alone(["-o", folder.file("f"), "-s", "1MiB", "--seed", "5"])
            #expect(written.status == 0, "\(written.error)")
            _ = try Launch.run(["chmod", "777", folder.path])
            let refused = try Launch.run([
                "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                Launch.program, "-o", folder.file("f"), "-s", "1MiB", "--seed", "9",
                "--overwrite",
            ])
            #expect(refused.status == 3, "\(refused.error)")
            #expect(try Launch.alone(["verify", folder.file("f")]).status == 0)
            let spec = try #require(try folder.json("f.dgen.json")["spec"] as? [String: Any])
            #expect(spec["seed"] as? Int == 5)
        }

        /// Files may not get longer than 3 MB (`ulimit -f`); without a word of it the system ends whoever tries.
        @Test(
            arguments: TestForm.cases(
                // UCX, which MPICH's ranks talk by, wants longer files in memory.
                [(1, []), (Launch.isMPICH ? 1 : 3, ["--collective"])],
                more: [(1, ["--io", "posix"])]
                    + (Launch.isMPICH
                        ? [] : [(3, ["--preallocate"]), (2, ["--layout", "per-rank"])]),
                of: "aFileThatMayNotGetSoLongIsRefused"))
        func aFileThatMayNotGetSoLongIsRefused(ranks: Int, options: [String]) throws {
            let folder = try Folder()
            let limited =
                (ranks > 1 ? Launch.mpirun(ranks) : [])
                + ["bash", "-c", #"ulimit -f 3000; exec "$@""#, "bash", Launch.program]
            for command in ranks == 1 || TestForm.isWhole ? ["generate", "test"] : ["generate"] {
                let outcome = try Launch.run(
                    limited + [command, "-o", folder.file("f"), "-s", "16MiB", "--report"]
                        + [folder.file("r")] + options)
                #expect(outcome.status == 3, "\(outcome.status) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(outcome.complaints.first?.contains("EFBIG") == true, "\(outcome.error)")
                #expect(try folder.json("r")["status"] as? String == "failed")
                #expect(!folder.exists("f.dgen.json"))
            }
            guard ranks == 1 || TestForm.isWhole else { return }
            // What is there is read and mended, as far as that is allowed.
            let output = ["-o", folder.file("f"), "-s", "16MiB", "--quiet"] + options
            #expect(try Launch.alone(output).status == 0)
            let first = options.contains("per-rank") ? "f.00000000" : "f"
            try folder.flip(first, at: 1000)
            let near = try Launch.run(limited + ["repair", folder.file("f"), "--quiet"])
            #expect(near.status == 0, "\(near.error)")
            try folder.flip(first, at: (16 << 20) - 1)
            let far = try Launch.run(
                limited + ["repair", folder.file("f"), "--report", folder.file("r")])
            #expect(far.status == 3, "\(far.error)")
            #expect(far.complaints.count == 1, "\(far.error)")
            #expect(try folder.json("r")["status"] as? String == "failed")
            #expect(try Launch.alone(["repair", folder.file("f"), "--quiet"]).status == 0)
        }

        /// Checks what an interrupted run left behind.
        ///
        /// - Parameters:
        ///   - folder: where it ran.
        ///   - mayBeKilled: whether the launcher's patience may have ended before the ranks had
        ///     reported, as on a busy machine; the report then has what it said from the start.
        /// - Throws: what reading the files throws.
        private func expectInterrupted(_ folder: Folder, mayBeKilled: Bool = false) throws {
            let report = try folder.json("r")
            #expect(report["status"] as? String == "interrupted")
            #expect(report["exit_status"] as? Int == 5)
            let error = try #require(report["error"] as? String)
            #expect(
                error.contains("stopped by SIG")
                    || mayBeKilled && error == "the run did not come to its end", "\(error)")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "writing")
            // What was written first is right, but the file is longer than that.
            let verified = try Launch.ranks(2, ["verify", folder.file("f"), "-s", "4096"])
            #expect(verified.status == 1)
            #expect(verified.output.contains("says 'writing'"), "\(verified.output)")
        }

        /// More than can be written before a signal; transfers of 4 KiB notice it at once.
        private func longRun(_ folder: Folder, size: String = "8GiB") -> [String] {
            Launch.noting(folder, Launch.mpirun(3)) + [
                "-o", folder.file("f"), "-s", size, "-t", "4KiB", "--report",
                folder.file("r"),
            ]
        }

        @Test(
            arguments: TestForm.cases(
                ["TERM"], more: ["INT"], of: "aSignalToTheLauncherStopsTheRun"))
        func aSignalToTheLauncherStopsTheRun(signal: String) throws {
            let folder = try Folder()
            // Open MPI's launcher decides on its own status before it tells the ranks, which say so; and it may drop what
            // they say after the signal.
            let outcome = try telling(
                #"until_begun "$folder/f.dgen.json" $!; kill -\#(signal) $!"#, longRun(folder),
                folder)
            #expect(outcome.status != 0)
            #expect(outcome.complaints.count <= 1, "\(outcome.error)")
            if !Launch.isMPICH, let complaint = outcome.complaints.first {
                #expect(complaint.contains("SIGTERM from mpirun, whose own exit status"))
            }
            try expectInterrupted(folder, mayBeKilled: true)
        }

        /// Runs a command, waits until it has begun its report `r`, and tells it something by a line of shell: `$!` is
        /// what was started, `$folder` where its ranks have noted their processes in `pid.*`.
        private func telling(_ line: String, _ command: [String], _ folder: Folder) throws
            -> Outcome
        {
            try Launch.run(
                [
                    "bash", "-c",
                    Launch.waiting + #"""
                        folder=$1; shift
                        "$@" &
                        until_begun "$folder/r" $!
                        \#(line)
                        wait $!
                        """#, "bash", folder.path,
                ] + command, seconds: 30)
        }

        /// A run that is long enough for any signal: of a file that has nothing of what it should have, where it is read.
        private func longCommand(_ name: String, _ folder: Folder) throws -> [String] {
            let spec = ["-s", "64GiB", "--seed", "1", "-t", "4KiB", "--io", "posix"]
            if name == "generate" {
                return ["-o", folder.file("f"), "--no-space-check", "--report", folder.file("r")]
                    + spec
            }
            _ = try folder.fileForWriting("f")
            try folder.truncate("f", to: 64 << 30)
            return [name, folder.file("f"), "--report", folder.file("r")] + spec
        }

        /// Who gets a signal, as a line of shell.
        private static let targets = [
            "all ranks": #"kill -SIGNAL $(cat "$folder"/pid.*)"#,
            "the first rank": #"kill -SIGNAL $(cat "$folder/pid.0")"#,
            "the last rank": #"kill -SIGNAL $(cat "$folder/pid.2")"#,
            "the launcher": "kill -SIGNAL $!",
        ]

        /// The launcher of Open MPI hands SIGUSR2 on; what it has a status of its own for is told by another test.
        @Test(
            arguments: [
                ("generate", "all ranks", "TERM"), ("verify", "the last rank", "INT"),
                ("generate", "the first rank", "HUP"), ("verify", "all ranks", "USR2"),
            ] + (Launch.isMPICH ? [] : [("verify", "the launcher", "USR2")]))
        func whoeverGetsASignalAllRanksLeaveWithItsStatus(
            command: String, target: String, signal: String
        ) throws {
            let folder = try Folder()
            let line = try #require(Self.targets[target]).replacing("SIGNAL", with: signal)
            let outcome = try telling(
                line, Launch.noting(folder, Launch.mpirun(3)) + longCommand(command, folder), folder
            )
            #expect(outcome.status == 5, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("SIG" + signal) == true, "\(outcome.error)")
            let report = try folder.json("r")
            #expect(report["status"] as? String == "interrupted")
            #expect((report["error"] as? String)?.contains("SIG" + signal) == true)
        }

        private static let signalsAndCommands: [(String, String)] = {
            let signals = ["INT", "TERM", "HUP", "USR2", "XCPU"]
            let commands = ["generate", "verify", "bench"]
            // Each once, and every command.
            let some = signals.indices.map { ($0, $0 % commands.count) }
            let others = signals.indices.flatMap { signal in
                commands.indices.map { (signal, $0) }
            }.filter { pair in !some.contains { $0 == pair } }
            return TestForm.cases(some, more: others, of: "aSignalStopsARunThatNobodyLaunched")
                .map { (signals[$0], commands[$1]) }
        }()

        @Test(arguments: signalsAndCommands)
        func aSignalStopsARunThatNobodyLaunched(signal: String, command: String) throws {
            let folder = try Folder()
            let isBench = command == "bench"
            // It has no report before its end.
            if isBench { try folder.write(#"{"format" : "dgen-bench/1"}"#, to: "r") }
            let outcome = try telling(
                (isBench ? "until_caught \(signal) $!; " : "")
                    + "kill -\(signal) $!",
                [Launch.program]
                    + (isBench
                        ? ["bench", "--repeat", "1000", "--report", folder.file("r")]
                        : longCommand(command, folder)),
                folder)
            #expect(outcome.status == 5, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("SIG" + signal) == true, "\(outcome.error)")
        }

        /// `nohup` has SIGHUP ignored; SIGUSR1 asks how far the run is.
        @Test func aSignalThatIsIgnoredOnPurposeStaysIgnored() throws {
            let folder = try Folder()
            let outcome = try telling(
                #"""
                kill -HUP $!
                kill -USR1 $!
                until grep -q "dgen-mpi: verify " "$folder/said" || ! kill -0 $!; do sleep 0.01; done
                kill -USR2 $!
                wait $!; status=$?
                cat "$folder/said" >&2
                exit $status
                """#,
                [
                    "bash", "-c", #"trap "" HUP; folder=$1; shift; exec "$@" 2> "$folder/said""#,
                    "bash", folder.path, Launch.program,
                ] + longCommand("verify", folder), folder)
            #expect(outcome.status == 5)
            #expect(outcome.complaints == ["dgen-mpi: error: stopped by SIGUSR2"])
            #expect(outcome.error.contains("dgen-mpi: verify "), "\(outcome.error)")
        }

        @Test func aRunWhoseProcessorTimeEndsIsStoppedBeforeThat() throws {
            let folder = try Folder()
            // Shells set the limit that warns and the one that kills to the same.
            let outcome = try Launch.run(
                ["bash", "-c", #"ulimit -t 2; exec "$@""#, "bash", Launch.program]
                    + longCommand("verify", folder))
            #expect(outcome.status == 5, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("ulimit -t") == true, "\(outcome.error)")
        }

        /// The signal comes at any moment of the start, from when it is listened to.
        @Test(arguments: ["INT", "TERM", "HUP"], Launch.rounds)
        func aSignalDuringTheStartHasTheSameStatus(signal: String, round: Int) throws {
            var numbers = RandomNumbers()
            for _ in 0..<2 {
                let folder = try Folder()
                let seconds = Double(numbers.number(below: 300)) / 1000
                let outcome = try Launch.run(
                    [
                        "bash", "-c",
                        Launch.waiting + #"""
                            "$@" &
                            until_caught \#(signal) $!
                            sleep \#(seconds)
                            kill -\#(signal) $!
                            wait $!
                            """#, "bash", Launch.program,
                    ] + longCommand("verify", folder), seconds: 20)
                let note: Comment = "after \(seconds) s, \(numbers): \(outcome.error)"
                #expect(outcome.status == 5, note)
                #expect(outcome.complaints.count == 1, note)
            }
        }

        @Test func aRankThatHangsIsNamedAndTheJobEnds() throws {
            let folder = try Folder()
            let outcome = try telling(
                #"until_begun "$folder/f.dgen.json" $!; kill -STOP $(cat "$folder/pid.2")"#,
                // Which the others finish, and then wait.
                longRun(folder, size: "1GiB") + ["--watchdog", "2"], folder)
            #expect(outcome.status != 0)
            #expect(outcome.complaints.first?.contains("stuck in") == true, "\(outcome.error)")
            #expect(try folder.json("r")["status"] as? String != "ok")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "writing")
        }

        @Test func collectiveWritesAreReadBackAndTheReportSaysSo() throws {
            let folder = try Folder()
            let outcome = try Launch.ranks(
                3,
                [
                    "-o", folder.file("f"), "-s", "10MiB", "--collective", "--report",
                    folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(outcome.output.contains("read back"))
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            #expect(operations.first?["proof_seconds"] is Double)
        }
    }
}
