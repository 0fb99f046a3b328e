// SPDX-License-Identifier: MIT OR Apache-2.0

/// Words of found bytes, to be looked for in the data set they may have come from.
///
/// Random bytes lie at multiples of eight in any data set (FORMAT.md section 4), so of eight words that begin at eight
/// bytes in a row one is a word of the data set, however far they have been moved. The data set is made once, whatever
/// the number of words.
public struct Needles: Sendable {
    /// A place where a word was found.
    public struct Hit: Sendable, Hashable {
        /// The damaged range that the word was taken from.
        public let range: Int
        /// What to add to an offset in the range for the one at which the word belongs.
        public let displacement: Int

        /// Describes a place.
        public init(range: Int, displacement: Int) {
            self.range = range
            self.displacement = displacement
        }
    }

    /// A word, and where it was found.
    public struct Needle: Sendable, Hashable {
        /// The number of the range.
        public let range: Int
        /// The offset of its first byte.
        public let offset: Int
        /// Its eight bytes, the least significant first.
        public let word: UInt64

        /// Describes a word.
        public init(range: Int, offset: Int, word: UInt64) {
            self.range = range
            self.offset = offset
            self.word = word
        }
    }

    /// The most places that are noted for one range: compressible bytes repeat their words.
    public static let hitsPerRangeMax = 64
    /// Words that are taken at one place: one for each alignment.
    private static let alignments = 8
    private static let windowBytes = 15

    private let places: [UInt64: [(range: Int, offset: Int)]]
    /// One bit for each value of a word's lowest bits, set where a needle has it; words are random, so that is a hash.
    private let filter: [UInt64]
    private let filterMask: UInt64

    /// Prepares to look for words.
    ///
    /// - Complexity: O(needles) in time and memory.
    public init(_ needles: [Needle]) {
        var places: [UInt64: [(range: Int, offset: Int)]] = [:]
        var bits = 1 << 15
        while bits < needles.count * 64 { bits *= 2 }
        var filter = [UInt64](repeating: 0, count: bits / 64)
        let mask = UInt64(bits - 1)
        for needle in needles {
            places[needle.word, default: []].append((needle.range, needle.offset))
            filter[Int((needle.word & mask) / 64)] |= 1 << (needle.word % 64)
        }
        (self.places, self.filter, filterMask) = (places, filter, mask)
    }

    /// The words of a damaged range that are worth looking for.
    ///
    /// - Parameters:
    ///   - evidence: what was found in it.
    ///   - range: the number of the range.
    ///   - places: at how many places of it to take words.
    /// - Returns: words, eight for each place.
    public static func take(
        from evidence: [Examination.Evidence], range: Int, places: Int
    ) -> [Needle] {
        let total = evidence.reduce(0) { $0 + $1.bytes.count }
        let step = max(windowBytes, total / max(1, places))
        var needles: [Needle] = []
        var (next, before) = (0, 0)
        for piece in evidence {
            var start = max(0, next - before)
            while start + windowBytes <= piece.bytes.count {
                let window = piece.bytes[start..<start + windowBytes]
                // Few zeros: words of them are no random words.
                guard window.count(where: { $0 == 0 }) <= 3 else {
                    start += 8
                    continue
                }
                for shift in 0..<alignments {
                    let word = (0..<8).reduce(UInt64(0)) {
                        $0 | UInt64(window[window.startIndex + shift + $1]) << (8 * $1)
                    }
                    needles.append(
                        Needle(range: range, offset: piece.offset + start + shift, word: word))
                }
                start += step
            }
            next = before + start
            before += piece.bytes.count
        }
        return needles
    }

    /// The bytes of a data set that have each distinct byte once: what there is to look through.
    public static func extent(of spec: DataSpec) -> Int {
        // Of version 2, copies lie anywhere.
        guard spec.composition == nil else { return spec.size }
        let layout = Layout(spec)
        return layout.distinctBlockCount >= layout.blockCount
            ? spec.size : layout.distinctBlockCount * spec.dedupUnit
    }

    /// At how many places to take words of each range, so that they are not too many in all.
    public static func places(amongRanges count: Int) -> Int {
        max(1, min(placesMax, 2048 / max(1, count)))
    }

    private static let placesMax = 8

    /// A part of ``extent(of:)``, at most `bytes` long: what lies around the first copy of the byte at `offset`.
    public static func part(of spec: DataSpec, around offset: Int, bytes: Int) -> Range<Int> {
        let extent = extent(of: spec)
        guard bytes < extent else { return 0..<extent }
        let start = offset % extent - bytes / 2
        let clamped = max(0, min(start, extent - bytes)) / 8 * 8
        return clamped..<clamped + max(0, bytes)
    }

    /// What one rank of several looks through of a part of a data set; all of them together look through it once.
    ///
    /// Shares begin at multiples of eight where the part does; those past the last one are empty.
    public static func share(of part: Range<Int>, rank: Int, ranks: Int) -> Range<Int> {
        let share = Shards(size: part.count, ranks: ranks, alignment: 1 << 20)[rank]
        return part.lowerBound + share.lowerBound..<part.lowerBound + share.upperBound
    }

    /// Hits of several ranks, no more of one damaged range than one rank alone would give.
    public static func bounded(_ hits: [Hit]) -> [Hit] {
        var counts: [Int: Int] = [:]
        return hits.filter { hit in
            counts[hit.range, default: 0] += 1
            return counts[hit.range, default: 0] <= hitsPerRangeMax
        }
    }

    /// Looks for the words in a range of a data set.
    ///
    /// - Parameters:
    ///   - spec: the data set.
    ///   - range: where the words begin, at multiples of eight, and end.
    ///   - kernel: what bytes are made with.
    ///   - isStopped: asked now and then, whether to go on.
    /// - Returns: where they are, in ascending order of ranges and displacements.
    /// - Precondition: `range` lies within the data set.
    /// - Complexity: O(bytes of the range), at about the speed of memory.
    public func search(
        _ spec: DataSpec, in range: Range<Int>, kernel: Kernel = .fastest,
        isStopped: () -> Bool = { false }
    ) -> [Hit] {
        // Any border may come from a size that is no multiple of eight.
        let head = -range.lowerBound & 7
        guard !places.isEmpty, range.count >= head + 8 else { return [] }
        let range = range.lowerBound + head..<range.upperBound
        // In the second-level cache.
        let step = 256 << 10
        var generator = Generator(spec, kernel: kernel)
        var hits: Set<Hit> = []
        var counts: [Int: Int] = [:]
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 64)
        defer { memory.deallocate() }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
            guard !isStopped() else { break }
            let count = min(step, range.upperBound - start)
            let part = UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
            generator.fill(part, at: start)
            for index in matches(UnsafeRawBufferPointer(part)) {
                let word = UInt64(
                    littleEndian: part.load(fromByteOffset: 8 * index, as: UInt64.self))
                for place in places[word] ?? []
                where counts[place.range, default: 0] < Self.hitsPerRangeMax {
                    let hit = Hit(
                        range: place.range, displacement: start + 8 * index - place.offset)
                    if hits.insert(hit).inserted { counts[place.range, default: 0] += 1 }
                }
            }
        }
        return hits.sorted { ($0.range, $0.displacement) < ($1.range, $1.displacement) }
    }

    /// The numbers of the words in `memory` that the filter lets through.
    private func matches(_ memory: UnsafeRawBufferPointer) -> [Int] {
        let mask = filterMask
        var found: [Int] = []
        filter.withUnsafeBufferPointer { filter in
            for index in 0..<memory.count / 8 {
                let word = UInt64(
                    littleEndian: memory.load(fromByteOffset: 8 * index, as: UInt64.self))
                if filter[Int((word & mask) / 64)] >> (word % 64) & 1 == 1 { found.append(index) }
            }
        }
        return found
    }
}
