// SPDX-License-Identifier: MIT OR Apache-2.0

/// A distance in the stream, as the polynomial *x*^*n* mod *P* over GF(2).
///
/// One step of Xoshiro256++ is a linear map of its 256 bits; *P* is the characteristic polynomial of
/// that map, so (Cayley-Hamilton) the state *n* steps on is the sum, over the set coefficients *i* of
/// *x*^*n* mod *P*, of the states *i* < 256 steps on. Distances add by multiplying polynomials.
///
/// Source: Hiroshi Haramoto et al., "Efficient Jump Ahead for F2-Linear Random Number Generators",
/// INFORMS Journal on Computing 20 (2008).
public struct JumpPolynomial: Sendable, Equatable {
    /// The coefficients, least significant first: bit `i % 64` of word `i / 64` belongs to *x*^*i*.
    public private(set) var words: SIMD4<UInt64>

    init(words: SIMD4<UInt64>) {
        self.words = words
    }

    /// The distance of `steps` outputs.
    ///
    /// - Complexity: O(log `steps`): at most 56 squarings.
    public init(steps: UInt64) {
        self.init(steps: CollectionOfOne(steps))
    }

    /// The distance of a number of outputs too large for one word.
    ///
    /// - Parameter steps: the distance in words of 64 bits, least significant first, any number of
    ///   them; an empty collection is the distance 0.
    /// - Complexity: O(bits of `steps`).
    public init(steps: some BidirectionalCollection<UInt64>) {
        // Square and multiply by x, from the most significant bit down.
        words = Self.one
        for word in steps.reversed() {
            for bit in stride(from: UInt64(63), through: 0, by: -1) {
                if words == Self.one, word &>> bit == 0 { continue }
                square()
                if (word &>> bit) & 1 == 1 { multiplyByX() }
            }
        }
    }

    /// The distance 2^128, published by the authors of the generator as `JUMP`.
    public static let jump = JumpPolynomial(steps: [0, 0, 1])

    /// The distance 2^192, published by the authors of the generator as `LONG_JUMP`.
    public static let longJump = JumpPolynomial(steps: [0, 0, 0, 1])

    private static let one = SIMD4<UInt64>(1, 0, 0, 0)

    /// *P* without its leading term *x*^256, that is *x*^256 mod *P* (FORMAT.md section 1).
    private static let reduction = SIMD4<UInt64>(
        0x9D11_6F2B_B0F0_F001, 0x0280_002B_CEFD_1A5E, 0x04B4_EDCF_2625_9F85, 0x0003_C03C_3F3E_CB19)

    /// `top[b]` is *b* *x*^256 mod *P* for each polynomial *b* of degree below 8: what the byte that
    /// leaves at the top in a shift by 8 comes back as.
    private static let top: [SIMD4<UInt64>] = (0..<256).map { byte in
        var product = JumpPolynomial(words: .zero)
        for bit in stride(from: 7, through: 0, by: -1) {
            product.multiplyByX()
            if (byte >> bit) & 1 == 1 { product.words ^= reduction }
        }
        return product.words
    }

    private mutating func multiplyByX() {
        let carry = words[3] &>> 63
        shift(by: 1)
        if carry == 1 { words ^= Self.reduction }
    }

    private mutating func shift(by count: UInt64) {
        words[3] = (words[3] &<< count) | (words[2] &>> (64 &- count))
        words[2] = (words[2] &<< count) | (words[1] &>> (64 &- count))
        words[1] = (words[1] &<< count) | (words[0] &>> (64 &- count))
        words[0] &<<= count
    }

    /// Squares modulo *P*: over GF(2) the square has the same coefficients with zeros between them.
    private mutating func square() {
        let root = words
        // The upper half of the 512 bits first, then the lower half, shifted in from the top.
        words = SIMD4(
            Self.spread(root[2]), Self.spread(root[2] &>> 32),
            Self.spread(root[3]), Self.spread(root[3] &>> 32))
        shiftIn(Self.spread(root[1] &>> 32))
        shiftIn(Self.spread(root[1]))
        shiftIn(Self.spread(root[0] &>> 32))
        shiftIn(Self.spread(root[0]))
    }

    /// Multiplies by *x*^64 modulo *P* and adds `incoming`.
    private mutating func shiftIn(_ incoming: UInt64) {
        for byte in stride(from: UInt64(56), through: 0, by: -8) {
            let outgoing = Int(words[3] &>> 56)
            shift(by: 8)
            words[0] |= (incoming &>> byte) & 0xFF
            words ^= Self.top[outgoing]
        }
    }

    /// Moves bit `i` of the lower half of `word` to bit `2 i`.
    private static func spread(_ word: UInt64) -> UInt64 {
        var bits = word & 0xFFFF_FFFF
        bits = (bits | (bits &<< 16)) & 0x0000_FFFF_0000_FFFF
        bits = (bits | (bits &<< 8)) & 0x00FF_00FF_00FF_00FF
        bits = (bits | (bits &<< 4)) & 0x0F0F_0F0F_0F0F_0F0F
        bits = (bits | (bits &<< 2)) & 0x3333_3333_3333_3333
        bits = (bits | (bits &<< 1)) & 0x5555_5555_5555_5555
        return bits
    }
}
