// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

/// Storage that fails in chosen ways: `Faults/faults.c`, loaded into every rank.
private enum Faults {
    /// The library, built once beside the program; nil where there is no C compiler.
    static let library: String? = {
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Faults/faults.c").path
        let target = URL(filePath: Launch.program).deletingLastPathComponent()
            .appending(path: "faults.so").path
        for compiler in ["cc", "gcc", "clang"] {
            let outcome = try? Launch.run(
                [compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl"])
            if outcome?.status == 0 { return target }
        }
        return nil
    }()

    /// What stands for others like it in the short form of `make test`.
    static func some<Case>(_ cases: [Case], shortForm: [Case]) -> [Case] {
        Launch.rounds > 1 ? cases : shortForm
    }

    /// The environment of ranks that meet a fault.
    static func environment(
        _ call: String, _ with: String, _ path: String, rank: Int? = nil, from: Int? = nil
    ) throws -> [String: String] {
        var all = [
            "LD_PRELOAD": try #require(library, "a C compiler builds the faults"),
            "FAULT_CALL": call, "FAULT_WITH": with, "FAULT_PATH": path,
        ]
        if let rank { all["FAULT_RANK"] = "\(rank)" }
        if let from { all["FAULT_FROM"] = "\(from)" }
        return all
    }
}

extension Integration {
    /// Faults of storage and machines: no hang, the right status, one message, a valid report, a manifest that does
    /// not lie, and a file that `repair` brings back.
    @Suite struct FaultTests {
        private static let size = 6_000_001
        private static let spec = ["-s", "\(size)", "--seed", "5", "--dedup-ratio", "1.5"]

        /// What the file should hold, as coreutils sum it up.
        private static let whole: Result<String, any Error> = Result {
            let folder = try Folder()
            _ = try Launch.alone(["-o", folder.file("f"), "--quiet"] + spec)
            return try folder.sha256("f")
        }

        private func run(
            _ ranks: Int, _ words: [String], _ environment: [String: String] = [:],
            component: String? = nil, seconds: Int = 40
        ) throws -> Outcome {
            // Into the ranks, not into mpirun and what it starts.
            let variables = environment.map { "\($0)=\($1)" }
            // A launcher whose rank was killed says so by 137, which would look like a run that was hung.
            let script = #""$@"; status=$?; test $status = 137 && exit 99; exit $status"#
            return try Launch.run(
                ["sh", "-c", script, "sh"] + Launch.mpirun(ranks, component: component) + ["env"]
                    + variables + [Launch.program] + words, seconds: seconds)
        }

        /// The one rank that meets a fault; where ranks write together, whichever writes for them.
        private func one(_ options: [String]) -> Int? { options == ["--collective"] ? nil : 1 }

        private func generate(
            _ folder: Folder, _ options: [String] = [], _ environment: [String: String] = [:],
            ranks: Int = 3, component: String? = nil
        ) throws -> Outcome {
            try run(
                ranks,
                [
                    "-o", folder.file("f"), "--align", "64KiB", "-t", "64KiB", "--report",
                    folder.file("r"),
                ] + Self.spec + options, environment, component: component)
        }

        /// The manifest does not call a file complete that is not, and `repair` makes it complete.
        private func expectRepairable(_ folder: Folder, _ note: String, ranks: Int = 2) throws {
            // It may have been stopped before there was one.
            let status =
                folder.exists("f.dgen.json")
                ? try folder.json("f.dgen.json")["status"] as? String : "none"
            if status == "complete" {
                #expect(try folder.sha256("f") == Self.whole.get(), "\(note): the manifest lies")
            }
            let repaired = try run(
                ranks,
                ["-o", folder.file("f"), "--resume", "--quiet", "--report", folder.file("again")]
                    + Self.spec)
            #expect(repaired.status == 0, "\(note): \(repaired.error)")
            #expect(try folder.sha256("f") == Self.whole.get(), "\(note)")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "complete", "\(note)")
            #expect(try folder.json("again")["status"] as? String == "ok", "\(note)")
        }

        /// One message, and a report that says the same.
        private func expectFailed(
            _ folder: Folder, _ outcome: Outcome, _ says: [String], _ note: String,
            status: Int32 = 3
        ) throws {
            #expect(outcome.status == status, "\(note): \(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(note): \(outcome.error)")
            for words in says {
                #expect(
                    outcome.complaints.first?.contains(words) == true, "\(note): \(outcome.error)")
            }
            let report = try folder.json("r")
            #expect(report["status"] as? String == "failed", "\(note)")
            #expect(report["exit_status"] as? Int == Int(status), "\(note)")
            #expect((report["error"] as? String)?.isEmpty == false, "\(note)")
        }

        @Test(
            arguments: Faults.some(
                ["EIO", "ENOSPC", "EDQUOT", "EROFS"], shortForm: ["EIO", "EDQUOT"]),
            Launch.components)
        func aWriteThatFailsFailsTheRun(error: String, component: String?) throws {
            for round in 0..<Launch.rounds {
                for options in [
                    [], ["--collective"], ["--io", "posix"], ["--layout", "per-rank"],
                ] {
                    let folder = try Folder()
                    let isPerRank = options.contains("per-rank")
                    let file = folder.file(isPerRank ? "f.00000001" : "f")
                    // On one rank, in the middle of what it writes.
                    let faults = try Faults.environment(
                        "write", error, file, rank: one(options),
                        from: isPerRank ? 100_000 : 3_000_000)
                    let note = "\(error) \(component ?? "") \(options) round \(round)"
                    let outcome = try generate(folder, options, faults, component: component)
                    try expectFailed(folder, outcome, ["f"], note)
                    #expect(
                        try folder.json("f.dgen.json")["status"] as? String == "writing", "\(note)")
                    if isPerRank {
                        let repaired = try run(2, ["repair", folder.file("f"), "--quiet"])
                        #expect(repaired.status == 0, "\(note): \(repaired.error)")
                    } else {
                        try expectRepairable(folder, note)
                    }
                }
            }
        }

        @Test(arguments: Launch.components)
        func whatIsNotStoredIsNotCalledStored(component: String?) throws {
            for round in 0..<Launch.rounds {
                for options in [[], ["--collective"], ["--io", "posix"], ["--sync", "each"]] {
                    let folder = try Folder()
                    let note = "\(component ?? "") \(options) round \(round)"
                    let faults = try Faults.environment("sync", "EIO", folder.file("f"))
                    let outcome = try generate(folder, options, faults, component: component)
                    try expectFailed(folder, outcome, [], note)
                    try expectRepairable(folder, note)
                }
            }
        }

        @Test(arguments: Launch.components)
        func shortReadsAndWritesAreGoneOnWithOrFail(component: String?) throws {
            for round in 0..<Launch.rounds {
                for options in [[], ["--io", "posix"]] {
                    let folder = try Folder()
                    let note = "\(component ?? "") \(options) round \(round)"
                    let outcome = try generate(
                        folder, options,
                        try Faults.environment("write", "short", folder.file("f"), rank: 1),
                        component: component)
                    // Open MPI's own component counts what it has written, and leaves it at that.
                    let mayFail = options.isEmpty && component == "ompio"
                    #expect(
                        outcome.status == 0 || mayFail && outcome.status == 3,
                        "\(note): \(outcome.error)")
                    try expectRepairable(folder, note)
                    let verified = try run(
                        2, ["verify", folder.file("f"), "--quiet"] + options,
                        try Faults.environment("read", "short", folder.file("f")),
                        component: component)
                    #expect(verified.status == 0, "\(note): \(verified.error)")
                }
            }
        }

        @Test func writesThatAreLostInSilenceAreFound() throws {
            for round in 0..<Launch.rounds {
                for options in [[], ["--io", "posix"], ["--collective"]] {
                    let folder = try Folder()
                    let note = "\(options) round \(round)"
                    // Not the last rank: then the file is as long as it should be.
                    let outcome = try generate(
                        folder, options,
                        try Faults.environment(
                            "write", "lost", folder.file("f"), rank: one(options), from: 3_000_000))
                    if options == ["--collective"] {
                        try expectFailed(folder, outcome, [], note)
                    } else {
                        // Nobody can know before it is read.
                        #expect(outcome.status == 0, "\(note): \(outcome.error)")
                        let verified = try run(
                            2, ["verify", folder.file("f"), "--report", folder.file("r")])
                        #expect(verified.status == 1, "\(note)")
                        let damage = try #require(
                            try folder.json("r")["damage"] as? [[String: Any]])
                        #expect(damage.map { $0["kind"] as? String } == ["zeros"], "\(note)")
                        #expect(damage.first?["rank"] as? Int == 1, "\(note)")
                        let repaired = try run(3, ["repair", folder.file("f"), "--quiet"])
                        #expect(repaired.status == 0, "\(note): \(repaired.error)")
                        #expect(try folder.sha256("f") == Self.whole.get(), "\(note)")
                        continue
                    }
                    try expectRepairable(folder, note)
                }
            }
        }

        @Test(arguments: Launch.components, [[], ["--io", "posix"]])
        func aReadThatFailsIsNoDamage(component: String?, options: [String]) throws {
            let folder = try Folder()
            #expect(try generate(folder).status == 0)
            for round in 0..<Launch.rounds {
                for words in [["verify"], ["repair"]] {
                    let outcome = try run(
                        3,
                        words + [folder.file("f"), "--report", folder.file("r")] + options,
                        try Faults.environment(
                            "read", "EIO", folder.file("f"), rank: 2, from: 5_000_000),
                        component: component)
                    let note = "\(words) \(component ?? "") \(options) round \(round)"
                    try expectFailed(folder, outcome, [], note)
                    #expect((try folder.json("r")["damage"] as? [Any])?.isEmpty == true, "\(note)")
                    try expectRepairable(folder, note)
                }
            }
        }

        @Test(arguments: [[], ["--collective"], ["--io", "posix"]], ["write", "read"])
        func aRankThatHangsInACallEndsTheJob(options: [String], call: String) throws {
            for round in 0..<Launch.rounds {
                let folder = try Folder()
                let note = "\(options) \(call) round \(round)"
                let faults = try Faults.environment(
                    call, "hang", folder.file("f"), rank: one(options), from: 3_000_000)
                let outcome: Outcome
                if call == "write" {
                    outcome = try generate(folder, options + ["--watchdog", "1"], faults)
                } else {
                    #expect(try generate(folder).status == 0)
                    let words = options == ["--collective"] ? [] : options
                    outcome = try run(
                        3,
                        [
                            "verify", folder.file("f"), "--watchdog", "1", "--report",
                            folder.file("r"),
                        ] + words, faults)
                }
                #expect([3, 4].contains(outcome.status), "\(note): \(outcome.status)")
                #expect(
                    outcome.complaints.first?.contains("stuck in") == true,
                    "\(note): \(outcome.error)")
                #expect(try folder.json("r")["status"] as? String != "ok", "\(note)")
                try expectRepairable(folder, note)
            }
        }

        /// One rank fails, one does nothing wrong, one hangs: whoever failed does not wait as long as the watchdog would.
        @Test(
            arguments: Faults.some(
                [[], ["--io", "posix"], ["--collective"], ["--sync", "each"]],
                shortForm: [["--io", "posix"], ["--collective"]]))
        func afterAFailureRanksThatDoNotAnswerAreNamed(options: [String]) throws {
            for round in 0..<Launch.rounds {
                let folder = try Folder()
                let note = "\(options) round \(round)"
                let isTogether = options.contains("--collective")
                var faults = try Faults.environment(
                    "write", "EIO", folder.file("f"), from: isTogether ? 0 : 3_000_000)
                faults["FAULT_HANGS"] = "2"
                let outcome = try generate(folder, options + ["--watchdog", "8"], faults)
                #expect([3, 4].contains(outcome.status), "\(note): \(outcome.status)")
                guard options == ["--io", "posix"] || options.isEmpty else { continue }
                #expect(outcome.status == 3, "\(note): \(outcome.status)")
                let complaint = outcome.complaints.first ?? ""
                #expect(complaint.contains("rank 1 on "), "\(note): \(outcome.error)")
                #expect(complaint.contains("; rank 2 on "), "\(note): \(outcome.error)")
                #expect(complaint.contains(" did not answer for "), "\(note): \(outcome.error)")
                let report = try folder.json("r")
                #expect(report["status"] as? String == "failed", "\(note)")
                #expect(report["exit_status"] as? Int == 3, "\(note)")
                #expect((report["error"] as? String)?.contains("did not answer") == true, "\(note)")
                try expectRepairable(folder, note)
            }
        }

        @Test(arguments: [[], ["--collective"], ["--io", "posix"], ["--sync", "each"]])
        func aRankThatIsKilledLeavesAFileThatCanBeFinished(options: [String]) throws {
            for round in 0..<Launch.rounds {
                let folder = try Folder()
                let note = "\(options) round \(round)"
                let outcome = try generate(
                    folder, options,
                    try Faults.environment(
                        "write", "kill", folder.file("f"), rank: one(options), from: 3_000_000))
                #expect(outcome.status != 0, "\(note)")
                // Nobody was left to say more than what was there from the start.
                let report = try folder.json("r")
                #expect(report["status"] as? String == "interrupted", "\(note)")
                #expect(try folder.json("f.dgen.json")["status"] as? String == "writing", "\(note)")
                try expectRepairable(folder, note)
            }
        }

        /// Each rank has its node forget the file that it is about to read, whoever wrote that.
        @Test func whoReadsAFileForgetsItFirst() throws {
            var readers: [String: [Int]] = [:]
            for call in ["read", "forget"] {
                for rank in 0..<4 {
                    let folder = try Folder()
                    let fault = try Faults.environment(
                        call, "EIO", folder.file("f.00000000"), rank: rank)
                    let outcome = try run(
                        4,
                        [
                            "test", "-o", folder.file("f"), "--phases", "write,read", "--io",
                            "posix", "--layout", "per-rank", "--read-order", "shuffle",
                            "--drop-cache", "--quiet",
                        ] + Self.spec, fault)
                    #expect([0, 3].contains(outcome.status), "\(outcome.error)")
                    if outcome.status == 3 { readers[call, default: []].append(rank) }
                }
            }
            #expect(readers["read"]?.count == 1 && readers["read"] != [0], "\(readers)")
            #expect(readers["forget"] == readers["read"], "\(readers)")
        }

        @Test func SIGTERMAtAnyMomentLeavesAValidReportAndAnHonestManifest() throws {
            for round in 0..<max(3, Launch.rounds) {
                let folder = try Folder()
                let seconds = Double.random(in: 0.05...0.8)
                let words = [Launch.program, "-o", folder.file("f"), "-t", "512"]
                // To all ranks, and to what has been started of them.
                let outcome = try Launch.run(
                    [
                        "sh", "-c",
                        #""$@" & sleep "$0"; pkill -TERM -f "^\#(Launch.program) -o \#(folder.file("f"))"; wait $!"#,
                        "\(seconds)",
                    ] + Launch.mpirun(3) + words + [
                        "--report", folder.file("r"), "--sync", "each", "--io", "posix",
                    ] + Self.spec, seconds: 60)
                let note = "round \(round), after \(seconds) s"
                // Before it has said that it wants to end by itself, the signal just ends it.
                if folder.exists("r") {
                    let status = try folder.json("r")["status"] as? String
                    #expect(["interrupted", "ok"].contains(status), "\(note): \(status ?? "none")")
                    #expect(outcome.status == 0 || status == "interrupted", "\(note)")
                    #expect(outcome.complaints.count <= 1, "\(note): \(outcome.error)")
                }
                try expectRepairable(folder, note)
            }
        }

        @Test(arguments: Launch.components, [[], ["--io", "posix"]])
        func aFileThatGrowsWhileItIsRepairedIsRepaired(
            component: String?, options: [String]
        ) throws {
            let folder = try Folder()
            #expect(try generate(folder, options, component: component).status == 0)
            try FileHandle(forWritingTo: URL(filePath: folder.file("f"))).truncate(
                atOffset: 1_000_000)
            // There is no more when it is read, and all of its length when one asks how far it goes.
            var environment = try Faults.environment("read", "grow", folder.file("f"))
            environment["FAULT_TO"] = "\(Self.size)"
            let repaired = try run(
                1, ["repair", folder.file("f"), "--quiet", "-t", "64KiB"] + options, environment,
                component: component)
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try folder.sha256("f") == Self.whole.get())
        }

        @Test(arguments: ["truncate", "overwrite"])
        func aFileThatChangesWhileItIsVerifiedIsDamaged(how: String) throws {
            for round in 0..<Launch.rounds {
                let folder = try Folder()
                let change =
                    how == "truncate"
                    ? "truncate -s 40000000 \(folder.file("f"))"
                    : "dd if=/dev/urandom of=\(folder.file("f")) bs=1M seek=50 count=10 conv=notrunc 2>/dev/null"
                var outcome: Outcome
                var attempts = 0
                repeat {
                    let written = try Launch.ranks(
                        2,
                        [
                            "-o", folder.file("f"), "-s", "64MiB", "--seed", "8", "--quiet",
                            "--overwrite",
                        ])
                    #expect(written.status == 0, "\(written.error)")
                    // Held in the midst of it, unless it was through before that: then once more.
                    outcome = try Launch.run([
                        "sh", "-c",
                        #"""
                        report=$1; shift
                        rm -f "$report"
                        "$@" &
                        until test -s "$report"; do sleep 0.001; done
                        kill -STOP $!
                        \#(change)
                        kill -CONT $!
                        wait $!
                        """#, "sh", folder.file("r"), Launch.program, "verify", folder.file("f"),
                        "--io", "posix", "-t", "512", "--report", folder.file("r"),
                    ])
                    attempts += 1
                } while outcome.status == 0 && attempts < 10
                #expect(outcome.status == 1, "\(how) round \(round): \(outcome.error)")
                let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
                let kinds = Set(damage.compactMap { $0["kind"] as? String })
                #expect(
                    how == "truncate"
                        ? kinds == ["truncated"] : kinds.isSubset(of: ["foreign", "torn"]),
                    "\(kinds)")
                let repaired = try Launch.ranks(3, ["repair", folder.file("f"), "--quiet"])
                #expect(repaired.status == 0, "\(repaired.error)")
                #expect(try Launch.alone(["verify", folder.file("f"), "--quiet"]).status == 0)
            }
        }

        @Test(arguments: 0..<Launch.rounds)
        func aLauncherThatStartsSingletonsIsRefused(round: Int) throws {
            let folder = try Folder()
            let options = ["-o", folder.file("f"), "-s", "1MiB"]
            for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
                let outcome = try Launch.alone(options, environment: [variable: "4"])
                #expect(outcome.status == 4, "\(variable): \(outcome.error)")
                #expect(outcome.complaints.count == 1)
                #expect(!folder.exists("f"))
            }
        }

        /// A limit on processes or threads; the launcher's library takes two of them under `mpirun`.
        @Test(
            arguments: Faults.some(
                [(1, 0), (1, 1), (1, 2), (2, 2), (2, 3)], shortForm: [(1, 0), (2, 3)]))
        func withoutMoreThreadsAllIsDoneByOne(ranks: Int, threads: Int) throws {
            let folder = try Folder()
            let faults = [
                "LD_PRELOAD": try #require(Faults.library), "FAULT_THREADS": "\(threads)",
            ]
            let options = ["--threads", "3", "--queue-depth", "3", "--quiet"]
            func run(_ words: [String]) throws -> Outcome {
                ranks == 1
                    ? try Launch.alone(words + options, environment: faults, seconds: 30)
                    : try self.run(ranks, words + options, faults)
            }
            let written = try run(["-o", folder.file("f"), "-t", "64KiB"] + Self.spec)
            #expect(written.status == 0, "\(written.error)")
            #expect(try folder.sha256("f") == Self.whole.get())
            let verified = try run(["verify", folder.file("f"), "-t", "64KiB"])
            #expect(verified.status == 0, "\(verified.error)")
            let tested = try run(["test", "-o", folder.file("t"), "-t", "64KiB"] + Self.spec)
            #expect(tested.status == 0, "\(tested.error)")
        }

        @Test func theWatchdogEndsAJobThatHasNoThreadForIt() throws {
            let folder = try Folder()
            var faults = try Faults.environment("write", "hang", folder.file("f"), from: 3_000_000)
            faults["FAULT_THREADS"] = "0"
            let outcome = try Launch.alone(
                [
                    "-o", folder.file("f"), "-t", "64KiB", "--watchdog", "1", "--report",
                    folder.file("r"),
                ] + Self.spec, environment: faults, seconds: 20)
            #expect(outcome.status == 3, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("stuck in write") == true)
            #expect(try folder.json("f.dgen.json")["status"] as? String == "writing")
        }

        /// Gang scheduling, a terminal, a machine that is saved and restored: time in which nothing runs is nobody's fault.
        @Test(arguments: Faults.some([1, 3], shortForm: [1]), [nil, "0"])
        func timeThatARunIsSuspendedForIsNotCounted(ranks: Int, threads: String?) throws {
            guard ranks == 1 || threads == nil else { return }
            let folder = try Folder()
            // Stopped in the midst of a write that takes a while: the watchdog looks before it is through.
            var faults = try Faults.environment("write", "late", folder.file("f"))
            if let threads { faults["FAULT_THREADS"] = threads }
            let outcome = try Launch.run(
                [
                    "bash", "-c",
                    #"""
                    report=$1 ranks="^$2 .*$1"; shift 2
                    "$@" &
                    until test -s "$report" || ! kill -0 $!; do sleep 0.02; done
                    sleep 0.2
                    pkill -STOP -f "$ranks"
                    sleep 4
                    pkill -CONT -f "$ranks"
                    sleep 1
                    pkill -USR2 -f "$ranks"
                    wait $!
                    """#, "bash", folder.file("r"), Launch.program,
                ] + (ranks > 1 ? Launch.mpirun(ranks) : []) + [
                    Launch.program, "-o", folder.file("f"), "-s", "64GiB", "-t", "4KiB",
                    "--no-space-check", "--watchdog", "3", "--report", folder.file("r"),
                ], environment: faults, seconds: 30)
            #expect(outcome.status == 5, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("SIGUSR2") == true, "\(outcome.error)")
        }

        @Test func aDateThatJumpsChangesNothing() throws {
            for round in 0..<Launch.rounds {
                let folder = try Folder()
                let faults = try Faults.environment("clock", "", folder.file("f"))
                let outcome = try generate(folder, ["--time-limit", "60s"], faults)
                #expect(outcome.status == 0, "round \(round): \(outcome.error)")
                let operations = try #require(
                    try folder.json("r")["operations"] as? [[String: Any]])
                let seconds = try #require(operations.first?["seconds"] as? Double)
                #expect(seconds > 0 && seconds < 30, "\(seconds)")
                let verified = try run(2, ["verify", folder.file("f"), "--watchdog", "30"], faults)
                #expect(verified.status == 0, "\(verified.error)")
            }
        }

        /// Runs a script with a file system of its own at `DIR/disk`, mounted with `options`.
        private func onDisk(_ folder: Folder, _ options: String, _ script: String) throws -> Outcome
        {
            try FileManager.default.createDirectory(
                atPath: folder.file("disk"), withIntermediateDirectories: false)
            return try Launch.run(
                [
                    "unshare", "--mount", "bash", "-c",
                    "mount -t tmpfs -o \(options) tmpfs \(folder.file("disk")) || exit 99\n"
                        + "run() { \(Launch.mpirun(3).joined(separator: " ")) \(Launch.program) \"$@\"; }\n"
                        + "cd \(folder.path)\n" + script,
                ], seconds: 90)
        }

        @Test(.enabled(if: Launch.mayMount, "mounting a file system needs root"))
        func aFullFileSystemThatGetsRoomIsFilled() throws {
            for round in 0..<Launch.rounds {
                for mode in ["", "--collective", "--io posix", "--preallocate"] {
                    let folder = try Folder()
                    let outcome = try onDisk(
                        folder, "size=3m",
                        """
                        run -o disk/f -s 8MiB --seed 3 --no-space-check \(mode) --report r
                        test $? = 3 || exit 90
                        run repair disk/f --report r; test $? = 3 || exit 91
                        mount -o remount,size=64m disk
                        run repair disk/f --quiet || exit 92
                        run verify disk/f --quiet || exit 93
                        """)
                    #expect(outcome.status == 0, "\(mode) round \(round): \(outcome.error)")
                }
            }
        }

        @Test(.enabled(if: Launch.mayMount, "mounting a file system needs root"))
        func aQuotaThatIsRaisedIsFilled() throws {
            for round in 0..<Launch.rounds {
                for mode in ["", "--collective", "--io posix"] {
                    let folder = try Folder()
                    // Free room there is, as far as the file system tells.
                    let outcome = try onDisk(
                        folder, "size=1m",
                        """
                        set -e
                        PATH=$PATH:/usr/sbin:/sbin
                        truncate -s 256M image
                        mkfs.btrfs -q image
                        mount -o loop image disk
                        btrfs -q quota enable disk
                        btrfs -q subvolume create disk/mine
                        btrfs qgroup limit 4M disk/mine
                        set +e
                        run -o disk/mine/f -s 12MiB --seed 3 \(mode) --report r
                        test $? = 3 || exit 90
                        grep -q '"failed"' r || exit 91
                        grep -q '"writing"' disk/mine/f.dgen.json || exit 92
                        btrfs qgroup limit none disk/mine
                        run repair disk/mine/f --quiet || exit 93
                        run verify disk/mine/f --quiet || exit 94
                        umount disk
                        """)
                    #expect(
                        outcome.status == 0,
                        "\(mode) round \(round): \(outcome.status) \(outcome.error)")
                    #expect(outcome.complaints.count == 1, "\(outcome.error)")
                }
            }
        }

        @Test(.enabled(if: Launch.mayMount, "mounting a file system needs root"))
        func aReadOnlyFileSystemIsRefusedAndVerified() throws {
            let folder = try Folder()
            let outcome = try onDisk(
                folder, "size=64m",
                """
                run -o disk/f -s 8MiB --seed 3 --quiet || exit 90
                mount -o remount,ro disk
                run -o disk/g -s 1MiB --report r; test $? = 3 || exit 91
                grep -q '"failed"' r || exit 92
                run -o disk/f -s 1MiB --overwrite; test $? = 3 || exit 93
                run repair disk/f; test $? = 3 || exit 94
                run verify disk/f --quiet || exit 95
                """)
            #expect(outcome.status == 0, "\(outcome.status): \(outcome.error)")
            #expect(outcome.complaints.count == 3, "\(outcome.error)")
        }
    }
}
