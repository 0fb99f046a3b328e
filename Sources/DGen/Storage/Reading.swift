// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI

/// Reads parts of a data set, from the file or the files that they are in.
struct Reading {
    /// Bytes that lie in one file and in one place of a buffer, and how many of them were there.
    struct Extent {
        let place: Int
        let range: Range<Int>
        let read: Int

        /// This and what follows it, in the file and in the buffer; nil where that is something else.
        func joined(with next: Extent) -> Extent? {
            guard read == range.count, range.upperBound == next.range.lowerBound,
                place + read == next.place
            else { return nil }
            return Extent(
                place: place, range: range.lowerBound..<next.range.upperBound,
                read: read + next.read)
        }
    }

    private let job: Job
    private let path: String

    /// Reads files of the data set at `path`.
    init(_ job: Job, _ path: String) {
        self.job = job
        self.path = path
    }

    /// Reads one transfer, file by file, to a place of a buffer that `part` begins at, and notes what was there.
    func read(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>, note: (Extent) -> Void
    ) throws {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(range.upperBound, file.extentEnd(at: offset))
            let start = offset - range.lowerBound
            let rest = UnsafeMutableRawBufferPointer(
                rebasing: part[start..<start + end - offset])
            let read = try job.watchdog.during(.read, offset: offset) {
                try readAll(file, rest, at: offset)
            }
            note(Extent(place: place + start, range: offset..<end, read: read))
            offset = end
        }
    }

    /// Reads until `part` is full or the file is at its end.
    func readAll(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws -> Int {
        var done = 0
        // Where the file was seen to end since the last bytes came.
        var seenEnd = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let here = offset + done
            let count = try Failure.describing(here, of: path) {
                try file.read(into: rest, at: here)
            }
            if count > 0 {
                done += count
                seenEnd = 0
                continue
            }
            // Open MPI's default component reports a failed read as a success of no bytes.
            let end = try job.watchdog.during(.read, offset: here) {
                try file.storedEnd(at: here)
            }
            guard here < end else { break }
            // What was not there may have been written since, by another rank of a repair.
            guard here >= seenEnd else {
                throw Failure(
                    .inputOutput,
                    "\(path): a read at offset \(here): read nothing of a file that goes on to "
                        + "\(end) and reported success")
            }
            seenEnd = end
        }
        return done
    }

    /// Adds what is wrong in extents that were read into `buffer`; without a generator, only what was not there.
    static func compare(
        _ extents: [Extent], in buffer: UnsafeMutableRawBufferPointer,
        with generator: ParallelGenerator?, log: inout DamageLog
    ) {
        for extent in extents {
            let (offset, read) = (extent.range.lowerBound, extent.read)
            if let generator, read > 0 {
                generator.compare(
                    UnsafeRawBufferPointer(rebasing: buffer[extent.place..<extent.place + read]),
                    at: offset, log: &log)
            }
            if read < extent.range.count {
                log.add(offset: offset + read, count: extent.range.count - read, isMissing: true)
            }
        }
    }
}
