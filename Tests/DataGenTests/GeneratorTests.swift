// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing
import TestSupport
import Vectors

extension DataSpec {
    /// The specification of a reference value.
    init(_ spec: Vectors.Spec) throws {
        try self.init(
            size: Int(spec.size), seed: spec.seed,
            dedupRatio: Ratio(floatLiteral: spec.dedupRatio),
            compressRatio: Ratio(floatLiteral: spec.compressRatio),
            dedupUnit: Int(spec.dedupUnit), compressUnit: Int(spec.compressUnit),
            fill: try #require(Fill(rawValue: spec.fill)))
    }

    /// Bytes of the data set, in chunks of `chunk`, each call on memory of another alignment.
    func bytes(
        at offsets: Range<Int>, chunk: Int = .max, kernel: Kernel = .fastest, isWide: Bool? = nil
    ) -> [UInt8] {
        var generator = Generator(self, kernel: kernel, isWide: isWide ?? (kernel == .x86V4))
        var result: [UInt8] = []
        var offset = offsets.lowerBound
        while offset < offsets.upperBound {
            let count = min(chunk, offsets.upperBound - offset)
            let misalignment = result.count % 13
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: count + 16 + misalignment, alignment: 64)
            defer { buffer.deallocate() }
            for index in buffer.indices { buffer[index] = 0xA5 }
            let middle = misalignment + 8..<misalignment + 8 + count
            generator.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[middle]), at: offset)
            #expect(
                buffer[..<middle.lowerBound].allSatisfy { $0 == 0xA5 }, "wrote before the buffer")
            #expect(buffer[middle.upperBound...].allSatisfy { $0 == 0xA5 }, "wrote past the buffer")
            result += buffer[middle]
            offset += count
        }
        return result
    }
}

/// Specifications that reach every branch of the layout.
let varied: [DataSpec] = {
    do {
        return [
            try DataSpec(size: 40_000, seed: 1, dedupUnit: 4096),
            try DataSpec(size: 40_001, seed: 2, dedupRatio: 2.5, dedupUnit: 4096),
            try DataSpec(size: 40_000, seed: 3, compressRatio: 1.001, dedupUnit: 8192),
            try DataSpec(size: 39_999, seed: 4, dedupRatio: 3, compressRatio: 2, dedupUnit: 8192),
            try DataSpec(size: 40_000, seed: 5, dedupRatio: 2, compressRatio: 64, dedupUnit: 8192),
            try DataSpec(size: 41_000, seed: 6, compressRatio: 3, dedupUnit: 8192, fill: .zeros),
            try DataSpec(
                size: 30_000, seed: 7, dedupRatio: 1.333, compressRatio: 1.7, dedupUnit: 1536),
            try DataSpec(
                size: 200_000, seed: 8, dedupRatio: 1.25, compressRatio: 2.5, dedupUnit: 131_072,
                compressUnit: 65536),
            try DataSpec(size: 20_000, seed: .max, dedupRatio: 1_000_000, dedupUnit: 512),
            try DataSpec(
                size: 20_000, seed: 9, dedupRatio: 4, compressRatio: 2, dedupUnit: 4608,
                compressUnit: 576),
        ]
    } catch {
        preconditionFailure("a test specification is not legal: \(error)")
    }
}()

@Suite struct GeneratorTests {
    @Test(arguments: Vectors.shared.dataSets.indices, Kernel.supported)
    func wholeDataSetEqualsTheVector(index: Int, kernel: Kernel) throws {
        let vector = Vectors.shared.dataSets[index]
        let spec = try DataSpec(vector.spec)
        let layout = Layout(spec)
        #expect(layout.blockCount == Int(vector.blocks))
        #expect(layout.distinctBlockCount == Int(vector.distinctBlocks))
        #expect(try Vectors.sha256(spec.bytes(at: 0..<spec.size, kernel: kernel)) == vector.sha256)
    }

    @Test func hugeDataSetEqualsTheVectorAtEverySample() throws {
        let vector = Vectors.shared.huge
        let spec = try DataSpec(vector.spec)
        #expect(spec.size == .max)
        #expect(Layout(spec).blockCount == Int(vector.blocks))
        #expect(Layout(spec).distinctBlockCount == Int(vector.distinctBlocks))
        for sample in vector.samples {
            let expected = Vectors.bytes(hex: sample.hex)
            let offset = Int(sample.offset)
            #expect(
                spec.bytes(at: offset..<offset + expected.count) == expected, "offset \(offset)")
        }
    }

    @Test(arguments: Vectors.shared.dataSets.indices)
    func scalarReferenceEqualsTheVector(index: Int) throws {
        let vector = Vectors.shared.dataSets[index]
        let spec = try DataSpec(vector.spec)
        let bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        #expect(try Vectors.sha256(bytes) == vector.sha256)
    }

    @Test(arguments: varied, [1, 7, 8, 100, 511, 512, 1000, 4096, 8191, .max])
    func sameBytesForEveryChunkLength(spec: DataSpec, chunk: Int) {
        let truth = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        let end = chunk < 100 ? min(spec.size, 5000) : spec.size
        #expect(spec.bytes(at: 0..<end, chunk: chunk) == Array(truth[..<end]))
        // The end of the data set, where the last block is cut.
        let start = max(0, spec.size - 3000)
        #expect(spec.bytes(at: start..<spec.size, chunk: chunk) == Array(truth[start...]))
    }

    @Test(arguments: varied)
    func everyRandomRangeEqualsTheScalarReference(spec: DataSpec) {
        let truth = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        var generator = Generator(spec)
        var numbers = RandomNumbers()
        for _ in 0..<200 {
            let start = Int.random(in: 0..<spec.size, using: &numbers)
            let count = Int.random(
                in: 0...min(5000, spec.size - start), using: &numbers)
            var found = [UInt8](repeating: 0, count: count)
            found.withUnsafeMutableBytes { generator.fill($0, at: start) }
            #expect(
                found == Array(truth[start..<start + count]),
                "\(start)..<\(start + count), \(numbers)")
        }
    }

    /// Lanes are placed anew, moved from call to call and left for the scalar rest at these lengths.
    @Test(arguments: Kernel.supported)
    func everyKernelGivesTheSameBytesForLongRanges(kernel: Kernel) throws {
        let spec = try DataSpec(size: 1 << 40, seed: 11)
        var numbers = RandomNumbers()
        let lengths = [15_872, 16_384, 100_001, 15_870, 15_880, 65_536, 300_000, 1_048_576]
        for length in lengths.prefix(TestForm.rounds(3, whole: lengths.count)) {
            let start = Int.random(in: 0..<spec.size - 4 * length, using: &numbers)
            let end = start + 3 * length
            #expect(
                spec.bytes(at: start..<end, chunk: length, kernel: kernel).elementsEqual(
                    ScalarReference.bytes(of: spec, at: start..<end)),
                "length \(length), start \(start), \(numbers)")
        }
    }

    /// Runs of grains that lanes share, from the shortest run to more than a block, in and out of order.
    @Test(
        arguments: Kernel.supported,
        [(1.001, 1024), (1.05, 1024), (1.5, 1024), (2.5, 512), (4, 4096), (10, 1024), (60, 1024)])
    func everyKernelGivesTheSameGrains(kernel: Kernel, shape: (ratio: Double, grain: Int)) throws {
        var numbers = RandomNumbers()
        for fill in DataSpec.Fill.allCases {
            let spec = try DataSpec(
                size: 1 << 50, seed: 12, dedupRatio: 1.5,
                compressRatio: Ratio(floatLiteral: shape.ratio), dedupUnit: 128 * shape.grain,
                compressUnit: shape.grain, fill: fill)
            var generator = Generator(spec, kernel: kernel)
            var start = 0
            for round in 0..<TestForm.rounds(3, whole: 8) {
                let grains = 1...TestForm.rounds(60, whole: 200)
                let count = Int.random(in: grains, using: &numbers) * shape.grain
                var found = [UInt8](repeating: 0, count: count)
                found.withUnsafeMutableBytes { generator.fill($0, at: start) }
                #expect(
                    found.elementsEqual(
                        ScalarReference.bytes(of: spec, at: start..<start + count)),
                    "\(fill) \(start) \(count), \(numbers)")
                start += count
                // Sometimes elsewhere, on a grain or not.
                if round % 3 == 2 {
                    start = Int.random(in: 0..<spec.size / 2, using: &numbers)
                    if round == 2 { start -= start % shape.grain }
                }
            }
        }
    }

    @Test func kernelsThatAreNotSupportedAreNotOffered() {
        #expect(Kernel.supported.contains(.scalar))
        #expect(Kernel.supported.contains(.fastest))
        #expect(Kernel.supported.allSatisfy { $0.isSupported })
    }

    @Test func oneCallAndStreamGiveTheSameBytes() throws {
        let spec = try DataSpec(
            size: 100_000, seed: 1, dedupRatio: 2, compressRatio: 1.5, dedupUnit: 8192)
        var whole = [UInt8](repeating: 0, count: spec.size)
        whole.withUnsafeMutableBytes { spec.fill($0) }
        var stream = StreamingGenerator(spec)
        var joined: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 30_000)
        while true {
            let count = part.withUnsafeMutableBytes { stream.read(into: $0) }
            if count == 0 { break }
            joined += part[..<count]
        }
        #expect(joined == whole)
        #expect(stream.position == spec.size)
        stream.position = 500
        let count = part.withUnsafeMutableBytes { stream.read(into: $0) }
        #expect(part[..<count] == whole[500..<500 + count])
    }

    @Test func emptyDataSetIsLegalAndEmpty() throws {
        let spec = try DataSpec(size: 0, seed: 1)
        #expect(Layout(spec).blockCount == 0)
        #expect(Layout(spec).distinctBlockCount == 1)
        #expect(spec.bytes(at: 0..<0) == [])
    }
}
