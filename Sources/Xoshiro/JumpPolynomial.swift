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
    /// - Complexity: O(1): seven multiplications at most, about a microsecond. The first call of a
    ///   process prepares 64 KiB of powers, in half a millisecond.
    public init(steps: UInt64) {
        self = Self.powers[Int(steps & 255)]
        for digit in 1..<8 {
            let value = Int((steps &>> UInt64(8 * digit)) & 255)
            if value > 0 { multiply(by: Self.powers[256 * digit + value]) }
        }
    }

    /// `powers[256 d + v]` is *x*^(*v* 256^*d*): a distance is the product of one for each of its bytes.
    private static let powers: [JumpPolynomial] = {
        var powers: [JumpPolynomial] = []
        var factor = JumpPolynomial(words: one)
        factor.multiplyByX()
        for _ in 0..<8 {
            var power = JumpPolynomial(words: one)
            for _ in 0..<256 {
                powers.append(power)
                power.multiply(by: factor)
            }
            factor = power
        }
        return powers
    }()

    /// Multiplies modulo *P*: adds the distance of `other`.
    ///
    /// - Complexity: O(1): a byte of `other` at a time, from the most significant down.
    package mutating func multiply(by other: JumpPolynomial) {
        withUnsafeTemporaryAllocation(of: SIMD4<UInt64>.self, capacity: 32) { multiples in
            // self times the polynomials of degree below 4, and those times x^4.
            var power = self
            for start in [0, 16] {
                multiples.initializeElement(at: start, to: .zero)
                for bit in 0..<4 {
                    for lower in 0..<1 << bit {
                        multiples.initializeElement(
                            at: start + 1 << bit + lower,
                            to: multiples[start + lower] ^ power.words)
                    }
                    power.multiplyByX()
                }
            }
            words = Self.top.withUnsafeBufferPointer { top in
                var product = SIMD4<UInt64>.zero
                var index = 3
                while index >= 0 {
                    let word = other.words[index]
                    var byte: UInt64 = 64
                    while byte > 0 {
                        byte &-= 8
                        let outgoing = Int(product[3] &>> 56)
                        Self.shift(&product, by: 8)
                        let low = Int((word &>> byte) & 15)
                        let high = Int((word &>> (byte &+ 4)) & 15)
                        product ^= top[outgoing] ^ multiples[low] ^ multiples[16 &+ high]
                    }
                    index &-= 1
                }
                return product
            }
        }
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
                multiply(by: self)
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
        Self.shift(&words, by: 1)
        if carry == 1 { words ^= Self.reduction }
    }

    private static func shift(_ words: inout SIMD4<UInt64>, by count: UInt64) {
        words[3] = (words[3] &<< count) | (words[2] &>> (64 &- count))
        words[2] = (words[2] &<< count) | (words[1] &>> (64 &- count))
        words[1] = (words[1] &<< count) | (words[0] &>> (64 &- count))
        words[0] &<<= count
    }
}
