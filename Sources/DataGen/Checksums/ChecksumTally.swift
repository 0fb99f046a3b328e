// SPDX-License-Identifier: MIT OR Apache-2.0

public import Checksums

/// Checksums of a whole data set, of stretches of it that are made or read one after another, in any order: each is moved to
/// where it lies, and added.
///
/// Memory is constant. Others that had the other stretches add their ``values``, and have the same results.
public final class ChecksumTally: @unchecked Sendable {
    // Unchecked: each thread touches its own values only, in calls that are for one thread each.

    private let spec: DataSpec
    private let algorithms: [ChecksumAlgorithm]
    private let codes: [CyclicCode]
    private let kernel: RemainderKernel
    private let threadValues: UnsafeMutableBufferPointer<UInt64>
    /// How many bytes are made before they are summed up.
    let pieceBytes: Int

    /// Nothing is added yet.
    ///
    /// - Parameters:
    ///   - spec: the data set.
    ///   - algorithms: those that can be joined.
    ///   - threads: how many add at once.
    ///   - kernel: how it is done, which this machine supports.
    public init(
        _ spec: DataSpec, _ algorithms: [ChecksumAlgorithm], threads: Int,
        kernel: RemainderKernel = .fastest
    ) {
        self.spec = spec
        self.algorithms = algorithms
        codes = algorithms.compactMap(\.code)
        precondition(codes.count == algorithms.count, "all of them can be joined")
        self.kernel = kernel
        threadValues = .allocate(capacity: max(1, codes.count * threads))
        threadValues.initialize(repeating: 0)
        pieceBytes = ChecksumWorker.pieceBytes(spec)
    }

    deinit { threadValues.deallocate() }

    /// Adds pieces in a row, which begin at `offset` and have so many bytes together; `next` gives the bytes of a range.
    func add(
        _ count: Int, at offset: Int, thread: Int,
        pieces next: (Range<Int>) -> UnsafeRawBufferPointer
    ) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: codes.count) { remainders in
            remainders.initialize(repeating: 0)
            let end = offset + count
            var start = offset
            while start < end {
                // The place where a piece would end may be past 2^63.
                let piece = next(
                    start..<start + min(end - start, pieceBytes - start % pieceBytes))
                for (number, code) in codes.enumerated() {
                    remainders[number] = code.remainder(
                        remainders[number], then: piece, kernel: kernel)
                }
                start += piece.count
            }
            for (number, code) in codes.enumerated() {
                threadValues[thread * codes.count + number] ^= code.move(
                    remainders[number], by: spec.size - end, kernel: kernel)
            }
        }
    }

    /// What has come of all stretches, to be added by exclusive or to what others have.
    public var values: [UInt64] {
        codes.indices.map { number in
            stride(from: number, to: threadValues.count, by: max(1, codes.count)).reduce(0) {
                $0 ^ threadValues[$1]
            }
        }
    }

    /// The checksums that values add up to, each stretch having been added once.
    public func results(_ values: [UInt64]) -> [RangeChecksum] {
        zip(algorithms, zip(codes, values)).map { algorithm, one in
            let (code, value) = one
            let sum = code.checksum(value, bytes: spec.size, kernel: kernel)
            return RangeChecksum(algorithm, 0..<spec.size, value: code.bytes(sum))
        }
    }
}

extension ParallelGenerator {
    /// Fills parts of a buffer as ``fill(_:of:)`` does, and adds them to a tally while they are in the caches.
    package func fill(
        _ parts: [(place: Int, range: Range<Int>)], of buffer: UnsafeMutableRawBufferPointer,
        addingTo tally: ChecksumTally?
    ) {
        guard let tally else { return fill(parts, of: buffer) }
        guard parts.count == 1, let (place, range) = parts.first else {
            // Small ones, made side by side where that is faster.
            fill(parts, of: buffer)
            for (place, range) in parts {
                add(
                    UnsafeRawBufferPointer(rebasing: buffer[place..<place + range.count]),
                    at: range.lowerBound, to: tally)
            }
            return
        }
        onEachPart(of: range.count) { thread, part, generator in
            let start = range.lowerBound + part.lowerBound
            tally.add(part.count, at: start, thread: thread) { piece in
                let first = place + piece.lowerBound - range.lowerBound
                let bytes = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[first..<first + piece.count])
                generator.fill(bytes, at: piece.lowerBound, isPastCache: false)
                return UnsafeRawBufferPointer(bytes)
            }
        }
    }

    /// Adds what was read from an offset on.
    package func add(_ bytes: UnsafeRawBufferPointer, at offset: Int, to tally: ChecksumTally) {
        onEachPart(of: bytes.count) { thread, part, _ in
            tally.add(part.count, at: offset + part.lowerBound, thread: thread) { piece in
                UnsafeRawBufferPointer(
                    rebasing: bytes[piece.lowerBound - offset..<piece.upperBound - offset])
            }
        }
    }
}
