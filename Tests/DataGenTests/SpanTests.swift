// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct SpanTests {
    /// Fills an array with one of the calls.
    private func filled(
        _ count: Int, _ call: (inout MutableRawSpan) -> Void
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xAA, count: count)
        var elements = bytes.mutableSpan
        var span = elements.mutableBytes
        call(&span)
        return bytes
    }

    @Test(arguments: varied)
    func spansGetTheBytesOfBuffers(spec: DataSpec) {
        let range = spec.size / 3..<spec.size
        let right = ScalarReference.bytes(of: spec, at: range)
        let start = range.lowerBound
        #expect(filled(range.count) { spec.fill(&$0, at: start) } == right)
        var generator = Generator(spec)
        #expect(filled(range.count) { generator.fill(&$0, at: start) } == right)
        let parallel = ParallelGenerator(spec, threads: 2)
        #expect(filled(range.count) { parallel.fill(&$0, at: start) } == right)
        var stream = StreamingGenerator(spec)
        stream.position = start
        var count = 0
        let read = filled(range.count + 10) { count = stream.read(into: &$0) }
        #expect(count == range.count)
        #expect(read == right + [UInt8](repeating: 0xAA, count: 10))
    }

    @Test(arguments: varied)
    func damageInSpansIsThatInBuffers(spec: DataSpec) {
        var bytes = ScalarReference.bytes(of: spec, at: 0..<spec.size)
        for isDamaged in [false, true] {
            if isDamaged { bytes[spec.size / 2] ^= 1 }
            let right =
                isDamaged ? [Damage(offset: spec.size / 2, bytes: 1, wrongBytes: 1)] : []
            var generator = Generator(spec)
            var log = DamageLog(spec, limit: 10)
            generator.compare(bytes.span.bytes, at: 0, log: &log)
            #expect(log.ranges == right)
            var logOfThreads = DamageLog(spec, limit: 10)
            ParallelGenerator(spec, threads: 2)
                .compare(bytes.span.bytes, at: 0, log: &logOfThreads)
            #expect(logOfThreads.ranges == right)
        }
    }
}
