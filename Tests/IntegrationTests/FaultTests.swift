// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

/// Storage that fails in chosen ways: `Faults/faults.c`, loaded into every rank.
enum Faults {
    /// The library, built once beside the program; nil where there is no C compiler.
    static let library: String? = {
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Faults/faults.c").path
        let target = Launch.built("faults.so")
        for compiler in ["cc", "gcc", "clang"] {
            let outcome = try? Launch.run(
                [compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl"])
            if outcome?.status == 0 { return target }
        }
        return nil
    }()

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

        /// A fault among others of its kind: which error, call or command, on which component, written how.
        struct Case: CustomTestStringConvertible {
            var what = "EIO"
            var component: String?
            var options: [String] = []
            var testDescription: String {
                ([what, component ?? ""] + options).joined(separator: " ")
            }

            /// All ways to write, or some of them, on all components.
            static func all(
                _ kinds: [String] = ["EIO"], ways: [[String]]
            ) -> [Case] {
                kinds.flatMap { what in
                    Launch.components.flatMap { component in
                        ways.map { Case(what: what, component: component, options: $0) }
                    }
                }
            }
        }

        /// The cases of the gate, and all others of a table in the whole form.
        private static func cases(_ gate: [Case], of all: [Case], _ test: String) -> [Case] {
            let names = Set(gate.map(\.testDescription))
            return TestForm.cases(
                gate, more: all.filter { !names.contains($0.testDescription) }, of: test)
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
        private func expectRepairable(_ folder: Folder, ranks: Int = 2) throws {
            // It may have been stopped before there was one.
            let status =
                folder.exists("f.dgen.json")
                ? try folder.json("f.dgen.json")["status"] as? String : "none"
            if status == "complete" {
                #expect(try folder.sha256("f") == Self.whole.get(), "the manifest lies")
            }
            let repaired = try run(
                ranks,
                ["-o", folder.file("f"), "--resume", "--quiet", "--report", folder.file("again")]
                    + Self.spec)
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try folder.sha256("f") == Self.whole.get())
            #expect(try folder.json("f.dgen.json")["status"] as? String == "complete")
            #expect(try folder.json("again")["status"] as? String == "ok")
        }

        /// One message, and a report that says the same.
        private func expectFailed(
            _ folder: Folder, _ outcome: Outcome, _ says: [String] = [], status: Int32 = 3
        ) throws {
            #expect(outcome.status == status, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            for words in says {
                #expect(outcome.complaints.first?.contains(words) == true, "\(outcome.error)")
            }
            let report = try folder.json("r")
            #expect(report["status"] as? String == "failed")
            #expect(report["exit_status"] as? Int == Int(status))
            #expect((report["error"] as? String)?.isEmpty == false)
        }

        private static let failingWrites: [Case] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            // Each error, each component and each way to write once.
            return cases(
                [
                    Case(what: "EIO", component: first),
                    Case(what: "ENOSPC", component: last, options: ["--collective"]),
                    Case(what: "EDQUOT", component: first, options: ["--io", "posix"]),
                    Case(what: "EROFS", component: last, options: ["--layout", "per-rank"]),
                ],
                of: Case.all(
                    ["EIO", "ENOSPC", "EDQUOT", "EROFS"],
                    ways: [[], ["--collective"], ["--io", "posix"], ["--layout", "per-rank"]]),
                "aWriteThatFailsFailsTheRun")
        }()

        @Test(arguments: failingWrites, Launch.rounds)
        func aWriteThatFailsFailsTheRun(fault: Case, round: Int) throws {
            let folder = try Folder()
            let isPerRank = fault.options.contains("per-rank")
            let file = folder.file(isPerRank ? "f.00000001" : "f")
            // On one rank, in the middle of what it writes.
            let faults = try Faults.environment(
                "write", fault.what, file, rank: one(fault.options),
                from: isPerRank ? 100_000 : 3_000_000)
            let outcome = try generate(folder, fault.options, faults, component: fault.component)
            try expectFailed(folder, outcome, ["f"])
            #expect(try folder.json("f.dgen.json")["status"] as? String == "writing")
            if isPerRank {
                let repaired = try run(2, ["repair", folder.file("f"), "--quiet"])
                #expect(repaired.status == 0, "\(repaired.error)")
            } else {
                try expectRepairable(folder)
            }
        }

        private static let failingSyncs: [Case] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            return cases(
                [
                    Case(component: first, options: ["--collective"]), Case(component: last),
                    Case(component: first, options: ["--io", "posix"]),
                ],
                of: Case.all(ways: [[], ["--collective"], ["--io", "posix"], ["--sync", "each"]]),
                "whatIsNotStoredIsNotCalledStored")
        }()

        @Test(arguments: failingSyncs, Launch.rounds)
        func whatIsNotStoredIsNotCalledStored(fault: Case, round: Int) throws {
            let folder = try Folder()
            let faults = try Faults.environment("sync", fault.what, folder.file("f"))
            let outcome = try generate(folder, fault.options, faults, component: fault.component)
            try expectFailed(folder, outcome)
            try expectRepairable(folder)
        }

        private static let shortTransfers: [Case] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            return cases(
                [Case(component: first), Case(component: last, options: ["--io", "posix"])],
                of: Case.all(ways: [[], ["--io", "posix"]]),
                "shortReadsAndWritesAreGoneOnWithOrFail")
        }()

        @Test(arguments: shortTransfers, Launch.rounds)
        func shortReadsAndWritesAreGoneOnWithOrFail(fault: Case, round: Int) throws {
            let folder = try Folder()
            let outcome = try generate(
                folder, fault.options,
                try Faults.environment("write", "short", folder.file("f"), rank: 1),
                component: fault.component)
            // Open MPI's own component counts what it has written, and leaves it at that.
            let mayFail = fault.options.isEmpty && fault.component == "ompio"
            #expect(outcome.status == 0 || mayFail && outcome.status == 3, "\(outcome.error)")
            try expectRepairable(folder)
            let verified = try run(
                2, ["verify", folder.file("f"), "--quiet"] + fault.options,
                try Faults.environment("read", "short", folder.file("f")),
                component: fault.component)
            #expect(verified.status == 0, "\(verified.error)")
        }

        @Test(
            arguments: TestForm.cases(
                [["--io", "posix"], ["--collective"]], more: [[]],
                of: "writesThatAreLostInSilenceAreFound"), Launch.rounds)
        func writesThatAreLostInSilenceAreFound(options: [String], round: Int) throws {
            let folder = try Folder()
            // Not the last rank: then the file is as long as it should be.
            let outcome = try generate(
                folder, options,
                try Faults.environment(
                    "write", "lost", folder.file("f"), rank: one(options), from: 3_000_000))
            guard options != ["--collective"] else {
                try expectFailed(folder, outcome)
                try expectRepairable(folder)
                return
            }
            // Nobody can know before it is read.
            #expect(outcome.status == 0, "\(outcome.error)")
            let verified = try run(2, ["verify", folder.file("f"), "--report", folder.file("r")])
            #expect(verified.status == 1)
            let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
            #expect(damage.map { $0["kind"] as? String } == ["zeros"])
            #expect(damage.first?["rank"] as? Int == 1)
            let repaired = try run(3, ["repair", folder.file("f"), "--quiet"])
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try folder.sha256("f") == Self.whole.get())
        }

        private static let failingReads: [Case] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            return cases(
                [
                    Case(what: "verify", component: first),
                    Case(what: "repair", component: last, options: ["--io", "posix"]),
                ],
                of: Case.all(["verify", "repair"], ways: [[], ["--io", "posix"]]),
                "aReadThatFailsIsNoDamage")
        }()

        @Test(arguments: failingReads, Launch.rounds)
        func aReadThatFailsIsNoDamage(fault: Case, round: Int) throws {
            let folder = try Folder()
            #expect(try generate(folder).status == 0)
            let outcome = try run(
                3,
                [fault.what, folder.file("f"), "--report", folder.file("r")] + fault.options,
                try Faults.environment("read", "EIO", folder.file("f"), rank: 2, from: 5_000_000),
                component: fault.component)
            try expectFailed(folder, outcome)
            #expect((try folder.json("r")["damage"] as? [Any])?.isEmpty == true)
            try expectRepairable(folder)
        }

        private static let hangs: [Case] = {
            let first = Launch.components[0]
            return cases(
                [
                    Case(what: "write", component: first, options: ["--collective"]),
                    Case(what: "write", component: first),
                    Case(what: "read", component: first, options: ["--io", "posix"]),
                ],
                of: ["write", "read"].flatMap { call in
                    [[], ["--collective"], ["--io", "posix"]].map {
                        Case(what: call, component: first, options: $0)
                    }
                }, "aRankThatHangsInACallEndsTheJob")
        }()

        @Test(arguments: hangs, Launch.rounds)
        func aRankThatHangsInACallEndsTheJob(fault: Case, round: Int) throws {
            let folder = try Folder()
            let options = fault.options
            let faults = try Faults.environment(
                fault.what, "hang", folder.file("f"), rank: one(options), from: 3_000_000)
            let outcome: Outcome
            if fault.what == "write" {
                outcome = try generate(folder, options + ["--watchdog", "1"], faults)
            } else {
                #expect(try generate(folder).status == 0)
                let words = options == ["--collective"] ? [] : options
                outcome = try run(
                    3,
                    [
                        "verify", folder.file("f"), "--watchdog", "1", "--report", folder.file("r"),
                    ] + words, faults)
            }
            #expect([3, 4].contains(outcome.status), "\(outcome.status)")
            #expect(outcome.complaints.first?.contains("stuck in") == true, "\(outcome.error)")
            #expect(try folder.json("r")["status"] as? String != "ok")
            try expectRepairable(folder)
        }

        /// One rank fails, one does nothing wrong, one hangs: whoever failed does not wait as long as the watchdog would.
        @Test(
            arguments: TestForm.cases(
                [["--io", "posix"]], more: [[], ["--collective"], ["--sync", "each"]],
                of: "afterAFailureRanksThatDoNotAnswerAreNamed"), Launch.rounds)
        func afterAFailureRanksThatDoNotAnswerAreNamed(options: [String], round: Int) throws {
            let folder = try Folder()
            let isTogether = options.contains("--collective")
            var faults = try Faults.environment(
                "write", "EIO", folder.file("f"), from: isTogether ? 0 : 3_000_000)
            faults["FAULT_HANGS"] = "2"
            let outcome = try generate(folder, options + ["--watchdog", "8"], faults)
            #expect([3, 4].contains(outcome.status), "\(outcome.status)")
            guard options == ["--io", "posix"] || options.isEmpty else { return }
            #expect(outcome.status == 3, "\(outcome.status)")
            let complaint = outcome.complaints.first ?? ""
            #expect(complaint.contains("rank 1 on "), "\(outcome.error)")
            #expect(complaint.contains("; rank 2 on "), "\(outcome.error)")
            #expect(complaint.contains(" did not answer for "), "\(outcome.error)")
            let report = try folder.json("r")
            #expect(report["status"] as? String == "failed")
            #expect(report["exit_status"] as? Int == 3)
            #expect((report["error"] as? String)?.contains("did not answer") == true)
            try expectRepairable(folder)
        }

        @Test(
            arguments: TestForm.cases(
                [["--sync", "each"], ["--collective"]], more: [[], ["--io", "posix"]],
                of: "aRankThatIsKilledLeavesAFileThatCanBeFinished"), Launch.rounds)
        func aRankThatIsKilledLeavesAFileThatCanBeFinished(options: [String], round: Int) throws {
            let folder = try Folder()
            let outcome = try generate(
                folder, options,
                try Faults.environment(
                    "write", "kill", folder.file("f"), rank: one(options), from: 3_000_000))
            #expect(outcome.status != 0)
            // Nobody was left to say more than what was there from the start.
            #expect(try folder.json("r")["status"] as? String == "interrupted")
            #expect(try folder.json("f.dgen.json")["status"] as? String == "writing")
            try expectRepairable(folder)
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

        /// Held in the midst of a write, wherever that is, all ranks get the signal.
        @Test(arguments: Launch.rounds)
        func SIGTERMAtAnyMomentLeavesAValidReportAndAnHonestManifest(round: Int) throws {
            var numbers = RandomNumbers()
            for _ in 0..<3 {
                let folder = try Folder()
                let offset = numbers.number(below: Self.size)
                var faults = try Faults.environment("write", "stop", folder.file("f"), from: offset)
                // What a rank does that is held by the signal for it, too.
                faults["FAULT_RANK"] = "\(min(offset * 3 / Self.size, 2))"
                let outcome = try Launch.run(
                    [
                        "bash", "-c",
                        Launch.waiting + #"""
                            folder=$1 held=$2; shift 2
                            "$@" &
                            until test -s "$folder/pid.$held"; do sleep 0.01; done
                            until_state T "$(cat "$folder/pid.$held")"
                            kill -TERM $(cat "$folder"/pid.*)
                            kill -CONT $(cat "$folder"/pid.*)
                            wait $!
                            """#, "bash", folder.path, try #require(faults["FAULT_RANK"]),
                    ]
                        + Launch.noting(
                            folder, Launch.mpirun(3) + ["env"] + faults.map { "\($0)=\($1)" })
                        + [
                            "-o", folder.file("f"), "-t", "512", "--report", folder.file("r"),
                            "--sync", "each", "--io", "posix",
                        ] + Self.spec, seconds: 60)
                let note: Comment = "held at \(offset), \(numbers): \(outcome.error)"
                #expect(outcome.status != 0, note)
                #expect(outcome.complaints.count <= 1, note)
                #expect(try folder.json("r")["status"] as? String == "interrupted", note)
                #expect(try folder.json("f.dgen.json")["status"] as? String == "writing", note)
                try expectRepairable(folder)
            }
        }

        private static let growing: [Case] = {
            let (first, last) = (Launch.components[0], Launch.components.last ?? nil)
            return cases(
                [Case(component: first), Case(component: last, options: ["--io", "posix"])],
                of: Case.all(ways: [[], ["--io", "posix"]]),
                "aFileThatGrowsWhileItIsRepairedIsRepaired")
        }()

        @Test(arguments: growing)
        func aFileThatGrowsWhileItIsRepairedIsRepaired(fault: Case) throws {
            let (component, options) = (fault.component, fault.options)
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

        @Test(arguments: ["truncate", "overwrite"], Launch.rounds)
        func aFileThatChangesWhileItIsVerifiedIsDamaged(how: String, round: Int) throws {
            let folder = try Folder()
            let change =
                how == "truncate"
                ? "truncate -s 40000000 \(folder.file("f"))"
                : "dd if=/dev/urandom of=\(folder.file("f")) bs=1M seek=50 count=10 conv=notrunc 2>/dev/null"
            let written = try Launch.ranks(
                2, ["-o", folder.file("f"), "-s", "64MiB", "--seed", "8", "--quiet"])
            #expect(written.status == 0, "\(written.error)")
            // Held in the midst of it.
            let outcome = try Launch.run(
                [
                    "bash", "-c",
                    Launch.waiting + #"""
                        "$@" &
                        until_state T $!
                        \#(change)
                        kill -CONT $!
                        wait $!
                        """#, "bash", Launch.program, "verify", folder.file("f"),
                    "--io", "posix", "-t", "64KiB", "--report", folder.file("r"),
                ],
                environment: try Faults.environment(
                    "read", "stop", folder.file("f"), from: 20_000_000))
            #expect(outcome.status == 1, "\(outcome.error)")
            let damage = try #require(try folder.json("r")["damage"] as? [[String: Any]])
            let kinds = Set(damage.compactMap { $0["kind"] as? String })
            #expect(
                how == "truncate"
                    ? kinds == ["truncated"] : kinds.isSubset(of: ["foreign", "torn"]), "\(kinds)")
            let repaired = try Launch.ranks(3, ["repair", folder.file("f"), "--quiet"])
            #expect(repaired.status == 0, "\(repaired.error)")
            #expect(try Launch.alone(["verify", folder.file("f"), "--quiet"]).status == 0)
        }

        @Test(arguments: Launch.rounds)
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
            arguments: TestForm.cases(
                [(1, 0), (2, 3)], more: [(1, 1), (1, 2), (2, 2)],
                of: "withoutMoreThreadsAllIsDoneByOne"))
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
        @Test(
            arguments: TestForm.cases(
                [(1, nil), (1, "0")], more: [(3, nil)], of: "timeThatARunIsSuspendedForIsNotCounted"
            ))
        func timeThatARunIsSuspendedForIsNotCounted(ranks: Int, threads: String?) throws {
            let folder = try Folder()
            // Stopped in the midst of a write that takes a while: the watchdog looks before it is through.
            var faults = try Faults.environment("write", "late", folder.file("f"))
            if let threads { faults["FAULT_THREADS"] = threads }
            let outcome = try Launch.run(
                [
                    "bash", "-c",
                    Launch.waiting + #"""
                        folder=$1; shift
                        "$@" &
                        until_begun "$folder/f.dgen.json" $!
                        ranks=$(cat "$folder"/pid.*)
                        kill -STOP $ranks
                        # Longer than the watchdog has patience.
                        sleep 4
                        kill -CONT $ranks
                        # As long as it needs to look.
                        sleep 1
                        kill -USR2 $ranks
                        wait $!
                        """#, "bash", folder.path,
                ] + Launch.noting(folder, ranks > 1 ? Launch.mpirun(ranks) : []) + [
                    "-o", folder.file("f"), "-s", "64GiB", "-t", "4KiB",
                    "--no-space-check", "--watchdog", "3", "--report", folder.file("r"),
                ], environment: faults, seconds: 30)
            #expect(outcome.status == 5, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains("SIGUSR2") == true, "\(outcome.error)")
        }

        @Test(arguments: Launch.rounds) func aDateThatJumpsChangesNothing(round: Int) throws {
            let folder = try Folder()
            let faults = try Faults.environment("clock", "", folder.file("f"))
            let outcome = try generate(folder, ["--time-limit", "60s"], faults)
            #expect(outcome.status == 0, "\(outcome.error)")
            let operations = try #require(try folder.json("r")["operations"] as? [[String: Any]])
            let seconds = try #require(operations.first?["seconds"] as? Double)
            #expect(seconds > 0 && seconds < 30, "\(seconds)")
            let verified = try run(2, ["verify", folder.file("f"), "--watchdog", "30"], faults)
            #expect(verified.status == 0, "\(verified.error)")
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

        @Test(
            .enabled(if: Launch.mayMount, "mounting a file system needs root"),
            arguments: TestForm.cases(
                ["", "--collective"], more: ["--io posix", "--preallocate"],
                of: "aFullFileSystemThatGetsRoomIsFilled"), Launch.rounds)
        func aFullFileSystemThatGetsRoomIsFilled(mode: String, round: Int) throws {
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
            #expect(outcome.status == 0, "\(outcome.error)")
        }

        @Test(
            .enabled(if: Launch.mayMount, "mounting a file system needs root"),
            arguments: TestForm.cases(
                ["--io posix"], more: ["", "--collective"], of: "aQuotaThatIsRaisedIsFilled"),
            Launch.rounds)
        func aQuotaThatIsRaisedIsFilled(mode: String, round: Int) throws {
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
            #expect(outcome.status == 0, "\(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
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
