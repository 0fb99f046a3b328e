// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing
import TestSupport

@testable import DGen

/// Counters of what is durable, and files that are brought there.
@Suite struct CounterTests {
    private static let counter = Counter(
        run: "1a2b", previous: "-", rank: 3, ranks: 7, from: 1, to: 5, transferSize: 4096)

    private func folder() throws -> String {
        let path = "/dev/shm/dgen-mpi-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        return path
    }

    @Test func aSlotIsReadAsItWasWritten() throws {
        for number in [0, 1, Counter.numberMax] {
            var counter = Self.counter
            (counter.number, counter.count, counter.seconds) = (number, number, number)
            let bytes = counter.bytes
            #expect(bytes.count == Counter.slotBytes)
            #expect(Counter(slot: bytes) == counter)
            // Torn anywhere, or with another byte anywhere.
            for place in bytes.indices {
                var wrong = bytes
                wrong[place] ^= 1
                #expect(Counter(slot: wrong) == nil, "\(place)")
                let torn = bytes[..<place] + [UInt8](repeating: 0, count: bytes.count - place)
                #expect(Counter(slot: torn) == nil, "\(place)")
            }
        }
        #expect(Counter(slot: [UInt8]()) == nil)
        for (from, ranks, number) in [
            (1, 7, Int.max), (1, Int.max, 1), (Composition.generationMax + 1, 7, 1), (1, 3, 1),
        ] {
            let absurd = Counter(
                run: "1", previous: "-", rank: 3, ranks: ranks, from: from, to: 5, transferSize: 1,
                number: number)
            #expect(Counter(slot: absurd.bytes) == nil)
        }
    }

    @Test func onlyNamesOfRunsAreTaken() {
        for run in ["0", "1a2b", "ffffffffffffffff"] { #expect(Counter.name(ofRun: run) == run) }
        for run in ["", "-", "1 2", "x", "run=1", String(repeating: "a", count: 33)] {
            #expect(Counter.name(ofRun: run) == nil, "\(run)")
        }
        #expect(Counter.rank(ofName: "acknowledged.00000012") == 12)
        for name in ["acknowledged", "acknowledged.12", "other.00000012", "acknowledged.0000001x"] {
            #expect(Counter.rank(ofName: name) == nil, "\(name)")
        }
    }

    /// An update may have begun while counters were read, and nobody has lost anything then.
    @Test func aManifestIsLostOnlyIfItStaysWhatItWas() throws {
        let all = Share(millionths: 1_000_000)
        let spec = try DataSpec(
            size: 1 << 20, seed: 1,
            composition: Composition(change: [Composition.Ring(share: all, rate: all)]))
        let before = Manifest(
            status: .complete, spec: try spec.withGeneration(1), ranks: 7, align: 1, run: "0")
        let begun = Manifest(
            status: .updating, update: .init(from: 1), spec: try spec.withGeneration(5), ranks: 7,
            align: 1, run: "1a2b")
        func isLost(_ count: Int, _ first: Manifest, now: Manifest?) -> Bool {
            let entry = Counters.Entry(count: count, seconds: 1)
            return AcknowledgedWrites.isManifestLost(
                Counters(Self.counter, [nil, (last: entry, before: entry)]), first, now: now)
        }
        #expect(isLost(1, before, now: before))
        #expect(isLost(1, before, now: nil))
        #expect(!isLost(0, before, now: before))
        #expect(!isLost(1, before, now: begun))
        #expect(!isLost(1, begun, now: begun))
    }

    /// One slot after the other: the one before the last stays.
    @Test func slotsTakeTurns() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let own = Acknowledgement(folder, Self.counter)
        try own.begin()
        func slots() throws -> [Int] {
            var found: [Int] = []
            let isThere = try Counters.read(folder) { rank, slots in
                #expect(rank == 3)
                found = slots.map(\.count)
            }
            #expect(isThere)
            return found
        }
        #expect(try slots() == [0])
        try own.note(10)
        #expect(try slots() == [10, 0])
        try own.note(25)
        #expect(try slots() == [25, 10])
        // Less than is acknowledged is nothing new.
        for count in [3, 25] { try own.note(count) }
        #expect(try slots() == [25, 10])
        let next = Acknowledgement(folder, Self.counter)
        try next.begin()
        #expect(next.counter.count == 25)
        try next.note(20)
        try next.note(31)
        #expect(try slots() == [31, 25])
        // It was there before: whoever goes on with it does not take it away.
        next.withdraw()
        #expect(try slots() == [31, 25])
        // What somebody has put in the place of a new one stays.
        let place = Counter.path(folder + "/fresh", rank: Self.counter.rank)
        for isReplaced in [false, true] {
            try FileManager.default.createDirectory(
                atPath: folder + "/fresh", withIntermediateDirectories: true)
            let fresh = Acknowledgement(folder + "/fresh", Self.counter)
            try fresh.begin()
            #expect(FileManager.default.fileExists(atPath: place))
            if isReplaced {
                try FileManager.default.removeItem(atPath: place)
                try "precious".write(toFile: place, atomically: false, encoding: .utf8)
            }
            fresh.withdraw()
            #expect(FileManager.default.fileExists(atPath: place) == isReplaced)
        }
        let isThere = try Counters.read(folder + "/none") { _, _ in }
        #expect(!isThere)
    }

    /// A file that counts how often it is written and brought to stable storage.
    private final class Noted: DataFile {
        var isDirty = false
        func size() -> Int { 100 }
        func write(_ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool) {
            isDirty = true
        }
        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool) -> Int
        { 0 }
        func sync() { isDirty = false }
        func close() {}
        func reportedHints() -> [(key: String, value: String)] { [] }
    }

    /// An update goes to and fro between the files of ranks: none that was written to is forgotten.
    @Test func everyFileOfARankIsBroughtToStableStorage() throws {
        var numbers = RandomNumbers()
        let files = (0..<5000).map { _ in Noted() }
        let shards = ShardFiles(
            Shards(size: 5000 * 100, ranks: 5000, alignment: 100), rank: 0, of: 1,
            length: { _ in 100 }, open: { files[$0] })
        let bytes = [UInt8](repeating: 1, count: 10)
        for count in [0, 1, 2, 30, 12_000] {
            for _ in 0..<count {
                let offset = 100 * numbers.number(below: 5000)
                try bytes.withUnsafeBytes { try shards.write($0, at: offset, together: false) }
            }
            try shards.sync()
            #expect(files.allSatisfy { !$0.isDirty }, "\(count) \(numbers)")
        }
    }
}
