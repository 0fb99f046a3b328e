// SPDX-License-Identifier: MIT OR Apache-2.0

#if DEBUG  // Internal names are importable in debug builds only; release is tested from outside.

    import DataGen
    import Glibc
    import Testing

    @testable import DGenCommand

    @Suite struct PatternTests {
        private static let cuts: [Pattern.Cut] = [
            .segments(1), .segments(2), .segments(7), .segments(1 << 40), .strided,
        ]

        /// The transfers of all ranks.
        private func transfers(_ pattern: Pattern, ranks: Int) -> [[Range<Int>]] {
            (0..<ranks).map { rank in
                (0..<pattern.transfersPerRank).map { pattern[$0, rank] }
            }
        }

        @Test(arguments: cuts)
        func allTransfersTogetherAreTheDataSetEachByteOnce(cut: Pattern.Cut) {
            for size in [1, 7, 100, 4096, 5000] {
                for ranks in [1, 2, 3, 8] {
                    for (alignment, transfer) in [(1, 100), (64, 100), (100, 64), (10_000, 333)] {
                        for order in Pattern.Order.allCases {
                            let pattern = Pattern(
                                Shards(size: size, ranks: ranks, alignment: alignment),
                                transferSize: transfer, cut: cut, order: order, seed: 3)
                            let all = transfers(pattern, ranks: ranks)
                            #expect(all.joined().allSatisfy { $0.count <= pattern.longestTransfer })
                            #expect(pattern.longestTransfer <= transfer)
                            let inOrder = all.joined().filter { !$0.isEmpty }
                                .sorted { $0.lowerBound < $1.lowerBound }
                            var end = 0
                            for range in inOrder {
                                #expect(range.lowerBound == end)
                                end = range.upperBound
                            }
                            #expect(end == size)
                        }
                    }
                }
            }
        }

        @Test func aPatternOfOneSegmentIsTheShards() {
            let shards = Shards(size: 1_000_000, ranks: 3, alignment: 4096)
            let pattern = Pattern(shards, transferSize: 50_000)
            for rank in 0..<3 {
                let mine = (0..<pattern.transfersPerRank).map { pattern[$0, rank] }
                #expect(mine.first?.lowerBound == shards[rank].lowerBound)
                #expect(mine.last?.upperBound == shards[rank].upperBound)
            }
        }

        @Test func transfersOfAllRanksTakeTurns() {
            let pattern = Pattern(
                Shards(size: 1000, ranks: 3, alignment: 1 << 20), transferSize: 100, cut: .strided)
            #expect(pattern.transfersPerRank == 4)
            #expect(
                (0..<4).map { pattern[$0, 1] } == [100..<200, 400..<500, 700..<800, 1000..<1000])
            #expect(pattern[3, 0] == 900..<1000)
        }

        @Test func aRandomOrderIsAnotherOneForEachRankAndSeed() {
            let shards = Shards(size: 400, ranks: 4, alignment: 1)
            func order(_ rank: Int, seed: UInt64) -> [Int] {
                let pattern = Pattern(shards, transferSize: 1, order: .random, seed: seed)
                return (0..<100).map { pattern[$0, rank].lowerBound - 100 * rank }
            }
            #expect(order(0, seed: 1) == order(0, seed: 1))
            #expect(order(0, seed: 1) != order(0, seed: 2))
            #expect(order(0, seed: 1) != order(1, seed: 1))
            #expect(order(0, seed: 1) != Array(0..<100))
            #expect(order(0, seed: 1).sorted() == Array(0..<100))
        }

        @Test func theLargestDataSetIsDealtInConstantTime() {
            let shards = Shards(size: .max, ranks: 1_000_000, alignment: 1 << 20)
            for cut in Self.cuts {
                let pattern = Pattern(shards, transferSize: 1 << 30, cut: cut, order: .random)
                #expect(pattern[0, 0].count <= 1 << 30)
                #expect(pattern[pattern.transfersPerRank - 1, 999_999].upperBound <= .max)
            }
        }
    }

    @Suite struct BatchesTests {
        @Test func ranksInStepAgreeAfterTwoMiBAndAtTheEnd() {
            func ends(transferSize: Int, depth: Int) -> [Int] {
                let shards = Shards(size: 5 << 20, ranks: 1, alignment: 1)
                let pattern = Pattern(shards, transferSize: transferSize)
                let batches = Batches(pattern, depth: depth)
                return (0..<pattern.transfersPerRank).filter { batches.endsStretch($0) }
            }
            // Whatever the depth, which may differ between ranks.
            for depth in [1, 2] {
                #expect(ends(transferSize: 64 << 10, depth: depth) == [31, 63, 79])
                #expect(ends(transferSize: 400 << 10, depth: depth) == [4, 9, 12])
                #expect(ends(transferSize: 1 << 20, depth: depth) == [1, 3, 4])
                #expect(ends(transferSize: 4 << 20, depth: depth) == [0, 1])
            }
        }
    }

    @Suite struct RelayTests {
        @Test(arguments: [1, 2, 5, 200])
        func whatIsMadeBeforeIsTakenInOrder(depth: Int) {
            let relay = Relay(buffers(depth), count: 100, .beforeTaken) { index, buffer in
                buffer.storeBytes(of: index, as: Int.self)
            }
            for index in 0..<100 {
                #expect(relay.take().load(as: Int.self) == index)
                relay.giveBack()
            }
            relay.finish()
            #expect(relay.workNanoseconds > 0)
        }

        @Test(arguments: [1, 2, 5, 200], [0, 1, 3, 60, 100])
        func allThatWasGivenBackIsWorkedOnInOrder(depth: Int, taken: Int) {
            nonisolated(unsafe) var seen: [Int] = []
            let relay = Relay(buffers(depth), count: 100, .afterGivenBack) { index, buffer in
                #expect(buffer.load(as: Int.self) == index)
                seen.append(index)
            }
            for index in 0..<taken {
                relay.take().storeBytes(of: index, as: Int.self)
                relay.giveBack()
            }
            relay.finish()
            #expect(seen == Array(0..<taken))
        }

        @Test(arguments: [1, 2, 5], [0, 1, 60])
        func whoStopsEarlyDoesNotWaitForEver(depth: Int, taken: Int) {
            let relay = Relay(buffers(depth), count: 100, .beforeTaken) { _, _ in }
            for _ in 0..<taken {
                _ = relay.take()
                relay.giveBack()
            }
            relay.finish()
        }

        /// A thread of which the owner is told that it is slow, and one of which it is told that it is not.
        @Test(arguments: [2, 5, 200], [0, Int.max / 2])
        func aSlowThreadIsLetGo(depth: Int, ownNanoseconds: Int) {
            nonisolated(unsafe) var ownItems = 0
            let owner = pthread_self()
            let relay = Relay(
                buffers(depth), count: 100, .beforeTaken, ownNanoseconds: ownNanoseconds
            ) { index, buffer in
                let clock = Stopwatch()
                while clock.elapsedNanoseconds < 1000 {}
                buffer.storeBytes(of: index, as: Int.self)
                if pthread_equal(pthread_self(), owner) != 0 { ownItems += 1 }
            }
            for index in 0..<100 {
                #expect(relay.take().load(as: Int.self) == index)
                relay.giveBack()
            }
            relay.finish()
            // What the thread was ahead is not made again.
            let least = ownNanoseconds == 0 ? max(0, 100 - 4 - depth) : 0
            #expect(ownItems >= least)
            #expect(ownNanoseconds == 0 || ownItems == 0)
            #expect(relay.isOwnerAlone == (ownNanoseconds == 0))
        }

        private func buffers(_ count: Int) -> [UnsafeMutableRawBufferPointer] {
            (0..<count).map { _ in .allocate(byteCount: 8, alignment: 8) }
        }
    }

    @Suite struct HintsFileTests {
        @Test func linesAreHintsAndCommentsAreNone() {
            let text = """
                # of ROMIO
                cb_nodes 4
                romio_cb_write=enable   # and so
                  striping_unit \t 1048576

                name two words
                """
            #expect(
                HintsFile.texts(text) == [
                    "cb_nodes=4", "romio_cb_write=enable", "striping_unit=1048576",
                    "name=two words",
                ])
            #expect(HintsFile.texts("") == [])
        }
    }

#endif
