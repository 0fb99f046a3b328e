// SPDX-License-Identifier: MIT OR Apache-2.0

/// SHA-256 (FIPS 180-4).
struct SHA256: BlockDigest {
    var rest: [UInt8] = []
    var count: UInt64 = 0
    static let isBigEndian = true
    private(set) var words = Self.start

    private static let start: [UInt32] = primes(8).map { fraction(ofRoot: 2, of: $0) }
    private static let constants: [UInt32] = primes(64).map { fraction(ofRoot: 3, of: $0) }

    private static func primes(_ count: Int) -> [UInt64] {
        var found: [UInt64] = []
        var number: UInt64 = 2
        while found.count < count {
            if found.allSatisfy({ number % $0 != 0 }) { found.append(number) }
            number += 1
        }
        return found
    }

    /// The first 32 bits behind the point of a square or cube root: the largest integer whose power is not above
    /// `number` times 2^(32 root).
    private static func fraction(ofRoot root: Int, of number: UInt64) -> UInt32 {
        // Below 2^37, whose cube is below 2^111.
        let wanted = UInt128(number) << UInt128(32 * root)
        var found: UInt128 = 0
        for bit in stride(from: 36, through: 0, by: -1) {
            let next = found | 1 << UInt128(bit)
            if (1..<root).reduce(next, { power, _ in power * next }) <= wanted { found = next }
        }
        return UInt32(truncatingIfNeeded: found)
    }

    mutating func take(_ blocks: UnsafeRawPointer, count: Int) {
        words.withUnsafeMutableBufferPointer { state in
            Self.constants.withUnsafeBufferPointer { constants in
                withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
                    for number in 0..<count {
                        Self.take(blocks + 64 * number, state, constants, schedule)
                    }
                }
            }
        }
    }

    private static func take(
        _ block: UnsafeRawPointer, _ state: UnsafeMutableBufferPointer<UInt32>,
        _ constants: UnsafeBufferPointer<UInt32>, _ schedule: UnsafeMutableBufferPointer<UInt32>
    ) {
        @inline(__always) func right(_ word: UInt32, _ bits: UInt32) -> UInt32 {
            rotatedLeft(word, by: 32 &- bits)
        }
        for index in 0..<16 {
            schedule[index] = UInt32(
                bigEndian: (block + 4 &* index).loadUnaligned(as: UInt32.self))
        }
        for index in 16..<64 {
            let (early, late) = (schedule[index &- 15], schedule[index &- 2])
            let low = right(early, 7) ^ right(early, 18) ^ early &>> 3
            let high = right(late, 17) ^ right(late, 19) ^ late &>> 10
            schedule[index] = schedule[index &- 16] &+ low &+ schedule[index &- 7] &+ high
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let chosen = g ^ (e & (f ^ g))
            let sum = right(e, 6) ^ right(e, 11) ^ right(e, 25)
            let first = h &+ sum &+ chosen &+ constants[index] &+ schedule[index]
            let majority = (a & b) | (c & (a | b))
            let second = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) &+ majority
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
        state[5] &+= f
        state[6] &+= g
        state[7] &+= h
    }
}
