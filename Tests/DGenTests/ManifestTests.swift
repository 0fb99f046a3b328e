// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Testing

@testable import DGen

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
            let path = "/tmp/dgen-mpi-test-\(getpid())-\(ratio)"
            try Manifest(status: .writing, spec: spec, ranks: 3, align: 4096)
                .write(to: Manifest.path(for: path), for: path)
            let read = try #require(try Manifest.read(for: path))
            unlink(Manifest.path(for: path))
            #expect(read.spec == spec)
            #expect(read.status == .writing)
            #expect(read.ranks == 3)
        }
    }

    @Test func itIsATextForPeople() throws {
        let spec = try DataSpec(
            size: 300_001, seed: .max, dedupUnit: 4096,
            composition: Composition(
                copies: [.init(copies: 3, share: Share(millionths: 5))],
                zeros: Share(millionths: 50_000),
                change: [.init(share: Share(millionths: 1_000_000), rate: Share(millionths: 125))],
                generation: 2))
        let manifest = Manifest(
            status: .updating, update: Manifest.UnfinishedUpdate(from: 1, sync: "end"), spec: spec,
            layout: .perRank, ranks: 3, align: 4096, run: "a\"\\b/c\u{1}\u{E9}")
        #expect(
            manifest.text(for: "/folder/data") == """
                {
                  "align" : 4096,
                  "created_by" : "dgen-mpi \(Version.current)",
                  "files" : [
                    "data.00000000",
                    "data.00000002"
                  ],
                  "format" : "dgen/2",
                  "layout" : "per-rank",
                  "ranks" : 3,
                  "run" : "a\\"\\\\b/c\\u0001\u{E9}",
                  "spec" : {
                    "change" : [
                      [
                        1,
                        0.000125
                      ]
                    ],
                    "compress_ratio" : 1,
                    "compress_unit" : 1024,
                    "copies" : [
                      [
                        3,
                        "0.0005%"
                      ]
                    ],
                    "dedup_unit" : 4096,
                    "fill" : "backref",
                    "generation" : 2,
                    "seed" : 18446744073709551615,
                    "size" : 300001,
                    "zeros" : 0.05
                  },
                  "status" : "updating",
                  "update" : {
                    "from" : 1,
                    "sync" : "end"
                  }
                }

                """)
        let read = try Manifest.parse(manifest.text(for: "d"), name: "d")
        #expect(read.spec == spec)
        #expect(read.run == manifest.run)
        #expect(read.update == manifest.update)
    }

    @Test func othersAreRefused() {
        let unknown = #"{"format": "dgen/3", "status": "complete", \#(spec)}"#
        #expect(message(unknown).contains("'dgen/3' is not known"))
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
        .timeLimit(.minutes(5)),
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
