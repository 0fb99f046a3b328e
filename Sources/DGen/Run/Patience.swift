// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI

/// How a process that waits for others leaves its processor to them.
///
/// At first it stays awake, giving its processor to whoever wants it: those that go to sleep and wake up are moved about,
/// and the ranks that still work with them. Who waits for long takes almost nothing of it.
struct Patience {
    private let waiting = Stopwatch()

    private static let awakeNanoseconds = 20_000_000
    private static let pauseMicroseconds: UInt32 = 300

    /// Returns when it is time to look again.
    func pause() {
        if waiting.elapsedNanoseconds < Self.awakeNanoseconds {
            sched_yield()
        } else {
            usleep(Self.pauseMicroseconds)
        }
    }
}

extension PendingSum {
    func sums() throws(Failure) -> [Int]? { try Failure.mapping(result) }

    /// Waits for the sums of all, and does something else between looks.
    func wait(_ look: () throws(Failure) -> Void = {}) throws(Failure) -> [Int] {
        let patience = Patience()
        while true {
            if let sums = try sums() { return sums }
            try look()
            patience.pause()
        }
    }
}
