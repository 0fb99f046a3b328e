// SPDX-License-Identifier: MIT OR Apache-2.0

/// What has become of a damaged range, as far as its bytes tell.
public struct Diagnosis: Sendable, Hashable, Codable {
    /// Kinds of damage, each with what makes it that.
    public enum Kind: String, Sendable, CaseIterable, Codable {
        /// The file ends before it.
        case truncated
        /// Zeros, 8 bytes at least: a write that was lost, or a hole.
        case zeros
        /// The bytes of an earlier data set at the same offset, or of another generation of this one, 8 at least.
        case stale
        /// Bytes of this data set that belong at another offset, 16 at least.
        case misplaced
        /// At most two bits in a wrong byte differ, on average of all, and of each eight and more in a row.
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
        /// As ``Diagnosis/generation``.
        public let generation: Int?

        init(
            _ kind: Kind, _ range: Range<Int>, sourceOffset: Int? = nil, seed: UInt64? = nil,
            generation: Int? = nil
        ) {
            self.kind = kind
            (offset, bytes) = (range.lowerBound, range.count)
            self.sourceOffset = sourceOffset
            self.seed = seed
            self.generation = generation
        }

        /// This part, one that follows, and what lies between them, where one explanation holds for both.
        func joined(with next: Part) -> Part? {
            guard kind == next.kind, seed == next.seed, generation == next.generation,
                next.sourceOffset == sourceOffset.map({ $0 + (next.offset - offset) })
            else { return nil }
            return Part(
                kind, offset..<next.offset + next.bytes, sourceOffset: sourceOffset, seed: seed,
                generation: generation)
        }
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
    /// The generation in which stale bytes of this data set were made, where it is one for all of them.
    public var generation: Int?
    /// How many blocks hold stale bytes of each generation, of those that were looked at.
    public var staleBlocks: [Int: Int] = [:]
    /// How many blocks hold by right what was found of misplaced bytes, where contents have copies of their own number.
    public var sourceBlocks: Int?
    /// How many bits differ, where some were flipped; where ``isSampled``, how many of those that were looked at, so that
    /// there are as many at least.
    public var flippedBits: Int?
    /// Which ones, the first ``bitsMax`` of those that were looked at.
    public var bits: [Bit] = []
    /// The sector at which the range begins, where all before it in the same write is right, and the range goes on to the end
    /// of that write.
    public var tornAt: Int?
    /// Whether what was written at once is known; if not, ``tornAt`` speaks of a block instead of a write.
    public var isWriteKnown = false
    /// The parts of a mixed range, the first ``partsMax`` of them; bytes of the range that are in none are right.
    public var parts: [Part] = []
    /// All parts of a mixed range.
    public var partCount = 0
    /// Whether the range is so long that only samples of it were looked at: what is said of all of it is an estimate then, and
    /// a part that goes from sample to sample is taken to go on between them.
    public var isSampled = false
    /// What its first bytes should be, ``bytesShown`` at most.
    public var expected: [UInt8] = []
    /// What they are; fewer where the file ends.
    public var found: [UInt8] = []

    init(_ kind: Kind) { self.kind = kind }

    /// Whether bytes of it have found no explanation, which may be elsewhere in the data set.
    public var isUnexplained = false
}
