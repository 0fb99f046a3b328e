// SPDX-License-Identifier: MIT OR Apache-2.0

/// The transfers of each rank in groups that are made or compared at once: what is made at once is made faster.
struct Batches {
    let transfers: any AccessPattern
    /// The most transfers of one group.
    private let size: Int

    /// Transfers each for itself.
    init(oneByOne transfers: any AccessPattern) {
        self.transfers = transfers
        size = 1
    }

    /// Transfers in groups, for so many buffers.
    ///
    /// With one, a group stays in the second-level cache until it is moved; with more, another processor has made it, and
    /// groups are larger, so that the two meet less often.
    init(_ transfers: any AccessPattern, depth: Int) {
        self.transfers = transfers
        let bytesMax = depth > 1 ? 1 << 20 : 512 << 10
        size = max(1, min(bytesMax / transfers.transferSize, transfers.transfersPerRank))
    }

    /// How many groups there are.
    var count: Int { transfers.transfersPerRank.dividedRoundingUp(by: size) }

    /// The bytes of a buffer for a group.
    var bufferBytes: Int {
        max(size > 1 ? size * transfers.transferSize : transfers.longestTransfer, 1)
    }

    /// Bytes of a rank between two agreements of ranks in step: to agree costs as much as some small transfers.
    private static let stretchBytesMin = 2 << 20

    /// The most bytes of a rank between two agreements.
    var stretchBytes: Int { max(Self.stretchBytesMin, transfers.longestTransfer) }

    /// Whether ranks in step agree after a round on how to go on: the same rounds on all of them, whose groups may differ.
    func endsStretch(_ round: Int) -> Bool {
        let rounds = max(1, Self.stretchBytesMin / transfers.transferSize)
        return (round + 1) % rounds == 0 || round == transfers.transfersPerRank - 1
    }

    /// The rounds of group number `index`: `size` of them but for the last.
    func rounds(_ index: Int) -> Range<Int> {
        index * size..<min((index + 1) * size, transfers.transfersPerRank)
    }

    /// The bytes of a rank's group.
    ///
    /// Ranges of the data set, and where they begin in a buffer that has a place for each transfer. Transfers that follow
    /// one another are one range.
    func ranges(_ index: Int, _ rank: Int) -> [(place: Int, range: Range<Int>)] {
        var ranges: [(place: Int, range: Range<Int>)] = []
        for (number, round) in rounds(index).enumerated() {
            let (place, range) = (number * transfers.transferSize, transfers[round, rank])
            if let last = ranges.last, last.range.upperBound == range.lowerBound,
                last.place + last.range.count == place
            {
                ranges[ranges.count - 1].range = last.range.lowerBound..<range.upperBound
            } else if !range.isEmpty {
                ranges.append((place, range))
            }
        }
        let room = bufferBytes
        precondition(
            ranges.allSatisfy { $0.place + $0.range.count <= room },
            "a group has room in its buffer")
        return ranges
    }
}
