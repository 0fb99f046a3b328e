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

    /// Reads one transfer, file by file, to a place of a buffer that `part` begins at.
    func read(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, _ place: Int,
        _ range: Range<Int>
    ) throws -> [Extent] {
        var extents: [Extent] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(range.upperBound, file.extentEnd(at: offset))
            let start = offset - range.lowerBound
            let rest = UnsafeMutableRawBufferPointer(
                rebasing: part[start..<start + end - offset])
            let read = try job.watchdog.during(.read, offset: offset) {
                try readAll(file, rest, at: offset)
            }
            extents.append(Extent(place: place + start, range: offset..<end, read: read))
            offset = end
        }
        return extents
    }

    /// Reads until `part` is full or the file is at its end.
    func readAll(
        _ file: any DataFile, _ part: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws -> Int {
        var done = 0
        while done < part.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
            let count = try describing(offset + done) {
                try file.read(into: rest, at: offset + done)
            }
            guard count > 0 else {
                // Open MPI's default component reports a failed read as a success of no bytes.
                let end = try job.watchdog.during(.read, offset: offset + done) {
                    try file.storedEnd(at: offset + done)
                }
                guard offset + done >= end else {
                    throw Failure(
                        .inputOutput,
                        "\(path): a read at offset \(offset + done): read nothing of a "
                            + "file that goes on to \(end) and reported success")
                }
                break
            }
            done += count
        }
        return done
    }

    /// Says at which offset a call failed.
    func describing<Result>(_ offset: Int, _ call: () throws -> Result) throws -> Result {
        do {
            return try call()
        } catch let error as MPIError {
            throw Failure(
                .inputOutput,
                "\(path): \(error.function) at offset \(offset): \(error.text)")
        }
    }
}
