// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// The jumps of the last few distances: from block to block, and from call to call of a regular pattern,
/// they are always the same, and dearer to find than to use.
struct KnownJumps: Sendable {
    private struct Entry {
        let distance: UInt64
        let polynomial: JumpPolynomial
        var uses = 0
        var table: JumpTable?
    }

    /// So many uses of a distance pay for its table.
    private static let usesForTable = 16

    private let kernel: Kernel
    private var entries: [Entry] = []
    private var oldest = 0

    init(_ kernel: Kernel) {
        self.kernel = kernel
    }

    /// Moves `generator` on.
    mutating func jump(_ generator: inout Xoshiro256PlusPlus, by distance: UInt64) {
        let entry = entry(distance, wantsTable: true)
        if let table = entries[entry].table {
            table.jump(&generator)
        } else {
            generator.jump(entries[entry].polynomial)
        }
    }

    /// Moves lanes on, all by the same distance: the steps of eight together are as fast as tables.
    mutating func jump(_ lanes: inout Lanes, by distance: UInt64) {
        kernel.jump(&lanes, entries[entry(distance, wantsTable: false)].polynomial)
    }

    /// Moves sixteen lanes on.
    mutating func jump(_ first: inout Lanes, _ second: inout Lanes, by distance: UInt64) {
        let polynomial = entries[entry(distance, wantsTable: false)].polynomial
        kernel.jump(&first, &second, polynomial)
    }

    /// The index of what is known of `distance`, which is used once more.
    private mutating func entry(_ distance: UInt64, wantsTable: Bool) -> Int {
        for index in entries.indices where entries[index].distance == distance {
            entries[index].uses += 1
            if wantsTable, entries[index].uses == Self.usesForTable {
                entries[index].table = JumpTable(entries[index].polynomial)
            }
            return index
        }
        let new = Entry(distance: distance, polynomial: JumpPolynomial(steps: distance))
        if entries.count < 4 {
            entries.append(new)
            return entries.count - 1
        }
        defer { oldest = (oldest + 1) % entries.count }
        entries[oldest] = new
        return oldest
    }
}
