// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct UniformNumbersTests {
    private static func numbers(
        seed: UInt64, _ low: Float, _ high: Float, count: Int, from index: Int = 0,
        kernel: Kernel = .fastest
    ) -> [Float] {
        var made = [Float](repeating: .nan, count: count)
        var numbers = UniformNumbers(seed: seed, low: low, high: high, kernel: kernel)
        made.withUnsafeMutableBytes { numbers.fill($0, from: index) }
        return made
    }

    /// Each operation rounded to float32 on its own, from the words of the stream.
    @Test(arguments: Kernel.supported)
    func everyNumberIsThatOfTheFormat(kernel: Kernel) throws {
        let count = 70_001
        let spec = try DataSpec(size: 4 * count, seed: 3)
        let bytes = ScalarReference.bytes(of: spec, at: 0..<4 * count)
        let (low, high): (Float, Float) = (-2.7, 11.3)
        let expected = (0..<count).map { index in
            let word = (0..<4).reduce(UInt32(0)) {
                $0 | UInt32(bytes[bytes.startIndex + 4 * index + $1]) << UInt32(8 * $1)
            }
            let unit = Float(word >> 8) / 16_777_216
            let product = (high - low) * unit
            return low + product
        }
        #expect(Self.numbers(seed: 3, low, high, count: count, kernel: kernel) == expected)
        let part = Self.numbers(seed: 3, low, high, count: 1001, from: 33_333, kernel: kernel)
        #expect(part == Array(expected[33_333..<34_334]))
    }

    @Test(arguments: [1, 2, 15, 16, 17, 1536])
    func rowsHaveLengthOne(dimension: Int) {
        var rows = Self.numbers(seed: 5, -1, 1, count: 20 * dimension)
        let before = rows
        rows.withUnsafeMutableBytes { UniformNumbers.normalizeRows($0, dimension: dimension) }
        for start in stride(from: 0, to: rows.count, by: dimension) {
            let length = before[start..<start + dimension]
                .reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            for index in start..<start + dimension {
                #expect(abs(Double(rows[index]) - Double(before[index]) / length) < 2e-6)
            }
        }
    }

    @Test func rowsThatHaveNoLengthStay() {
        let smallest = Float.leastNonzeroMagnitude
        for row: [Float] in [[0, 0, 0], [.nan, 1, 1], [.infinity, 1, 1], [smallest, 0, 0]] {
            var changed = row
            changed.withUnsafeMutableBytes { UniformNumbers.normalizeRows($0, dimension: 3) }
            #expect(changed.map(\.bitPattern) == row.map(\.bitPattern))
        }
    }

    @Test func largeAndSmallRowsDoNotVanish() {
        for factor: Float in [1e30, 1e-30] {
            var row = [3 * factor, 0, 4 * factor]
            row.withUnsafeMutableBytes { UniformNumbers.normalizeRows($0, dimension: 3) }
            #expect(abs(row[0] - 0.6) < 1e-6 && row[1] == 0 && abs(row[2] - 0.8) < 1e-6)
        }
    }
}
