// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// How far each rank of an update that was cut off has got, and whether that is something that a crash may leave.
///
/// A rank writes in its order, and goes on after a sync point only when everything before it is stored. So if a write is
/// there, everything before the last sync point that lay before it has to be there too. Of what came after it, any part may.
struct Consistency {
    /// How far one rank has got.
    struct Writer: Codable {
        let rank: Int
        /// Its writes, and those that are there.
        var updates = 0
        var present = 0
        /// Neither what was there before nor what was written.
        var torn = 0
        /// The writes before the last sync point that everything is there of.
        var synced = 0
        /// The first write that is not there, and its place in the data set.
        var missing: Int?
        var missingOffset: Int?
        /// A write that is there though a sync point lies between it and one that is not.
        var presentAfter: Int?

        var isRight: Bool { presentAfter == nil }

        var text: String {
            let far = "rank \(rank): \(present) of \(updates) updates"
            guard let missing, let missingOffset else { return far }
            if let presentAfter {
                return
                    "rank \(rank): update \(missing) (offset \(missingOffset)) is missing although "
                    + "\(presentAfter) is there, and a sync lay between"
            }
            let torn = torn > 0 ? ", \(torn) torn" : ""
            return far + ", the last complete sync at \(synced), none missing before it\(torn)"
        }
    }

    /// What is known of all ranks.
    struct Result {
        let ranks: Int
        let writes: Int
        let present: Int
        let torn: Int
        let wrongRanks: Int
        /// Some ranks; those first that are not right.
        let writers: [Writer]
        let times: Times

        var isRight: Bool { wrongRanks == 0 }
    }

    /// The most ranks that are told of one by one.
    static let writersMax = 64

    private let pipeline: Pipeline
    private let files: FileSet
    private let from: DataSpec
    private let to: DataSpec
    private let pattern: ReplayPattern
    private let stride: Int
    private let ranks: Int

    private var session: Session { pipeline.run.session }

    /// Prepares to look at the update that a manifest speaks of.
    init(_ pipeline: Pipeline, _ subject: StoredDataSet) throws(Failure) {
        guard let manifest = subject.manifest, let update = manifest.update else {
            throw Failure(
                .usage,
                "consistent: the manifest of \(subject.path) does not say 'updating', so no update was cut "
                    + "off; verify it without")
        }
        guard subject.spec == manifest.spec else {
            throw Failure(
                .usage, "consistent: \(subject.path) is what its manifest says; give no other data")
        }
        self.pipeline = pipeline
        files = subject.files
        to = manifest.spec
        from = try Failure.reading(manifest.spec.withGeneration(update.from))
        ranks = update.ranks ?? 1
        stride = update.sync.flatMap { Sync($0) }?.stride ?? .max
        pattern = ReplayPattern(
            UpdatePattern(
                to, against: update.from, ranks: ranks,
                transferSize: update.transferSize ?? OptionLimits.transferBytesDefault),
            writers: ranks, readers: pipeline.run.session.world.size)
    }

    /// Reads what was written, in each rank's order; collective.
    func run(note: (OpenDataSet.Hints) -> Void) throws(Failure) -> Result {
        let batches = Batches(oneByOne: pattern)
        let relay = try pipeline.relay(batches, to, .afterGivenBack, depth: 1, work: nil)
        let data = try OpenDataSet(pipeline.run, files, .read, by: pipeline.access, note: note)
        let loop = TransferLoop(
            batches: batches, rank: session.world.rank, isInStep: false,
            agreement: Agreement(pipeline.run, title: "verify", totalBytes: pattern.bytes))
        var judge = Judge(from: from, to: to, stride: stride, kernel: pipeline.run.threads.kernel)
        try loop.run(relay, on: data) { transfer throws(Failure) in
            guard let write = pattern.write(transfer.round, session.world.rank) else {
                return try loop.move(transfer) { _ in }
            }
            try loop.move(transfer) { part throws(Failure) in
                var isWhole = true
                try data.read(from: transfer.range.lowerBound, into: part) {
                    isWhole = isWhole && $0.isWhole
                }
                data.times.add(to: .generate) {
                    judge.look(
                        UnsafeRawBufferPointer(part), at: transfer.range.lowerBound, write,
                        isWhole: isWhole)
                }
            }
            if transfer.range.isEmpty { judge.pass(write) }
        }
        try data.close()
        return try join(judge.writers, data.times)
    }

    private func join(_ all: Judge.Writers, _ times: Times) throws(Failure) -> Result {
        let sums = try session.world.allReduce(
            [all.writes, all.present, all.torn, all.wrong], .sum)
        let told = try session.collect(Array((all.wrongOnes + all.others).prefix(Self.writersMax)))
            .sorted { ($0.isRight ? 1 : 0, $0.rank) < ($1.isRight ? 1 : 0, $1.rank) }
        return Result(
            ranks: ranks, writes: sums[0], present: sums[1], torn: sums[2], wrongRanks: sums[3],
            writers: Array(told.prefix(Self.writersMax)), times: times)
    }
}

/// Looks at the writes of ranks, one rank after another, each in its order; memory is constant.
struct Judge {
    /// What was found of the ranks that this one looks at.
    struct Writers {
        var writes = 0
        var present = 0
        var torn = 0
        var wrong = 0
        var wrongOnes: [Consistency.Writer] = []
        var others: [Consistency.Writer] = []

        mutating func add(_ writer: Consistency.Writer) {
            writes += writer.updates
            present += writer.present
            torn += writer.torn
            wrong += writer.isRight ? 0 : 1
            let most = Consistency.writersMax
            if !writer.isRight, wrongOnes.count < most { wrongOnes.append(writer) }
            if writer.isRight, others.count < most { others.append(writer) }
        }
    }

    private var pair: GenerationPair
    private let stride: Int
    private var done = Writers()
    private var current: Consistency.Writer?
    /// The window between sync points that the first missing write is in.
    private var missingWindow = 0

    init(from: DataSpec, to: DataSpec, stride: Int, kernel: Kernel) {
        pair = GenerationPair(oldest: from, newest: to, kernel: kernel)
        self.stride = stride
    }

    /// All ranks, the last one too.
    var writers: Writers {
        var all = done
        if let current { all.add(current) }
        return all
    }

    /// Takes note of a write that has no block.
    mutating func pass(_ write: (writer: Int, round: Int)) {
        begin(write.writer)
        end(write.round)
    }

    /// Looks at what is where a rank has written.
    mutating func look(
        _ found: UnsafeRawBufferPointer, at offset: Int, _ write: (writer: Int, round: Int),
        isWhole: Bool
    ) {
        begin(write.writer)
        guard !found.isEmpty else { return }
        let match = isWhole ? pair.match(found, at: offset) : .neither
        note(match == .newest, isTorn: match == .neither, offset, write.round)
        end(write.round)
    }

    private mutating func begin(_ writer: Int) {
        guard current?.rank != writer else { return }
        if let current { done.add(current) }
        current = Consistency.Writer(rank: writer)
    }

    private mutating func note(_ isThere: Bool, isTorn: Bool, _ offset: Int, _ round: Int) {
        guard var writer = current else { return }
        let number = writer.updates
        writer.updates += 1
        writer.torn += isTorn ? 1 : 0
        if isThere {
            writer.present += 1
            if writer.missing != nil, missingWindow < round / stride, writer.presentAfter == nil {
                writer.presentAfter = number
            }
        } else if writer.missing == nil {
            (writer.missing, writer.missingOffset) = (number, offset)
            missingWindow = round / stride
        }
        current = writer
    }

    /// A sync point may come after a write.
    private mutating func end(_ round: Int) {
        if stride < .max, (round + 1) % stride == 0, var writer = current, writer.missing == nil {
            writer.synced = writer.updates
            current = writer
        }
    }
}
