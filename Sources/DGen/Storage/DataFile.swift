// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI
import Options

/// A file that all ranks have open, one way or another.
protocol DataFile: AnyObject {
    /// The length of the file in bytes; of several files, what this rank counts of it: the sum over all ranks is all.
    func size() throws(Failure) -> Int
    /// Where what is stored with the byte at `offset` should end: a shard, where each has a file.
    func extentEnd(at offset: Int) -> Int
    /// Where it does end.
    func storedEnd(at offset: Int) throws(Failure) -> Int
    /// Writes all of `buffer` at `offset`, or fails; `together` with the buffers of all ranks, where one file by MPI-IO holds
    /// all bytes.
    func write(_ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool) throws(Failure)
    /// Reads up to the length of `buffer` from `offset` on, fewer bytes at the end of the file; `together` as for writing.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int
    /// Brings what was written to stable storage; collective.
    func sync() throws(Failure)
    /// Closes the file; collective.
    func close() throws(Failure)
    /// The hints that the library reports; none where there is no library.
    func reportedHints() throws(Failure) -> [(key: String, value: String)]
}

extension DataFile {
    // One file holds all bytes.
    func extentEnd(at offset: Int) -> Int { .max }
    func storedEnd(at offset: Int) throws(Failure) -> Int { try size() }
}

/// A file that the library has open: what that reports is a ``Failure`` from here on.
final class LibraryFile: DataFile {
    private let path: String
    private let file: SharedFile

    init(_ path: String, _ file: SharedFile) {
        self.path = path
        self.file = file
    }

    func size() throws(Failure) -> Int { try Failure.mapping(file.size) }

    func write(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) {
        try naming(offset) { () throws(MPIError) in
            try file.write(buffer, at: offset, together: together)
        }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool
    ) throws(Failure) -> Int {
        try naming(offset) { () throws(MPIError) in
            try file.read(into: buffer, at: offset, together: together)
        }
    }

    func sync() throws(Failure) { try Failure.mapping(file.sync) }
    func close() throws(Failure) { try Failure.mapping(file.close) }

    func reportedHints() throws(Failure) -> [(key: String, value: String)] {
        try Failure.mapping(file.reportedHints)
    }

    /// Says of which file and at which offset a call of the library failed.
    private func naming<Result>(
        _ offset: Int, _ call: () throws(MPIError) -> Result
    ) throws(Failure) -> Result {
        do {
            return try call()
        } catch {
            throw Failure(
                Failure(error).status,
                "\(path): \(error.function) at offset \(offset): \(error.text)")
        }
    }
}

/// How the files of a data set are reached, and what the library is asked for.
struct FileAccess {
    var access = Access.mpi
    /// Whether the system's caches are passed by.
    var isDirect = false
    var hints: [(key: String, value: String)] = []
    /// What the data is written to, or read from.
    var target = Target.file

    /// For people.
    var name: String {
        access == .mpi ? "MPI-IO" : isDirect ? "POSIX with O_DIRECT" : "POSIX"
    }
}
