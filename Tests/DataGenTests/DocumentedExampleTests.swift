// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

@Suite struct DocumentedExampleTests {
    @Test func runsAndIsWhatThePageShows() throws {
        var seen = 0
        func consume(_ bytes: RawSpan) { seen += bytes.byteCount }

        // example
        let spec = try DataSpec(size: 10_000_000, seed: 42, dedupRatio: 2, compressRatio: 1.5)

        // One call for a buffer: any range, here the last 1000 bytes.
        var buffer = [UInt8](repeating: 0, count: 1000)
        var elements = buffer.mutableSpan
        var bytes = elements.mutableBytes
        spec.fill(&bytes, at: spec.size - 1000)

        // A stream for more than memory holds.
        var stream = StreamingGenerator(spec)
        while case let count = stream.read(into: &bytes), count > 0 {
            consume(bytes.bytes.extracting(first: count))
        }
        // example

        #expect(seen == spec.size)
        let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
        let example = source.components(separatedBy: "        // example\n")[1]
            .replacing("\n        ", with: "\n").trimmingPrefix("        ")
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appending(path: "Sources/DataGen/DataGen.docc/DataGen.md"),
            encoding: .utf8)
        #expect(page.contains(example))
    }
}
