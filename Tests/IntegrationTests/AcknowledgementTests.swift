// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Updates that say elsewhere what is durable, and stores that have lied about it.
    @Suite struct AcknowledgementTests {
        private static let block = 4096
        private static let size = 1000 * block + 700
        private static let spec = [
            "-s", "\(size)", "--seed", "5", "--dedup-unit", "\(block)", "--copies", "2:30%,5:10%",
            "--zeros", "5%", "--compress-mix", "1:50%,2:50%", "--change", "10%:15%,60%:20%",
        ]

        /// How often each fault is tried.
        private static let rounds =
            0..<max(Launch.rounds.count, TestForm.rounds(1, whole: 20))

        private func generate(
            _ folder: Folder, _ name: String, _ generation: Int = 0, _ words: [String] = [],
            ranks: Int = 1, spec: [String] = spec
        ) throws {
            let outcome = try Launch.ranks(
                ranks,
                ["-o", folder.file(name), "--generation", "\(generation)", "--quiet"] + spec
                    + words)
            try #require(outcome.status == 0, "\(outcome.error)")
        }

        private func bytes(_ folder: Folder, _ names: [String]) throws -> Data {
            try names.reduce(into: Data()) {
                $0 += try Data(contentsOf: URL(filePath: folder.file($1)))
            }
        }

        private func makeFolder(_ folder: Folder, _ name: String) throws {
            try FileManager.default.createDirectory(
                atPath: folder.file(name), withIntermediateDirectories: false)
        }

        private func update(
            _ folder: Folder, _ words: [String] = ["--by", "7"], ranks: Int = 3,
            to counters: String = "c", _ faults: [String: String] = [:]
        ) throws -> Outcome {
            // A launcher whose rank was killed says so by 137, which would look like a run that was hung.
            let script = #""$@"; status=$?; test $status = 137 && exit 99; exit $status"#
            return try Launch.run(
                ["sh", "-c", script, "sh"] + Launch.mpirun(ranks) + ["env"]
                    + faults.map { "\($0)=\($1)" } + [
                        Launch.program, "update", folder.file("f"), "--acknowledge",
                        folder.file(counters),
                    ] + words, seconds: 60)
        }

        /// What `verify` says, after it has left with `status`.
        private func verify(
            _ folder: Folder, _ words: [String]? = nil, ranks: Int = 1, status: Int32,
            says: [String] = []
        ) throws -> [String: Any] {
            let all =
                [
                    "verify", folder.file("f"), "--report", folder.file("r"),
                ] + (words ?? ["--acknowledged", folder.file("c")])
            let outcome =
                ranks == 1 ? try Launch.alone(all) : try Launch.ranks(ranks, all)
            #expect(outcome.status == status, "\(words ?? []) \(outcome.output)\(outcome.error)")
            for text in says {
                #expect(
                    outcome.output.contains(text) || outcome.error.contains(text),
                    "\(text): \(outcome.output)\(outcome.error)")
            }
            #expect(outcome.complaints.count == (status > 1 ? 1 : 0), "\(outcome.error)")
            return try folder.json("r")["consistency"] as? [String: Any] ?? [:]
        }

        private func acknowledged(_ consistency: [String: Any]) throws -> [String: Any] {
            try #require(consistency["acknowledged"] as? [String: Any])
        }

        private func number(_ fields: [String: Any], _ name: String) -> Int? {
            fields[name] as? Int
        }

        /// The numbers in a slot of a counter.
        private func slots(_ folder: Folder, rank: Int) throws -> [[String: String]] {
            let text = try folder.text("c/acknowledged.0000000\(rank)")
            #expect(text.utf8.count == 1024 && text.hasPrefix("dgen-acknowledged/1 "))
            return text.split(separator: "dgen-acknowledged/1").map { slot in
                slot.split(separator: " ").reduce(into: [:]) {
                    let parts = $1.split(separator: "=").map(String.init)
                    if parts.count == 2 { $0[parts[0]] = parts[1] }
                }
            }
        }

        /// Whatever is in the place of a counter stays what it is, and nothing else is changed either.
        @Test(
            arguments: [
                "file", "long", "torn", "folder", "link", "nowhere", "pipe", "another run",
                "another rank",
            ])
        func whatIsInTheWayStays(what: String) throws {
            let folder = try Folder()
            try generate(folder, "f")
            try makeFolder(folder, "c")
            let (name, precious) = ("c/acknowledged.00000001", "precious\n")
            let place = folder.file(name)
            let files = FileManager.default
            switch what {
            case "file": try folder.write(precious, to: name)
            case "long", "torn":
                // As long as a counter and longer, and one that begins like one.
                let text = what == "torn" ? "dgen-acknowledged/1 run=1 rank=1 " : precious
                let count = what == "torn" ? 1024 : 5000
                try folder.write(
                    text.padding(toLength: count, withPad: " ", startingAt: 0), to: name)
            case "folder": try makeFolder(folder, name)
            case "link":
                try folder.write(precious, to: "elsewhere")
                try files.createSymbolicLink(
                    atPath: place, withDestinationPath: folder.file("elsewhere"))
            case "nowhere":
                try files.createSymbolicLink(
                    atPath: place, withDestinationPath: folder.file("elsewhere"))
            case "pipe": try #require(mkfifo(place, 0o644) == 0)
            default:
                // Of another update, and that of another rank of it.
                try generate(folder, "g")
                try makeFolder(folder, "d")
                let other = try Launch.ranks(
                    2,
                    [
                        "update", folder.file("g"), "--by", "7", "--acknowledge", folder.file("d"),
                    ])
                try #require(other.status == 0, "\(other.error)")
                let rank = what == "another run" ? 1 : 0
                try files.copyItem(
                    atPath: folder.file("d/acknowledged.0000000\(rank)"), toPath: place)
            }
            func state() throws -> [String] {
                let attributes = try files.attributesOfItem(atPath: place)
                let isText = ["pipe", "folder", "nowhere"].contains(what)
                return [
                    "\(attributes[.type] ?? 0) \(attributes[.size] ?? 0) \(attributes[.modificationDate] ?? 0)",
                    isText ? "" : try folder.text(name), try folder.text("f.dgen.json"),
                    try folder.sha256("f"), "\(folder.exists("elsewhere"))",
                ]
            }
            let before = try state()
            let outcome = try update(folder)
            #expect(outcome.status == 2, "\(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(
                outcome.complaints.first?.contains("acknowledge: \(place)") == true,
                "\(outcome.error)")
            #expect(try state() == before)
            // The counters of other ranks are taken away again.
            #expect(
                try files.contentsOfDirectory(atPath: folder.file("c")) == [
                    "acknowledged.00000001"
                ])
            #expect(try Launch.alone(["verify", folder.file("f")]).status == 0)
        }

        @Test func withoutAFolderNothingBegins() throws {
            let folder = try Folder()
            try generate(folder, "f")
            let before = try folder.text("f.dgen.json")
            let none = try update(folder)
            #expect(none.status == 3, "\(none.error)")
            #expect(none.complaints.first?.contains("\(folder.file("c")): no such") == true)
            #expect(try folder.text("f.dgen.json") == before)
            _ = try verify(folder, status: 3, says: ["no such directory"])
            try makeFolder(folder, "c")
            _ = try verify(folder, status: 2, says: ["has no counter"])
        }

        struct Way: CustomTestStringConvertible {
            let ranks: Int
            let words: [String]
            var layout = "shared"
            var testDescription: String { "\(ranks) \(words) \(layout)" }
        }

        /// Every way to write acknowledges all of it in the end, and what is not there then is found.
        @Test(
            arguments: TestForm.cases(
                [
                    Way(ranks: 3, words: ["--io", "posix", "--sync", "every:20"]),
                    Way(ranks: 2, words: ["--sync", "every:50", "--collective"]),
                    Way(ranks: 3, words: ["--io", "posix", "--sync", "each"], layout: "per-rank"),
                ],
                more: [
                    Way(ranks: 1, words: ["--io", "posix", "--sync", "each", "-t", "1KiB"]),
                    Way(ranks: 2, words: ["--sync", "every:7"]),
                    Way(ranks: 3, words: ["--sync", "none"]),
                    Way(ranks: 3, words: ["--sync", "end"]),
                    Way(ranks: 2, words: ["--collective"]),
                    Way(ranks: 2, words: ["--sync", "every:7"], layout: "per-rank"),
                    Way(ranks: 4, words: ["--io", "posix", "--direct", "--sync", "every:3"]),
                ], of: "allIsAcknowledgedInTheEnd"))
        func allIsAcknowledgedInTheEnd(way: Way) throws {
            let folder = try Folder()
            let names = way.layout == "shared" ? ["f"] : (0..<3).map { "f.0000000\($0)" }
            try generate(folder, "f", 0, ["--layout", way.layout], ranks: 3)
            try makeFolder(folder, "c")
            let old = try bytes(folder, names)
            let updated = try update(folder, ["--by", "7"] + way.words, ranks: way.ranks)
            #expect(updated.status == 0, "\(updated.error)")
            #expect(updated.error.contains("is on the file system of the data"))
            let new = try bytes(folder, names)
            let changed = stride(from: 0, to: Self.size, by: Self.block).filter {
                let range = $0..<min($0 + Self.block, Self.size)
                return old[range] != new[range]
            }
            let small = way.words.contains("1KiB")
            for ranks in [1, 4] {
                let right = try acknowledged(
                    verify(
                        folder, ranks: ranks, status: 0,
                        says: ["everything that was acknowledged is there"]))
                #expect(number(right, "ranks") == way.ranks)
                // The last block is shorter, and so has fewer writes.
                #expect(small || number(right, "updates") == changed.count)
                #expect(number(right, "lost") == 0 && number(right, "uncounted_ranks") == 0)
            }
            for rank in 0..<way.ranks {
                let slots = try slots(folder, rank: rank)
                #expect(slots.allSatisfy { $0["rank"] == "\(rank)" && $0["to"] == "7" })
                // One for each sync, and no more.
                func most(_ name: String) -> Int {
                    slots.compactMap { Int($0[name] ?? "") }.max() ?? 0
                }
                let stride = way.words.last == "each" ? 1 : 20
                if way.words.contains("posix"), ["each", "every:20"].contains(way.words.last) {
                    // Where transfers without a block stand alone, there is nothing to bring anywhere.
                    let syncs = (most("count") + stride - 1) / stride
                    #expect((syncs * 3 / 4...syncs).contains(most("number")))
                }
            }
            // One that went back to what it was: found by any number of ranks.
            let lost = changed[changed.count / 2]
            var wrong = new
            wrong[lost..<lost + Self.block] = old[lost..<lost + Self.block]
            var start = 0
            for name in names {
                let count = try bytes(folder, [name]).count
                try Data(wrong[start..<start + count]).write(to: URL(filePath: folder.file(name)))
                start += count
            }
            for ranks in [1, 2] {
                let found = try acknowledged(verify(folder, ranks: ranks, status: 1))
                #expect(number(found, "lost") == (small ? 4 : 1))
                #expect(number(found, "wrong_ranks") == 1)
                let writer = try #require((found["writers"] as? [[String: Any]])?.first)
                #expect(number(writer, "lost_offset") == lost)
            }
        }

        /// The older slot counts where the newer one is torn; what cannot be read is said.
        @Test func aCounterThatIsTornOrGoneIsNotPassedOver() throws {
            let folder = try Folder()
            try generate(folder, "f")
            try makeFolder(folder, "c")
            let words = ["--by", "7", "--io", "posix", "--sync", "every:20"]
            try #require(try update(folder, words).status == 0)
            let whole = try acknowledged(verify(folder, status: 0))
            let all = try #require(number(whole, "updates"))
            let name = "c/acknowledged.00000001"
            let numbers = try slots(folder, rank: 1).map { Int($0["number"] ?? "") ?? 0 }
            try #require(numbers.count == 2)
            let (newer, older) = numbers[0] > numbers[1] ? (0, 1) : (1, 0)
            try folder.flip(name, at: newer * 512 + 100)
            let less = try acknowledged(verify(folder, status: 0))
            let left = try #require(number(less, "updates"))
            #expect(left < all && left > all - 40, "\(left) \(all)")
            try folder.flip(name, at: older * 512 + 300)
            let torn = try acknowledged(
                verify(folder, status: 1, says: ["rank 1: no counter that can be read"]))
            #expect(number(torn, "uncounted_ranks") == 1 && number(torn, "wrong_ranks") == 0)
            try FileManager.default.removeItem(atPath: folder.file(name))
            _ = try verify(
                folder, ranks: 2, status: 1, says: ["1 of 3 ranks have no counter", "rank 1: no"])
            // Made anew where nothing is left to do, it does not say what was acknowledged, nor hides what others say.
            try #require(try update(folder, ["--resume"] + words.dropFirst(2)).status == 0)
            let anew = try acknowledged(
                verify(folder, status: 1, says: ["rank 1: no counter that can be read"]))
            #expect(number(anew, "uncounted_ranks") == 1)
            #expect(number(anew, "updates") ?? 0 > 0)
            for rank in 0..<3 {
                try FileManager.default.removeItem(
                    atPath: folder.file("c/acknowledged.0000000\(rank)"))
            }
            _ = try verify(folder, status: 2, says: ["has no counter"])
        }

        struct Fault: CustomTestStringConvertible {
            /// What the store does.
            ///
            /// `dropped`: everything is lost from some write on, whatever syncs came after. `reordered`: some writes, of which
            /// later ones are there, with a sync between. `honest`: only what no sync came after.
            let what: String
            var words = ["--io", "posix"]
            var testDescription: String { "\(what) \(words)" }
        }

        /// The power is cut, and the store has lied, or not: who has lost what is named, and nobody else.
        @Test(
            arguments: TestForm.cases(
                [
                    Fault(what: "dropped"), Fault(what: "reordered"), Fault(what: "honest"),
                    Fault(what: "honest", words: []),
                ], more: [Fault(what: "dropped", words: []), Fault(what: "reordered", words: [])],
                of: "aStoreThatLiesIsConvicted"), rounds)
        func aStoreThatLiesIsConvicted(fault: Fault, round: Int) throws {
            var numbers = RandomNumbers()
            let folder = try Folder()
            // Where contents have a copy fewer than others of their class, some writes have no block.
            let spec = [
                "-s", "\(Self.size)", "--seed", "\(numbers.number(below: 1000))", "--dedup-unit",
                "\(Self.block)", "--dedup-ratio", "4.01", "--change", "60%",
            ]
            try generate(folder, "f", spec: spec)
            try makeFolder(folder, "c")
            let stride = fault.what == "honest" ? 2 : 10
            let rank = numbers.number(below: 3)
            let first = fault.what == "honest" ? 0 : numbers.number(below: 60)
            let end = first + 30 + numbers.number(below: 40)
            let last = fault.what == "reordered" ? first + 1 + numbers.number(below: 9) : end
            var faults = try Faults.environment(
                "cut", fault.what, folder.file("f"), rank: rank, from: first)
            faults["FAULT_TO"] = "\(last)"
            faults["FAULT_END"] = "\(end)"
            faults["FAULT_NOTE"] = folder.file("lost")
            let words = ["--by", "1", "--sync", "every:\(stride)"] + fault.words
            let outcome = try update(folder, words, faults)
            let note: Comment = "\(fault) rank \(rank) \(first)..<\(last), end \(end), \(numbers)"
            #expect(outcome.status != 0, note)
            try #require(folder.exists("lost"), note)
            // The last ones first.
            let lost = try folder.text("lost").split(separator: "\n").map { line in
                line.split(separator: " ").compactMap { Int($0) }
            }
            if fault.what == "honest" {
                for ranks in [1, 2] {
                    let right = try verify(
                        folder, ["--consistent", "--acknowledged", folder.file("c")],
                        ranks: ranks, status: 0)
                    #expect(number(right, "wrong_ranks") == 0, note)
                    let kept = try acknowledged(right)
                    #expect(number(kept, "lost") == 0, note)
                    #expect(number(kept, "updates") ?? 0 >= end / stride * stride / 2, note)
                }
                return
            }
            #expect(lost.count == last - first, note)
            let offset = try #require(lost.last?.last, note)
            // A prefix is nothing that order tells anything of.
            let isOrdered = fault.what == "dropped"
            let order = try verify(
                folder, ["--consistent"], status: isOrdered ? 0 : 1,
                says: isOrdered
                    ? [] : ["rank \(rank): update \(first) (offset \(offset)) is missing"]
            )
            let orderly = try #require((order["writers"] as? [[String: Any]]))
            let place = try #require(
                orderly.first { number($0, "rank") == rank }, note)
            #expect(number(place, "missing") == first, note)
            #expect(number(place, "missing_offset") == offset, note)
            #expect(number(order, "wrong_ranks") == (isOrdered ? 0 : 1), note)
            let found = try acknowledged(
                verify(
                    folder, ranks: 2, status: 1,
                    says: ["rank \(rank): update \(first) (offset \(offset)) is not there"]))
            #expect(number(found, "wrong_ranks") == 1, note)
            let writer = try #require((found["writers"] as? [[String: Any]])?.first, note)
            #expect(number(writer, "rank") == rank, note)
            #expect(number(writer, "lost_update") == first, note)
            #expect(number(writer, "lost_offset") == offset, note)
            let time = try #require(
                (writer["time"] as? String).flatMap { try? Date($0, strategy: .iso8601) }, note)
            #expect(abs(time.timeIntervalSinceNow) < 120, note)
            // What was not acknowledged is no loss: the store has not said that it has it.
            let count = try slots(folder, rank: rank).compactMap { Int($0["count"] ?? "") }.max()
            #expect(number(writer, "lost") ?? 0 <= (count ?? 0) - first, note)
            #expect(number(writer, "lost") ?? 0 > 0, note)
        }

        /// Counters are of one update, whoever goes on with it.
        @Test func anUpdateThatIsGoneOnWithCountsOn() throws {
            let folder = try Folder()
            try generate(folder, "f")
            try makeFolder(folder, "c")
            try makeFolder(folder, "d")
            let way = ["--io", "posix", "--sync", "every:10"]
            var faults = try Faults.environment("cut", "honest", folder.file("f"), rank: 1, from: 0)
            faults["FAULT_TO"] = "0"
            faults["FAULT_END"] = "65"
            let before = try folder.text("f.dgen.json")
            #expect(try update(folder, ["--by", "7"] + way, faults).status != 0)
            func count() throws -> Int {
                try slots(folder, rank: 1).compactMap { Int($0["count"] ?? "") }.max() ?? 0
            }
            #expect(try count() >= 60)
            let (counted, data) = (try count(), try bytes(folder, ["f"]))
            // A store that has lost even the manifest, and one that has lost the data too.
            let manifest = try folder.text("f.dgen.json")
            try folder.write(before, to: "f.dgen.json")
            let gone = try acknowledged(
                verify(folder, status: 1, says: ["LOST: the manifest knows nothing"]))
            #expect(gone["manifest_lost"] as? Bool == true && number(gone, "lost") == 0)
            try generate(folder, "f", 0, ["--overwrite"])
            try folder.write(before, to: "f.dgen.json")
            let all = try acknowledged(
                verify(folder, status: 1, says: ["rank 1: update 0 (offset"]))
            #expect(number(all, "lost") == number(all, "updates"))
            try folder.write(manifest, to: "f.dgen.json")
            try data.write(to: URL(filePath: folder.file("f")))
            // With other ranks the same numbers would be of other transfers.
            let others = try update(folder, ["--resume"] + way, ranks: 2)
            #expect(others.status == 2, "\(others.error)")
            #expect(others.complaints.first?.contains("counts for 3 ranks") == true)
            #expect(try folder.text("f.dgen.json") == manifest)
            // Cut off once more, before it comes to where it was.
            faults["FAULT_END"] = "15"
            #expect(try update(folder, ["--resume"] + way, faults).status != 0)
            #expect(try count() == counted)
            #expect(try folder.json("f.dgen.json")["run"] as? String != nil)
            _ = try verify(folder, ["--consistent", "--acknowledged", folder.file("c")], status: 0)
            // In another order, with a folder of its own: what was counted before still has to be there.
            faults["FAULT_RANK"] = "0"
            let turned = ["--resume", "--io", "posix", "--sync", "each"]
            #expect(try update(folder, turned, ranks: 2, to: "d", faults).status != 0)
            for counters in ["c", "d"] {
                _ = try verify(
                    folder, ["--consistent", "--acknowledged", folder.file(counters)], status: 0)
            }
            let unfinished = try folder.json("f.dgen.json")["update"] as? [String: Any]
            #expect(unfinished?["sync"] as? String == "none")
            // And to the end, and where nothing is left to do.
            for _ in 0..<2 {
                let resumed = try update(folder, ["--resume"] + way)
                #expect(resumed.status == 0, "\(resumed.error)")
                for counters in ["c", "d"] {
                    _ = try verify(folder, ["--acknowledged", folder.file(counters)], status: 0)
                }
            }
            #expect(try Launch.alone(["verify", folder.file("f")]).status == 0)
            let next = try update(folder, ["--by", "1"])
            #expect(next.status == 2 && next.error.contains("of another update"), "\(next.error)")
        }

        /// What is repaired is no longer what was acknowledged, whichever way it went.
        @Test(arguments: [["--generation", "0"], []])
        func countersAreVoidAfterARepair(words: [String]) throws {
            let folder = try Folder()
            try generate(folder, "f")
            try makeFolder(folder, "c")
            var faults = try Faults.environment("cut", "honest", folder.file("f"), rank: 1, from: 0)
            faults["FAULT_TO"] = "0"
            faults["FAULT_END"] = "65"
            let way = ["--by", "7", "--io", "posix", "--sync", "every:10"]
            #expect(try update(folder, way, faults).status != 0)
            let repaired = try Launch.ranks(2, ["repair", folder.file("f")] + words)
            #expect(repaired.status == 0, "\(repaired.error)")
            _ = try verify(
                folder, status: 2, says: ["has no counter of the update", "another one"])
            let again = try update(folder, ["--by", "1"])
            #expect(
                again.status == 2 && again.error.contains("of another update"), "\(again.error)")
        }

        /// Crashes at any moment: nobody is accused, and what was cut off is finished.
        @Test func honestCrashesAccuseNobody() throws {
            var numbers = RandomNumbers()
            let folder = try Folder()
            try generate(folder, "new", 7)
            let new = try bytes(folder, ["new"])
            let layouts = [
                ("shared", ["f"]), ("per-rank", ["f.00000000", "f.00000001", "f.00000002"]),
            ]
            for (layout, _) in layouts {
                try makeFolder(folder, layout)
                try generate(folder, "\(layout)/f", 0, ["--layout", layout], ranks: 3)
            }
            var cutOff = 0
            let rounds = max(Launch.rounds.count, TestForm.rounds(4, whole: 200))
            for round in 0..<rounds {
                let (layout, names) = layouts[numbers.number(below: 2)]
                let files = FileManager.default
                for name in try files.contentsOfDirectory(atPath: folder.path)
                where name.hasPrefix("f") || name.hasPrefix("pid.") || name == "c" {
                    try files.removeItem(atPath: folder.file(name))
                }
                for name in names + ["f.dgen.json"] {
                    try files.copyItem(
                        atPath: folder.file("\(layout)/\(name)"), toPath: folder.file(name))
                }
                try makeFolder(folder, "c")
                let ranks = 1 + numbers.number(below: 3)
                let sync = ["each", "every:3", "every:20", "end"][numbers.number(below: 4)]
                var words = ["--acknowledge", folder.file("c"), "--sync", sync]
                words +=
                    numbers.number(below: 3) > 0 ? ["--io", "posix", "-t", "512"] : ["-t", "4KiB"]
                // Mostly in the midst of it, sometimes before it begins.
                let waits = numbers.number(below: 8) > 0 ? "updating" : "{"
                let delay = Double(numbers.number(below: 80)) / 1000
                let killed = try Launch.run(
                    [
                        "bash", "-c",
                        #"""
                        folder=$1 waits=$2 delay=$3; shift 3
                        "$@" > "$folder/out" 2>&1 &
                        until test -s "$folder/pid.0"; do sleep 0.005; done
                        while kill -0 $! 2> /dev/null; do
                            [[ $(< "$folder/f.dgen.json") == *"$waits"* ]] && break
                        done
                        sleep "$delay"
                        kill -KILL $(cat "$folder"/pid.*) 2> /dev/null
                        # A launcher whose ranks are gone before they have met may wait for them for ever.
                        for try in {1..1000}; do
                            kill -0 $! 2> /dev/null || break
                            sleep 0.01
                        done
                        kill -KILL $! 2> /dev/null
                        wait $!
                        exit 0
                        """#, "bash", folder.path, waits, "\(delay)",
                    ] + Launch.noting(folder, Launch.mpirun(ranks))
                        + ["update", folder.file("f"), "--by", "7"] + words)
                let note: Comment =
                    "round \(round), \(ranks) ranks, \(layout), \(words), \(numbers)"
                #expect(killed.status == 0, note)
                let manifest = try folder.json("f.dgen.json")
                let isCutOff = manifest["status"] as? String == "updating"
                let isBegun =
                    isCutOff || (manifest["spec"] as? [String: Any])?["generation"] as? Int == 7
                cutOff += isCutOff ? 1 : 0
                let verified = try Launch.alone(
                    ["verify", folder.file("f"), "--acknowledged", folder.file("c")]
                        + (isCutOff ? ["--consistent"] : []))
                // Before the manifest says that it goes on, counters may be there or not.
                let mayBeNone = !isBegun && verified.error.contains("has no counter")
                #expect(
                    verified.status == 0 || mayBeNone, "\(note) \(verified.output)\(verified.error)"
                )
                let resumed = try Launch.ranks(
                    ranks,
                    ["update", folder.file("f")] + (isBegun ? ["--resume"] + words : ["--by", "7"]))
                #expect(resumed.status == 0, "\(note) \(resumed.error)")
                #expect(try bytes(folder, names) == new, note)
                let whole = try Launch.alone(["verify", folder.file("f")])
                #expect(whole.status == 0, "\(note) \(whole.error)")
            }
            print("honest crashes: \(cutOff) of \(rounds) in the midst of an update, \(numbers)")
            // Otherwise the moments are no test.
            #expect(rounds < 20 || cutOff >= rounds / 4, "\(cutOff) of \(rounds), \(numbers)")
        }
    }
}
