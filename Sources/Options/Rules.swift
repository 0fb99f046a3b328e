// SPDX-License-Identifier: MIT OR Apache-2.0
// What options have to do with each other.

package import DataGen

extension Settings {
    /// Checks what no option can be checked for alone.
    func checkTogether() throws(InvalidField) {
        _ = try (access(), layout(), cut(), sampleCount(of: 1), numaNode())
        try checkRanks()
    }

    package func access() throws(InvalidField) -> (Access, isDirect: Bool) {
        let (asked, isDirect, isDevice) = try (self[.access], self[.direct], self[.device])
        // What else is no file is not known from the options alone.
        let access = isDevice && !has(.access) ? .posix : asked
        guard access == .posix else {
            guard !isDirect else { throw refusal(.direct, "it with io posix only") }
            return (access, false)
        }
        guard try !self[.collective] else { throw refusal(.collective, "it with io mpi only") }
        for row in [OptionRow.hintsFile, .hint] where has(row) {
            throw refusal(row, "hints with io mpi only")
        }
        let unit = OptionLimits.directUnit
        for (row, bytes) in try [
            (OptionRow.transferSize, self[.transferSize]), (.align, alignment()),
        ] where isDirect && bytes % unit != 0 {
            throw refusal(row, "a multiple of \(unit) bytes with direct")
        }
        return (access, isDirect)
    }

    /// What shard boundaries are multiples of.
    package func alignment() throws(InvalidField) -> Int {
        let stripe = try self[.stripeSize]
        return try self[.align] ?? stripe ?? OptionLimits.alignment
    }

    package func layout() throws(InvalidField) -> FileLayout {
        let layout = try self[.layout]
        if layout == .perRank, try self[.collective] {
            throw refusal(.collective, "it with layout shared only")
        }
        return layout
    }

    package func cut() throws(InvalidField) -> Cut {
        let (segments, isStrided) = try (self[.segments], self[.strided])
        if isStrided, segments > 1 { throw refusal(.segments, "no segments with strided") }
        if isStrided || segments > 1, try layout() == .perRank {
            throw refusal(isStrided ? .strided : .segments, "it with layout shared only")
        }
        return isStrided ? .strided : .segments(segments)
    }

    /// How many of `count` blocks are looked at; nil for all bytes.
    package func sampleCount(of count: Int) throws(InvalidField) -> Int? {
        guard let part = try self[.sample] else { return try self[.blocks] }
        guard !has(.blocks) else { throw refusal(.blocks, "no blocks with sample") }
        return max(1, min(count, Int((part * Double(count)).rounded(.up))))
    }

    /// The memory node that all threads are kept on; nil for any.
    package func numaNode() throws(InvalidField) -> Int? {
        let node = try self[.numaNode]
        if node != nil, try self[.numa] == .off {
            throw refusal(.numaNode, "no node with numa off")
        }
        return node
    }

    /// The hints in the order given; of the same key the last counts.
    package func hints() throws(InvalidField) -> [(key: String, value: String)] {
        var hints: [(key: String, value: String)] = []
        // Names that MPI reserves; where nobody knows them they are passed over.
        let isMPI = try access().0 == .mpi
        let (count, size) = try isMPI ? (self[.stripeCount], self[.stripeSize]) : (nil, nil)
        let stripes = [
            count.map { Pair(key: "striping_factor", value: "\($0)") },
            size.map { Pair(key: "striping_unit", value: "\($0)") },
        ].compactMap { $0 }
        for hint in try stripes + self[.hint] {
            hints.removeAll { $0.key == hint.key }
            hints.append((hint.key, hint.value))
        }
        return hints
    }

    /// Ranks of a job file fit on its nodes; other ranks may be planned for.
    private func checkRanks() throws(InvalidField) {
        guard let nodes = try self[.nodes], isOfJobFile(.ranks) else { return }
        let ranks = try self[.ranks]
        let most = try max(nodes, (self[.ranksPerNode] ?? ranks) * nodes)
        guard (nodes...most).contains(ranks) else {
            throw refusal(.ranks, "\(nodes) to \(most) for the nodes and ranks_per_node given")
        }
    }

    package func progressStyle() throws(InvalidField) -> ProgressStyle {
        try self[.quiet] ? .none : self[.progress]
    }

    package func refusal(_ row: OptionRow, _ accepted: String) -> InvalidField {
        row.refusal(text(row) ?? "", accepted)
    }
}
