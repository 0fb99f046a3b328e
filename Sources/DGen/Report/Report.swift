// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import Options

/// What programs are told, as one JSON object.
protocol WritableResult: Encodable {}

extension WritableResult {
    /// Writes it to `destination`, `-` being stdout.
    func write(to destination: String) throws(Failure) {
        let bytes = try JSON.encode(self)
        if destination == "-" {
            try StandardOutput.write(bytes)
        } else {
            try FileSystem.replace(destination, with: bytes)
        }
    }
}

/// What a run tells programs, valid also after a failure.
struct Report: WritableResult {
    struct Launch: Encodable {
        let library: String
        let libraryPath: String
        let libraryRule: String
        let backend: String
        var ioComponent: String?
        let ranks: Int
        let nodes: Int
        let ranksPerNode: Int
    }

    struct Hints: Encodable {
        let requested: [String: String]
        var reported: [String: String] = [:]
        /// Whether the library reports whatever it is given, so that its report proves nothing; nil where it was not asked.
        var reportIsEcho: Bool?
    }

    /// Bytes per second over the repetitions of an operation.
    struct Summary: Encodable {
        let count: Int
        let minimum: Double
        let median: Double
        let mean: Double
        let maximum: Double
        /// Of a sample; 0 for a single one.
        let standardDeviation: Double

        init(_ rates: [Double]) {
            precondition(!rates.isEmpty, "a summary is of something")
            let sorted = rates.sorted()
            let count = sorted.count
            self.count = count
            minimum = sorted[0]
            maximum = sorted[count - 1]
            median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
            let mean = sorted.reduce(0, +) / Double(count)
            self.mean = mean
            let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            standardDeviation = count > 1 ? (squares / Double(count - 1)).squareRoot() : 0
        }
    }

    /// Numbers by generation, as JSON has them.
    static func byName(_ counts: [Int: Int]) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: counts.map { ("\($0.key)", $0.value) })
    }

    static func summary(of operations: [Measurement]) -> [String: Summary] {
        Dictionary(grouping: operations, by: \.operation)
            .mapValues { Summary($0.map(\.bytesPerSecond)) }
    }

    /// How far the ranks of an update have got that was cut off, and what they have acknowledged; what was not asked for is
    /// left out.
    struct UpdateConsistency: Encodable {
        var ranks: Int?
        var updates: Int?
        var present: Int?
        var torn: Int?
        var wrongRanks: Int?
        /// Some of them, those first that are not right.
        var writers: [Consistency.Writer]?
        var acknowledged: AcknowledgedUpdates?

        init(_ found: Consistency.Result?, _ acknowledged: AcknowledgedWrites.Result?) {
            (ranks, updates) = (found?.ranks, found?.writes)
            (present, torn) = (found?.present, found?.torn)
            (wrongRanks, writers) = (found?.wrongRanks, found?.writers)
            self.acknowledged = acknowledged.map(AcknowledgedUpdates.init)
        }
    }

    /// What the ranks of an update have acknowledged, and what is there of it.
    struct AcknowledgedUpdates: Encodable {
        let ranks: Int
        let updates: Int
        let lost: Int
        let wrongRanks: Int
        let uncountedRanks: Int
        let manifestLost: Bool
        let writers: [AcknowledgedWrites.Writer]

        init(_ found: AcknowledgedWrites.Result) {
            (ranks, updates, lost) = (found.ranks, found.acknowledged, found.lost)
            (wrongRanks, uncountedRanks) = (found.wrongRanks, found.uncountedRanks)
            (manifestLost, writers) = (found.isManifestLost, found.writers)
        }
    }

    /// What is wrong, and what has become of it.
    struct DamagedRange: Encodable {
        let offset: Int
        let bytes: Int
        let wrongBytes: Int
        let kind: Diagnosis.Kind
        /// The block of its first byte, and that of its last one where that is another.
        let block: Int
        let lastBlock: Int?
        /// The rank that wrote its first byte, whose shard it is in; nil where the manifest does not say.
        let rank: Int?
        /// Whether others wrote bytes of it, too.
        let otherRanks: Bool?
        let sourceOffset: Int?
        let seed: UInt64?
        /// The generation in which stale bytes were made; where there are several, ``staleBlocks`` has them.
        let generation: Int?
        let staleBlocks: [String: Int]?
        /// How many blocks hold misplaced bytes by right, where they are not one.
        let sourceBlocks: Int?
        let flippedBits: Int?
        let bits: [Diagnosis.Bit]?
        let tornAt: Int?
        let parts: [Diagnosis.Part]?
        /// All parts, where the list has been cut.
        let partCount: Int?
        /// Whether it is so long that only samples of it were looked at: `flipped_bits` are as many at least, and the kind, and
        /// parts that go from sample to sample, are an estimate.
        let sampled: Bool?
        /// Its first bytes as they should be, and as they are, in hexadecimal.
        let expected: String
        let found: String
        /// Whether ``tornAt`` speaks of a write, not of a block.
        private let isWriteKnown: Bool

        private enum CodingKeys: CodingKey {
            case offset, bytes, wrongBytes, kind, block, lastBlock, rank, otherRanks, sourceOffset
            case seed, generation, staleBlocks, sourceBlocks, flippedBits, bits, tornAt, parts,
                partCount, sampled, expected, found
        }

        init(
            _ range: Damage, _ diagnosis: Diagnosis, of spec: DataSpec,
            writtenAs pattern: DealtPattern?
        ) {
            (offset, bytes, wrongBytes) = (range.offset, range.bytes, range.wrongBytes)
            kind = diagnosis.kind
            block = range.offset / spec.dedupUnit
            let last = (range.end - 1) / spec.dedupUnit
            lastBlock = last == block ? nil : last
            rank = pattern?.rank(of: range.offset)
            let isOneRanks = pattern?.isOneRanks(range.offset..<range.end) ?? true
            otherRanks = isOneRanks ? nil : true
            isWriteKnown = diagnosis.isWriteKnown
            partCount =
                diagnosis.partCount > diagnosis.parts.count ? diagnosis.partCount : nil
            sourceOffset = diagnosis.sourceOffset
            seed = diagnosis.seed
            generation = diagnosis.generation
            staleBlocks =
                diagnosis.staleBlocks.count > 1
                ? Report.byName(diagnosis.staleBlocks) : nil
            sourceBlocks = diagnosis.sourceBlocks.flatMap { $0 > 1 ? $0 : nil }
            flippedBits = diagnosis.flippedBits
            bits = diagnosis.bits.isEmpty ? nil : diagnosis.bits
            tornAt = diagnosis.tornAt
            parts = diagnosis.parts.isEmpty ? nil : diagnosis.parts
            sampled = diagnosis.isSampled ? true : nil
            expected = Self.hexadecimal(diagnosis.expected)
            found = Self.hexadecimal(diagnosis.found)
        }

        private static func hexadecimal(_ bytes: [UInt8]) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }

        /// What it is, for people.
        var text: String {
            var words = [kindText]
            if sampled == true { words.append("as samples of it tell") }
            if let tornAt {
                let written = isWriteKnown ? "write" : "block"
                words.append("from sector \(tornAt) to the end of a \(written)")
            }
            words.append(lastBlock.map { "blocks \(block) to \($0)" } ?? "block \(block)")
            if let rank {
                words.append(
                    "written by rank \(rank)\(otherRanks == true ? " and others" : "")")
            }
            return words.joined(separator: ", ")
        }

        private var kindText: String {
            switch kind {
            case .stale:
                if let seed { return "stale: the bytes of seed \(seed)" }
                let several = staleBlocks?.keys.compactMap(Int.init).sorted() ?? []
                guard let first = several.first, let last = several.last else {
                    return "stale: of generation \(generation ?? 0)"
                }
                return "stale: of generations \(first) to \(last)"
            case .misplaced:
                let others = sourceBlocks.map { ", as in \($0 - 1) other blocks" } ?? ""
                return "misplaced: belongs at offset \(sourceOffset ?? 0)\(others)"
            case .bitFlips:
                let count = flippedBits ?? 0
                let shown = (bits ?? []).prefix(4).map { "\($0.offset).\($0.bit)" }
                let rest = count > shown.count || sampled == true ? " ..." : ""
                return (sampled == true ? "at least " : "")
                    + "\(count) flipped \(count == 1 ? "bit" : "bits"): "
                    + shown.joined(separator: " ") + rest
            case .mixed:
                let shown = (parts ?? []).prefix(4)
                let rest = (partCount ?? parts?.count ?? 0) - shown.count
                let kinds = shown.map {
                    "\($0.kind.rawValue.replacing("_", with: " ")) at \($0.offset) (\($0.bytes) bytes)"
                }
                return "mixed: \(kinds.joined(separator: ", "))"
                    + (rest > 0 ? " and \(rest) more" : "")
            case .transient: return "transient: right when read again"
            default: return kind.rawValue
            }
        }
    }

    /// Which blocks were looked at, where not all were.
    struct Sampling: Encodable {
        struct Miss: Encodable {
            let damagedBlocks: Int
            let probability: Double
        }

        let blocks: Int
        let ofBlocks: Int
        let seed: UInt64
        /// At most how probable it is that damage to so many blocks was missed.
        let missed: [Miss]

        init(_ sample: SampledPattern) {
            blocks = sample.count
            ofBlocks = sample.blockCount
            seed = sample.seed
            missed = sample.damageOfInterest.map {
                Miss(damagedBlocks: $0, probability: sample.missProbability(damagedBlocks: $0))
            }
        }
    }

    /// What blocks hold that may be of any generation of several.
    struct History: Encodable {
        /// A block that holds what is known, and is not accepted.
        struct Block: Encodable {
            let offset: Int
            let block: Int
            let kind: String
            let generation: Int
            /// Where in the block what was made in ``nextGeneration`` begins, if it is torn.
            let tornAt: Int?
            let nextGeneration: Int?

            init(_ wrong: HistoryLog.Wrong, of spec: DataSpec) {
                offset = wrong.offset
                block = wrong.offset / spec.dedupUnit
                kind = "\(wrong.kind)"
                generation = wrong.generation
                let isTorn = wrong.kind == .torn
                (tornAt, nextGeneration) =
                    isTorn ? (wrong.tornAt, wrong.nextGeneration) : (nil, nil)
            }

            /// What it is, for people.
            var text: String {
                guard let tornAt, let nextGeneration else {
                    return "offset \(offset): \(kind), of generation \(generation), block \(block)"
                }
                return "offset \(offset): torn, of generation \(generation) up to byte \(tornAt) "
                    + "and of \(nextGeneration) from there, block \(block)"
            }
        }

        let from: Int
        let to: Int
        let unchanged: Int
        let accepted: [String: Int]
        let acceptedEarlier: Int
        let tornAligned: Int
        let tornUnaligned: Int
        let older: Int
        let newer: Int
        let foreign: Int
        /// Of these, those that have more versions than were looked for.
        let foreignUnsearched: Int
        let blocks: [Block]

        init(_ log: HistoryLog, from: Int, of spec: DataSpec) {
            (self.from, to) = (from, spec.generation)
            (unchanged, acceptedEarlier) = (log.unchanged, log.acceptedEarlier)
            accepted = Report.byName(log.accepted)
            (tornAligned, tornUnaligned) = (log.tornAligned, log.tornUnaligned)
            (older, newer, foreign) = (log.older, log.newer, log.foreign)
            foreignUnsearched = log.foreignUnsearched
            blocks = log.listed.map { Block($0, of: spec) }
        }
    }

    /// What a data set holds, stretch by stretch.
    struct Map: Encodable {
        struct Stretch: Encodable {
            let offset: Int
            let bytes: Int
            /// Right bytes of data that may be of several generations; nil for other data.
            let unchanged: Int?
            let generations: [String: Int]?
            let earlier: Int?
            /// Bytes of damage, by what it is; nil for none.
            let damage: [String: Int]?

            /// A stretch of a map in which keys below 0 have these names.
            init(
                _ map: StretchMap, _ stretch: Int, names: [StretchMap.Key: String],
                isOfSeveral: Bool
            ) {
                let range = map.range(of: stretch)
                (offset, bytes) = (range.lowerBound, range.count)
                func counts(_ keys: [(StretchMap.Key, String)]) -> [String: Int] {
                    let all = keys.map { ($0.1, map[$0.0, stretch]) }.filter { $0.1 > 0 }
                    return Dictionary(all, uniquingKeysWith: +)
                }
                let damage = counts(names.map { ($0.key, $0.value) })
                self.damage = damage.isEmpty ? nil : damage
                unchanged = isOfSeveral ? map[.unchanged, stretch] : nil
                earlier = isOfSeveral ? map[.earlier, stretch] : nil
                let made = map.keys.filter { $0.number >= 0 }
                generations = isOfSeveral ? counts(made.map { ($0, "\($0.number)") }) : nil
            }
        }

        let stretchBytes: Int
        let stretches: [Stretch]

        /// Where blocks of each generation are, of data that may be of several.
        init(_ history: HistoryLog) {
            let (map, names) = (history.map, Self.historyNames)
            stretchBytes = map.stretchBytes
            stretches = (0..<map.stretchCount).map {
                Stretch(map, $0, names: names, isOfSeveral: true)
            }
        }

        private static let historyNames: [StretchMap.Key: String] = [
            .torn: "torn", .older: "older", .newer: "newer", .foreign: "foreign",
        ]

        /// Where which damage is; nil where there is none.
        init?(
            _ found: Comparison.Result, _ findings: [DamageSearch.Finding], of spec: DataSpec
        ) {
            var map = StretchMap(spec)
            var names: [StretchMap.Key: String] = [:]
            for finding in findings {
                let name = finding.diagnosis.kind.rawValue
                let key =
                    names.first { $0.value == name }?.key ?? StretchMap.Key(-1000 - names.count)
                names[key] = name
                map.add(key, finding.range.offset..<finding.range.end)
            }
            if let damaged = found.damaged {
                let key = StretchMap.Key(-1000 - names.count)
                for stretch in 0..<map.stretchCount {
                    let known = names.keys.reduce(0) { $0 + map[$1, stretch] }
                    let left = damaged[.damaged, stretch] - known
                    guard left > 0 else { continue }
                    map.add(key, left, toStretchAt: map.range(of: stretch).lowerBound)
                }
                names[key] = "unexamined"
            }
            stretchBytes = map.stretchBytes
            stretches = (0..<map.stretchCount).map {
                Stretch(map, $0, names: names, isOfSeveral: false)
            }.filter { $0.damage != nil }
            if stretches.isEmpty { return nil }
        }
    }

    let format = "dgen-report/1"
    /// What every result of this program has in it, that of `plan`, `info` and `bench` too.
    static let mark = "\"format\" : \"dgen-"
    var status = "interrupted"
    var exitStatus = ExitStatus.interrupted.rawValue
    var error: String? = "the run did not come to its end"
    let version = Version.current
    let commandLine = CommandLines.words
    var started = Date()
    var finished = Date()
    var mpi: Launch?
    var kernel = Kernel.fastest.rawValue
    var threadsPerRank = 1
    var path: String?
    /// What that is: a file, a device, null or a stream; and where its manifest is, if one is kept.
    var target: String?
    var manifest: String?
    var fileSystem: String?
    var access = Access.mpi.rawValue
    var direct = false
    var layout = FileLayout.shared.rawValue
    var segments = 1
    var strided = false
    var order = Order.sequential.rawValue
    var sync: String?
    var queueDepth = 1
    var hints: Hints?
    /// What the file system's own tool says of the file, where there is one.
    var stripes: Striping.Stripes?
    var spec: JSONValue?
    var operations: [Measurement] = []
    var summary: [String: Summary] = [:]
    var sample: Sampling?
    var history: History?
    var map: Map?
    var damage: [DamagedRange] = []
    var damageRanges = 0
    var damageBytes = 0
    /// Bytes that are wrong or missing; `damageBytes` counts the ranges from end to end.
    var wrongBytes = 0
    var firstWrongOffset: Int?
    /// Of the ranges that are listed, how many blocks hold bytes of each other generation, by its number.
    var staleBlocks: [String: Int]?
    /// The length that the file has, beside the `size` of `spec`.
    var fileBytes: Int?
    var manifestStatus: String?
    var consistency: UpdateConsistency?
    var checksums: [Checksum]?
    var composites: [Composite]?

    mutating func end(_ status: ExitStatus, error: String?) {
        self.status =
            switch status {
            case .done: "ok"
            case .mismatch: "mismatch"
            case .interrupted: "interrupted"
            default: "failed"
            }
        exitStatus = status.rawValue
        summary = Self.summary(of: operations)
        self.error = error
        finished = Date()
    }
}
