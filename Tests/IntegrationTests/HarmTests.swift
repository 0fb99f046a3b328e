// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// What is not provably of the run stays as it is, to the last byte.
    @Suite struct HarmTests {
        /// A command line that would destroy something, the status it ends with, and a word of its one line.
        private typealias Case = (words: String, status: Int32, says: String)

        /// All that is in a folder: types, modes, lengths, contents, where links lead, and which names are one file.
        private func everything(_ folder: Folder) throws -> [String: String] {
            let manager = FileManager.default
            let names = try #require(manager.enumerator(atPath: folder.path)?.allObjects)
            var found: [String: String] = [:]
            for case let name as String in names {
                let path = folder.file(name)
                let attributes = try manager.attributesOfItem(atPath: path)
                let type = attributes[.type] as? FileAttributeType
                var words = [
                    "\(type?.rawValue ?? "")", "\(attributes[.posixPermissions] ?? "")",
                    "\(attributes[.size] ?? "")", "\(attributes[.systemFileNumber] ?? "")",
                ]
                if type == .typeSymbolicLink {
                    words.append(try manager.destinationOfSymbolicLink(atPath: path))
                } else if type == .typeRegular {
                    words.append(try Data(contentsOf: URL(filePath: path)).base64EncodedString())
                }
                found[name] = words.joined(separator: " ")
            }
            return found
        }

        /// Data sets of one file (`g`) and of a file for each rank (`p`), and what else may be in their way.
        private func prepare(_ folder: Folder) throws {
            let manager = FileManager.default
            for words in [
                ["-o", folder.file("g"), "--seed", "1"],
                [
                    "-o", folder.file("p"), "--seed", "3", "--layout", "per-rank", "--align",
                    "4096",
                ],
            ] {
                let written = try Launch.ranks(2, words + ["-s", "100000", "--quiet"])
                try #require(written.status == 0, "\(written.error)")
            }
            for (name, text) in [
                ("precious", "precious"), ("empty", ""), ("foreign", "precious"),
                ("foreign.dgen.json", #"{"a": 1}"#), ("broken", "precious"),
                ("broken.dgen.json", #"{"format": "dgen/1", "status": "complete", "spec": {"#),
                ("ranks.00000000", "precious"), ("copied", "precious"),
                ("copied.dgen.json", try folder.text("g.dgen.json")),
                ("orphan.dgen.json", try folder.text("g.dgen.json")),
                ("taken.dgen.json", "precious"), ("job.yaml", "size: 1000\n"),
                ("hints", "cb_nodes 1\n"),
                ("with-report.yaml", "size: 1000\nreport: \(folder.file("p.00000001"))\n"),
            ] {
                try folder.write(text, to: name)
            }
            try manager.createDirectory(
                atPath: folder.file("folder"), withIntermediateDirectories: false)
            try folder.write("precious", to: "folder/inside")
            try manager.copyItem(atPath: folder.file("g"), toPath: folder.file("long"))
            let long = try #require(FileHandle(forWritingAtPath: folder.file("long")))
            try long.seekToEnd()
            try long.write(contentsOf: Data("precious".utf8))
            try long.close()
            try manager.linkItem(
                atPath: folder.file("p.00000001"), toPath: folder.file("hard"))
            for (link, target) in [
                ("soft", "p.00000000"), ("lost", "gone"), ("around", "folder/../g.dgen.json"),
                ("to-new", "new"), ("other.dgen.json", "g.dgen.json"),
            ] {
                try manager.createSymbolicLink(
                    atPath: folder.file(link), withDestinationPath: target)
            }
        }

        /// Runs command lines in which `DIR` stands for the folder; after each of them nothing has changed.
        ///
        /// In the gate every third, from a random one on.
        private func expectNoHarm(_ cases: [Case], _ folder: Folder) throws {
            let before = try everything(folder)
            var numbers = RandomNumbers()
            let step = TestForm.isWhole ? 1 : 3
            print(
                "left out: \(cases.count - cases.count / step) of \(cases.count) commands of HarmTests; \(numbers)"
            )
            for index in stride(from: numbers.number(below: step), to: cases.count, by: step) {
                let (words, status, says) = cases[index]
                let outcome = try Launch.alone(
                    words.replacing("DIR", with: folder.path).split(separator: " ").map(
                        String.init))
                #expect(outcome.status == status, "\(words): \(outcome.status) \(outcome.error)")
                #expect(outcome.complaints.count == 1, "\(words): \(outcome.error)")
                #expect(
                    outcome.complaints.first?.contains(says) == true, "\(words): \(outcome.error)")
                let after = try everything(folder)
                let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
                try #require(changed.isEmpty, "\(words): \(changed.sorted()) changed")
            }
        }

        @Test func resumeAndRepairTouchOnlyWhatIsProvenToBeOurs() throws {
            let folder = try Folder()
            try prepare(folder)
            let spec = "-s 100000 --seed 1"
            try expectNoHarm(
                [
                    ("-o DIR/precious \(spec) --resume", 2, "no manifest"),
                    ("-o DIR/empty \(spec) --resume", 2, "no manifest"),
                    ("-o DIR/lost \(spec) --resume", 2, "no manifest"),
                    ("-o DIR/folder \(spec) --resume", 2, "no manifest"),
                    ("-o DIR/hard \(spec) --resume --layout per-rank", 2, "no manifest"),
                    ("-o DIR/ranks \(spec) --resume", 2, "no manifest"),
                    ("-o DIR/ranks \(spec) --resume --layout per-rank", 2, "no manifest"),
                    ("-o DIR/foreign \(spec) --resume", 2, "foreign.dgen.json"),
                    ("-o DIR/broken \(spec) --resume", 2, "broken.dgen.json"),
                    ("-o DIR/copied \(spec) --resume", 2, "none of those"),
                    ("-o DIR/g -s 100000 --seed 2 --resume", 2, "another specification"),
                    ("-o DIR/g -s 99999 --seed 1 --resume", 2, "another specification"),
                    ("-o DIR/g \(spec) --resume --layout per-rank", 2, "another specification"),
                    ("-o DIR/p -s 100000 --seed 3 --resume --layout shared", 2, "another"),
                    ("repair DIR/precious \(spec)", 2, "nothing in it"),
                    ("repair DIR/precious -s 8 --seed 1", 2, "nothing in it"),
                    ("repair DIR/empty \(spec)", 2, "nothing in it"),
                    ("repair DIR/ranks \(spec) --layout per-rank", 2, "nothing in it"),
                    ("repair DIR/long \(spec)", 2, "more of them than the data set"),
                    ("repair DIR/copied", 2, "none of those"),
                    ("repair DIR/foreign \(spec)", 2, "foreign.dgen.json"),
                    ("repair DIR/g --seed 2", 2, "another specification"),
                    ("repair DIR/p --layout shared", 2, "another specification"),
                    ("repair DIR/lost \(spec)", 3, "no such file"),
                ], folder)
        }

        @Test func aDataSetKeepsItsManifestWithoutOverwrite() throws {
            let folder = try Folder()
            try prepare(folder)
            var cases: [Case] = []
            for command in ["generate", "test", "test --io posix", "test --layout per-rank"] {
                cases.append(("\(command) -o DIR/p -s 1000", 2, "layout per-rank, seed 3"))
            }
            cases += [
                ("test -o DIR/orphan -s 1000", 2, "without --overwrite"),
                ("generate -o DIR/foreign -s 1000", 2, "without --overwrite"),
                // Its data may be overwritten, but nobody has named what is beside it.
                ("generate -o DIR/foreign -s 1000 --overwrite", 2, "is no manifest"),
                ("test -o DIR/taken -s 1000 --overwrite", 2, "is no manifest"),
                ("generate -o DIR/other -s 1000 --overwrite", 2, "is a link that does not lead"),
                ("repair DIR/other", 2, "is a link that does not lead"),
                ("test -o DIR/precious -s 1000", 2, "without --overwrite"),
                ("generate -o DIR/ranks -s 1000 --layout per-rank", 2, "ranks.00000000 exists"),
            ]
            try expectNoHarm(cases, folder)
            // A manifest whose file is gone speaks of nothing.
            let anew = try Launch.alone(["-o", folder.file("orphan"), "-s", "1000", "--quiet"])
            #expect(anew.status == 0, "\(anew.error)")
        }

        @Test func noTwoFilesOfARunAreOne() throws {
            let folder = try Folder()
            try prepare(folder)
            let folderName = FileManager.default.displayName(atPath: folder.path)
            let generate = "-o DIR/new -s 1000"
            var cases: [Case] = [
                ("verify DIR/p --csv DIR/p.00000001", 2, "data of a rank"),
                ("verify DIR/p --report DIR/p.00000000", 2, "data of a rank"),
                ("verify DIR/p --report DIR/p.00000002", 2, "data of a rank"),
                ("verify DIR/p --report DIR/p.100000000", 2, "data of a rank"),
                ("verify DIR/p --csv DIR/hard", 2, "data of a rank"),
                ("verify DIR/p --report DIR/soft", 2, "data of a rank"),
                ("repair DIR/p --csv DIR/folder/../p.00000001", 2, "data of a rank"),
                ("verify DIR/g --report DIR/around", 2, "is the manifest"),
                ("verify DIR/g --csv DIR//g", 2, "is the data"),
                ("verify DIR/g --csv DIR/../\(folderName)/./g", 2, "is the data"),
                ("verify DIR/hard --report DIR/p.00000001", 2, "is the data"),
                // A wrong option does not have the report replace the data.
                ("verify DIR/g --report DIR/g -t 0", 2, "is the data"),
                ("test -o DIR/p -s 1000 --overwrite --csv DIR/p.00000001", 2, "data of a rank"),
                ("\(generate) --report DIR/new", 2, "is the data"),
                ("\(generate) --report DIR/to-new", 2, "is the data"),
                ("\(generate) --report DIR/new.00000000", 2, "data of a rank"),
                ("\(generate) --report DIR/r --csv DIR/./r", 2, "is the report"),
                ("\(generate) --report DIR/new.dgen.json", 2, "is the manifest"),
                ("-o DIR/job.yaml --overwrite --job DIR/job.yaml", 2, "is the data"),
                ("-o DIR/p --overwrite --job DIR/with-report.yaml", 2, "data of a rank"),
                ("\(generate) --csv DIR/hints --hints-file DIR/hints", 2, "is the hints file"),
                ("-o DIR/hints -s 1000 --overwrite --hints-file DIR/hints", 2, "is the data"),
            ]
            // What is of another data set, by its own manifest.
            for result in ["g", "g.dgen.json", "p.00000000", "p.dgen.json"] {
                cases.append(("\(generate) --report DIR/\(result)", 2, "is of the data set"))
            }
            for command in ["plan -s 1000", "bench --milliseconds 1 --repeat 1", "info"] {
                cases.append(("\(command) --report DIR/g", 2, "is of the data set"))
                cases.append(
                    ("\(command) --job DIR/job.yaml --report DIR/job.yaml", 2, "the job file"))
            }
            try expectNoHarm(cases, folder)
            // Names that only look like it, and what replaces nothing.
            for words in [
                ["--report", folder.file("g.0000001"), "--csv", folder.file("g.00000000.csv")],
                ["--report", "/dev/null", "--csv", "/dev/null"], ["--report", "/dev/stdout"],
                ["--report", folder.file("Result"), "--csv", folder.file("result")],
            ] {
                let outcome = try Launch.alone(["verify", folder.file("g"), "--quiet"] + words)
                #expect(outcome.status == 0, "\(words): \(outcome.error)")
            }
        }

        /// In a folder like `/tmp`, and in one of this user's own.
        @Test(
            .enabled(if: Launch.mayMount, "being somebody else needs root"),
            arguments: ["1777", "755"])
        func linksOfOthersLeadNowhere(mode: String) throws {
            let folder = try Folder()
            let outside = try Folder()
            try outside.write("precious", to: "precious")
            for name in ["r", "c", "d.dgen.json", "d2"] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.file(name), withDestinationPath: outside.file("precious"))
            }
            for (name, target) in [("chain", "r"), ("way", outside.path), ("lost", "gone")] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.file(name), withDestinationPath: target)
            }
            let prepared = try Launch.run([
                "sh", "-c",
                #"""
                cd "$0" && chown -h 1000 r c d.dgen.json d2 way lost
                chmod "$2" . && chmod 777 "$1" && chmod 666 "$1/precious"
                """#, folder.path, outside.path, mode,
            ])
            #expect(prepared.status == 0, "\(prepared.error)")
            let says = "link of another user (1000)"
            var cases: [Case] = [
                ("-o DIR/new -s 1000 --report DIR/r", 3, says),
                ("-o DIR/new -s 1000 --report DIR/chain", 3, says),
                ("-o DIR/new -s 1000 --report DIR/lost", 3, says),
                ("-o DIR/new -s 1000 --csv DIR/c", 3, says),
                ("-o DIR/d -s 1000 --overwrite", 3, says),
                ("test -o DIR/d -s 1000 --overwrite --layout per-rank", 3, says),
                ("plan -s 1000 --report DIR/r", 3, says),
            ]
            // Where all may put links, the kernel would follow none of them, wherever on the way.
            if mode == "1777" {
                cases += [
                    ("-o DIR/d2 -s 1000 --overwrite", 3, says),
                    ("-o DIR/way/new -s 1000", 3, says),
                    ("plan -s 1000 --report DIR/way/new", 3, says),
                ]
            }
            try expectNoHarm(cases, folder)
            // Another one who is not root.
            let other = try Launch.run([
                "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                Launch.program, "plan", "-s", "1000", "--report", folder.file("r"),
            ])
            #expect(other.status == 3, "\(other.error)")
            #expect(try outside.text("precious") == "precious")
            #expect(!outside.exists("new") && !folder.exists("gone"))
        }

        /// A result of an earlier run, which may be replaced: a report and, for that matter, a table.
        private static let earlier =
            "operation,iteration,status,path,\n\"format\" : \"dgen-report/1\""

        @Test func whatIsReplacedKeepsItsMode() throws {
            let folder = try Folder()
            for mode in [0o600, 0o640, 0o444, 0o644] {
                for (words, results) in [
                    (["plan", "-s", "1000"], ["report"]),
                    (["-o", folder.file("f"), "-s", "1000", "--overwrite"], ["report", "csv"]),
                ] {
                    for result in results {
                        try folder.write(Self.earlier, to: result)
                        _ = try Launch.run(["chmod", String(mode, radix: 8), folder.file(result)])
                    }
                    let outcome = try Launch.alone(
                        words + results.flatMap { ["--\($0)", folder.file($0)] })
                    #expect(outcome.status == 0, "\(outcome.error)")
                    for result in results {
                        let attributes = try FileManager.default.attributesOfItem(
                            atPath: folder.file(result))
                        #expect(attributes[.posixPermissions] as? Int == mode, "\(words)")
                        #expect(try folder.text(result) != Self.earlier)
                        try FileManager.default.removeItem(atPath: folder.file(result))
                    }
                }
            }
        }

        /// Names around those that a run with the output `d` may make, and under them.
        private static let awkward = [
            "taken", "parts.00000000", "parts.00000001", "known.dgen.json", "d.lock", "d~", ".d",
            "D", "d ", "d\n", "-d", "d.dgen.json.tmp", "d.dgen.jsonx", "d.dgen", "d.0000000",
            "d.00000000.bak", "d.0000000x", "d.20260101.tar.gz", "d.000000000000", "d-1.lock",
            "d.00000099", ".dgen-mpi-1.tmp", "d.csv", "d.json", "$(touch d)", "d*", "d;d", "ä", "*",
            "d.d/d", "d.d/d.00000000", "d.d/d.dgen.json",
        ]

        @Test func randomRunsChangeNothingThatIsNotTheirOwn() throws {
            var numbers = RandomNumbers()
            let folder = try Folder()
            try FileManager.default.createDirectory(
                atPath: folder.file("d.d"), withIntermediateDirectories: false)
            for name in Self.awkward { try folder.write("precious \(name)", to: name) }
            for (link, target) in [("d.link", "taken"), ("lost", "nowhere"), ("to-d", "d")] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.file(link), withDestinationPath: target)
            }
            let names = Set(Self.awkward + ["d.link", "lost", "to-d"])
            let before = try everything(folder).filter { names.contains($0.key) }
            #expect(before.count == names.count)
            for _ in 0..<TestForm.rounds(12, whole: 500) {
                func one(_ choices: [String]) -> String {
                    choices[numbers.number(below: choices.count)]
                }
                var words = [one(["generate", "generate", "test", "verify", "repair", "plan"])]
                let own = ["d", "e"]
                let output = one(own + own + ["taken", "parts", "known", "d.link", "lost", "d.d"])
                switch words[0] {
                case "plan": break
                case "verify", "repair": words.append(folder.file(output))
                default:
                    words += ["-o", folder.file(output)]
                    // Only what is the runs' own may be asked to be overwritten.
                    let mode = one(["", "--overwrite", "--resume", "--preallocate"])
                    if mode == "--overwrite" && own.contains(output)
                        || mode == "--resume" && words[0] == "generate" || mode == "--preallocate"
                    {
                        words.append(mode)
                    }
                }
                words += ["-s", one(["1", "1000", "100000"]), "--quiet"]
                if numbers.number(below: 4) > 0 { words += ["--seed", one(["1", "2"])] }
                if words[0] != "plan" {
                    words += ["--layout", one(["shared", "per-rank"]), "--io"]
                    words.append(one(["mpi", "posix"]))
                    if numbers.number(below: 3) == 0 {
                        words += [
                            "--csv", folder.file(one(["c", "d", "d.00000000", "to-d", "e"])),
                        ]
                    }
                }
                if numbers.number(below: 2) == 0 {
                    words += [
                        "--report", folder.file(one(["r", "d.dgen.json", "e.00000001", "e"])),
                    ]
                }
                let outcome =
                    words[0] == "plan" || numbers.number(below: 3) > 0
                    ? try Launch.alone(words) : try Launch.ranks(2, words)
                let note: Comment = "\(numbers): \(words) \(outcome.error)"
                #expect((0...3).contains(outcome.status), note)
                let after = try everything(folder)
                for (name, state) in before {
                    try #require(after[name] == state, "\(name): \(numbers): \(words)")
                }
                #expect(after.keys.allSatisfy { !$0.contains(".tmp") || names.contains($0) }, note)
            }
        }
    }
}
