// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options
import Testing

@testable import DGen

@Suite struct SettingsTests {
    private func settings(
        _ commandLine: Settings.Given = [:], environment: [String: String] = [:],
        job: Settings.Given = [:]
    ) -> Settings {
        Settings(commandLine: commandLine, environment: environment, jobFile: job)
    }

    @Test func commandLineGoesBeforeEnvironmentBeforeJobFile() throws {
        let job: Settings.Given = [.size: ["1k"], .seed: ["1"], .fill: ["zeros"]]
        let environment = ["DGEN_SIZE": "2k", "DGEN_SEED": "2"]
        let all = settings([.size: ["3k"]], environment: environment, job: job)
        let spec = try all.spec(over: nil, drawingSeed: nil)
        #expect(spec.size == 3072)
        #expect(spec.seed == 2)
        #expect(spec.fill == .zeros)
    }

    @Test func manifestFillsWhatNoOptionSays() throws {
        let manifest = try DataSpec(
            size: 10_000, seed: 5, dedupRatio: 2, compressRatio: 3, dedupUnit: 4096,
            compressUnit: 512, fill: .zeros)
        #expect(try settings().spec(over: manifest, drawingSeed: nil) == manifest)
        let other = try settings([.seed: ["6"]]).spec(over: manifest, drawingSeed: nil)
        #expect(other.seed == 6)
        #expect(other.compressUnit == 512)
        // A block given as an option leaves the grain as it is, or is refused.
        let unit = try settings([.dedupUnit: ["1MiB"]]).spec(over: manifest, drawingSeed: nil)
        #expect(unit.compressUnit == 512)
        let grain = try DataSpec(size: 1, seed: 1, dedupUnit: 4096, compressUnit: 4096)
        #expect(throws: InvalidField.self) {
            try settings([.dedupUnit: ["2KiB"]]).spec(over: grain, drawingSeed: nil)
        }
    }

    @Test func missingSizeOrSeedIsAUsageError() {
        #expect(throws: Failure.self) {
            try settings([.seed: ["1"]]).spec(over: nil, drawingSeed: nil)
        }
        #expect(throws: Failure.self) {
            try settings([.size: ["1"]]).spec(over: nil, drawingSeed: nil)
        }
    }

    @Test(arguments: ["", "-1", "+1", "0x10", "1.5", "18446744073709551616", "one"])
    func otherSeedsAreRefused(text: String) {
        #expect(throws: InvalidField.self) { try settings([.seed: [text]])[.seed] }
    }

    @Test func hintsAreJoinedAndTheLastOfAKeyCounts() throws {
        let hints = try settings([.hint: ["a=1", "b=x=y", "a=2"]]).hints()
        #expect(hints.map(\.key) == ["b", "a"])
        #expect(hints.map(\.value) == ["x=y", "2"])
        for wrong in ["a", "=1", "a=", ""] {
            #expect(throws: InvalidField.self) { try settings([.hint: [wrong]]).hints() }
        }
    }

    @Test func flagsAndNumbersAndChoicesNameTheirField() {
        let wrong = settings([
            .collective: ["maybe"], .watchdog: ["-1"], .progress: ["loud"],
            .transferSize: ["2GiB"],
        ])
        func field(_ read: () throws -> Void) -> String? {
            do { try read() } catch { return (error as? InvalidField)?.field }
            return nil
        }
        #expect(field { _ = try wrong[.collective] } == "collective")
        #expect(field { _ = try wrong[.watchdog] } == "watchdog")
        #expect(field { _ = try wrong[.progress] } == "progress")
        #expect(field { _ = try wrong[.transferSize] } == "transfer_size")
    }

}

@Suite struct JobFileTests {
    private func message(_ text: String) -> String {
        do {
            _ = try JobFile.parse(text, name: "job.yaml")
            return ""
        } catch {
            return Failure(error).message
        }
    }

    @Test func keysAreTheOptionsInSnakeCase() throws {
        let given = try JobFile.parse(
            """
            # A comment.
            size: 1.5GiB
            seed: 18446744073709551615
            dedup_ratio: 2.5
            collective: true
            hint:
              cb_nodes: 4
              romio_cb_write: enable
            """, name: "job.yaml"
        )
        #expect(given[.size] == ["1.5GiB"])
        #expect(given[.seed] == ["18446744073709551615"])
        #expect(given[.dedupRatio] == ["2.5"])
        #expect(given[.collective] == ["true"])
        #expect(given[.hint] == ["cb_nodes=4", "romio_cb_write=enable"])
        #expect(
            try JobFile.parse("hint: [a=1, b=2]", name: "j")[.hint] == ["a=1", "b=2"])
    }

    @Test func jsonIsYAML() throws {
        let given = try JobFile.parse(#"{"size": "1MiB", "dedup_ratio": 2.0}"#, name: "j")
        #expect(given == [.size: ["1MiB"], .dedupRatio: ["2.0"]])
    }

    @Test func anEmptyFileGivesNothing() throws {
        #expect(try JobFile.parse("", name: "j").isEmpty)
        #expect(try JobFile.parse("# nothing\n", name: "j").isEmpty)
    }

    @Test func unknownKeysAreRefusedWithTheNearestKnownOne() {
        #expect(message("size: 1\ndedup_ration: 2").contains("job.yaml:2"))
        #expect(message("size: 1\ndedup_ration: 2").contains("did you mean 'dedup_ratio'?"))
        #expect(message("transfersize: 2").contains("did you mean 'transfer_size'?"))
        #expect(message("dedup-ratio: 2").contains("did you mean 'dedup_ratio'?"))
        #expect(message("qwertyuiop: 2").contains("known: "))
        #expect(!message("qwertyuiop: 2").contains("did you mean"))
    }

    @Test(arguments: [
        "size: [1, 2]", "size: {a: 1}", "size:", "size: ~", "[1, 2]", "just words", "a: b: c",
        "size: 1\nsize: 2", "{", "size: 1\n\tseed: 2", "hint: {a: [1]}", "? [a]\n: 1",
    ])
    func otherShapesAreRefusedInOneLine(text: String) {
        #expect(!message(text).isEmpty, "accepted: \(text)")
        #expect(!message(text).contains("\n"))
    }

    /// A text, and a word that its refusal has.
    struct Odd: CustomTestStringConvertible {
        let text: String
        let says: String

        init(_ text: String, _ says: String) {
            self.text = text
            self.says = says
        }

        var testDescription: String { text.prefix(40) + ": " + says }
    }

    /// `levels` anchors, each of twice the one before.
    private static func tower(_ levels: Int, _ list: String, _ rest: String) -> String {
        let floors = (1...levels).map { "y\($0): &a\($0) [*a\($0 - 1), *a\($0 - 1)]\n" }
        return "x: &a0 \(list)\n" + floors.joined() + rest
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            Odd(tower(10, "[x, x]", "? *a10\n: 1\n"), "must be a word"),
            Odd(tower(40, "[x, x]", ""), "aliases followed"),
            Odd(
                tower(10, "{k: \(String(repeating: "v", count: 5000))}", ""), "aliases followed"
            ),
            Odd("hint: &h [*h]", "stands for nothing before it"),
            Odd("hint: &h {a: {b: *h}}", "stands for nothing before it"),
            Odd("a: *b\nb: &b x", "stands for nothing before it"),
            Odd("a: &a x\nb: &a y", "is there twice"),
            Odd("name: &a size\n*a : 5", "must be a word"),
            Odd("? &a [x]\n: 1", "must be a word"),
            Odd("? {a: 1}\n: 1", "must be a word"),
            Odd("hint: {[x]: 1}", "must be a word"),
            Odd("hint: {*a : 1}", "must be a word"),
            Odd(String(repeating: "[", count: 500), "nest"),
            Odd(String(repeating: "{a: ", count: 500), "nest"),
            Odd(String(repeating: "- ", count: 500), "nest"),
            Odd(String(repeating: "? ", count: 500), "must be a word"),
            Odd(String(repeating: "[", count: 100_000), "nest"),
            Odd(
                "hint: [\(String(repeating: "a,", count: 200_000))]", "more than 100000 values"),
            Odd("<<: {size: 1}", "merge keys"), Odd("seed: !!int 5", "tags"),
            Odd("hint: !!seq []", "tags"), Odd("%YAML 1.1\n---\nsize: 1", "directives"),
            Odd("size: 1\n---\nsize: 2", "second document"), Odd("size: 1\u{85}", "U+0085"),
            Odd("size: 1\u{FEFF}", "U+FEFF"), Odd("account: \"a\\0\"", "NUL"),
            Odd("environment: {é: 1, é: 2}", "is there twice"),
        ])
    func whatIsUnboundedOrReadInTwoWaysIsRefusedInOneLine(odd: Odd) {
        let (text, says) = (odd.text, odd.says)
        #expect(message(text).contains(says), "\(message(text)): \(text.prefix(100))")
        #expect(!message(text).contains("\n"))
    }

    @Test func marksAndLineEndsOfOtherSystemsAreReadAlike() throws {
        let plain = "size: 1GiB\nhint:\n  a: b\n"
        let wanted = try JobFile.parse(plain, name: "j")
        for text in [
            "\u{FEFF}" + plain, plain.replacing("\n", with: "\r\n"),
            plain.replacing("\n", with: "\r"), "---\n" + plain + "...\n",
            "size: &s 1GiB\nhint: &h {a: b}\n", "size: '1GiB'\nhint: {a: ! b}\n",
        ] {
            #expect(try JobFile.parse(text, name: "j") == wanted, "\(text)")
        }
        #expect(HintsFile.texts("\u{FEFF}a b\r\nc=d\r\n") == ["a=b", "c=d"])
    }

    @Test func aSignWithAnAccentIsStillThatSign() throws {
        let settings = Settings(
            commandLine: [.hint: ["a=\u{301}b"], .output: ["/a:\u{301}b"]], environment: [:],
            jobFile: [:])
        #expect(try settings.hints().map(\.key) == ["a"])
        #expect(throws: InvalidField.self) { try settings.dataPath(missing: "") }
    }
}

@Suite struct ReadOrderTests {
    @Test(arguments: [
        [1], [4], [1, 1], [3, 1, 2], [2, 2, 2, 2], [5, 1, 1], [64, 64, 32, 64],
    ])
    func everyShardIsReadOnceAndFromAnotherNodeWhereThatCanBe(nodes: [Int]) {
        let count = nodes.reduce(0, +)
        let most = nodes.max() ?? 1
        let nodeOf = nodes.enumerated().flatMap {
            Array(repeating: $0.offset, count: $0.element)
        }
        for order in ReadOrder.allCases {
            for seed: UInt64 in 0..<5 {
                let partners = (0..<count).map {
                    order.partners(of: $0, among: count, ranksPerNode: most, seed: seed)
                }
                #expect(Set(partners.map(\.target)) == Set(0..<count))
                for (place, partner) in partners.enumerated() {
                    #expect(partners[partner.target].origin == place)
                    #expect(partners[partner.origin].target == place)
                    if order == .shift, 2 * most <= count {
                        #expect(nodeOf[place] != nodeOf[partner.target], "\(nodes)")
                    }
                }
            }
        }
    }

    @Test func shufflesAreTheSameForTheSameSeedOnly() {
        func order(_ seed: UInt64) -> [Int] {
            let permutation = Permutation(count: 1000, seed: seed)
            return (0..<1000).map { permutation[$0] }
        }
        #expect(order(1) == order(1))
        #expect(order(1) != order(2))
        // Few stay where they are.
        #expect(order(3).enumerated().filter { $0.offset == $0.element }.count < 20)
    }
}

@Suite struct SummaryTests {
    @Test func numbersWorkedOutByHand() {
        let summary = Report.Summary([3, 1, 2, 10])
        #expect(summary.count == 4)
        #expect(summary.minimum == 1)
        #expect(summary.median == 2.5)
        #expect(summary.mean == 4)
        #expect(summary.maximum == 10)
        #expect(abs(summary.standardDeviation - (50.0 / 3).squareRoot()) < 1e-12)
        #expect(Report.Summary([7]).standardDeviation == 0)
    }
}

@Suite struct ManifestTests {
    private let spec = """
        "spec": {"size": 1073741824, "seed": 9007199254740993, "dedup_ratio": 2.5, \
        "compress_ratio": 1.001, "dedup_unit": 1048576, "compress_unit": 1024, \
        "fill": "backref"}
        """

    private func message(_ text: String) -> String {
        do {
            _ = try Manifest.parse(text, name: "m")
            return ""
        } catch {
            return Failure(error).message
        }
    }

    @Test func numbersStayExactAndUnknownFieldsAreIgnored() throws {
        let manifest = try Manifest.parse(
            #"{"format": "dgen/1", "status": "complete", "colour": {"a": [1]}, \#(spec)}"#,
            name: "m")
        #expect(manifest.status == .complete)
        #expect(manifest.spec.seed == 9_007_199_254_740_993)
        #expect(manifest.spec.compressRatio == Ratio(thousandths: 1001))
    }

    @Test func whatIsWrittenIsReadBack() throws {
        for ratio in [1000, 1001, 1333, 2500, 64000] {
            let spec = try DataSpec(
                size: .max, seed: .max, dedupRatio: 1_000_000,
                compressRatio: Ratio(thousandths: ratio), fill: .zeros)
            let path = "/tmp/dgen-mpi-test-\(UInt32.random(in: 0...UInt32.max))"
            try Manifest(status: .writing, spec: spec, ranks: 3, align: 4096).write(for: path)
            let read = try #require(try Manifest.read(for: path))
            unlink(Manifest.path(for: path))
            #expect(read.spec == spec)
            #expect(read.status == .writing)
            #expect(read.ranks == 3)
        }
    }

    @Test func othersAreRefused() {
        let unknown = #"{"format": "dgen/2", "status": "complete", \#(spec)}"#
        #expect(message(unknown).contains("'dgen/2' is not known"))
        #expect(message("{\(spec)}").contains("format"))
        #expect(message(#"{"format": "dgen/1", \#(spec)}"#).contains("status"))
        #expect(message(#"{"format": "dgen/1", "status": "complete"}"#).contains("spec"))
        let truncated = #"{"format": "dgen/1", "status": "complete", "spec": {"size": 10"#
        #expect(!message(truncated).isEmpty)
        let missing = #"{"format": "dgen/1", "status": "complete", "spec": {"size": 1}}"#
        #expect(message(missing).contains("seed: missing"))
        #expect(message("").contains("not a manifest"))
    }

    /// JSON, and nothing that only YAML has; what Python is told too, by the same reader.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("{", "{ # comment\n"), ("{", "{ // comment\n"), ("{", "%YAML 1.1\n---\n{"),
            ("{", "\u{FEFF}{"), ("}}", "}}\n..."), ("}}", "}} x"), ("}}", "}}}"),
            ("}}", "}"), ("}}", "},}"), ("\"complete\"", "complete"),
            ("\"complete\"", "'complete'"), ("\"complete\"", "!!str \"complete\""),
            ("\"complete\"", "&a \"complete\", \"x\": *a"), ("\"complete\"", "null"),
            ("\"status\"", "status"), ("\"status\"", "\"format\": \"dgen/1\", \"status\""),
            ("\"status\"", "\"st\\u0061tus\": \"writing\", \"status\""),
            ("1073741824", "1e9"), ("1073741824", "1.0"), ("1073741824", "-1"),
            ("1073741824", "\"1GiB\""), ("1073741824", "1GiB"), ("1073741824", "01"),
            ("1073741824", "0x10"), ("1073741824", "null"), ("1073741824", "[1]"),
            ("1073741824", "9223372036854775808"), ("9007199254740993", "null"),
            ("9007199254740993", "\"1\""), ("9007199254740993", "-0"),
            ("9007199254740993", "18446744073709551616"), ("9007199254740993", "true"),
            ("2.5", "2.5555"), ("2.5", "25e-1"), ("2.5", "NaN"), ("2.5", "Infinity"),
            ("2.5", ".5"), ("2.5", "+2.5"), ("2.5", "2."), ("\"backref\"", "\"Zeros\""),
            ("\"backref\"", "null"), ("\"backref\"", "\"back\\ud800ref\""),
            ("\"backref\"", "\"back\nref\""), ("\"backref\"", "\"back\\xref\""),
        ])
    func manifestsAreStrictJSON(part: String, other: String) {
        let whole = #"{"format": "dgen/1", "status": "complete", \#(spec)}"#
        #expect(message(whole).isEmpty)
        let odd = whole.replacing(part, with: other, maxReplacements: 1)
        #expect(odd != whole)
        #expect(!message(odd).isEmpty && !message(odd).contains("\n"), "\(odd)")
    }

    @Test(arguments: [
        ("layout", "\"per-rank\"", "needed"), ("layout", "null", "layout"),
        ("layout", "1", "layout"), ("ranks", "0", "'0'"), ("ranks", "-1", "'-1'"),
        ("ranks", "1.0", "'1.0'"), ("ranks", "\"1\"", "'1'"), ("ranks", "null", "'null'"),
        ("ranks", "1000000001", "1 to 1000000000"), ("align", "0", "'0'"),
        ("align", "1099511627777", "align"), ("segments", "0", "segments"),
        ("transfer_size", "0", "transfer_size"), ("strided", "1", "strided"),
        ("strided", "\"true\"", "strided"), ("earlier", "{}", "earlier"),
        ("earlier", "null", "earlier"), ("run", "1", "run"),
        ("x", String(repeating: "[", count: 500), "nest"),
        ("layout", "\"per-rank\", \"ranks\": 1000000000, \"align\": 1048576", "1048576 with"),
        ("layout", "\"per-rank\", \"ranks\": 1000000000, \"align\": 1", "1 to 10000000"),
    ])
    func whatIsKnownOfTheRunIsInItsRange(name: String, value: String, says: String) {
        let text =
            #"{"format": "dgen/1", "status": "complete", \#(spec), "\#(name)": \#(value)}"#
        #expect(message(text).contains(says), "\(message(text))")
    }
}

@Suite struct LogLevelsTests {
    @Test func commonLevelAndPartsOfTheirOwn() throws {
        let levels = try LogLevels("warning,mpi=debug,generator=trace", default: .info)
        #expect(levels["command"] == .warning)
        #expect(levels["mpi"] == .debug)
        #expect(levels["generator"] == .trace)
        #expect(try LogLevels(nil, default: .info)["mpi"] == .info)
    }

    @Test(arguments: ["loud", "mpi=loud", "network=debug", "mpi=debug=info", "=debug"])
    func othersAreRefused(text: String) {
        #expect(throws: InvalidField.self) { try LogLevels(text, default: .info) }
    }
}

@Suite struct LauncherTests {
    @Test func theInnermostLauncherCounts() {
        let both = [
            "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "OMPI_COMM_WORLD_SIZE": "1",
            "OMPI_COMM_WORLD_RANK": "0",
        ]
        #expect(Launcher(both)?.tasks == 1)
        #expect(Launcher(both)?.name == "mpirun")
        let slurm = both.filter { $0.key.hasPrefix("SLURM") }
        #expect(Launcher(slurm)?.tasks == 4)
        #expect(Launcher(slurm)?.task == 2)
        // Slurm may have been asked not to tell.
        #expect(Launcher(both)?.tellsMPI == true)
        #expect(Launcher(slurm)?.tellsMPI == false)
        let told = slurm.merging(["PMIX_RANK": "2"]) { $1 }
        #expect(Launcher(told)?.tellsMPI == true)
        #expect(Launcher([:]) == nil)
        // A batch script is no step: what it runs was started once.
        #expect(Launcher(["SLURM_NTASKS": "64", "SLURM_PROCID": "0"]) == nil)
    }
}

@Suite struct FileSystemTests {
    @Test func theInnermostMountSaysTheType() {
        let mounts = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            30 22 0:26 / /dev/shm rw shared:4 - tmpfs tmpfs rw
            31 22 0:27 / /mnt/my\\040disk rw - xfs /dev/vdb rw
            32 22 0:28 / /scratch rw - lustre mgs@tcp:/scratch rw
            33 32 0:29 / /scratch rw - beegfs beegfs rw
            broken line
            """
        #expect(FileSystem.type(of: "/home/user", mounts: mounts) == "ext4")
        #expect(FileSystem.type(of: "/dev/shm/a/b", mounts: mounts) == "tmpfs")
        #expect(FileSystem.type(of: "/dev/shmem", mounts: mounts) == "ext4")
        #expect(FileSystem.type(of: "/mnt/my disk/a", mounts: mounts) == "xfs")
        #expect(FileSystem.type(of: "/scratch/a", mounts: mounts) == "beegfs")
        #expect(FileSystem.type(of: "/a", mounts: "") == "unknown")
        #expect(FileSystem.names(in: "/mnt", mounts: mounts) == ["my disk"])
        #expect(FileSystem.names(in: "/dev", mounts: mounts) == ["shm"])
        #expect(FileSystem.names(in: "/home", mounts: mounts).isEmpty)
    }

    @Test func foldersOfPaths() {
        #expect(FileSystem.folder(of: "file") == ".")
        #expect(FileSystem.folder(of: "/file") == "/")
        #expect(FileSystem.folder(of: "a/b/file") == "a/b")
    }
}

@Suite struct ProgressTests {
    @Test func aLineSaysHowMuchHowFastAndHowLong() {
        let line = Progress.line("write", 1 << 30, of: 4 << 30, seconds: 2, bar: false)
        #expect(line == "write 25% 1 GiB of 4 GiB, 512 MiB/s, 6 s left")
        let bar = Progress.line("write", 1 << 30, of: 4 << 30, seconds: 2, bar: true)
        #expect(bar.contains("[######..................]"))
        #expect(
            Progress.line("write", 0, of: 10, seconds: 0, bar: false).contains("unknown left"))
    }

    @Test func durationsAreForPeople() {
        #expect(Progress.duration(5.2) == "6 s")
        #expect(Progress.duration(200) == "3 min 20 s")
        #expect(Progress.duration(7500) == "2 h 5 min")
        #expect(Progress.duration(.infinity) == "years")
    }
}

@Suite struct PlanTests {
    private func plan(_ commandLine: Settings.Given) throws -> Plan {
        try Plan(Settings(commandLine: commandLine, environment: [:], jobFile: [:]))
    }

    @Test func shardsAddUpAndLargeNumbersAreCutShort() throws {
        let small = try plan([.size: ["10MiB"], .ranks: ["3"]])
        #expect(small.shards.map(\.bytes).reduce(0, +) == 10 << 20)
        let large = try plan([.size: ["9223372036854775807"], .ranks: ["1000000"]])
        #expect(large.shards.count == Plan.shardsListed / 2 + 1)
        #expect(large.shards.last?.rank == 999_999)
        #expect(large.blocks == 1 << 43)
    }

    /// What is planned is what the pattern of a run moves: piece by piece, and in sum.
    @Test func whatIsPlannedIsWhatARunWrites() throws {
        for (size, ranks, cut) in [
            ("1000000", "3", [:]), ("1000000", "3", [.segments: ["4"]]),
            ("1000000", "2", [.strided: ["true"]]), ("40000", "7", [.segments: ["3"]]),
            ("1000001", "5", [.segments: ["1000000"]]), ("100", "4", [.strided: ["yes"]]),
            ("1000000", "4", [.layout: ["per-rank"], .output: ["a/b"]]),
            ("100000000", "9", [.strided: ["true"], .order: ["random"]]),
        ] as [(String, String, Settings.Given)] {
            let given: Settings.Given = [
                .size: [size], .ranks: [ranks], .align: ["4096"], .transferSize: ["10000"],
            ]
            let settings = Settings(
                commandLine: given.merging(cut) { $1 }, environment: [:], jobFile: [:])
            let plan = try Plan(settings)
            let count = try settings.ranks()
            let pattern = DealtPattern(
                Shards(size: Int(size) ?? 0, ranks: count, alignment: 4096),
                transferSize: 10000, cut: try settings.cut())
            let transfers = (0..<count).map { rank in
                (0..<pattern.transfersPerRank).map { pattern[$0, rank] }.filter { !$0.isEmpty }
            }
            let bytes = transfers.map { $0.reduce(0) { $0 + $1.count } }
            let note: Comment = "\(size) \(ranks) \(cut)"
            #expect(plan.shardBytesMaximum == bytes.max(), note)
            #expect(plan.shardBytesMinimum == bytes.min(), note)
            #expect(plan.emptyRanks == bytes.count { $0 == 0 }, note)
            #expect(plan.transfersPerRankMaximum == transfers.map(\.count).max(), note)
            for shard in plan.shards where shard.bytes > 0 {
                let end = shard.offset + shard.bytes
                let moved = transfers[shard.rank].filter {
                    (shard.offset..<end).overlaps($0)
                }
                #expect(moved.first?.lowerBound == shard.offset, note)
                #expect(moved.reduce(0) { $0 + $1.count } == shard.bytes, note)
            }
            #expect(plan.shards.last?.rank == count - 1, note)
            let isPerRank = plan.layout == .perRank
            #expect((plan.shards[0].file == "a/b.00000000") == isPerRank, note)
            #expect(plan.table.text.contains("a/b.00000003") == isPerRank, note)
        }
    }

    @Test func ranksBeyondTheLastUnitAreCountedAsEmpty() throws {
        let plan = try plan([.size: ["3MiB"], .ranks: ["8"]])
        #expect(plan.emptyRanks == 5)
        #expect(plan.shardBytesMinimum == 0)
        #expect(plan.shardBytesMaximum == 1 << 20)
    }
}
