// SPDX-License-Identifier: MIT OR Apache-2.0

extension Table {
    /// The most findings that are shown.
    private static let findingsMax = 8

    /// What ranks saw that read while others wrote, in all updates together.
    mutating func addReaders(_ all: [Readers]) {
        guard let one = all.first else { return }
        func sum(_ count: (Readers) -> Int) -> Int { all.reduce(0) { $0 + count($1) } }
        let own = one.onWritersNodes
        row(
            "readers",
            "\(one.ranks) \(one.ranks == 1 ? "rank" : "ranks")"
                + (own > 0 ? ", \(own) of them where others write" : "") + ": "
                + "\(sum(\.reads)) reads, \(sum(\.readsMeanwhile)) of them while others wrote")
        let faults = [
            (sum(\.stale), "stale"), (sum(\.early), "too early"), (sum(\.torn), "torn"),
            (sum(\.foreign), "foreign"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        let inFlight = sum(\.tornInFlight)
        row(
            "seen",
            (faults.isEmpty ? "nothing but what may be seen" : faults) + " (\(one.rule))"
                + (inFlight > 0 ? "; \(inFlight) torn while they were written" : ""))
        let findings = all.flatMap(\.findings)
        for finding in findings.prefix(Self.findingsMax) { row("", finding.text) }
        if findings.count > Self.findingsMax {
            row("", "and more, which the report has")
        }
    }
}
