// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

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
        .timeLimit(.minutes(5)),
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
        let refused = #expect(throws: Failure.self) { try settings.dataPath(missing: "") }
        #expect(refused?.message.utf8.starts(with: "output: '/a:".utf8) == true)
    }
}
