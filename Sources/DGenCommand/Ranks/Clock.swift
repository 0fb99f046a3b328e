// SPDX-License-Identifier: MIT OR Apache-2.0

/// Time that only goes forward, whatever happens to the date.
struct Stopwatch {
    private let start = ContinuousClock.now

    var elapsedNanoseconds: Int {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
    }

    var elapsedSeconds: Double { Double(elapsedNanoseconds) / 1e9 }
}
