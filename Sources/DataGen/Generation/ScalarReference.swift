// SPDX-License-Identifier: MIT OR Apache-2.0

import Xoshiro

/// FORMAT.md section 4, and for version 2 sections 8 to 11, word for word: no lanes, no tables, no cached positions.
///
/// The truth that tests hold ``Generator`` against; slow, and easy to check by reading.
package enum ScalarReference {
    /// The bytes of the data set of `spec` at `offsets`.
    ///
    /// - Complexity: O(bytes), in units of a grain.
    package static func bytes(of spec: DataSpec, at offsets: Range<Int>) -> [UInt8] {
        let layout = Layout(spec)
        let block = spec.dedupUnit, grain = spec.compressUnit
        var result: [UInt8] = []
        var offset = offsets.lowerBound
        while offset < offsets.upperBound {
            let (index, inBlock) = offset.quotientAndRemainder(dividingBy: block)
            let bytes =
                spec.composition == nil
                ? self.grain(
                    inBlock / grain, ofDistinctBlock: layout.distinctBlock(ofBlock: index), layout)
                : self.grain(inBlock / grain, ofBlock: index, spec)
            let start = inBlock % grain
            let count = min(grain - start, offsets.upperBound - offset)
            result += bytes[start..<start + count]
            offset += count
        }
        return result
    }

    private static func grain(_ g: Int, ofDistinctBlock u: Int, _ layout: Layout) -> [UInt8] {
        let spec = layout.spec
        return self.grain(
            g, ofBlockAt: u * spec.dedupUnit, from: Xoshiro256PlusPlus(seed: spec.seed),
            spec.compressRatio, spec)
    }

    /// Grain `g` of a block whose bytes begin at byte `start` of the stream from `origin`.
    private static func grain(
        _ g: Int, ofBlockAt start: Int, from origin: Xoshiro256PlusPlus, _ ratio: Ratio,
        _ spec: DataSpec
    ) -> [UInt8] {
        if ratio == 1 {
            return stream(
                origin, start: start + g * spec.compressUnit, count: spec.compressUnit)
        }
        let (numerator, denominator) = Layout.randomWords(grain: spec.compressUnit, ratio: ratio)
        let before = 8 * (g * numerator / denominator)
        let random = 8 * ((g + 1) * numerator / denominator) - before
        var bytes = stream(origin, start: start + before, count: random)
        let distance = Layout.backReferenceDistance(randomBytes: random)
        for position in random..<spec.compressUnit {
            switch spec.fill {
            case .backref: bytes.append(bytes[position - distance])
            case .zeros: bytes.append(0)
            }
        }
        return bytes
    }

    /// Bytes of the stream from `origin`; `start` and `count` are multiples of 8 here.
    private static func stream(
        _ origin: Xoshiro256PlusPlus, start: Int, count: Int
    ) -> [UInt8] {
        var generator = origin
        generator.jump(by: UInt64(start / 8))
        var bytes: [UInt8] = []
        for _ in 0..<count / 8 {
            let word = generator.next()
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * byte))) }
        }
        return bytes
    }

    // Version 2.

    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var mixer = SplitMix64(seed: a &+ b &* 0x9E37_79B9_7F4A_7C15)
        return mixer.next()
    }

    private static func permute(_ key: UInt64, _ n: Int, _ x: Int) -> Int {
        guard n >= 2 else { return x }
        let bits = Int.bitWidth - (n - 1).leadingZeroBitCount
        let low = bits / 2
        let high = bits - low
        var x = UInt64(x)
        repeat {
            var l = x & (1 << UInt64(low) - 1)
            var h = x >> UInt64(low)
            for r in 0..<6 {
                let k = mix(key, UInt64(r))
                if r % 2 == 0 {
                    h ^= ((l ^ k) &* 0xD134_2543_DE82_EF95) >> UInt64(64 - high)
                } else if low > 0 {
                    l ^= ((h ^ k) &* 0xD134_2543_DE82_EF95) >> UInt64(64 - low)
                }
            }
            x = h << UInt64(low) | l
        } while x >= n
        return Int(x)
    }

    private static func scatter(_ key: UInt64, _ n: Int, _ run: Int, _ x: Int) -> Int {
        let m = n / run
        return x >= m * run ? x : permute(key, m, x / run) * run + x % run
    }

    /// Grain `g` of block `i`.
    private static func grain(_ g: Int, ofBlock i: Int, _ spec: DataSpec) -> [UInt8] {
        let zeros = [UInt8](repeating: 0, count: spec.compressUnit)
        guard let composition = spec.composition, let (u, c, h) = location(i, spec, composition)
        else { return zeros }
        let a = mix(mix(spec.seed, 2 * h), UInt64(u))
        let b = mix(mix(spec.seed, 2 * h + 1), UInt64(u))
        let state = (mix(a, 0), mix(a, 1), mix(b, 0), mix(b, 1))
        return grain(g, ofBlockAt: 0, from: Xoshiro256PlusPlus(state: state), c, spec)
    }

    /// Content, ratio and generation of block `i`; nil for zeros.
    private static func location(
        _ i: Int, _ spec: DataSpec, _ composition: Composition
    ) -> (u: Int, c: Ratio, h: UInt64)? {
        let million: UInt128 = 1_000_000
        let run = composition.run ?? 1
        let n = (spec.size - 1) / spec.dedupUnit + 1
        func key(_ t: UInt64) -> UInt64 { mix(spec.seed, 0 &- 1 &- t) }
        func part(_ ppm: Int, _ k: Int) -> Int {
            let twice = 2 * UInt128(n) * UInt128(ppm) + million * UInt128(k)
            return Int(twice / (2 * million * UInt128(k)))
        }
        let s = scatter(mix(key(0), 0), n, run, i)
        let z = part(composition.zeros?.millionths ?? 0, 1)
        guard s >= z else { return nil }
        var classes: [(slots: Int, contents: Int)] = []
        var left = n - z
        for one in composition.copies ?? [] {
            let contents = min(part(one.share.millionths, one.copies), left / one.copies)
            classes.append((contents * one.copies, contents))
            left -= contents * one.copies
        }
        let dm = UInt128(spec.dedupRatio.thousandths)
        let last =
            composition.copies != nil
            ? left : max(1, Int((2000 * UInt128(left) + dm) / (2 * dm)))
        classes.append((left, last))
        var f = z, b = 0
        for (j, one) in classes.enumerated() {
            guard s >= f + one.slots else {
                let r = (s - f) % one.contents
                let ratio = Self.ratio(one.contents, run, mix(key(1), UInt64(j)), r, composition)
                let generation = self.generation(
                    one.contents, run, mix(key(2), UInt64(j)), r, composition)
                return (b + r, ratio ?? spec.compressRatio, generation)
            }
            f += one.slots
            b += one.contents
        }
        return nil
    }

    private static func ratio(
        _ n: Int, _ run: Int, _ key: UInt64, _ r: Int, _ composition: Composition
    ) -> Ratio? {
        let v = scatter(key, n, run, r)
        var shares: UInt128 = 0
        for one in composition.compressMix ?? [] {
            shares += UInt128(one.share.millionths)
            if v < UInt128(n) * shares / 1_000_000 { return one.ratio }
        }
        return nil
    }

    private static func generation(
        _ n: Int, _ run: Int, _ key: UInt64, _ r: Int, _ composition: Composition
    ) -> UInt64 {
        let v = UInt128(scatter(key, n, run, r))
        let g = UInt128(composition.generation ?? 0)
        var shares: UInt128 = 0
        for ring in composition.change ?? [] {
            let e = UInt128(n) * shares / 1_000_000
            shares += UInt128(ring.share.millionths)
            let end = UInt128(n) * shares / 1_000_000
            guard v < end else { continue }
            let (p, q, y) = (v - e, end - e, UInt128(ring.rate.millionths))
            let changes = g * q * y / 1_000_000
            guard changes > p else { return 0 }
            let t = p + (changes - 1 - p) / q * q
            return UInt64(((t + 1) * 1_000_000 + q * y - 1) / (q * y))
        }
        return 0
    }
}
