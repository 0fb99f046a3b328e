// SPDX-License-Identifier: MIT OR Apache-2.0

/// What has become of a damaged range, as far as its bytes tell.
public struct Diagnosis: Sendable, Hashable, Codable {
    /// Kinds of damage, each with what makes it that.
    public enum Kind: String, Sendable, CaseIterable, Codable {
        /// The file ends before it.
        case truncated
        /// Zeros, 8 bytes at least: a write that was lost, or a hole.
        case zeros
        /// The bytes of an earlier data set at the same offset, 8 at least.
        case stale
        /// Bytes of this data set that belong at another offset, 16 at least.
        case misplaced
        /// At most two bits in a wrong byte differ, on average.
        case bitFlips = "bit_flips"
        /// Right up to a sector within a write, and unknown bytes from there to the end of the write.
        case torn
        /// Bytes of unknown origin.
        case foreign
        /// Several kinds, next to each other; ``Diagnosis/parts`` tells them apart.
        case mixed
        /// Wrong when it was compared, and right when it was read again.
        case transient
    }

    /// One bit of the data set.
    public struct Bit: Sendable, Hashable, Codable {
        /// The offset of its byte.
        public let offset: Int
        /// Its number in the byte, from the least significant one: 0 to 7.
        public let bit: Int
    }

    /// A part of a range that is of several kinds.
    public struct Part: Sendable, Hashable, Codable {
        /// What it is.
        public let kind: Kind
        /// Where it begins.
        public let offset: Int
        /// Its length in bytes.
        public let bytes: Int
        /// As ``Diagnosis/sourceOffset``.
        public let sourceOffset: Int?
        /// As ``Diagnosis/seed``.
        public let seed: UInt64?
    }

    /// The most of ``bits`` that are kept.
    public static let bitsMax = 64
    /// The most of ``parts`` that are kept.
    public static let partsMax = 16
    /// The most of ``expected`` and ``found`` that are kept.
    public static let bytesShown = 16

    /// What kind of damage it is.
    public var kind: Kind
    /// Where the first byte of misplaced bytes belongs: the lowest offset that has what was found.
    public var sourceOffset: Int?
    /// The seed of the earlier data set that stale bytes are of.
    public var seed: UInt64?
    /// How many bits differ, where some were flipped.
    public var flippedBits: Int?
    /// Which ones, the first ``bitsMax`` of them.
    public var bits: [Bit] = []
    /// The sector at which the range begins, where it begins within a write and goes on to the end of it.
    public var tornAt: Int?
    /// The parts of a mixed range, the first ``partsMax`` of them.
    public var parts: [Part] = []
    /// Whether the range is so long that only samples of it were looked at.
    public var isSampled = false
    /// What its first bytes should be, ``bytesShown`` at most.
    public var expected: [UInt8] = []
    /// What they are; fewer where the file ends.
    public var found: [UInt8] = []

    init(_ kind: Kind) { self.kind = kind }

    /// Whether bytes of it have found no explanation, which may be elsewhere in the data set.
    public var isUnexplained: Bool {
        kind == .foreign || kind == .torn || parts.contains { $0.kind == .foreign }
    }
}
