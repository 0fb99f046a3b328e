// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// Finds the contents of many blocks in a row, eight at a time.
///
/// Each class scatters its contents in a way of its own, so blocks are put in order by their classes first.
struct ContentSearch {
    /// Blocks that are looked for together.
    static let blocksMax = 256

    private let table: ContentTable
    private let kernel: Kernel
    /// Of the blocks: their slots, and then their classes; class -1 is zeros.
    private let slots: UnsafeMutablePointer<UInt64>
    private let classes: UnsafeMutablePointer<Int>
    /// In the order of classes: blocks, and places in the class.
    private let numbers: UnsafeMutablePointer<Int>
    private let places: UnsafeMutablePointer<UInt64>
    /// Of one class: what its places are scattered to.
    private let mixed: UnsafeMutablePointer<UInt64>
    private let changed: UnsafeMutablePointer<UInt64>
    private let rests: UnsafeMutablePointer<UInt64>
    /// Where the blocks of each class end.
    private let ends: UnsafeMutablePointer<Int>

    /// Bytes of memory that it needs.
    static func byteCount(_ table: ContentTable) -> Int {
        8 * (7 * blocksMax + table.classCount)
    }

    init(_ table: ContentTable, kernel: Kernel, in memory: UnsafeMutableRawPointer) {
        self.table = table
        self.kernel = kernel
        func list<Element>(_ number: Int, _ count: Int = Self.blocksMax) -> UnsafeMutablePointer<
            Element
        > {
            (memory + 8 * Self.blocksMax * number).bindMemory(to: Element.self, capacity: count)
        }
        (slots, classes, numbers, places) = (list(0), list(1), list(2), list(3))
        (mixed, changed, rests) = (list(4), list(5), list(6))
        ends = list(7, table.classCount)
    }

    /// Calls `body` with the number of each of so many blocks, which `block` gives, and its content, nil for zeros; in no order.
    @inline(__always)
    func forEach(
        _ count: Int, _ block: (Int) -> Int, _ body: (Int, ContentLayout.Content?) -> Void
    ) {
        for number in 0..<count { slots[number] = UInt64(block(number)) }
        scatter(slots, count, table.slots)
        if table.isPlain {
            for number in 0..<count {
                let slot = Int(slots[number])
                guard slot >= table.zeroCount else {
                    body(number, nil)
                    continue
                }
                let index = table.classIndex(ofSlot: slot)
                body(
                    number,
                    table.content(
                        inClass: index, at: table.place(ofSlot: slot, inClass: index), inMix: 0,
                        inRings: 0))
            }
            return
        }
        sort(count, body)
        var start = 0
        for index in 0..<table.classCount {
            let end = ends[index]
            guard start < end else { continue }
            let entry = table.entries + index
            if !entry.pointee.mix.isEmpty {
                mixed.update(from: places + start, count: end &- start)
                scatter(mixed, end &- start, entry.pointee.mixScatter)
            }
            if table.isChanged {
                changed.update(from: places + start, count: end &- start)
                scatter(changed, end &- start, entry.pointee.ringScatter)
            }
            for position in start..<end {
                body(
                    numbers[position],
                    table.content(
                        inClass: index, at: Int(places[position]),
                        inMix: Int(truncatingIfNeeded: mixed[position &- start]),
                        inRings: Int(truncatingIfNeeded: changed[position &- start])))
            }
            start = end
        }
    }

    /// Puts blocks in the order of their classes; zeros are done with.
    @inline(__always)
    private func sort(_ count: Int, _ body: (Int, ContentLayout.Content?) -> Void) {
        for index in 0..<table.classCount { ends[index] = 0 }
        for number in 0..<count {
            let slot = Int(slots[number])
            guard slot >= table.zeroCount else {
                classes[number] = -1
                body(number, nil)
                continue
            }
            let index = table.classIndex(ofSlot: slot)
            classes[number] = index
            ends[index] &+= 1
        }
        var end = 0
        for index in 0..<table.classCount {
            let here = ends[index]
            // For now where its blocks begin.
            ends[index] = end
            end &+= here
        }
        for number in 0..<count where classes[number] >= 0 {
            let index = classes[number]
            let position = ends[index]
            ends[index] = position &+ 1
            numbers[position] = number
            places[position] = UInt64(table.place(ofSlot: Int(slots[number]), inClass: index))
        }
    }

    /// Replaces each of `count` numbers by its place.
    private func scatter(
        _ numbers: UnsafeMutablePointer<UInt64>, _ count: Int, _ scatter: Scatter
    ) {
        let total = (count &+ 7) & ~7
        for index in count..<total { numbers[index] = numbers[count &- 1] }
        scatter.replace(numbers, total, rests: rests, permute: kernel.permute)
    }
}
