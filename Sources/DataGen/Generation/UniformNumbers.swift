// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// Arrays of float32 numbers that are derived from the stream of a seed (FORMAT.md section 5).
///
/// Number `i` depends on the seed, the bounds and `i` alone. A value that remembers its place: give every
/// thread a copy of its own.
public struct UniformNumbers: Sendable {
    private var generator: Generator
    private let low: Float
    private let span: Float
    /// So many bytes are made, and turned into numbers, while they are in the second-level cache.
    private static let chunkBytes = 128 << 10

    /// Numbers from `low` up to `high`, without `high` itself.
    ///
    /// - Parameters:
    ///   - seed: of the stream.
    ///   - low: the least number, finite.
    ///   - high: above `low`, by no more than float32 can hold.
    ///   - kernel: how the bytes are made; the numbers are the same.
    /// - Precondition: this machine supports `kernel`.
    public init(seed: UInt64, low: Float, high: Float, kernel: Kernel = .fastest) {
        guard let spec = try? DataSpec(size: .max, seed: seed) else {
            preconditionFailure("the stream of a seed is a legal data set")
        }
        generator = Generator(spec, kernel: kernel)
        self.low = low
        span = high - low
    }

    /// Fills `buffer` with the numbers from number `index` on.
    ///
    /// - Parameters:
    ///   - buffer: of any alignment, and a multiple of 4 bytes.
    ///   - index: of the first number; below 2^61.
    /// - Complexity: O(bytes), independent of `index`.
    public mutating func fill(_ buffer: UnsafeMutableRawBufferPointer, from index: Int) {
        precondition(buffer.count % 4 == 0, "a number has four bytes")
        for start in stride(from: 0, to: buffer.count, by: Self.chunkBytes) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: buffer[start..<min(start + Self.chunkBytes, buffer.count)])
            generator.fill(part, at: 4 * index + start)
            UniformConversion.apply(to: part, low: low, span: span)
        }
    }

    /// Divides each row of float32 numbers by its length, the square root of the sum of its squares.
    ///
    /// A row of zeros stays as it is. The sum is that of sixteen partial sums, element `i` belonging to sum
    /// `i` modulo 16, each in float32: the same on every processor and for every number of threads. A row
    /// whose squares float32 cannot hold is scaled by its largest number first.
    ///
    /// - Parameters:
    ///   - buffer: whole rows, of any alignment.
    ///   - dimension: numbers in a row, 1 at least.
    public static func normalizeRows(_ buffer: UnsafeMutableRawBufferPointer, dimension: Int) {
        let rowBytes = 4 * dimension
        precondition(dimension > 0 && buffer.count % rowBytes == 0, "rows are whole")
        guard let memory = buffer.baseAddress else { return }
        for start in stride(from: 0, to: buffer.count, by: rowBytes) {
            normalizeRow(memory + start, dimension)
        }
    }

    private static func normalizeRow(_ row: UnsafeMutableRawPointer, _ count: Int) {
        var square = sumOfSquares(row, count)
        if !square.isFinite || square < 0x1p-100 {
            var largest: Float = 0
            for index in 0..<count {
                largest = max(
                    largest, abs(row.loadUnaligned(fromByteOffset: 4 &* index, as: Float.self)))
            }
            let factor = 1 / largest
            guard largest.isFinite, factor.isFinite else { return }
            scale(row, count, by: factor)
            square = sumOfSquares(row, count)
        }
        guard square > 0, square.isFinite else { return }
        scale(row, count, by: 1 / square.squareRoot())
    }

    private static func sumOfSquares(_ row: UnsafeMutableRawPointer, _ count: Int) -> Float {
        var sums = SIMD16<Float>.zero
        var index = 0
        while index &+ 16 <= count {
            let numbers = row.loadUnaligned(
                fromByteOffset: 4 &* index, as: SIMD16<Float>.self)
            sums += numbers * numbers
            index &+= 16
        }
        while index < count {
            let number = row.loadUnaligned(fromByteOffset: 4 &* index, as: Float.self)
            sums[index % 16] += number * number
            index &+= 1
        }
        return sums.sum()
    }

    private static func scale(_ row: UnsafeMutableRawPointer, _ count: Int, by factor: Float) {
        var offset = 0
        while offset < 4 &* count {
            let number = row.loadUnaligned(fromByteOffset: offset, as: Float.self)
            row.storeBytes(of: number * factor, toByteOffset: offset, as: Float.self)
            offset &+= 4
        }
    }
}
