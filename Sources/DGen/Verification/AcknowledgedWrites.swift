// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import Options

/// Whether all that ranks of an update have acknowledged is there.
///
/// A rank acknowledges transfers when the store has said that they are safe, and does so elsewhere. So a store that has lost
/// one of them has said what was not true, however much like a prefix the rest looks.
struct AcknowledgedWrites {
    /// What one rank has acknowledged, and what is there of it.
    struct Writer: Codable {
        let rank: Int
        /// Whether there is a counter of it that can be read.
        let hasCounter: Bool
        /// Its writes that were acknowledged, and those among them that are not there.
        var acknowledged = 0
        var lost = 0
        /// The first of these, counted in its order from 0, and its place in the data set.
        var lostUpdate: Int?
        var lostOffset: Int?
        /// When the last write was acknowledged, or by when the first one that is not there was.
        var time: Date?

        var isRight: Bool { hasCounter && lost == 0 }

        var text: String {
            guard hasCounter else { return "rank \(rank): no counter that can be read" }
            let date = time.map { $0.ISO8601Format() } ?? ""
            if let lostUpdate, let lostOffset {
                return
                    "rank \(rank): update \(lostUpdate) (offset \(lostOffset)) is not there although it was "
                    + "acknowledged by \(date); \(lost) of \(acknowledged) acknowledged are lost"
            }
            return acknowledged == 0
                ? "rank \(rank): nothing was acknowledged"
                : "rank \(rank): \(acknowledged) were acknowledged, the last at \(date), and are there"
        }
    }

    /// What is known of all ranks.
    struct Result {
        let ranks: Int
        let acknowledged: Int
        let lost: Int
        let wrongRanks: Int
        let uncountedRanks: Int
        /// Whether the manifest is still that of before the update, though writes of it were acknowledged.
        let isManifestLost: Bool
        /// Some ranks; those first that are not right.
        let writers: [Writer]
        let times: Times

        var isRight: Bool { wrongRanks == 0 && uncountedRanks == 0 && !isManifestLost }

        var text: String {
            if wrongRanks > 0 {
                return "LOST: \(wrongRanks) of \(ranks) ranks miss what the store had called safe"
            }
            if isManifestLost {
                return
                    "LOST: the manifest knows nothing of the update, of which writes were acknowledged"
            }
            return uncountedRanks > 0
                ? "\(uncountedRanks) of \(ranks) ranks have no counter, so what they acknowledged is not known"
                : "everything that was acknowledged is there"
        }
    }

    /// The most ranks that are told of one by one.
    static let writersMax = 64

    private let pipeline: Pipeline
    private let files: FileSet
    private let counters: Counters
    private let to: DataSpec
    private let isManifestLost: Bool
    /// Whether every rank has made its counter: they do before the manifest says that they write.
    private let isBegun: Bool
    private let pattern: ReplayPattern

    private var session: Session { pipeline.run.session }

    /// Reads the counters that are in a folder, as each node sees it; collective.
    init(_ pipeline: Pipeline, _ subject: StoredDataSet, in folder: String) throws(Failure) {
        guard let manifest = subject.manifest, subject.spec == manifest.spec else {
            throw Failure(
                .usage,
                "acknowledged: \(subject.path) is what its manifest says; give no other data")
        }
        self.pipeline = pipeline
        files = subject.files
        let session = pipeline.run.session
        counters = try Self.counters(of: manifest, subject.path, in: folder, session)
        let example = counters.example
        isBegun = Self.isOwn(example, manifest)
        let place = subject.files.manifestPath
        let now = try session.onRoot { try place.flatMap { try Manifest.text(at: $0) } }
        isManifestLost = Self.isManifestLost(
            counters, manifest, now: now.flatMap { try? Manifest.parse($0, name: subject.path) })
        to = try Failure.reading(manifest.spec.withGeneration(example.to))
        pattern = ReplayPattern(
            UpdatePattern(
                to, against: example.from, ranks: example.ranks,
                transferSize: example.transferSize),
            writers: example.ranks, readers: session.world.size)
    }

    /// Whether a counter is that of the update that a manifest speaks of.
    private static func isOwn(_ counter: Counter, _ manifest: Manifest) -> Bool {
        let generation = manifest.spec.generation
        return manifest.status != .writing && counter.run == manifest.owner
            && counter.to == generation
    }

    /// Whether the manifest is still that of before an update of which writes were acknowledged, though it says that one goes on
    /// before the first byte of it is written.
    ///
    /// It was read `first`; `now`, after the counters were, it may say that the update has begun since.
    static func isManifestLost(_ counters: Counters, _ first: Manifest, now: Manifest?) -> Bool {
        !isOwn(counters.example, first)
            && counters.entries.contains { $0.map { $0.last.count > 0 } ?? false }
            && !(now.map { isOwn(counters.example, $0) } ?? false)
    }

    /// Whether it is one of an update of which the manifest has not been told, or knows no more.
    private static func isAfter(_ counter: Counter, _ manifest: Manifest) -> Bool {
        let generation = manifest.spec.generation
        return manifest.status == .complete && counter.previous == manifest.run
            && counter.from == generation
    }

    /// The counters that nodes have in the folder, put together; collective.
    private static func counters(
        of manifest: Manifest, _ path: String, in folder: String, _ session: Session
    ) throws(Failure) -> Counters {
        var (isThere, examples, found) = (false, [Counter](), [(Counter, Counter)]())
        var others: [String] = []
        try session.together {
            guard session.node.rank == 0 else { return }
            try session.watchdog.during(.acknowledge) { () throws(Failure) in
                isThere = try Counters.read(folder) { rank, slots in
                    let own = slots.filter { isOwn($0, manifest) || isAfter($0, manifest) }
                    guard let last = own.first else {
                        if others.isEmpty { others.append(slots[0].run) }
                        return
                    }
                    if !(examples.first.map { $0.from <= last.from } ?? false) { examples = [last] }
                    found.append((last, own.count > 1 ? own[1] : last))
                }
            }
        }
        guard try session.world.allReduce(isThere ? 1 : 0, .sum) > 0 else {
            throw Failure(.inputOutput, "acknowledged: \(folder): no such directory")
        }
        // One that was made when nothing was left to do counts none of the transfers.
        guard let example = try session.collect(examples).min(by: { $0.from < $1.from }) else {
            let other = try session.collect(others).first
            throw Failure(
                .usage,
                "acknowledged: \(folder) has no counter of the update that the manifest of \(path) speaks of"
                    + (other.map { ", but of another one, of run \($0)" } ?? ""))
        }
        // Of each rank its last acknowledgement, and the one before it; one more than they count, so that 0 is none.
        var numbers = [Int](repeating: 0, count: 4 * example.ranks)
        for (last, before) in found
        where last.from == example.from && last.countsLike(example) && before.countsLike(example) {
            let place = 4 * last.rank
            let all = [last.count + 1, last.seconds, before.count + 1, before.seconds]
            // Nodes may see one file, one of them later than another.
            guard last.rank < example.ranks, all[0] > numbers[place] else { continue }
            numbers.replaceSubrange(place..<place + 4, with: all)
        }
        numbers = try session.world.allReduce(numbers, .maximum)
        return Counters(
            example,
            (0..<example.ranks).map { rank in
                let all = numbers[4 * rank..<4 * rank + 4].map(\.self)
                return all[0] == 0
                    ? nil
                    : (
                        last: .init(count: all[0] - 1, seconds: all[1]),
                        before: .init(count: all[2] - 1, seconds: all[3])
                    )
            })
    }

    /// Reads what was acknowledged; collective.
    func run(note: (OpenDataSet.Hints) -> Void) throws(Failure) -> Result {
        let batches = Batches(oneByOne: pattern)
        let relay = try pipeline.relay(batches, to, .afterGivenBack, depth: 1, work: nil)
        let data = try OpenDataSet(pipeline.run, files, .read, by: pipeline.access, note: note)
        let loop = TransferLoop(
            batches: batches, rank: session.world.rank, isInStep: false,
            agreement: Agreement(pipeline.run, title: "verify", totalBytes: pattern.bytes))
        var jury = Jury(counters, to, kernel: pipeline.run.threads.kernel)
        try loop.run(relay, on: data) { transfer throws(Failure) in
            let write = pattern.write(transfer.round, session.world.rank)
            guard let write, jury.isAcknowledged(write) else {
                return try loop.move(transfer) { _ in }
            }
            try loop.move(transfer) { part throws(Failure) in
                var isWhole = true
                try data.read(from: transfer.range.lowerBound, into: part) {
                    isWhole = isWhole && $0.isWhole
                }
                data.times.add(to: .generate) {
                    jury.look(
                        UnsafeRawBufferPointer(part), at: transfer.range.lowerBound, write,
                        isWhole: isWhole)
                }
            }
        }
        try data.close()
        return try join(jury, data.times)
    }

    private func join(_ jury: Jury, _ times: Times) throws(Failure) -> Result {
        let (rank, size) = (session.world.rank, session.world.size)
        var (sums, told) = ([0, 0, 0, 0], [Writer]())
        // Wrong ones have their places before others.
        for isRight in [false, true] {
            for writer in stride(from: rank, to: counters.entries.count, by: size) {
                let one = jury.writer(writer)
                guard one.isRight == isRight else { continue }
                sums[0] += one.acknowledged
                sums[1] += one.lost
                sums[2] += one.lost > 0 ? 1 : 0
                sums[3] += one.hasCounter ? 0 : 1
                if told.count < Self.writersMax { told.append(one) }
            }
        }
        sums = try session.world.allReduce(sums, .sum)
        let all = try session.collect(told)
            .sorted { ($0.isRight ? 1 : 0, $0.rank) < ($1.isRight ? 1 : 0, $1.rank) }
        return Result(
            ranks: counters.entries.count, acknowledged: sums[0], lost: sums[1],
            wrongRanks: sums[2], uncountedRanks: isBegun ? sums[3] : 0,
            isManifestLost: isManifestLost, writers: Array(all.prefix(Self.writersMax)),
            times: times)
    }
}

/// Holds what is there against what ranks have acknowledged.
struct Jury {
    private let counters: Counters
    private let spec: DataSpec
    private var generator: Generator
    /// Those ranks that have acknowledged something with a block.
    private var writers: [Int: AcknowledgedWrites.Writer] = [:]

    init(_ counters: Counters, _ spec: DataSpec, kernel: Kernel) {
        self.counters = counters
        self.spec = spec
        generator = Generator(spec, kernel: kernel)
    }

    /// Whether a rank has acknowledged one of its transfers.
    func isAcknowledged(_ write: (writer: Int, round: Int)) -> Bool {
        counters.entries[write.writer].map { write.round < $0.last.count } ?? false
    }

    /// Looks at what is where a rank has written what it acknowledged; of each rank in its order.
    mutating func look(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ write: (writer: Int, round: Int),
        isWhole: Bool
    ) {
        guard !found.isEmpty, let entry = counters.entries[write.writer] else { return }
        var writer = writer(write.writer)
        defer { writers[write.writer] = writer }
        writer.acknowledged += 1
        guard !isWhole || !isRight(found, offset) else { return }
        writer.lost += 1
        guard writer.lostUpdate == nil else { return }
        (writer.lostUpdate, writer.lostOffset) = (writer.acknowledged - 1, offset)
        let by = write.round < entry.before.count ? entry.before : entry.last
        writer.time = Date(timeIntervalSince1970: Double(by.seconds))
    }

    private mutating func isRight(_ found: UnsafeRawBufferPointer, _ offset: Int) -> Bool {
        var log = DamageLog(spec, limit: 1)
        generator.compare(found, at: offset, log: &log)
        return log.rangeCount == 0
    }

    /// What is known of a rank.
    func writer(_ rank: Int) -> AcknowledgedWrites.Writer {
        if let known = writers[rank] { return known }
        let entry = counters.entries[rank]
        return AcknowledgedWrites.Writer(
            rank: rank, hasCounter: entry != nil,
            time: entry.flatMap {
                $0.last.count > 0 ? Date(timeIntervalSince1970: Double($0.last.seconds)) : nil
            })
    }
}
