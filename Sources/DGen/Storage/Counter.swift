// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options

/// How much of an update is durable, as one rank has acknowledged it: a slot of its counter file, which people can read.
///
/// A file has two slots, and each acknowledgement goes into the other one than the last. So whatever a crash does to the
/// slot that is being written, the one before it stays.
struct Counter: Equatable, Codable {
    /// The length of a slot: a sector, which storage writes whole or not at all.
    static let slotBytes = 512
    static let slots = 2
    private static let mark = "dgen-acknowledged/1"
    /// A check value in hexadecimal at the end of a slot, and the end of its line.
    private static let checkBytes = 17

    /// The most ranks, and the largest of other numbers, which are added to.
    static let ranksMax = StoredManifest.filesMax
    static let numberMax = 1 << 62

    /// Which run began the update, and what the manifest called its run before that.
    let run: String
    let previous: String
    let rank: Int
    let ranks: Int
    /// The generations that the update goes from and to.
    let from: Int
    let to: Int
    /// The most bytes of one of its transfers.
    let transferSize: Int
    /// Which acknowledgement it is.
    var number = 0
    /// The rank's transfers that are durable, from its first one on.
    var count = 0
    /// When that was acknowledged, by the clock of the rank's node, since 1970.
    var seconds = 0

    /// Whether another one is of the same rank, and counts the same transfers.
    func isSame(as other: Counter) -> Bool { rank == other.rank && countsLike(other) }

    /// Whether another one is of the same update, shared in the same way.
    func countsLike(_ other: Counter) -> Bool {
        run == other.run && to == other.to && ranks == other.ranks
            && transferSize == other.transferSize
    }

    /// A name of a run that can be in a counter; nil for texts that are none of this program.
    static func name(ofRun run: String) -> String? {
        let isName = !run.isEmpty && run.utf8.count <= 32 && run.utf8.allSatisfy(\.isHexadecimal)
        return isName ? run : nil
    }

    /// The file of a rank in a folder.
    static func path(_ folder: String, rank: Int) -> String {
        FileLayout.perRank.path(folder + "/acknowledged", rank: rank)
    }

    /// The rank whose file would have that name.
    static func rank(ofName name: String) -> Int? {
        FileLayout.rank(of: name).flatMap { $0.base == "acknowledged" ? $0.rank : nil }
    }

    private var fields: [(name: String, value: String)] {
        [
            ("run", run), ("previous", previous), ("rank", "\(rank)"), ("ranks", "\(ranks)"),
            ("from", "\(from)"), ("to", "\(to)"), ("transfer_size", "\(transferSize)"),
            ("number", "\(number)"), ("count", "\(count)"), ("seconds", "\(seconds)"),
        ]
    }

    /// The bytes of its slot.
    var bytes: [UInt8] {
        let text = Self.mark + fields.map { " \($0.name)=\($0.value)" }.joined() + " "
        precondition(text.utf8.count <= Self.slotBytes - Self.checkBytes, "a counter fits a slot")
        var bytes = Array(text.utf8)
        bytes += [UInt8](
            repeating: UInt8(ascii: " "), count: Self.slotBytes - Self.checkBytes - bytes.count)
        let check = String(Self.hash(bytes), radix: 16)
        bytes += Array((String(repeating: "0", count: 16 - check.count) + check + "\n").utf8)
        return bytes
    }

    /// Reads a slot; nil where it is none, or torn.
    init?(slot bytes: some Collection<UInt8>) {
        let text = String(decoding: bytes, as: UTF8.self)
        let words = text.split(separator: " ")
        guard bytes.count == Self.slotBytes, words.first == Self.mark[...] else { return nil }
        var values: [Substring: Substring] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[parts[0]] = parts[1] }
        }
        // What others have written may be anything.
        func number(_ name: Substring, upTo most: Int = Counter.numberMax) -> Int? {
            values[name].flatMap { Int($0) }.flatMap { (0...most).contains($0) ? $0 : nil }
        }
        guard let run = values["run"], let previous = values["previous"],
            let rank = number("rank"),
            let ranks = number("ranks", upTo: Self.ranksMax), rank < ranks,
            let from = number("from", upTo: Composition.generationMax),
            let to = number("to", upTo: Composition.generationMax),
            let transferSize = number("transfer_size"), transferSize > 0,
            let serial = number("number"), let count = number("count"),
            let seconds = number("seconds")
        else { return nil }
        self.init(
            run: String(run), previous: String(previous), rank: rank, ranks: ranks, from: from,
            to: to, transferSize: transferSize, number: serial, count: count, seconds: seconds)
        // The check value too, and whatever else it holds.
        guard self.bytes.elementsEqual(bytes) else { return nil }
    }

    init(
        run: String, previous: String, rank: Int, ranks: Int, from: Int, to: Int,
        transferSize: Int, number: Int = 0, count: Int = 0, seconds: Int = 0
    ) {
        (self.run, self.previous, self.rank, self.ranks) = (run, previous, rank, ranks)
        (self.from, self.to, self.transferSize) = (from, to, transferSize)
        (self.number, self.count, self.seconds) = (number, count, seconds)
    }

    /// FNV-1a of 64 bits.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    /// The slots of an open file that are counters, the last acknowledgement first; none of a file that is something else.
    static func slots(of file: borrowing OpenFile, _ path: String) throws(Failure) -> [Counter] {
        let state = try file.status().get(path, "cannot be examined")
        guard state.isRegular, state.size == slots * slotBytes else { return [] }
        var bytes = [UInt8](repeating: 0, count: slots * slotBytes)
        let count = try bytes.withUnsafeMutableBytes { file.read(into: $0, at: 0) }
            .get(path, "cannot be read")
        guard count == bytes.count else { return [] }
        return (0..<slots).compactMap {
            Counter(slot: bytes[$0 * slotBytes..<($0 + 1) * slotBytes])
        }.sorted { $0.number > $1.number }
    }
}

extension UInt8 {
    fileprivate var isHexadecimal: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
    }
}
