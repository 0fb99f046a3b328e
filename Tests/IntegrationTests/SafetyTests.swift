// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

extension Integration {
    /// No success without the data stored.
    @Suite struct SafetyTests {
        /// Whether slow tables are gone through whole.
        private static let isWhole = ProcessInfo.processInfo.environment["DGEN_TESTS"] == "all"

        /// Runs on a tmpfs of 16 MiB of its own; gives the outcome, the report, and the manifest.
        private func onSmallDisk(
            ranks: Int, component: String?, _ options: [String], _ folder: Folder
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
                    mount -t tmpfs -o size=16m tmpfs "$0"/disk || exit 99
                    "$@"
                    status=$?
                    cp "$0"/disk/f.dgen.json "$0"/manifest 2>/dev/null
                    exit $status
                    """#, folder.path,
                ] + command + options, seconds: 30)
        }

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: [1, 2, 4, 8], Launch.components)
        func aFullFileSystemFailsTheRun(ranks: Int, component: String?) throws {
            for mode in [[], ["--collective"]] {
                let folder = try Folder()
                let outcome = try onSmallDisk(
                    ranks: ranks, component: component, ["--no-space-check"] + mode, folder)
                #expect(outcome.status == 3, "\(mode) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(outcome.complaints.first?.contains("0 B free") == true, "\(outcome.error)")
                #expect(try folder.json("manifest")["status"] as? String == "writing")
                let report = try folder.json("r")
                #expect(report["status"] as? String == "failed")
                #expect(report["exit_status"] as? Int == 3)
                #expect((report["error"] as? String)?.isEmpty == false)
            }
        }

        private static let isLong = ProcessInfo.processInfo.environment["DGEN_TESTS"] == "all"

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: isLong ? Launch.components : [Launch.components[0]],
            isLong ? ["4KiB", "1MiB", "8MiB"] : ["4KiB"])
        func collectiveWritesToAFullFileSystemStopSoon(component: String?, size: String) throws {
            for (ranks, options) in [
                (3, []), (4, ["--sync", "each"]), (5, ["--strided"]), (3, ["--sync", "none"]),
            ].prefix(Self.isLong ? 4 : 1) {
                let folder = try Folder()
                // So much that nobody waits until all of it was made.
                let outcome = try onSmallDisk(
                    ranks: ranks, component: component,
                    ["--no-space-check", "--collective", "-s", "200GiB", "-t", size] + options,
                    folder)
                let note = "\(ranks) \(options): \(outcome.error.prefix(2000))"
                #expect(outcome.status == 3, "\(note)")
                #expect(outcome.complaints.count == 1, "\(note)")
                // The library's own, and the launcher's.
                #expect(outcome.error.split(separator: "\n").count < 60, "\(note)")
                #expect(try folder.json("manifest")["status"] as? String == "writing")
            }
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

        @Test(.enabled(if: Launch.mayMount, "attributes of files need root"))
        func whatTheSystemRefusesIsToldInItsOwnWords() throws {
            // Not in memory, which has no attributes.
            let folder = try Folder(in: "/var/tmp")
            for (make, end, reason) in [
                ("cp /bin/sleep f; chmod +x f; ./f 30 & sleep 0.1", "kill $!", "Text file busy"),
                ("echo > f; chattr +i f", "chattr -i f", "Operation not permitted"),
                ("echo > f; chattr +a f", "chattr -a f", "Operation not permitted"),
            ] {
                for component in Self.isLong ? Launch.components : [Launch.components[0]] {
                    for options in Self.isLong ? [[], ["--collective"], ["--io", "posix"]] : [[]] {
                        let script =
                            #"cd "$0"; rm -f f; \#(make); "$@"; status=$?; \#(end); exit $status"#
                        let outcome = try Launch.run(
                            ["bash", "-c", script, folder.path]
                                + Launch.mpirun(2, component: component)
                                + [Launch.program, "-o", "f", "-s", "1MiB", "--overwrite"]
                                + options)
                        let note = "\(make) \(options): \(outcome.error)"
                        #expect(outcome.status == 3, "\(note)")
                        #expect(outcome.complaints.count == 1, "\(note)")
                        #expect(outcome.complaints.first?.contains(reason) == true, "\(note)")
                        #expect(!folder.exists("f.dgen.json"), "\(note)")
                    }
                }
            }
        }

        @Test(
            .enabled(if: Launch.mayMount, "mounting a small tmpfs needs root"),
            arguments: [1, 4], [[], ["--collective"]])
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
            arguments: [(1, []), (3, ["--collective"])]
                + (isWhole
                    ? [
                        (1, ["--io", "posix"]), (3, ["--preallocate"]),
                        (2, ["--layout", "per-rank"]),
                    ]
                    : []))
        func aFileThatMayNotGetSoLongIsRefused(ranks: Int, options: [String]) throws {
            let folder = try Folder()
            let limited =
                (ranks > 1 ? Launch.mpirun(ranks) : [])
                + ["bash", "-c", #"ulimit -f 3000; exec "$@""#, "bash", Launch.program]
            for command in ranks == 1 || Self.isWhole ? ["generate", "test"] : ["generate"] {
                let outcome = try Launch.run(
                    limited + [command, "-o", folder.file("f"), "-s", "16MiB", "--report"]
                        + [folder.file("r")] + options)
                #expect(outcome.status == 3, "\(outcome.status) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(outcome.error)")
                #expect(outcome.complaints.first?.contains("EFBIG") == true, "\(outcome.error)")
                #expect(try folder.json("r")["status"] as? String == "failed")
                #expect(!folder.exists("f.dgen.json"))
            }
            guard ranks == 1 || Self.isWhole else { return }
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
            Launch.mpirun(3) + [
                Launch.program, "-o", folder.file("f"), "-s", size, "-t", "4KiB", "--report",
                folder.file("r"),
            ]
        }

        @Test(arguments: ["TERM", "INT"])
        func aSignalToTheLauncherStopsTheRun(signal: String) throws {
            let folder = try Folder()
            // Open MPI's launcher decides on its own status before it tells the ranks, which say so; and it may drop what
            // they say after the signal.
            let manifest = folder.file("f.dgen.json")
            let outcome = try telling(
                "until test -s \(manifest) || ! kill -0 $!; do sleep 0.02; done; kill -\(signal) $!",
                longRun(folder), folder)
            #expect(outcome.status != 0)
            #expect(outcome.complaints.count <= 1, "\(outcome.error)")
            if !Launch.isMPICH, let complaint = outcome.complaints.first {
                #expect(complaint.contains("SIGTERM from mpirun, whose own exit status"))
            }
            try expectInterrupted(folder, mayBeKilled: true)
        }

        /// Runs a command, waits until it has begun its report `r`, and tells it something by a line of shell: `$!` is
        /// what was started, `$ranks` matches the command lines of all ranks.
        private func telling(_ line: String, _ command: [String], _ folder: Folder) throws
            -> Outcome
        {
            try Launch.run(
                [
                    "bash", "-c",
                    #"""
                    report=$1 ranks="^$2 .*$1"; shift 2
                    "$@" &
                    until test -s "$report" || ! kill -0 $!; do sleep 0.02; done
                    sleep 0.1
                    \#(line)
                    wait $!
                    """#, "bash", folder.file("r"), Launch.program,
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
            "all ranks": #"pkill -SIGNAL -f "$ranks""#,
            "the first rank": #"pkill -SIGNAL -o -f "$ranks""#,
            "the last rank": #"pkill -SIGNAL -n -f "$ranks""#, "the launcher": "kill -SIGNAL $!",
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
                line, Launch.mpirun(3) + [Launch.program] + longCommand(command, folder), folder)
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
            return isWhole
                ? signals.flatMap { signal in commands.map { (signal, $0) } }
                : signals.enumerated().map { ($1, commands[$0 % commands.count]) }
        }()

        @Test(arguments: signalsAndCommands)
        func aSignalStopsARunThatNobodyLaunched(signal: String, command: String) throws {
            let folder = try Folder()
            let isBench = command == "bench"
            // It has no report before its end.
            if isBench { try folder.write(#"{"format" : "dgen-bench/1"}"#, to: "r") }
            let outcome = try telling(
                (isBench ? "sleep 0.2; " : "") + "kill -\(signal) $!",
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
                "kill -HUP $!; sleep 0.2; kill -USR1 $!; sleep 0.3; kill -USR2 $!",
                ["bash", "-c", #"trap "" HUP; exec "$@""#, "bash", Launch.program]
                    + longCommand("verify", folder), folder)
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

        /// The signal comes at any moment of the start.
        @Test(arguments: ["INT", "TERM", "HUP"])
        func aSignalDuringTheStartHasTheSameStatus(signal: String) throws {
            for _ in 0..<max(2, Launch.rounds) {
                let folder = try Folder()
                let seconds = Double.random(in: 0.05...0.4)
                let outcome = try Launch.run(
                    [
                        "bash", "-c", #""$@" & sleep "$0"; kill -\#(signal) $!; wait $!"#,
                        "\(seconds)", Launch.program,
                    ] + longCommand("verify", folder), seconds: 20)
                #expect(outcome.status == 5, "after \(seconds) s: \(outcome.error)")
                #expect(outcome.complaints.count == 1, "after \(seconds) s: \(outcome.error)")
            }
        }

        @Test func aRankThatHangsIsNamedAndTheJobEnds() throws {
            let folder = try Folder()
            let outcome = try telling(
                "until test -s \(folder.file("f.dgen.json")); do sleep 0.02; done; "
                    + #"pkill -STOP -n -f "$ranks""#,
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
