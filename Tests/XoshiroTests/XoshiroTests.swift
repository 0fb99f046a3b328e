// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing
import Vectors
import Xoshiro

@Suite struct JumpPolynomialTests {
    /// A decimal number of any length as words, least significant first.
    private func words(decimal: String) -> [UInt64] {
        var words: [UInt64] = []
        for digit in decimal.compactMap(\.wholeNumberValue) {
            var carry = UInt64(digit)
            for index in words.indices {
                let (high, low) = words[index].multipliedFullWidth(by: 10)
                let (sum, overflow) = low.addingReportingOverflow(carry)
                words[index] = sum
                carry = high + (overflow ? 1 : 0)
            }
            if carry > 0 { words.append(carry) }
        }
        return words
    }

    @Test(arguments: Vectors.shared.jumpPolynomials.indices)
    func equalsTheVectorForEveryDistance(index: Int) throws {
        let vector = Vectors.shared.jumpPolynomials[index]
        let polynomial = JumpPolynomial(steps: words(decimal: vector.steps))
        for lane in 0..<4 {
            let expected = UInt64(vector.wordsLeastSignificantFirst[lane], radix: 16)
            #expect(polynomial.words[lane] == expected, "steps \(vector.steps), word \(lane)")
        }
    }

    /// The constants that Blackman and Vigna published in xoshiro256plusplus.c.
    @Test func equalsThePublishedJumpConstants() {
        #expect(
            JumpPolynomial.jump.words
                == SIMD4(
                    0x180E_C6D3_3CFD_0ABA, 0xD5A6_1266_F0C9_392C,
                    0xA958_2618_E03F_C9AA, 0x39AB_DC45_29B1_661C))
        #expect(
            JumpPolynomial.longJump.words
                == SIMD4(
                    0x76E1_5D3E_FEFD_CBBF, 0xC500_4E44_1C52_2FB3,
                    0x7771_0069_854E_E241, 0x3910_9BB0_2ACB_E635))
    }
}

@Suite struct Xoshiro256PlusPlusTests {
    private func bytes(seed: UInt64, offset: UInt64, count: Int) -> [UInt8] {
        var generator = Xoshiro256PlusPlus(seed: seed)
        generator.jump(by: offset / 8)
        var bytes: [UInt8] = []
        while bytes.count < count + 8 {
            withUnsafeBytes(of: generator.next().littleEndian) { bytes += $0 }
        }
        return Array(bytes.dropFirst(Int(offset % 8)).prefix(count))
    }

    @Test(arguments: Vectors.shared.stream.indices)
    func streamEqualsTheVector(index: Int) {
        let vector = Vectors.shared.stream[index]
        let expected = Vectors.bytes(hex: vector.hex)
        let found = bytes(seed: vector.seed, offset: vector.offset, count: expected.count)
        #expect(found == expected, "seed \(vector.seed), offset \(vector.offset)")
    }

    @Test(arguments: Vectors.shared.streamSha256FirstMib.indices)
    func firstMebibyteEqualsTheVector(index: Int) throws {
        let vector = Vectors.shared.streamSha256FirstMib[index]
        let digest = try Vectors.sha256(bytes(seed: vector.seed, offset: 0, count: 1 << 20))
        #expect(digest == vector.sha256, "seed \(vector.seed)")
    }

    @Test func jumpingEqualsSteppingForEverySmallDistance() {
        var stepped = Xoshiro256PlusPlus(seed: 7)
        for distance in UInt64(0)...600 {
            var byPolynomial = Xoshiro256PlusPlus(seed: 7)
            byPolynomial.jump(JumpPolynomial(steps: distance))
            #expect(byPolynomial == stepped, "distance \(distance)")
            var byCount = Xoshiro256PlusPlus(seed: 7)
            byCount.jump(by: distance)
            #expect(byCount == stepped, "distance \(distance)")
            _ = stepped.next()
        }
    }

    @Test func jumpsAdd() {
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let first = numbers.next() >> 1
            let second = numbers.next() >> 1
            var inTwo = Xoshiro256PlusPlus(seed: 1)
            inTwo.jump(by: first)
            inTwo.jump(by: second)
            var atOnce = Xoshiro256PlusPlus(seed: 1)
            atOnce.jump(by: first + second)
            #expect(inTwo == atOnce, "\(first) + \(second)")
        }
    }

    @Test func jumpAndLongJumpMoveByTheirPowersOfTwo() {
        var generator = Xoshiro256PlusPlus(seed: 9)
        generator.jump()
        var byDistance = Xoshiro256PlusPlus(seed: 9)
        byDistance.jump(JumpPolynomial(steps: [0, 0, 1]))
        #expect(generator == byDistance)
        // 2^64 jumps of 2^128 are one long jump; checked as polynomials, not by walking.
        generator.longJump()
        byDistance.jump(JumpPolynomial(steps: [0, 0, 0, 1]))
        #expect(generator == byDistance)
        #expect(generator != Xoshiro256PlusPlus(seed: 9))
    }

    @Test func splitMixGivesTheReferenceOutputs() {
        // The first outputs for seed 1234567, from Vigna's splitmix64.c.
        var mixer = SplitMix64(seed: 1_234_567)
        #expect(mixer.next() == 6_457_827_717_110_365_317)
        #expect(mixer.next() == 3_203_168_211_198_807_973)
        #expect(mixer.next() == 9_817_491_932_198_370_423)
    }

    @Test func servesAsARandomNumberGenerator() {
        var generator: any RandomNumberGenerator = Xoshiro256PlusPlus(seed: 5)
        let rolls = (0..<1000).map { _ in Int.random(in: 1...6, using: &generator) }
        #expect(Set(rolls) == Set(1...6))
    }
}
