// SPDX-License-Identifier: MIT OR Apache-2.0

/// Which bytes of a data set each rank moves, transfer by transfer; O(1) in time and memory.
protocol AccessPattern {
    /// The most bytes of a transfer.
    var transferSize: Int { get }
    /// The transfers of every rank; some of them may be empty.
    var transfersPerRank: Int { get }
    /// The bytes of the longest transfer of any rank.
    var longestTransfer: Int { get }
    /// The bytes of all transfers of all ranks.
    var bytes: Int { get }
    /// Transfer number `index` of a rank, in the order in which it goes through them.
    subscript(index: Int, rank: Int) -> Range<Int> { get }
}
