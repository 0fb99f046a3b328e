// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Glibc

/// A data set in the first and in the last of some generations, which what was found is held against.
///
/// A value that remembers its place: give every thread a copy of its own.
package struct GenerationPair: Sendable {
    /// Which of the two something is.
    package enum Match: Sendable {
        /// The last generation, and maybe the first one, too.
        case newest
        /// The first generation only.
        case oldest
        case neither
    }

    var newest: Generator
    private var oldest: Generator

    /// Prepares to compare with a data set in two generations.
    package init(oldest: DataSpec, newest: DataSpec, kernel: Kernel = .fastest) {
        self.oldest = Generator(oldest, kernel: kernel)
        self.newest = Generator(newest, kernel: kernel)
    }

    /// Which of the two was found at an offset, all of it.
    package mutating func match(_ found: UnsafeRawBufferPointer, at offset: Int) -> Match {
        if newest.isEqual(found, at: offset) { return .newest }
        return oldest.isEqual(found, at: offset) ? .oldest : .neither
    }

    /// Which of the two each block is of what was found from the start of one on; the last one may be cut.
    ///
    /// Memory is three times what was found.
    mutating func matches(_ found: UnsafeRawBufferPointer, at offset: Int) -> [Match] {
        let unit = newest.spec.dedupUnit
        let count = (found.count - 1) / unit + 1
        guard !newest.isEqual(found, at: offset) else {
            return [Match](repeating: .newest, count: count)
        }
        guard count > 1, let there = found.baseAddress else {
            return [oldest.isEqual(found, at: offset) ? .oldest : .neither]
        }
        return withUnsafeTemporaryAllocation(byteCount: 2 * found.count, alignment: 64) { scratch in
            guard let new = scratch.baseAddress else { return [] }
            let old = new + found.count
            newest.fill(
                UnsafeMutableRawBufferPointer(start: new, count: found.count), at: offset)
            oldest.fill(
                UnsafeMutableRawBufferPointer(start: old, count: found.count), at: offset)
            return stride(from: 0, to: found.count, by: unit).map { start -> Match in
                let length = min(unit, found.count - start)
                if memcmp(there + start, new + start, length) == 0 { return .newest }
                return memcmp(there + start, old + start, length) == 0 ? .oldest : .neither
            }
        }
    }

    /// Logs what differs from each of the two.
    mutating func compare(
        _ found: UnsafeRawBufferPointer, at offset: Int,
        _ logs: inout (newest: DamageLog, oldest: DamageLog)
    ) {
        newest.compare(found, at: offset, log: &logs.newest)
        oldest.compare(found, at: offset, log: &logs.oldest)
    }
}
