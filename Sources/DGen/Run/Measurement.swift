// SPDX-License-Identifier: MIT OR Apache-2.0

/// One write, read, verification, update or repair of a data set, as reports have it.
///
/// Times are those of the slowest rank.
struct Measurement: Encodable {
    let operation: String
    let iteration: Int
    let bytes: Int
    let seconds: Double
    let bytesPerSecond: Double
    let openSeconds: Double
    let generateSeconds: Double
    let transferSeconds: Double
    let syncSeconds: Double
    let closeSeconds: Double
    /// Reading back what a collective write stored; after the close, not part of `seconds`.
    var proofSeconds: Double?
    var slowestRank: Int
    let slowestNode: String
    /// Of the calls that move bytes, of all ranks.
    let latencyNs: Latencies.Percentiles?
    /// Ranks that read what their own node wrote, where a test reads.
    var readersOnOwnNode: Int?
    var transferSize = 0
    var collective = false
    /// Blocks that an update has written, and its writes.
    var updatedBlocks: Int?
    var writesPerSecond: Double?
    /// What ranks saw that read meanwhile.
    var readers: Readers?
    /// What was written anew.
    var repairedBytes: Int?
    var repairedRanges: Int?
}
