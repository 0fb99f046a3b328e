// SPDX-License-Identifier: MIT OR Apache-2.0

import Histogram
import MPI

/// How long the transfers of one operation took, one by one: a histogram of 36 KiB, whatever their number.
struct Latencies {
    /// What is told of all transfers of all ranks, in nanoseconds.
    struct Percentiles: Encodable {
        let p50: Int
        let p90: Int
        let p99: Int
        let p999: Int
        let max: Int

        /// For people.
        var text: String {
            zip(["p50", "p90", "p99", "p99.9", "max"], [p50, p90, p99, p999, max])
                .map { "\($0) \((Double($1) / 1e6).fixed(3)) ms" }.joined(separator: ", ")
        }

        private enum CodingKeys: String, CodingKey {
            case p50, p90, p99
            case p999 = "p99_9"
            case max
        }
    }

    /// Longer ones count as that long.
    private static let longestNanoseconds: UInt64 = 3_600_000_000_000

    private var histogram = Self.empty
    private var maximum = 0
    /// How many there were.
    private(set) var count = 0

    /// Values are exact to two digits.
    private static var empty: Histogram<UInt64> {
        Histogram(
            lowestDiscernibleValue: 1, highestTrackableValue: longestNanoseconds,
            numberOfSignificantValueDigits: .two)
    }

    mutating func record(_ nanoseconds: Int) {
        maximum = max(maximum, nanoseconds)
        count += 1
        histogram.record(min(UInt64(max(nanoseconds, 1)), Self.longestNanoseconds))
    }

    /// The percentiles of all ranks together, nil where there were no transfers; collective.
    ///
    /// Ranks add their histograms bucket by bucket, since percentiles of ranks do not add up.
    func merged(over ranks: Ranks) throws(Failure) -> Percentiles? {
        let buckets = Array(histogram.allValues())
        let counts = try ranks.allReduce(buckets.map { Int($0.count) }, .sum)
        let maximum = try ranks.allReduce(self.maximum, .maximum)
        var all = Self.empty
        for (bucket, count) in zip(buckets, counts) where count > 0 {
            all.record(bucket.value, count: UInt64(count))
        }
        guard all.totalCount > 0 else { return nil }
        func percentile(_ percent: Double) -> Int {
            min(Int(all.valueAtPercentile(percent)), maximum)
        }
        return Percentiles(
            p50: percentile(50), p90: percentile(90), p99: percentile(99), p999: percentile(99.9),
            max: maximum)
    }
}
