// SPDX-License-Identifier: MIT OR Apache-2.0

/// How many bytes of each kind each stretch of a data set has.
///
/// Stretches are whole blocks, all of one length but the last, and there are few of them: memory is bounded, whatever the
/// size.
package struct StretchMap: Sendable, Equatable {
    /// What bytes are: of a generation, or something else.
    package struct Key: Sendable, Hashable {
        /// The generation; below 0 for something else.
        package let number: Int

        /// Bytes of a generation, or those of another kind that a number stands for.
        package init(_ number: Int) { self.number = number }

        package static let unchanged = Key(-1)
        package static let earlier = Key(-2)
        package static let torn = Key(-3)
        package static let older = Key(-4)
        package static let newer = Key(-5)
        package static let foreign = Key(-6)
        package static let damaged = Key(-7)
    }

    /// The most stretches.
    package static let stretchesMax = 1024

    /// The length of all stretches but the last.
    package let stretchBytes: Int
    package let stretchCount: Int
    private let size: Int
    /// What was added, in that order, and for each of these its bytes in all stretches.
    package private(set) var keys: [Key] = []
    private var counts: [Int] = []
    /// The place of the key that was looked for last.
    private var column = 0

    /// An empty map of a data set.
    package init(_ spec: DataSpec) {
        size = spec.size
        let blocks = Layout(spec).blockCount
        stretchBytes =
            max(1, (blocks + Self.stretchesMax - 1) / Self.stretchesMax) * spec.dedupUnit
        stretchCount = size / stretchBytes + (size % stretchBytes > 0 ? 1 : 0)
    }

    /// The offsets of a stretch.
    package func range(of stretch: Int) -> Range<Int> {
        let start = stretch * stretchBytes
        return start..<start + min(stretchBytes, size - start)
    }

    /// The bytes of a kind in a stretch.
    package subscript(key: Key, stretch: Int) -> Int {
        keys.firstIndex(of: key).map { counts[$0 * stretchCount + stretch] } ?? 0
    }

    /// Adds a range of bytes.
    package mutating func add(_ key: Key, _ range: Range<Int>) {
        var start = range.lowerBound
        while start < range.upperBound {
            let bytes = min(stretchBytes - start % stretchBytes, range.upperBound - start)
            add(key, bytes, toStretchAt: start)
            start += bytes
        }
    }

    /// Adds bytes to the stretch that an offset lies in.
    package mutating func add(_ key: Key, _ bytes: Int, toStretchAt offset: Int) {
        find(key)
        counts[column * stretchCount + offset / stretchBytes] += bytes
    }

    private mutating func find(_ key: Key) {
        if column < keys.count, keys[column] == key { return }
        if let index = keys.firstIndex(of: key) {
            column = index
        } else {
            column = keys.count
            keys.append(key)
            counts += [Int](repeating: 0, count: stretchCount)
        }
    }

    /// Counts generations up to one together, as earlier ones.
    mutating func fold(upTo generation: Int) {
        func isEarlier(_ key: Key) -> Bool { key.number >= 0 && key.number <= generation }
        guard keys.contains(where: isEarlier) else { return }
        let before = self
        (keys, counts, column) = ([], [], 0)
        for key in before.keys { add(before, key, as: isEarlier(key) ? .earlier : key) }
    }

    /// Adds what another map of the same data set has.
    package mutating func merge(_ other: StretchMap) {
        for key in other.keys { add(other, key, as: key) }
    }

    private mutating func add(_ other: StretchMap, _ key: Key, as own: Key) {
        guard let index = other.keys.firstIndex(of: key) else { return }
        find(own)
        for stretch in 0..<stretchCount {
            counts[column * stretchCount + stretch] += other.counts[index * stretchCount + stretch]
        }
    }

    /// The map as numbers, to be told to other processes.
    package var numbers: [Int] { [keys.count] + keys.map(\.number) + counts }

    /// The map of a data set that ``numbers`` describes.
    package init(_ spec: DataSpec, numbers: [Int]) {
        self.init(spec)
        keys = numbers[1..<1 + numbers[0]].map { Key($0) }
        counts = Array(numbers[(1 + numbers[0])...])
    }

    /// Whether both have the same bytes of each kind, in whatever order they were added.
    package static func == (one: StretchMap, other: StretchMap) -> Bool {
        one.size == other.size && one.stretchBytes == other.stretchBytes
            && Set(one.keys) == Set(other.keys)
            && one.keys.allSatisfy { key in
                (0..<one.stretchCount).allSatisfy { one[key, $0] == other[key, $0] }
            }
    }
}
