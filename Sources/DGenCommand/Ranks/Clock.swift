// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Time that only goes forward, whatever happens to the date.
///
/// Asked several times for each transfer: the system's call, at a third of what `ContinuousClock` and its arithmetic cost.
struct Stopwatch {
    private let start = Self.now

    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
    }

    var elapsedNanoseconds: Int { Self.now - start }

    var elapsedSeconds: Double { Double(elapsedNanoseconds) / 1e9 }
}
