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

    /// Right blocks that are the same in both generations, and prove nothing.
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
    package internal(set) var foreign = 0
    /// The first blocks that are torn, older or newer.
    package private(set) var listed: [Wrong] = []
    /// Up to here generations are counted together.
    private var floor = -1

    package init() {}

    /// Whether each block is wholly one of its versions.
    package var isRight: Bool { tornAligned + tornUnaligned + older + newer + foreign == 0 }

    mutating func addUnchanged() { unchanged += 1 }

    /// Adds a right block.
    mutating func add(madeIn generation: Int) { add(1, madeIn: generation) }

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
        for (made, count) in accepted where made <= generation {
            acceptedEarlier += count
            accepted[made] = nil
        }
    }

    /// Adds a wrong block, which is not before those that were added.
    mutating func add(_ wrong: Wrong) {
        switch wrong.kind {
        case .torn where wrong.isAligned: tornAligned += 1
        case .torn: tornUnaligned += 1
        case .older: older += 1
        case .newer: newer += 1
        }
        if listed.count < Self.listedMax { listed.append(wrong) }
    }

    /// Adds blocks that are not there, or not whole.
    package mutating func addForeign(_ count: Int) { foreign += count }

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
        guard !other.listed.isEmpty else { return }
        let all = (listed + other.listed).sorted { $0.offset < $1.offset }
        listed = Array(all.prefix(Self.listedMax))
    }

    /// The log as numbers, to be told to other processes.
    package var numbers: [Int] {
        [
            unchanged, acceptedEarlier, tornAligned, tornUnaligned, older, newer, foreign, floor,
            accepted.count,
        ] + accepted.flatMap { [$0.key, $0.value] }
            + listed.flatMap {
                [$0.kind.rawValue, $0.offset, $0.generation, $0.tornAt, $0.nextGeneration]
            }
    }

    /// The log that ``numbers`` describes.
    package init(numbers: [Int]) {
        (unchanged, acceptedEarlier) = (numbers[0], numbers[1])
        (tornAligned, tornUnaligned) = (numbers[2], numbers[3])
        (older, newer, foreign, floor) = (numbers[4], numbers[5], numbers[6], numbers[7])
        let end = 9 + 2 * numbers[8]
        for place in stride(from: 9, to: end, by: 2) {
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
