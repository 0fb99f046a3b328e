// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI
import Options

/// A file that all ranks have open, one way or another.
protocol DataFile: AnyObject {
    /// The length of the file in bytes; of several files, what this rank counts of it: the sum over all ranks is all.
    func size() throws -> Int
    /// Where what is stored with the byte at `offset` should end: a shard, where each has a file.
    func extentEnd(at offset: Int) -> Int
    /// Where it does end.
    func storedEnd(at offset: Int) throws -> Int
    /// Cuts or extends the file; collective.
    func setSize(_ size: Int) throws
    /// Writes all of `buffer` at `offset`, or fails.
    func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws
    /// Reads up to the length of `buffer` from `offset` on; fewer bytes at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int
    /// Brings what was written to stable storage; collective.
    func sync() throws
    /// Closes the file; collective.
    func close() throws
    /// The hints that the library reports; none where there is no library.
    func reportedHints() throws -> [(key: String, value: String)]
}

/// A file that all ranks can write and read in one call.
protocol CollectiveDataFile: DataFile {
    /// Writes the buffers of all ranks together; collective.
    func writeTogether(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws
    /// Reads into the buffers of all ranks together; collective.
    func readTogether(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int
}

extension SharedFile: CollectiveDataFile {
    // One file holds all bytes.
    func extentEnd(at offset: Int) -> Int { .max }
    func storedEnd(at offset: Int) throws -> Int { try size() }
}

/// How the files of a data set are reached, and what the library is asked for.
struct FileAccess {
    var access = Access.mpi
    /// Whether the system's caches are passed by.
    var isDirect = false
    var hints: [(key: String, value: String)] = []

    /// For people.
    var name: String {
        access == .mpi ? "MPI-IO" : isDirect ? "POSIX with O_DIRECT" : "POSIX"
    }
}
