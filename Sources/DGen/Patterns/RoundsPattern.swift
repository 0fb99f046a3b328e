// SPDX-License-Identifier: MIT OR Apache-2.0

/// Some of the transfers of one rank, such as those that are looked at once more.
struct RoundsPattern: AccessPattern {
    private let pattern: DealtPattern
    private let runs: [Range<Int>]
    /// How many transfers lie before each run.
    private let before: [Int]
    let transfersPerRank: Int
    private let rank: Int

    init(_ pattern: DealtPattern, _ runs: [Range<Int>], rounds: Int, rank: Int) {
        self.pattern = pattern
        self.runs = runs
        self.rank = rank
        transfersPerRank = rounds
        before = runs.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
    }

    var transferSize: Int { pattern.transferSize }
    var longestTransfer: Int { pattern.longestTransfer }
    var bytes: Int { pattern.bytes }

    subscript(index: Int, rank: Int) -> Range<Int> {
        precondition(rank == self.rank, "a rank knows its own transfers")
        guard index < before[before.count - 1] else { return 0..<0 }
        // The last run that begins no later.
        var (low, high) = (0, runs.count - 1)
        while low < high {
            let middle = (low + high + 1) / 2
            if before[middle] <= index { low = middle } else { high = middle - 1 }
        }
        return pattern[runs[low].lowerBound + index - before[low], rank]
    }
}
