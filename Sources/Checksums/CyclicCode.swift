// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CCarryless

/// A cyclic redundancy check: what its tables, its constants and the joining of its checksums are derived from.
///
/// Bytes are taken least significant bit first, all bits of the state are ones before the first byte, and inverted after the
/// last, as in every check that object stores know.
///
/// A polynomial over GF(2) of degree below 64 is a word whose bit *i* is the coefficient of *x*^(63 - *i*). A check of fewer
/// bits is computed as one of 64 whose polynomial is *P* *x*^(64 - width): the remainder is that modulo *P* in the lowest bits,
/// so that tables and kernels are the same for all.
///
/// Thread safety: nothing of it changes.
public struct CyclicCode: Sendable {
    /// The bits of a checksum, 1 to 64.
    public let width: Int
    /// The polynomial without its leading term, the coefficient of *x*^0 in bit 0: as catalogues write it.
    public let polynomial: UInt64

    /// Safe to share: written once, before anybody else has them, and never given back.
    private let tables: Tables

    /// CRC-64/NVME.
    public static let crc64nvme = CyclicCode(width: 64, polynomial: 0xAD93_D235_94C9_3659)
    /// CRC-32C, also called CRC-32/ISCSI.
    public static let crc32c = CyclicCode(width: 32, polynomial: 0x1EDC_6F41)
    /// CRC-32, also called CRC-32/ISO-HDLC: that of zlib, gzip and Ethernet.
    public static let crc32 = CyclicCode(width: 32, polynomial: 0x04C1_1DB7)

    /// Derives the tables, 18 KiB, which are kept to the end of the process.
    ///
    /// - Precondition: `width` is 8 to 64.
    init(width: Int, polynomial: UInt64) {
        precondition((8...64).contains(width), "no such check")
        self.width = width
        self.polynomial = polynomial
        tables = Tables(Self.reversed(polynomial &<< UInt64(64 - width)))
    }

    private static func reversed(_ word: UInt64) -> UInt64 {
        var (left, reversed) = (word, UInt64(0))
        for _ in 0..<64 {
            reversed = reversed &<< 1 | left & 1
            left &>>= 1
        }
        return reversed
    }

    /// The state before the first byte, and what is added to it after the last one.
    var ones: UInt64 { .max &>> UInt64(64 - width) }

    // MARK: Remainders

    /// Takes the bytes of `buffer`: what `remainder` becomes with them behind it.
    ///
    /// A remainder is linear in the bytes: that of none and of zeros is 0, and those of parts, each moved on by the bytes
    /// behind it, add up to that of the whole.
    ///
    /// - Precondition: this machine supports `kernel`.
    /// - Complexity: O(length of `buffer`).
    public func remainder(
        _ remainder: UInt64 = 0, then buffer: UnsafeRawBufferPointer,
        kernel: RemainderKernel = .fastest
    ) -> UInt64 {
        guard let place = buffer.baseAddress else { return remainder }
        switch kernel {
        case .scalar: return tables.step(remainder, buffer[...])
        case .tables: return tables.stepByWords(remainder, buffer[...])
        case .folding, .wideFolding:
            let isWide =
                kernel == .wideFolding && buffer.count >= Int(CCARRYLESS_BYTES_MIN_512)
            guard buffer.count >= Int(CCARRYLESS_BYTES_MIN_128) else {
                return tables.stepByWords(remainder, buffer[...])
            }
            let folded = buffer.count & ~15
            let fold = isWide ? ccarryless_fold_512 : ccarryless_fold_128
            let last = fold(place, folded, remainder, tables.constants)
            // The block has been moved to the end of the others, and all there is left to do is to reduce it.
            let reduced = tables.step(tables.step(0, word: last.low), word: last.high)
            return tables.stepByWords(reduced, buffer[folded...])
        }
    }

    /// The checksum of so many bytes that have a remainder.
    ///
    /// - Complexity: O(log `bytes`).
    public func checksum(_ remainder: UInt64, bytes: Int, kernel: RemainderKernel = .fastest)
        -> UInt64
    {
        remainder ^ move(ones, by: bytes, kernel: kernel) ^ ones
    }

    /// The checksum of what `first` and then `second` is that of, which has so many bytes.
    ///
    /// - Complexity: O(log `bytes`).
    public func combine(
        _ first: UInt64, _ second: UInt64, bytes: Int, kernel: RemainderKernel = .fastest
    ) -> UInt64 {
        // What is added before and after takes itself away.
        move(first, by: bytes, kernel: kernel) ^ second
    }

    /// The checksum of `buffer`.
    public func checksum(
        of buffer: UnsafeRawBufferPointer, kernel: RemainderKernel = .fastest
    ) -> UInt64 {
        remainder(ones, then: buffer, kernel: kernel) ^ ones
    }

    // MARK: Arithmetic

    /// What `remainder` is with so many zeros behind it.
    ///
    /// - Complexity: O(log `bytes`): some hundreds of nanoseconds at most, microseconds without a carry-less multiplication.
    public func move(
        _ remainder: UInt64, by bytes: Int, kernel: RemainderKernel = .fastest
    ) -> UInt64 {
        precondition(bytes >= 0, "nothing is moved backwards")
        var (moved, left, bit) = (remainder, UInt64(bytes), 0)
        while left != 0 {
            let zeros = left.trailingZeroBitCount
            bit += zeros
            moved = multiply(moved, tables.squares[bit], kernel: kernel)
            (left, bit) = ((left &>> UInt64(zeros)) &>> 1, bit + 1)
        }
        return moved
    }

    /// The distance of so many bytes: a factor that moves a remainder on by them.
    public func distance(_ bytes: Int, kernel: RemainderKernel = .fastest) -> UInt64 {
        move(Self.one, by: bytes, kernel: kernel)
    }

    /// The remainder of `count` copies in a row of what `remainder` is that of, which has so many bytes.
    ///
    /// - Complexity: O(log `count` + log `bytes`).
    public func repeated(
        _ remainder: UInt64, bytes: Int, count: Int, kernel: RemainderKernel = .fastest
    ) -> UInt64 {
        // Copies in powers of two: `power` is that of 2^i copies, `step` moves on by these.
        var (power, step) = (remainder, distance(bytes, kernel: kernel))
        var (all, left) = (UInt64(0), count)
        while left > 0 {
            if left & 1 == 1 { all = multiply(all, step, kernel: kernel) ^ power }
            left &>>= 1
            power = multiply(power, step, kernel: kernel) ^ power
            step = multiply(step, step, kernel: kernel)
        }
        return all
    }

    /// The product of two polynomials, modulo that of the check.
    @inline(__always)
    public func multiply(_ a: UInt64, _ b: UInt64, kernel: RemainderKernel = .fastest) -> UInt64 {
        let product = kernel.isFolding ? ccarryless_multiply(a, b) : Self.product(a, b)
        // Of the product of two words the highest bit of 128 is 0: its coefficients are one place lower than those of a block.
        let high = product.high &<< 1 | product.low &>> 63
        return tables.step(0, word: product.low &<< 1) ^ high
    }

    /// The polynomial 1.
    static let one: UInt64 = 1 << 63

    /// The product of two words without carries, four bits at a time.
    private static func product(_ a: UInt64, _ b: UInt64) -> ccarryless_block {
        withUnsafeTemporaryAllocation(of: (low: UInt64, high: UInt64).self, capacity: 16) { rows in
            rows[0] = (0, 0)
            rows[1] = (a, 0)
            for number in 2..<16 {
                let half = rows[number / 2]
                let twice = (half.low &<< 1, half.high &<< 1 | half.low &>> 63)
                rows[number] =
                    number & 1 == 0 ? twice : (twice.0 ^ rows[1].low, twice.1 ^ rows[1].high)
            }
            var (low, high) = (UInt64(0), UInt64(0))
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                let row = rows[Int(b &>> shift & 15)]
                high = (high &<< 4 | low &>> 60) ^ row.high
                low = low &<< 4 ^ row.low
            }
            return ccarryless_block(low: low, high: high)
        }
    }

    /// What is derived of a polynomial, at a fixed place.
    private struct Tables: @unchecked Sendable {
        /// Eight times 256 words: what a byte becomes after that many bytes behind it, and itself.
        private let rows: UnsafeMutablePointer<UInt64>
        /// The distances of 2^i bytes.
        let squares: UnsafeMutablePointer<UInt64>
        let constants: UnsafeMutablePointer<ccarryless_constants>

        init(_ polynomial: UInt64) {
            func timesX(_ word: UInt64) -> UInt64 {
                word &>> 1 ^ (word & 1 == 1 ? polynomial : 0)
            }
            rows = .allocate(capacity: 8 * 256)
            for byte in 0..<256 {
                var word = UInt64(byte)
                for _ in 0..<8 { word = timesX(word) }
                rows[byte] = word
            }
            for index in 256..<8 * 256 {
                let word = rows[index - 256]
                rows[index] = word &>> 8 ^ rows[Int(word & 255)]
            }
            func power(_ bits: Int) -> UInt64 {
                var word = CyclicCode.one
                for _ in 0..<bits { word = timesX(word) }
                return word
            }
            // The product of two words has its coefficients one place lower than a block: one less is given to each distance.
            func constant(_ bits: Int) -> ccarryless_block {
                ccarryless_block(low: power(bits + 63), high: power(bits - 1))
            }
            constants = .allocate(capacity: 1)
            constants.initialize(
                to: ccarryless_constants(
                    by4096: constant(4096), by1024: constant(1024), by512: constant(512),
                    by128: constant(128)))
            squares = .allocate(capacity: 64)
            squares[0] = power(8)
            for index in 1..<64 {
                let (last, product) = (
                    squares[index - 1], CyclicCode.product(squares[index - 1], squares[index - 1])
                )
                precondition(last != 0, "no power of x is 0")
                squares[index] =
                    step(0, word: product.low &<< 1)
                    ^ (product.high &<< 1 | product.low &>> 63)
            }
        }

        /// A word behind a remainder.
        @inline(__always)
        func step(_ remainder: UInt64, word: UInt64) -> UInt64 {
            let sum = remainder ^ word
            @inline(__always) func row(_ number: Int, _ byte: UInt64) -> UInt64 {
                rows[256 &* number &+ Int(truncatingIfNeeded: sum &>> (8 &* byte) & 255)]
            }
            return row(7, 0) ^ row(6, 1) ^ row(5, 2) ^ row(4, 3) ^ row(3, 4) ^ row(2, 5)
                ^ row(1, 6) ^ row(0, 7)
        }

        /// Bytes behind a remainder, one at a time: the definition.
        func step(_ remainder: UInt64, _ bytes: Slice<UnsafeRawBufferPointer>) -> UInt64 {
            bytes.reduce(remainder) { $0 &>> 8 ^ rows[Int($0 & 255) ^ Int($1)] }
        }

        /// The same, eight at a time.
        func stepByWords(
            _ remainder: UInt64, _ bytes: Slice<UnsafeRawBufferPointer>
        ) -> UInt64 {
            let buffer = UnsafeRawBufferPointer(rebasing: bytes)
            guard let place = buffer.baseAddress else { return remainder }
            var (remainder, offset) = (remainder, 0)
            while offset &+ 8 <= buffer.count {
                remainder = step(
                    remainder,
                    word: UInt64(
                        littleEndian: (place + offset).loadUnaligned(as: UInt64.self)))
                offset &+= 8
            }
            return step(remainder, buffer[offset...])
        }
    }
}
