// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import MPI
import Yams

/// The file beside a data file that says what it holds (FORMAT.md section 6).
struct Manifest {
    static let format = "dgen/1"

    /// How far the data file is.
    enum Status: String, Codable {
        /// From before the first byte until the data is stored.
        case writing
        /// The data is stored.
        case complete
    }

    var status: Status
    let spec: DataSpec
    /// Into how many files the data was written.
    var layout = FileLayout.shared
    /// How many ranks wrote the data, and what their shards were aligned to; not part of the format.
    let ranks: Int
    let align: Int
    /// How it was dealt to them, and in which transfers; not part of the format.
    var cut = Pattern.Cut.segments(1)
    var transferSize: Int?
    /// What the file held before, the last first: bytes of it may have stayed.
    var earlier: [DataSpec] = []
    /// Which run wrote the manifest: two that write one file must not both call it complete.
    var run = ""

    /// The most of ``earlier`` that are kept.
    static let earlierMax = 4

    /// Which rank wrote what; nil where the manifest does not say.
    var pattern: Pattern? {
        guard (1...1_000_000_000).contains(ranks), (1...(1 << 40)).contains(align) else {
            return nil
        }
        return Pattern(
            Shards(size: spec.size, ranks: ranks, alignment: align),
            transferSize: transferSize ?? Job.transferSizeDefault, cut: cut)
    }

    static func path(for data: String) -> String { data + ".dgen.json" }

    private struct Encoded: Encodable {
        let format = Manifest.format
        let status: Status
        let spec: EncodedSpec
        let createdBy = "dgen-mpi \(Version.current)"
        let layout: FileLayout
        /// The names of the first and the last file, where there are several.
        let files: [String]?
        let ranks: Int
        let align: Int
        let segments: Int?
        let strided: Bool?
        let transferSize: Int?
        let earlier: [EncodedSpec]?
        let run: String
    }

    /// Writes the manifest of the data file at `data`; where it is new, nothing may be in its place.
    func write(for data: String, isNew: Bool = false) throws {
        // Names for people; those who read the manifest make them of its own path.
        let name = FileSystem.name(of: data)
        let files =
            layout == .perRank
            ? [layout.path(name, rank: 0), layout.path(name, rank: ranks - 1)] : nil
        let encoded = Encoded(
            status: status, spec: EncodedSpec(spec), layout: layout, files: files, ranks: ranks,
            align: align, segments: cut.segmentCount, strided: cut == .strided ? true : nil,
            transferSize: transferSize,
            earlier: earlier.isEmpty ? nil : earlier.map(EncodedSpec.init),
            run: run)
        let (path, bytes) = (Self.path(for: data), try JSON.encode(encoded))
        if isNew {
            try FileSystem.make(path, with: bytes)
        } else {
            try FileSystem.replace(path, with: bytes)
        }
    }

    /// Reads the manifest of the data file at `data`; nil where there is none.
    static func read(for data: String) throws -> Manifest? {
        try text(for: data).map { try parse($0, name: path(for: data)) }
    }

    /// The text of the manifest of the data file at `data`; nil where there is none.
    static func text(for data: String) throws -> String? {
        let path = path(for: data)
        guard try FileSystem.state(path) != nil else { return nil }
        return try FileSystem.readText(path, bytesMax: 1 << 20, what: "manifest")
    }

    /// Reads a manifest.
    ///
    /// The YAML parser, since JSON is YAML, keeps numbers as they are written: ratios and 64-bit
    /// seeds stay exact.
    static func parse(_ text: String, name: String) throws -> Manifest {
        guard let root = try JobFile.compose(text, name: name)?.mapping else {
            throw Failure(.usage, "\(name): not a manifest")
        }
        let format = root["format"]?.scalar?.string ?? "none"
        guard format == Self.format else {
            throw Failure(
                .usage, "\(name): format: '\(format)' is not known here; only \(Self.format) is")
        }
        guard let status = (root["status"]?.scalar?.string).flatMap(Status.init(rawValue:)) else {
            throw Failure(.usage, "\(name): status: must be writing or complete")
        }
        guard let fields = root["spec"]?.mapping else {
            throw Failure(.usage, "\(name): spec: missing")
        }
        let spec = try spec(fields, name: "\(name): spec")
        func scalar(_ key: String) -> String? { root[Node(key)]?.scalar?.string }
        guard let layout = FileLayout(rawValue: scalar("layout") ?? FileLayout.shared.rawValue)
        else {
            throw Failure(.usage, "\(name): layout: must be shared or per-rank")
        }
        let ranks = scalar("ranks").flatMap { Int($0) } ?? 0
        let align = scalar("align").flatMap { Int($0) } ?? 0
        guard
            layout == .shared
                || (1...1_000_000_000).contains(ranks) && (1...(1 << 40)).contains(align)
        else {
            throw Failure(.usage, "\(name): ranks, align: needed for a file for each rank")
        }
        // What damage may be told by; what is no specification tells nothing.
        let earlier = (root["earlier"]?.sequence.map(Array.init) ?? []).prefix(earlierMax)
            .compactMap { $0.mapping.flatMap { try? self.spec($0, name: name) } }
        let segments = scalar("segments").flatMap { Int($0) } ?? 1
        let transferSize = scalar("transfer_size").flatMap { Int($0) }
        return Manifest(
            status: status, spec: spec, layout: layout, ranks: ranks, align: align,
            cut: scalar("strided") == "true"
                ? .strided : .segments((1...(1 << 40)).contains(segments) ? segments : 1),
            transferSize: transferSize.flatMap {
                (1...SharedFile.transferBytesMax).contains($0) ? $0 : nil
            },
            earlier: earlier, run: scalar("run") ?? "")
    }

    private static func spec(_ fields: Node.Mapping, name: String) throws -> DataSpec {
        var given: Settings.Given = [:]
        for key in specKeys {
            guard let value = fields[Node(key.rawValue)]?.scalar?.string else {
                throw Failure(.usage, "\(name): \(key.rawValue): missing")
            }
            given[key] = [value]
        }
        do {
            return try Settings(commandLine: [:], environment: [:], jobFile: given)
                .spec(over: nil, drawingSeed: nil)
        } catch {
            throw Failure(.usage, "\(name): \(Failure(error).message)")
        }
    }

    private static let specKeys: [OptionKey] = [
        .size, .seed, .dedupRatio, .compressRatio, .dedupUnit, .compressUnit, .fill,
    ]
}

/// A data specification as manifests and reports have it.
struct EncodedSpec: Encodable {
    let size: Int
    let seed: UInt64
    let dedupRatio: Double
    let compressRatio: Double
    let dedupUnit: Int
    let compressUnit: Int
    let fill: String

    init(_ spec: DataSpec) {
        size = spec.size
        seed = spec.seed
        dedupRatio = spec.dedupRatio.doubleValue
        compressRatio = spec.compressRatio.doubleValue
        dedupUnit = spec.dedupUnit
        compressUnit = spec.compressUnit
        fill = spec.fill.rawValue
    }
}

/// How JSON is written: for people too, and the same each time.
enum JSON {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    }
}
