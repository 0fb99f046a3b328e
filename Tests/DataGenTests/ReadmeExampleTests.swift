// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

@Suite struct ReadmeExampleTests {
    @Test func runsAndIsWhatTheReadmeShows() throws {
        var seen = 0
        func consume(_ bytes: Slice<UnsafeMutableRawBufferPointer>) { seen += bytes.count }

        // README
        let spec = try DataSpec(size: 10_000_000, seed: 42, dedupRatio: 2, compressRatio: 1.5)

        // One call for a buffer: any range, here the last 1000 bytes.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1000, alignment: 64)
        defer { buffer.deallocate() }
        spec.fill(buffer, at: spec.size - 1000)

        // A stream for more than memory holds.
        var stream = StreamingGenerator(spec)
        while case let count = stream.read(into: buffer), count > 0 {
            consume(buffer[..<count])
        }
        // README

        #expect(seen == spec.size)
        let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
        let example = source.components(separatedBy: "        // README\n")[1]
            .replacing("\n        ", with: "\n").trimmingPrefix("        ")
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(
            contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        #expect(readme.contains(example))
    }
}
