// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

// What several commands print for people.

extension Table {
    /// The most damaged ranges that a table lists.
    private static let rangesMax = 20

    /// Adds a number of bytes, rounded and exact.
    mutating func row(_ name: String, bytes: Int) {
        row(name, "\(ByteSize.format(bytes)) (\(bytes) bytes)")
    }

    mutating func addRanks(_ session: Session) {
        row(
            "ranks",
            "\(session.world.size) on \(session.nodeCount) "
                + (session.nodeCount == 1 ? "node" : "nodes"))
    }

    mutating func addRates(_ measurement: Measurement, _ session: Session) {
        addRanks(session)
        row(
            "bandwidth",
            "\(ByteSize.format(Int(measurement.bytesPerSecond)))/s "
                + "(\(measurement.seconds.fixed(3)) s)")
    }

    /// Adds what is wrong, and what has become of it; with the bytes themselves where it `isDetailed`.
    mutating func addDamage(_ report: Report, isDetailed: Bool) {
        guard let first = report.damage.first else { return }
        row("first wrong", "offset \(first.offset)")
        row("wrong bytes", "\(report.wrongBytes)")
        row("damaged ranges", "\(report.damageRanges)")
        if let blocks = report.staleBlocks {
            let shown = blocks.sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }.map {
                "\($0.value) of generation \($0.key)"
            }
            row("stale blocks", shown.joined(separator: ", "))
        }
        for range in report.damage.prefix(Self.rangesMax) {
            row(
                "",
                "offset \(range.offset), length \(range.bytes), \(range.wrongBytes) wrong: \(range.text)"
            )
            guard isDetailed else { continue }
            row("", "  expected \(range.expected)")
            row("", "  found    \(range.found.isEmpty ? "nothing" : range.found)")
        }
        if report.damageRanges > Self.rangesMax {
            row("", "and \(report.damageRanges - Self.rangesMax) more")
        }
    }

    /// Adds what blocks hold that may be of any generation of several.
    mutating func addHistory(_ history: Report.History) {
        func blocks(_ count: Int) -> String { count == 1 ? "1 block" : "\(count) blocks" }
        row("generations", "\(history.from) to \(history.to)")
        row("unchanged", "\(blocks(history.unchanged)), the same in all of them")
        for (generation, count) in history.accepted.compactMap({ name, count in
            Int(name).map { ($0, count) }
        }).sorted(by: { $0.0 > $1.0 }) {
            row("accepted", "\(blocks(count)) made in generation \(generation)")
        }
        if history.acceptedEarlier > 0 {
            row("", "\(blocks(history.acceptedEarlier)) made before")
        }
        for (name, count) in [
            ("torn at a sector", history.tornAligned), ("torn elsewhere", history.tornUnaligned),
            ("older", history.older), ("newer", history.newer),
            ("something else", history.foreign),
        ] where count > 0 {
            row(name, blocks(count))
        }
        if history.foreignUnsearched > 0 {
            row(
                "",
                "\(history.foreignUnsearched) of these have more than \(HistoryJudge.versionsMax.between) versions, of which "
                    + "the last ones were looked for")
        }
        for block in history.blocks.prefix(Self.rangesMax) { row("", block.text) }
        let all = history.tornAligned + history.tornUnaligned + history.older + history.newer
        if all > Self.rangesMax { row("", "and \(all - Self.rangesMax) more") }
    }

    /// Adds what the library was asked for, and what it and the file system say of it.
    mutating func addHints(_ report: Report) {
        if let stripes = report.stripes {
            row("stripes", "\(stripes.count) of \(ByteSize.format(stripes.size)), says lfs")
        }
        guard let hints = report.hints, !hints.requested.isEmpty else { return }
        for (key, value) in hints.requested.sorted(by: { $0.key < $1.key }) {
            let reported = hints.reported[key].map { "reported as \($0)" } ?? "not known here"
            let doubt = hints.reportIsEcho == true ? ", as is whatever this library is given" : ""
            row("hint", "\(key)=\(value), \(reported)\(doubt)")
        }
    }
}
