// SPDX-License-Identifier: MIT OR Apache-2.0

/// The blocks whose bytes differ between two generations of a data set, found without a look at those that do not.
///
/// Contents change in turn (FORMAT.md section 10): those that a ring changes in some generations are places in a row, and
/// the way back through the permutations leads from each to the blocks that hold it. Places for such blocks are counted
/// through; where a content has one copy fewer than others of its class, a place may have none. O(1) for each, and
/// constant memory.
public struct ChangedBlocks: Sendable {
    /// Contents that one ring changes, and their copies.
    private struct Stretch {
        /// Where its numbers begin.
        let start: Int
        let end: Int
        let classIndex: Int
        /// The ring in what its class is scattered to, and the first of its places that changes.
        let ringStart: Int
        let ringCount: Int
        let first: Int
        /// The most blocks that a content has.
        let copies: Int
    }

    /// Places for blocks.
    public let count: Int
    /// The generations between which they change.
    public let generations: ClosedRange<Int>

    private let layout: ContentLayout
    private let stretches: [Stretch]

    /// Finds the blocks of `spec`, which is one of version 2, that are not the same in another generation.
    ///
    /// - Complexity: O(classes x rings).
    public init(of spec: DataSpec, against generation: Int) {
        layout = ContentLayout(spec)
        let now = spec.generation
        generations = min(now, generation)...max(now, generation)
        let (table, rings) = (layout.table, spec.composition?.change ?? [])
        var (stretches, end): ([Stretch], Int) = ([], 0)
        for (index, one) in layout.classes.enumerated() where !one.contents.isEmpty {
            let copies = (one.slots.count + one.contents.count - 1) / one.contents.count
            for number in table.entries[index].rings where !rings.isEmpty {
                let part = table.parts[number]
                let count = part.end - part.start
                let before = part.ring.changes(upTo: generations.lowerBound)
                let changes = part.ring.changes(upTo: generations.upperBound) - before
                guard changes > 0 else { continue }
                let contents = Int(min(changes, UInt128(count)))
                stretches.append(
                    Stretch(
                        start: end, end: end + contents * copies, classIndex: index,
                        ringStart: part.start, ringCount: count,
                        first: Int(before % UInt128(count)), copies: copies))
                end += contents * copies
            }
        }
        self.stretches = stretches
        count = end
    }

    /// The block of a place; nil where it has none.
    public subscript(number: Int) -> Int? {
        var (low, high) = (0, stretches.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if number < stretches[middle].end { high = middle } else { low = middle + 1 }
        }
        let stretch = stretches[low]
        let (content, copy) = (number - stretch.start).quotientAndRemainder(
            dividingBy: stretch.copies)
        let entry = layout.table.entries + stretch.classIndex
        // Both below 2^63, so that their sum may be above.
        let turned = UInt(stretch.first) + UInt(content)
        let ringPlace = turned < UInt(stretch.ringCount) ? turned : turned - UInt(stretch.ringCount)
        let place = entry.pointee.ringScatter.inverse(stretch.ringStart + Int(ringPlace))
        let slot = entry.pointee.slots.lowerBound + place + copy * entry.pointee.contents.count
        guard slot < entry.pointee.slots.upperBound else { return nil }
        return layout.table.slots.inverse(slot)
    }

    /// The bytes of a block.
    public func range(ofBlock block: Int) -> Range<Int> {
        let (unit, size) = (layout.spec.dedupUnit, layout.spec.size)
        let start = block * unit
        return start..<(size - start < unit ? size : start + unit)
    }
}
