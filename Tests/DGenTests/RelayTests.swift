// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import Testing

@testable import DGen

@Suite final class RelayTests {
    private let all = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 * 200, alignment: 8)

    deinit { all.deallocate() }

    @Test(arguments: [1, 2, 5, 200])
    func whatIsMadeBeforeIsTakenInOrder(depth: Int) {
        let relay = Relay(memory(depth), count: 100, .beforeTaken) { index, buffer in
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
        let relay = Relay(memory(depth), count: 100, .afterGivenBack) { index, buffer in
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

    @Test(.timeLimit(.minutes(5)), arguments: [1, 2, 5], [0, 1, 60])
    func whoStopsEarlyDoesNotWaitForEver(depth: Int, taken: Int) {
        nonisolated(unsafe) var made = 0
        let relay = Relay(memory(depth), count: 100, .beforeTaken) { _, _ in made += 1 }
        for _ in 0..<taken {
            _ = relay.take()
            relay.giveBack()
        }
        relay.finish()
        // What was taken, and no more than there is room for.
        #expect((taken...taken + depth).contains(made))
    }

    /// A thread of which the owner is told that it is slow, and one of which it is told that it is not.
    @Test(arguments: [2, 5, 200], [0, Int.max / 2])
    func aSlowThreadIsLetGo(depth: Int, ownNanoseconds: Int) {
        nonisolated(unsafe) var ownItems = 0
        let owner = pthread_self()
        let relay = Relay(
            memory(depth), count: 100, .beforeTaken, ownNanoseconds: ownNanoseconds
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

    /// Buffers of eight bytes, which live as long as the suite's value, that is as long as the test.
    private func memory(_ count: Int) -> [UnsafeMutableRawBufferPointer] {
        (0..<count).map { UnsafeMutableRawBufferPointer(rebasing: all[8 * $0..<8 * ($0 + 1)]) }
    }

}
