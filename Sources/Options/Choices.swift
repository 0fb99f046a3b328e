// SPDX-License-Identifier: MIT OR Apache-2.0
// What options choose between.

package enum Command: String, CaseIterable, Sendable {
    case generate, verify, repair, update, test, checksum, plan, profiles, info, bench
}

package enum Operation: String, CaseIterable, Sendable {
    case generate, verify, test, repair, update
}

/// How files are written and read.
package enum Access: String, CaseIterable, Sendable {
    case mpi
    /// System calls of each rank: `pwrite`, `pread`.
    case posix
}

/// Into how many files a data set is written.
package enum FileLayout: String, CaseIterable, Codable, Sendable {
    /// One that all ranks share.
    case shared
    /// One for each rank, which holds its shard.
    case perRank = "per-rank"
}

/// How a data set is cut before it is dealt to ranks.
package enum Cut: Equatable, Sendable {
    /// To that many segments.
    case segments(Int)
    /// To as many as each rank has transfers.
    case strided

    /// The number of segments, where it is one that was given and not 1.
    package var segmentCount: Int? {
        if case .segments(let count) = self, count > 1 { count } else { nil }
    }
}

package enum Order: String, CaseIterable, Sendable {
    case sequential, random
}

/// When data goes to stable storage while the clock runs.
package enum Sync: Equatable, Sendable {
    /// Not at all; afterwards.
    case none
    /// Once, when everything is written.
    case end
    /// After so many transfers of a rank, and at the end.
    case every(Int)

    /// After every transfer.
    package static let each = Sync.every(1)

    static let accepted = "none, end, each or every:N"

    package init?(_ text: String) {
        switch text {
        case "none": self = .none
        case "end": self = .end
        case "each": self = .each
        default:
            guard text.hasPrefix("every:"), case let digits = text.dropFirst(6),
                digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(digits),
                count > 0
            else { return nil }
            self = .every(count)
        }
    }

    package var text: String {
        switch self {
        case .none: "none"
        case .end: "end"
        case .each: "each"
        case .every(let count): "every:\(count)"
        }
    }

    /// How many transfers of a rank come before each time; nil where it is once.
    package var stride: Int? { if case .every(let count) = self { count } else { nil } }
}

package enum Phase: String, CaseIterable, Sendable {
    case write, update, read, verify
}

/// Which rank reads back what which rank wrote.
///
/// A node that reads what it wrote itself may be given it from its own memory, which says nothing of the storage.
package enum ReadOrder: String, CaseIterable, Sendable {
    /// Each rank reads its own shard.
    case same
    /// Each rank reads the shard of one on the next node, by where the ranks really are.
    case shift
    /// Shards are dealt anew, by a number that is the same for the same seed.
    case shuffle
}

/// What whoever reads must see of what another one has written.
package enum VisibilityRule: String, CaseIterable, Sendable {
    /// A write that has returned.
    case posix
    /// What was written to a file that has been closed, in one that is opened after that.
    case closeToOpen = "close-to-open"
    /// What has been brought to stable storage.
    case sync
}

package enum ProgressStyle: String, CaseIterable, Sendable {
    /// A bar on a terminal, lines elsewhere.
    case auto
    case bar, lines
    /// An object a line, for programs.
    case json
    case none
}

/// What `bench` times of this program.
package enum BenchOperation: String, CaseIterable, Sendable {
    case fill, compare, random
}

/// Data sets that `bench` makes.
package enum BenchSet: String, CaseIterable, Sendable {
    /// Of version 1.
    case stream
    /// Blocks of 4 KiB that are scattered.
    case scattered
    /// Blocks of 512 bytes that are scattered.
    case small
    /// Blocks of 4 KiB: copies, zeros and ratios as measured data has them.
    case mixed
}
