// SPDX-License-Identifier: MIT OR Apache-2.0

import Xoshiro

/// FORMAT.md section 4, word for word: no lanes, no tables, no cached positions.
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
            let bytes = self.grain(
                inBlock / grain, ofDistinctBlock: layout.distinctBlock(ofBlock: index), layout)
            let start = inBlock % grain
            let count = min(grain - start, offsets.upperBound - offset)
            result += bytes[start..<start + count]
            offset += count
        }
        return result
    }

    private static func grain(_ g: Int, ofDistinctBlock u: Int, _ layout: Layout) -> [UInt8] {
        let spec = layout.spec
        let blockStart = u * spec.dedupUnit
        if spec.compressRatio == 1 {
            let start = blockStart + g * spec.compressUnit
            return stream(seed: spec.seed, start: start, count: spec.compressUnit)
        }
        let before = layout.randomBytes(inFirst: g)
        let random = layout.randomBytes(inFirst: g + 1) - before
        var bytes = stream(seed: spec.seed, start: blockStart + before, count: random)
        let distance = Layout.backReferenceDistance(randomBytes: random)
        for position in random..<spec.compressUnit {
            switch spec.fill {
            case .backref: bytes.append(bytes[position - distance])
            case .zeros: bytes.append(0)
            }
        }
        return bytes
    }

    /// Bytes of the stream of `seed`; `start` and `count` are multiples of 8 here.
    private static func stream(seed: UInt64, start: Int, count: Int) -> [UInt8] {
        var generator = Xoshiro256PlusPlus(seed: seed)
        generator.jump(by: UInt64(start / 8))
        var bytes: [UInt8] = []
        for _ in 0..<count / 8 {
            let word = generator.next()
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * byte))) }
        }
        return bytes
    }
}
