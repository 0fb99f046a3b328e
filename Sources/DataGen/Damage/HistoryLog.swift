// SPDX-License-Identifier: MIT OR Apache-2.0

/// What the blocks of a data set hold of the versions that each has between two generations.
///
/// Counts all of them, and lists the first that hold something else: memory is bounded.
package struct HistoryLog: Sendable, Equatable {
    /// A block whose bytes are known, and which none of its versions between the two generations is.
    package struct Wrong: Sendable, Hashable {
        /// What is wrong with a block.
        package enum Kind: Int, Sendable {
            /// Two of the versions, one behind the other.
            case torn
            /// A version from before the first generation.
            case older
            /// A version from after the last one.
            case newer
        }

        package let kind: Kind
        /// Where the block begins in the data set.
        package let offset: Int
        /// The generation in which its bytes, or the first of them, were made.
        package let generation: Int
        /// Where in the block the other version begins; 0 for a block that is not torn.
        package var tornAt = 0
        /// The generation in which that was made.
        package var nextGeneration = 0

        /// Whether it is torn where storage begins to write.
        package var isAligned: Bool { tornAt % Examination.sectorBytes == 0 }
    }

    /// The most generations that are counted each for itself: the newest of those that were found.
    package static let generationsMax = 32
    /// The most of ``listed``.
    package static let listedMax = 1000

    /// Right blocks that prove nothing: the same in both generations, or so short that several versions of them are alike.
    package private(set) var unchanged = 0
    /// Other right blocks, by the generation in which what they hold was made.
    package private(set) var accepted: [Int: Int] = [:]
    /// Right blocks that hold what was made in generations before those.
    package private(set) var acceptedEarlier = 0
    package private(set) var tornAligned = 0
    package private(set) var tornUnaligned = 0
    package private(set) var older = 0
    package private(set) var newer = 0
    /// Blocks that hold, in part at least, something else, or are not there.
    package private(set) var foreign = 0
    /// Those of them that have more versions between the two generations than were looked for.
    package private(set) var foreignUnsearched = 0
    /// The first blocks that are torn, older or newer.
    package private(set) var listed: [Wrong] = []
    /// Where the bytes of all blocks are, by what these are.
    package private(set) var map: StretchMap
    /// Up to here generations are counted together.
    private var floor = -1

    /// Of a data set of which no block has been looked at.
    package init(_ spec: DataSpec) { map = StretchMap(spec) }

    /// Whether each block is wholly one of its versions.
    package var isRight: Bool { tornAligned + tornUnaligned + older + newer + foreign == 0 }

    /// Adds a right block that proves nothing.
    mutating func addUnchanged(_ range: Range<Int>) {
        unchanged += 1
        map.add(.unchanged, range)
    }

    /// Adds another right block.
    mutating func add(madeIn generation: Int, _ range: Range<Int>) {
        map.add(generation > floor ? StretchMap.Key(generation) : .earlier, range)
        add(1, madeIn: generation)
    }

    private mutating func add(_ count: Int, madeIn generation: Int) {
        guard generation > floor else {
            acceptedEarlier += count
            return
        }
        accepted[generation, default: 0] += count
        if accepted.count > Self.generationsMax, let first = accepted.keys.min() {
            raiseFloor(to: first)
        }
    }

    private mutating func raiseFloor(to generation: Int) {
        guard generation > floor else { return }
        floor = generation
        map.fold(upTo: generation)
        for (made, count) in accepted where made <= generation {
            acceptedEarlier += count
            accepted[made] = nil
        }
    }

    /// Adds a wrong block of so many bytes, which is not before those that were added.
    mutating func add(_ wrong: Wrong, bytes: Int) {
        let key: StretchMap.Key
        switch wrong.kind {
        case .torn:
            key = .torn
            if wrong.isAligned { tornAligned += 1 } else { tornUnaligned += 1 }
        case .older: (key, older) = (.older, older + 1)
        case .newer: (key, newer) = (.newer, newer + 1)
        }
        map.add(key, wrong.offset..<wrong.offset + bytes)
        if listed.count < Self.listedMax { listed.append(wrong) }
    }

    /// Adds bytes of so many blocks that begin in them, and are something else, or are not there.
    package mutating func addForeign(
        _ range: Range<Int>, blocks: Int = 1, isUnsearched: Bool = false
    ) {
        foreign += blocks
        foreignUnsearched += isUnsearched ? blocks : 0
        map.add(.foreign, range)
    }

    /// Adds what was found in other blocks.
    package mutating func merge(_ other: HistoryLog) {
        unchanged += other.unchanged
        acceptedEarlier += other.acceptedEarlier
        raiseFloor(to: other.floor)
        for (generation, count) in other.accepted { add(count, madeIn: generation) }
        tornAligned += other.tornAligned
        tornUnaligned += other.tornUnaligned
        older += other.older
        newer += other.newer
        foreign += other.foreign
        foreignUnsearched += other.foreignUnsearched
        var added = other.map
        added.fold(upTo: floor)
        map.merge(added)
        guard !other.listed.isEmpty else { return }
        let all = (listed + other.listed).sorted { $0.offset < $1.offset }
        listed = Array(all.prefix(Self.listedMax))
    }

    /// The log as numbers, to be told to other processes.
    package var numbers: [Int] {
        let places = map.numbers
        return [
            unchanged, acceptedEarlier, tornAligned, tornUnaligned, older, newer, foreign,
            foreignUnsearched, floor, accepted.count, places.count,
        ] + accepted.flatMap { [$0.key, $0.value] } + places
            + listed.flatMap {
                [$0.kind.rawValue, $0.offset, $0.generation, $0.tornAt, $0.nextGeneration]
            }
    }

    /// The log of a data set that ``numbers`` describes.
    package init(_ spec: DataSpec, numbers: [Int]) {
        (unchanged, acceptedEarlier) = (numbers[0], numbers[1])
        (tornAligned, tornUnaligned) = (numbers[2], numbers[3])
        (older, newer, foreign) = (numbers[4], numbers[5], numbers[6])
        (foreignUnsearched, floor) = (numbers[7], numbers[8])
        let places = 11 + 2 * numbers[9]
        let end = places + numbers[10]
        map = StretchMap(spec, numbers: Array(numbers[places..<end]))
        for place in stride(from: 11, to: places, by: 2) {
            accepted[numbers[place]] = numbers[place + 1]
        }
        listed = stride(from: end, to: numbers.count, by: 5).compactMap { place in
            Wrong.Kind(rawValue: numbers[place]).map {
                Wrong(
                    kind: $0, offset: numbers[place + 1], generation: numbers[place + 2],
                    tornAt: numbers[place + 3], nextGeneration: numbers[place + 4])
            }
        }
    }
}
