// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Time that only goes forward, whatever happens to the date.
///
/// Asked several times for each transfer: the system's call, at a third of what `ContinuousClock` and its arithmetic cost.
struct Stopwatch {
    private let clock: clockid_t
    private let start: Int

    /// Starts now; it is cheaper to look where some milliseconds do not matter (`isCoarse`).
    init(isCoarse: Bool = false) {
        clock = isCoarse ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC
        start = Self.now(clock)
    }

    private static func now(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
    }

    /// The time of this node's clock, which all its processes have in common.
    static var nowNanoseconds: Int { now(CLOCK_MONOTONIC) }

    /// How much of the time between two looks, a fifth of a second apart, the process has run.
    ///
    /// One that was suspended, as by a scheduler that shares nodes out in turns, or whose machine was, has not.
    static func ran(_ gapNanoseconds: Int) -> Int {
        gapNanoseconds < 1_000_000_000 ? gapNanoseconds : 200_000_000
    }

    var elapsedNanoseconds: Int { Self.now(clock) - start }

    var elapsedSeconds: Double { Double(elapsedNanoseconds) / 1e9 }
}
