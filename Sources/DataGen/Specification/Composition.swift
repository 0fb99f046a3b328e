// SPDX-License-Identifier: MIT OR Apache-2.0

/// What a data set of version 2 is composed of, and how it changes (FORMAT.md section 7).
///
/// A field that is nil was not given; a specification in which none is given is one of version 1.
public struct Composition: Sendable, Hashable {
    /// Contents that have the same number of copies.
    public struct CopyClass: Sendable, Hashable {
        /// The blocks that hold one content, 2 to 2^40.
        public let copies: Int
        /// The share of all blocks.
        public let share: Share

        /// Contents with so many copies each, in such a share of all blocks.
        public init(copies: Int, share: Share) { (self.copies, self.share) = (copies, share) }
    }

    /// Contents that compress alike.
    public struct CompressClass: Sendable, Hashable {
        /// Bytes per compressed byte.
        public let ratio: Ratio
        /// The share of the contents.
        public let share: Share

        /// Such a share of the contents, compressible by such a ratio.
        public init(ratio: Ratio, share: Share) { (self.ratio, self.share) = (ratio, share) }
    }

    /// Contents that change equally often.
    public struct Ring: Sendable, Hashable {
        /// The share of the contents.
        public let share: Share
        /// The share of these that changes from one generation to the next; above 0.
        public let rate: Share

        /// Such a share of the contents, changing at such a rate.
        public init(share: Share, rate: Share) { (self.share, self.rate) = (share, rate) }
    }

    /// The most classes of copies, and of a mix.
    public static let classesMax = 32
    /// The most rings.
    public static let ringsMax = 8
    /// The most copies of a content, and the longest run.
    public static let copiesMax = 1 << 40
    /// The last generation.
    public static let generationMax = Int(UInt32.max)

    /// All fields, behind one reference: specifications are copied often.
    private final class Fields: Sendable {
        let copies: [CopyClass]?
        let zeros: Share?
        let compressMix: [CompressClass]?
        let run: Int?
        let change: [Ring]?
        let generation: Int?

        init(
            _ copies: [CopyClass]?, _ zeros: Share?, _ compressMix: [CompressClass]?, _ run: Int?,
            _ change: [Ring]?, _ generation: Int?
        ) {
            self.copies = copies
            self.zeros = zeros
            self.compressMix = compressMix
            self.run = run
            self.change = change
            self.generation = generation
        }
    }

    private let fields: Fields

    /// Contents with several copies; all others have one.
    public var copies: [CopyClass]? { fields.copies }
    /// The share of the blocks that are zeros.
    public var zeros: Share? { fields.zeros }
    /// How contents compress.
    public var compressMix: [CompressClass]? { fields.compressMix }
    /// Blocks that stay neighbours when blocks are scattered.
    public var run: Int? { fields.run }
    /// Which contents change, and how often; what is in no ring never does.
    public var change: [Ring]? { fields.change }
    /// How often the data set has changed.
    public var generation: Int? { fields.generation }

    /// Takes what was given; whether it is legal is decided by ``DataSpec``.
    public init(
        copies: [CopyClass]? = nil, zeros: Share? = nil, compressMix: [CompressClass]? = nil,
        run: Int? = nil, change: [Ring]? = nil, generation: Int? = nil
    ) {
        fields = Fields(copies, zeros, compressMix, run, change, generation)
    }

    /// Whether all fields are the same.
    public static func == (left: Self, right: Self) -> Bool {
        left.fields === right.fields
            || left.copies == right.copies && left.zeros == right.zeros
                && left.compressMix == right.compressMix && left.run == right.run
                && left.change == right.change && left.generation == right.generation
    }

    /// Hashes all fields.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(copies)
        hasher.combine(zeros)
        hasher.combine(compressMix)
        hasher.combine(run)
        hasher.combine(change)
        hasher.combine(generation)
    }

    /// Whether nothing was given.
    var isEmpty: Bool { self == Composition() }

    /// The same data set at another time.
    func withGeneration(_ generation: Int) -> Composition {
        Composition(
            copies: copies, zeros: zeros, compressMix: compressMix, run: run, change: change,
            generation: generation)
    }

    /// Checks all fields but the ratios of ``compressMix``, which depend on the grain.
    func validate() throws(InvalidField) {
        let zeros = zeros ?? Share(millionths: 0)
        try Self.require(zeros, "zeros", "\(zeros)")
        if let copies {
            let shown = Self.text(copies)
            try Self.require(copies.count <= Self.classesMax, "copies", shown, "at most 32 classes")
            for one in copies {
                try Self.require(
                    (2...Self.copiesMax).contains(one.copies), "copies", "\(one.copies)",
                    "2 to 2^40 copies")
                try Self.require(one.share, "copies", shown)
            }
            try Self.require(
                copies.reduce(zeros.millionths) { $0 + $1.share.millionths } <= Share.whole,
                "copies", shown, "shares that are at most 100% together with zeros (\(zeros))")
        }
        if let compressMix {
            let shown = Self.text(compressMix)
            try Self.require(
                compressMix.count <= Self.classesMax, "compress_mix", shown, "at most 32 classes")
            for one in compressMix { try Self.require(one.share, "compress_mix", shown) }
            try Self.require(
                compressMix.reduce(0) { $0 + $1.share.millionths } == Share.whole, "compress_mix",
                shown, "shares that are 100% together")
        }
        if let run {
            try Self.require(
                (1...Self.copiesMax).contains(run), "run", "\(run)", "1 to 2^40 blocks")
        }
        if let change {
            let shown = Self.text(change)
            try Self.require(change.count <= Self.ringsMax, "change", shown, "at most 8 rings")
            for ring in change {
                try Self.require(ring.share, "change", shown)
                try Self.require(
                    (1...Share.whole).contains(ring.rate.millionths), "change", shown,
                    "rates above 0 and at most 100%")
            }
            try Self.require(
                change.reduce(0) { $0 + $1.share.millionths } <= Share.whole, "change", shown,
                "shares that are at most 100% together")
        }
        if let generation {
            try Self.require(
                (0...Self.generationMax).contains(generation), "generation", "\(generation)",
                "0 to 2^32 - 1")
            try Self.require(
                generation == 0 || change != nil, "generation", "\(generation)",
                "0 without change, which says what changes from one to the next")
        }
    }

    private static func require(
        _ isLegal: Bool, _ field: String, _ value: String, _ accepted: String
    ) throws(InvalidField) {
        guard isLegal else { throw InvalidField(field: field, value: value, accepted: accepted) }
    }

    private static func require(
        _ share: Share, _ field: String, _ value: String
    ) throws(InvalidField) {
        try require(
            (0...Share.whole).contains(share.millionths), field, value, "shares of 0% to 100%")
    }
}
