// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Checksums

/// What the text of a manifest says (FORMAT.md section 6): the one reader of manifests, for the program and for Python.
///
/// Every field that it knows is of the right type and in its range, or the manifest is refused; fields that it does not
/// know are passed over.
package struct StoredManifest: Sendable {
    /// The formats that are understood.
    private static let formats = ["dgen/1", "dgen/2"]

    /// That of the manifest of a data set: the first one that can say what it is.
    package static func format(of spec: DataSpec) -> String {
        formats[spec.composition == nil ? 0 : 1]
    }

    /// Why a text is no manifest that can be used, in one line without the name of the file.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String

        init(_ reason: String) { description = reason }
    }

    /// How far the data file is.
    package enum Status: String, Codable, CaseIterable, Sendable {
        /// From before the first byte until the data is stored.
        case writing
        /// From before the first changed byte until all of them are stored.
        case updating
        /// The data is stored.
        case complete
    }

    package let status: Status
    /// The generation that an update began with, while it goes on to that of ``spec``.
    package let updatedFrom: Int?
    /// How many ranks share the update, and when they bring it to stable storage.
    package let updateRanks: Int?
    package let updateSync: String?
    package let updateTransferSize: Int?
    /// The run that began it, where another one goes on with it.
    package let updateRun: String?
    package let spec: DataSpec
    /// Whether each rank has written a file of its own.
    package let isPerRank: Bool
    /// How many ranks wrote the data, and what their shards were aligned to, where the manifest tells.
    package let ranks: Int?
    package let align: Int?
    /// How it was dealt to them, and in which transfers.
    package let segments: Int
    package let isStrided: Bool
    package let transferSize: Int?
    /// What the file held before; what is no specification tells nothing.
    package let earlier: [DataSpec]
    /// Those of the whole data set that are known; algorithms that are not known here are passed over.
    package let checksums: [RangeChecksum]
    /// Which run wrote the manifest.
    package let run: String
    /// What it wrote the data to where that is no file, and which device.
    package let target: String?
    package let device: String?

    /// The most ranks, and the largest alignment.
    package static let ranksMax = 1_000_000_000
    package static let alignMax = 1 << 40
    /// The most files of a data set with a file for each rank.
    ///
    /// More ranks than any machine has, and each file costs those who look at them all some microseconds at least.
    package static let filesMax = 10_000_000
    /// The most files of a data set that has fewer units of alignment: most of them are empty.
    package static let emptyFilesMax = 1 << 20

    /// Reads a manifest.
    ///
    /// - Parameter text: JSON, read strictly: no comments, no name twice.
    /// - Throws: ``Refusal`` for the first thing that is wrong.
    /// - Complexity: O(length of `text`).
    package init(parsing text: String) throws(Refusal) {
        let root: JSONValue
        do throws(JSONValue.Refusal) {
            root = try JSONValue(parsing: Array(text.utf8))
        } catch {
            throw Refusal("not a manifest: line \(error.line): not JSON: \(error.reason)")
        }
        guard case .object = root else { throw Refusal("not a manifest") }
        let format = root["format"]
        guard case .string(let name) = format, Self.formats.contains(name) else {
            throw Refusal(
                "format: '\((format?.shown ?? "none").inOneLine(bytesMax: 100))' is not known here; "
                    + "only \(Self.formats.joined(separator: " and ")) are")
        }
        guard case .string(let word) = root["status"], let status = Status(rawValue: word) else {
            throw Refusal("status: must be writing, updating or complete")
        }
        self.status = status
        guard let fields = root["spec"], case .object = fields else {
            throw Refusal("spec: missing")
        }
        do throws(Refusal) {
            spec = try Self.spec(fields, hasComposition: name == Self.formats[1])
        } catch {
            throw Refusal("spec: \(error)")
        }
        let update = status == .updating ? root["update"] : nil
        updatedFrom = try update.flatMap { (update) throws(Refusal) in
            try Self.number(update, "from", in: 0...Composition.generationMax)
        }
        updateRanks = try update.flatMap { (update) throws(Refusal) in
            try Self.number(update, "ranks", in: 1...Self.ranksMax)
        }
        updateTransferSize = try update.flatMap { (update) throws(Refusal) in
            try Self.number(update, "transfer_size", in: 1...Int.max)
        }
        if case .string(let text) = update?["sync"] { updateSync = text } else { updateSync = nil }
        if case .string(let text) = update?["run"] { updateRun = text } else { updateRun = nil }
        if status == .updating, updatedFrom == nil || spec.composition?.change == nil {
            throw Refusal("update: an update goes from one generation of changes to another")
        }
        switch root["layout"] {
        case nil, .string("shared"): isPerRank = false
        case .string("per-rank"): isPerRank = true
        default: throw Refusal("layout: must be shared or per-rank")
        }
        ranks = try Self.number(root, "ranks", in: 1...Self.ranksMax)
        align = try Self.number(root, "align", in: 1...Self.alignMax)
        if isPerRank {
            guard let ranks, let align else {
                throw Refusal("ranks, align: needed for a file for each rank")
            }
            let units = spec.size / align + (spec.size % align == 0 ? 0 : 1)
            let most = min(max(units, Self.emptyFilesMax), Self.filesMax)
            guard ranks <= most else {
                throw Refusal(
                    InvalidField(
                        field: "ranks", value: "\(ranks)",
                        accepted: "1 to \(most) with a file for each rank of \(spec.size) bytes"
                    ).description)
            }
        }
        segments = try Self.number(root, "segments", in: 1...1 << 40) ?? 1
        transferSize = try Self.number(root, "transfer_size", in: 1...Int.max)
        switch root["strided"] {
        case nil, .boolean(false): isStrided = false
        case .boolean(true): isStrided = true
        default: throw Refusal("strided: must be true or false")
        }
        switch root["earlier"] {
        case nil: earlier = []
        case .array(let several):
            earlier = several.compactMap { try? Self.spec($0, hasComposition: true) }
        default: throw Refusal("earlier: must be a list")
        }
        checksums = try Self.checksums(root["checksums"], size: spec.size)
        switch root["run"] {
        case nil: run = ""
        case .string(let text): run = text
        default: throw Refusal("run: must be a text")
        }
        target = try Self.text(root, "target")
        device = try Self.text(root, "device")
    }

    private static func checksums(
        _ value: JSONValue?, size: Int
    ) throws(Refusal) -> [RangeChecksum] {
        guard let value else { return [] }
        guard case .array(let elements) = value else {
            throw Refusal("checksums: must be a list")
        }
        var found: [RangeChecksum] = []
        for element in elements {
            guard case .string(let name) = element["algorithm"],
                case .string(let text) = element["hex"]
            else { throw refusal("checksums", element, "an algorithm and hex") }
            guard let algorithm = ChecksumAlgorithm(rawValue: name) else { continue }
            guard let bytes = ChecksumText.bytes(hex: text), bytes.count == algorithm.byteCount
            else {
                throw refusal(
                    "checksums", element["hex"] ?? element,
                    "\(2 * algorithm.byteCount) digits of 16 for \(name)")
            }
            found.append(RangeChecksum(algorithm, 0..<size, value: bytes))
        }
        return found
    }

    private static func spec(
        _ fields: JSONValue, hasComposition: Bool
    ) throws(Refusal) -> DataSpec {
        func value(_ name: String) throws(Refusal) -> JSONValue {
            guard let value = fields[name] else { throw Refusal("\(name): missing") }
            return value
        }
        func bytes(_ name: String) throws(Refusal) -> Int {
            try whole(try value(name), name, in: 0...Int.max, "a whole number of bytes")
        }
        func ratio(_ name: String) throws(Refusal) -> Ratio {
            let value = try value(name)
            guard case .number(let text) = value else {
                throw refusal(name, value, "a number with at most 3 decimals")
            }
            return try accepted { () throws(InvalidField) in try Ratio(parsing: text, field: name) }
        }
        let size = try bytes("size")
        let seed = try whole(
            try value("seed"), "seed", in: 0...UInt64.max, "a whole number from 0 to 2^64 - 1")
        let composition = hasComposition ? try Self.composition(fields) : nil
        // What a list of classes says has no ratio beside it.
        let dedup = composition?.copies == nil ? try ratio("dedup_ratio") : 1
        let compress = composition?.compressMix == nil ? try ratio("compress_ratio") : 1
        let (block, grain) = (try bytes("dedup_unit"), try bytes("compress_unit"))
        let kind = try value("fill")
        guard case .string(let name) = kind, let fill = DataSpec.Fill(rawValue: name) else {
            throw refusal("fill", kind, "backref or zeros")
        }
        return try accepted { () throws(InvalidField) in
            try DataSpec(
                size: size, seed: seed, dedupRatio: dedup, compressRatio: compress,
                dedupUnit: block, compressUnit: grain, fill: fill, composition: composition)
        }
    }

    private static func composition(_ fields: JSONValue) throws(Refusal) -> Composition {
        /// A share as a part of one, or with a sign in per cent.
        func share(_ value: JSONValue, _ name: String) throws(Refusal) -> Share {
            let text: String
            switch value {
            case .number(let number): text = number
            case .string(let string) where string.hasSuffix("%"): text = string
            default: throw refusal(name, value, "a share from 0 to 1")
            }
            return try accepted { () throws(InvalidField) in try Share(parsing: text, field: name) }
        }
        /// Pairs of a value and a share.
        func pairs<One>(
            _ name: String, _ make: (JSONValue, Share) throws(Refusal) -> One
        ) throws(Refusal) -> [One]? {
            guard let value = fields[name] else { return nil }
            guard case .array(let elements) = value else {
                throw refusal(name, value, "a list of pairs")
            }
            var made: [One] = []
            for element in elements {
                guard case .array(let pair) = element, pair.count == 2 else {
                    throw refusal(name, element, "a pair")
                }
                made.append(try make(pair[0], try share(pair[1], name)))
            }
            return made
        }
        return Composition(
            copies: try pairs("copies") { (value, share) throws(Refusal) in
                .init(
                    copies: try whole(
                        value, "copies", in: 2...Composition.copiesMax, "2 to 2^40 copies"),
                    share: share)
            },
            zeros: try fields["zeros"].map { (value) throws(Refusal) in try share(value, "zeros") },
            compressMix: try pairs("compress_mix") { (value, share) throws(Refusal) in
                guard case .number(let text) = value else {
                    throw refusal("compress_mix", value, "a ratio with at most 3 decimals")
                }
                let ratio = try accepted { () throws(InvalidField) in
                    try Ratio(parsing: text, field: "compress_mix")
                }
                return .init(ratio: ratio, share: share)
            },
            run: try number(fields, "run", in: 1...Composition.copiesMax),
            change: try pairs("change") { (value, rate) throws(Refusal) in
                .init(share: try share(value, "change"), rate: rate)
            },
            generation: try number(fields, "generation", in: 0...Composition.generationMax))
    }

    private static func accepted<Value>(
        _ body: () throws(InvalidField) -> Value
    ) throws(Refusal) -> Value {
        do throws(InvalidField) { return try body() } catch { throw Refusal(error.description) }
    }

    private static func text(_ root: JSONValue, _ name: String) throws(Refusal) -> String? {
        switch root[name] {
        case nil: return nil
        case .string(let text): return text
        default: throw Refusal("\(name): must be a text")
        }
    }

    private static func number(
        _ root: JSONValue, _ name: String, in range: ClosedRange<Int>
    ) throws(Refusal) -> Int? {
        guard let value = root[name] else { return nil }
        return try whole(
            value, name, in: range,
            "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }

    private static func whole<Number: FixedWidthInteger>(
        _ value: JSONValue, _ name: String, in range: ClosedRange<Number>, _ accepted: String
    ) throws(Refusal) -> Number {
        guard case .number(let text) = value, text.utf8.allSatisfy(\.isDigit),
            let number = Number(text), range.contains(number)
        else { throw refusal(name, value, accepted) }
        return number
    }

    private static func refusal(_ name: String, _ value: JSONValue, _ accepted: String) -> Refusal {
        Refusal(InvalidField(field: name, value: value.shown, accepted: accepted).description)
    }
}

extension DataSpec {
    /// The specification as manifests and reports have it: what was not given is not there.
    ///
    /// Every reader takes each of its numbers for exactly what it is.
    package var json: JSONValue {
        func ratio(_ ratio: Ratio) -> JSONValue { .number(ratio.description) }
        func share(_ share: Share) -> JSONValue {
            // Some would write smaller ones with an exponent.
            if (1..<100).contains(share.millionths) { return .string(share.description) }
            let (whole, rest) = share.millionths.quotientAndRemainder(dividingBy: Share.whole)
            guard rest > 0 else { return .number(whole) }
            var decimals = String(String(Share.whole + rest).dropFirst())
            while decimals.hasSuffix("0") { decimals.removeLast() }
            return .number("\(whole).\(decimals)")
        }
        let all = composition
        return JSONValue([
            "size": .number(size), "seed": .number(seed),
            // Not where `copies` say how often contents are repeated, and `compress_mix` how they compress.
            "dedup_ratio": all?.copies == nil ? ratio(dedupRatio) : nil,
            "compress_ratio": all?.compressMix == nil ? ratio(compressRatio) : nil,
            "dedup_unit": .number(dedupUnit), "compress_unit": .number(compressUnit),
            "fill": .string(fill.rawValue),
            // Of version 2: classes and rings are pairs of numbers, shares parts of one.
            "copies": all?.copies.map {
                .array($0.map { .array([.number($0.copies), share($0.share)]) })
            },
            "zeros": all?.zeros.map(share),
            "compress_mix": all?.compressMix.map {
                .array($0.map { .array([ratio($0.ratio), share($0.share)]) })
            },
            "run": all?.run.map { .number($0) },
            "change": all?.change.map {
                .array($0.map { .array([share($0.share), share($0.rate)]) })
            },
            "generation": all?.generation.map { .number($0) },
        ])
    }
}
