// SPDX-License-Identifier: MIT OR Apache-2.0

/// What ranks saw that read while others wrote, as reports have it.
struct Readers: Encodable {
    /// A read that saw what it may not have seen.
    struct Finding: Codable {
        /// Who read it, and where: the first wrong sector.
        let rank: Int
        let offset: Int
        let block: Int
        /// What is wrong: `stale`, `early`, `torn` or `foreign`.
        let kind: String
        /// The generation in which what was seen was made; nil for none that is known.
        let generation: Int?
        /// The generations in which what may be seen there was made.
        let atLeast: Int
        let atMost: Int
        /// Who writes it, and which of its writes it is, counted from 0.
        let writer: Int
        let write: Int

        /// What it is, for people.
        var text: String {
            let seen = generation.map { "\(kind), of generation \($0)" } ?? kind
            let wanted = atLeast == atMost ? "\(atLeast)" : "\(atLeast) to \(atMost)"
            return "rank \(rank) at offset \(offset): \(seen), not \(wanted); "
                + "write \(write) of rank \(writer)"
        }
    }

    /// The most findings that are listed, of one rank and of all.
    static let findingsMax = (each: 64, all: 1000)

    /// How many ranks read, and how many of them on nodes on which others wrote.
    var ranks = 0
    var onWritersNodes = 0
    /// What may be seen: `posix`, `close-to-open` or `sync`.
    var rule = ""
    var reads = 0
    /// Those of them that began before everything was written.
    var readsMeanwhile = 0
    var bytes = 0
    /// Reads by the worst that they saw.
    var stale = 0
    var early = 0
    var torn = 0
    var foreign = 0
    /// Reads that saw two versions within a sector of a write that was under way, which is no fault.
    var tornInFlight = 0
    var findings: [Finding] = []

    var isRight: Bool { stale + early + torn + foreign == 0 }
}
