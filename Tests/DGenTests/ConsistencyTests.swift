// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing
import TestSupport

@testable import DGen

/// What an update that was cut off may leave.
@Suite struct ConsistencyTests {
    private static func spec(_ generation: Int) throws -> DataSpec {
        try DataSpec(
            size: 400 * 512 + 100, seed: 9, dedupUnit: 512,
            composition: Composition(
                copies: [.init(copies: 3, share: Share(millionths: 400_000))],
                change: [
                    .init(share: Share(millionths: 900_000), rate: Share(millionths: 400_000))
                ], generation: generation))
    }

    /// Random sets of writes that are there, against the rule word for word.
    @Test func everyRankIsJudgedByTheRule() throws {
        var numbers = RandomNumbers()
        let (old, new) = (try Self.spec(0), try Self.spec(1))
        let ranks = 3
        let pattern = UpdatePattern(new, against: 0, ranks: ranks, transferSize: 256)
        for _ in 0..<TestForm.rounds(40, whole: 1000, watched: 400) {
            let stride = [1, 2, 7, 50, Int.max][numbers.number(below: 5)]
            var judge = Judge(from: old, to: new, stride: stride, kernel: .fastest)
            for rank in 0..<ranks {
                let rounds = pattern.count(ofRank: rank)
                // A prefix, and in what follows the last sync point, or anywhere, some more or less.
                let length = numbers.number(below: rounds + 1)
                let noise = numbers.number(below: 4)
                var isThere = (0..<rounds).map { $0 < length }
                for _ in 0..<noise { isThere[numbers.number(below: rounds)].toggle() }
                for round in 0..<rounds {
                    let range = pattern[round, rank]
                    guard !range.isEmpty else {
                        judge.pass((rank, round))
                        continue
                    }
                    var bytes = [UInt8](repeating: 0, count: range.count)
                    bytes.withUnsafeMutableBytes {
                        (isThere[round] ? new : old).fill($0, at: range.lowerBound)
                    }
                    bytes.withUnsafeBytes {
                        judge.look($0, at: range.lowerBound, (rank, round), isWhole: true)
                    }
                }
                let writes = (0..<rounds).filter { !pattern[$0, rank].isEmpty }
                let last = writes.last { isThere[$0] }
                let isRight = writes.allSatisfy { write in
                    isThere[write] || write / stride >= (last ?? 0) / stride
                }
                let all = judge.writers
                let found = try #require(
                    (all.wrongOnes + all.others).first { $0.rank == rank })
                let note: Comment = "rank \(rank), every \(stride), \(isThere), \(numbers)"
                #expect(found.isRight == isRight, note)
                #expect(found.updates == writes.count, note)
                #expect(found.present == writes.count { isThere[$0] }, note)
                #expect(found.torn == 0, note)
                #expect(found.missing == writes.firstIndex { !isThere[$0] }, note)
            }
        }
    }

    @Test func whatIsNeitherOldNorNewIsTorn() throws {
        let (old, new) = (try Self.spec(0), try Self.spec(1))
        let pattern = UpdatePattern(new, against: 0, ranks: 1, transferSize: 512)
        var judge = Judge(from: old, to: new, stride: .max, kernel: .fastest)
        for round in 0..<pattern.count(ofRank: 0) where !pattern[round, 0].isEmpty {
            let range = pattern[round, 0]
            var bytes = [UInt8](repeating: 0, count: range.count)
            bytes.withUnsafeMutableBytes { old.fill($0, at: range.lowerBound) }
            if round % 5 == 0 {
                var half = [UInt8](repeating: 0, count: range.count)
                half.withUnsafeMutableBytes { new.fill($0, at: range.lowerBound) }
                bytes[..<(range.count / 2)] = half[..<(range.count / 2)]
            }
            bytes.withUnsafeBytes {
                judge.look($0, at: range.lowerBound, (0, round), isWhole: true)
            }
        }
        let torn = (0..<pattern.count(ofRank: 0)).count { $0 % 5 == 0 && !pattern[$0, 0].isEmpty }
        #expect(judge.writers.torn == torn && torn > 0)
        #expect(judge.writers.present == 0)
        #expect(judge.writers.wrong == 0)
    }
}
