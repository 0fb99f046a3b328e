// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct ParallelGeneratorTests {
    @Test(arguments: [1, 2, 3, 7])
    func sameBytesForEveryThreadCount(threads: Int) throws {
        let spec = try DataSpec(size: 1 << 40, seed: 3, dedupRatio: 2.5, compressRatio: 1.5)
        let generator = ParallelGenerator(spec, threads: threads)
        #expect(generator.threadCount == threads)
        // Lengths below, at and above what is split, from places that fit no unit.
        for (length, start) in [(0, 5), (1, 77), (1 << 20, 1000), (5_000_001, 1 << 35)] {
            var found = [UInt8](repeating: 0, count: length)
            found.withUnsafeMutableBytes { generator.fill($0, at: start) }
            #expect(found == spec.bytes(at: start..<start + length), "length \(length)")
        }
    }

    @Test(arguments: [1, 2, 5])
    func damageIsTheSameForEveryThreadCount(threads: Int) throws {
        let spec = try DataSpec(size: 6 << 20, seed: 3)
        var bytes = spec.bytes(at: 0..<spec.size)
        // One run lies over the middle, where two threads meet; one byte is the last.
        for offset in [17] + Array((3 << 20) - 5..<(3 << 20) + 5) + [(6 << 20) - 1] {
            bytes[offset] ^= 1
        }
        var log = DamageLog(spec, limit: 10)
        let generator = ParallelGenerator(spec, threads: threads)
        bytes.withUnsafeBytes { generator.compare($0, at: 0, log: &log) }
        #expect(
            log.ranges == [
                Damage(offset: 17, bytes: 1, wrongBytes: 1),
                Damage(offset: (3 << 20) - 5, bytes: 10, wrongBytes: 10),
                Damage(offset: (6 << 20) - 1, bytes: 1, wrongBytes: 1),
            ])
    }

    @Test func manyGeneratorsComeAndGo() throws {
        let spec = try DataSpec(size: 4 << 20, seed: 3)
        let truth = spec.bytes(at: 0..<spec.size)
        for _ in 0..<50 {
            let generator = ParallelGenerator(spec, threads: 3)
            var found = [UInt8](repeating: 0, count: spec.size)
            found.withUnsafeMutableBytes { generator.fill($0, at: 0) }
            #expect(found == truth)
        }
    }
}
