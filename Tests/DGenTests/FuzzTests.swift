// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import NUMA
import Options
import Testing
import TestSupport

@testable import DGen

/// Makes texts that are almost right, from texts that are: the same ones from the same seed, which is 1 if not said.
private struct Mutator {
    private var numbers = RandomNumbers(seed: 1)
    private let corpus: [[UInt8]]

    init(_ corpus: [String]) { self.corpus = corpus.map { Array($0.utf8) } }

    /// What parsers stumble over.
    private static let tokens = [
        "-", "+", ".", "..", "0", "-1", "1e999", "1.0", ".5", "nan", "9223372036854775807",
        "9223372036854775808", "18446744073709551615", "18446744073709551616", "0x10", "1_000",
        "١", "½", "KiB", "EiB", " ", "\n", "\r\n", "\t", "\0", "\u{1B}[31m", "\u{202E}", "🙂",
        "e\u{301}", ":", ": ", "- ", "? ", "[", "]", "{", "}", ",", "&a", "*a", "<<", "!!null",
        "!!binary", "|", ">", "'", "\"", "#", "%", "@", "`", "~", "null", "true", "../", "/",
        "size: ", "hint: ", "\u{FEFF}", "---\n", "...\n", "=", "0-4095", "0-", ",,", "ffffffff",
    ].map { Array($0.utf8) }

    mutating func number(below bound: Int) -> Int { numbers.number(below: bound) }

    private mutating func range(in text: [UInt8]) -> Range<Int> {
        let start = number(below: text.count + 1)
        let longest = number(below: 4) == 0 ? text.count - start : min(8, text.count - start)
        return start..<start + number(below: longest + 1)
    }

    mutating func text() -> String {
        var text = corpus[number(below: corpus.count)]
        for _ in 0..<number(below: 6) {
            let place = range(in: text)
            switch number(below: 7) {
            case 0: text.removeSubrange(place)
            case 1: text.insert(contentsOf: text[place], at: place.lowerBound)
            case 2: text.insert(UInt8(number(below: 256)), at: place.lowerBound)
            case 3 where !place.isEmpty:
                text[place.lowerBound] ^= UInt8(1 << number(below: 8))
            case 4:
                let other = corpus[number(below: corpus.count)]
                text.replaceSubrange(place, with: other[range(in: other)])
            case 5:
                let repeats = number(below: 50) == 0 ? 2000 : 1
                let token = Self.tokens[number(below: Self.tokens.count)]
                for _ in 0..<repeats { text.insert(contentsOf: token, at: place.lowerBound) }
            default:
                text.replaceSubrange(
                    place, with: Self.tokens[number(below: Self.tokens.count)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// Input that nobody meant: refused in one line or taken for what it says, and never a crash.
///
/// `DGEN_FUZZ_ROUNDS` says how many of each kind there are, `DGEN_TEST_SEED` which ones: `make fuzz` gives many, and
/// others each time.
@Suite struct FuzzTests {
    private static let rounds: Int = {
        // Before a crash: afterwards nobody is left to say it.
        print("fuzzing: \(RandomNumbers(seed: 1))")
        return ProcessInfo.processInfo.environment["DGEN_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 3000
    }()

    private func expectOneLine(_ error: any Error, _ input: String) {
        let failure = Failure(error)
        #expect([.usage, .inputOutput].contains(failure.status), "\(input.debugDescription)")
        #expect(!failure.message.isEmpty, "\(input.debugDescription)")
        let isPlain = failure.message.unicodeScalars.allSatisfy {
            ![.control, .format, .lineSeparator, .paragraphSeparator]
                .contains($0.properties.generalCategory)
        }
        #expect(
            isPlain, "\(failure.message.debugDescription) of \(input.debugDescription)")
    }

    /// Gives mutated texts to `body`; errors that it throws must be fit for people.
    private func fuzz(
        _ corpus: [String], rounds: Int = Self.rounds,
        _ body: (String, inout Mutator) throws -> Void
    ) {
        var mutator = Mutator(corpus)
        for _ in 0..<rounds {
            let text = mutator.text()
            do { try body(text, &mutator) } catch { expectOneLine(error, text) }
        }
    }

    /// A specification that was accepted can be made, anywhere.
    private func expectUsable(_ spec: DataSpec, _ mutator: inout Mutator, _ note: String) {
        let layout = Layout(spec)
        #expect(layout.distinctBlockCount <= max(layout.blockCount, 1), "\(note)")
        guard spec.size > 0 else { return }
        let start = mutator.number(below: spec.size)
        let range = start..<start + min(3, spec.size - start)
        var bytes = [UInt8](repeating: 0, count: range.count)
        var generator = Generator(spec)
        bytes.withUnsafeMutableBytes { generator.fill($0, at: start) }
        #expect(bytes == ScalarReference.bytes(of: spec, at: range), "\(note)")
    }

    @Test func sizesAndRatios() {
        fuzz(["4096", "64KiB", "1.5GiB", "10GB", "4k", "8EiB", "9223372036854775807", "2.125"]) {
            text, _ in
            if let ratio = try? Ratio(parsing: text, field: "ratio") {
                #expect(
                    try Ratio(parsing: "\(ratio.doubleValue)", field: "again") == ratio
                        || ratio.thousandths > 1 << 52, "\(text)")
            }
            _ = Duration.seconds(text)
            let size = try ByteSize.parse(text, field: "size")
            #expect(try size >= 0 && ByteSize.parse("\(size)", field: "again") == size)
        }
    }

    @Test func options() {
        let values = [
            "1GiB", "5", "2.5", "64KiB", "1MiB", "true", "false", "backref", "zeros", "shared",
            "per-rank", "write,read", "a=b", "90s", "1:30:00", "auto", "-1", "0.5%",
            "/dev/shm/f",
        ]
        fuzz(values) { text, mutator in
            let keys = OptionRow.all.filter { $0 != .hintsFile }
            var given: Settings.Given = [.size: ["1MiB"], .seed: ["1"]]
            given[keys[mutator.number(below: keys.count)]] = [text]
            let settings = Settings(
                commandLine: given, environment: ["DGEN_DEDUP_UNIT": "64KiB"], jobFile: [:])
            try settings.check()
            expectUsable(
                try settings.spec(over: nil, drawingSeed: nil), &mutator,
                text.debugDescription)
        }
    }

    @Test func jobFiles() {
        let files = [
            "size: 1GiB\nseed: 5\ndedup_ratio: 2\nhint: {striping_factor: 8}\n",
            "name: a-job\nnodes: 2\nranks: 8\nranks_per_node: 4\nlauncher: mpirun\n",
            "{\"size\": \"64MiB\", \"phases\": [\"write\", \"read\"], \"overwrite\": true}",
            "environment:\n  A: 1\nmodules: [openmpi]\nsetup:\n- echo hello\noperation: test\n",
            "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nhint: *c\n",
        ]
        fuzz(files) { text, mutator in
            let job = try JobFile.parse(text, name: "job.yaml")
            let settings = Settings(commandLine: [:], environment: [:], jobFile: job)
            try settings.check()
            if settings.has(.size), settings.has(.seed) {
                expectUsable(
                    try settings.spec(over: nil, drawingSeed: nil), &mutator,
                    text.debugDescription)
            }
        }
    }

    @Test func manifests() {
        let spec = """
            "spec": {"size": 1000000, "seed": 5, "dedup_ratio": 1.5, "compress_ratio": 2, \
            "dedup_unit": 65536, "compress_unit": 1024, "fill": "backref"}
            """
        let files = [
            #"{"format": "dgen/1", "status": "complete", \#(spec), "ranks": 3, "align": 4096}"#,
            #"{"format": "dgen/1", "status": "writing", "layout": "per-rank", \#(spec), "#
                + #""ranks": 7, "align": 512, "segments": 4, "transfer_size": 65536}"#,
            #"{"format": "dgen/1", "status": "complete", \#(spec), "strided": true, "#
                + #""ranks": 2, "align": 1, "files": ["../../etc/passwd"], "earlier": [{}]}"#,
        ]
        fuzz(files) { text, mutator in
            let manifest = try Manifest.parse(text, name: "f.dgen.json")
            let (size, note) = (manifest.spec.size, text.debugDescription)
            expectUsable(manifest.spec, &mutator, note)
            guard size > 0, let pattern = manifest.pattern else { return }
            let rank = mutator.number(below: manifest.ranks)
            let range = pattern[mutator.number(below: pattern.transfersPerRank), rank]
            #expect(range.lowerBound >= 0 && range.upperBound <= size, "\(note)")
            let owner = pattern.rank(of: mutator.number(below: size))
            #expect((0..<manifest.ranks).contains(owner), "\(note)")
            // Whatever a manifest says, files are those beside it.
            let path = manifest.layout.path("/folder/f", rank: rank)
            #expect(path == "/folder/f" || path.dropFirst(10).allSatisfy(\.isNumber), "\(path)")
        }
    }

    @Test func hintsFilesAndMounts() {
        fuzz(["striping_factor=8\ncb_nodes 4 # two\n", "36 35 98:0 / /mnt/a rw - tmpfs t rw\n"]) {
            text, _ in
            #expect(!FileSystem.type(of: "/mnt/a/b", mounts: text).isEmpty)
            let settings = Settings(
                commandLine: [.hint: HintsFile.texts(text)], environment: [:], jobFile: [:])
            for hint in try settings.hints() {
                #expect(!hint.key.isEmpty && !hint.value.isEmpty, "\(text.debugDescription)")
            }
        }
    }

    /// Trees of real machines, in which some files are broken, gone, or folders.
    @Test(
        arguments: TestForm.cases(
            ["16em64t-4s2c2t-offlines"], more: ["2arm-2c", "48amd64-4pa2n6c-sparse"],
            of: "FuzzTests.kernelTrees"))
    func kernelTrees(name: String) throws {
        let archive = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../NUMATests/Topologies/\(name).tar.bz2").path
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        let tar = try Process.run(
            URL(filePath: "/bin/tar"),
            arguments: ["xjf", archive, "--strip-components=1", "-C", root.path])
        tar.waitUntilExit()
        try #require(tar.terminationStatus == 0)
        let files = try #require(
            FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
        ).compactMap { $0 as? URL }.filter {
            (try? $0.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true
                && $0.path.contains(/node\/|cpuinfo|meminfo|thread_siblings|online/)
        }.sorted { $0.path < $1.path }
        let texts = try files.prefix(400).map {
            String(decoding: try Data(contentsOf: $0), as: UTF8.self)
        }
        try #require(!texts.isEmpty)
        var mutator = Mutator(texts)
        for _ in 0..<max(Self.rounds / 30, 1) {
            let file = files[mutator.number(below: files.count)]
            let before = try Data(contentsOf: file)
            try FileManager.default.removeItem(at: file)
            switch mutator.number(below: 8) {
            case 0: break
            case 1:
                try FileManager.default.createDirectory(
                    at: file, withIntermediateDirectories: false)
            case 2:
                try FileManager.default.createSymbolicLink(at: file, withDestinationURL: file)
            default: try Data(mutator.text().utf8).write(to: file)
            }
            let topology = Topology(root: root.path)
            #expect(!topology.nodes.isEmpty)
            #expect(topology.nodes.map(\.id) == topology.nodes.map(\.id).sorted())
            #expect((1...topology.threadCount).contains(topology.coreCount), "\(file.path)")
            #expect(topology.nodes.allSatisfy { $0.cpus.allSatisfy { $0 >= 0 } })
            _ = Processors.quota(root: root.path)
            try? FileManager.default.removeItem(at: file)
            try before.write(to: file)
        }
    }
}
