// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI
package import Logging

/// One file that all ranks of a communicator have open through MPI-IO.
package final class SharedFile {
    /// The most bytes of one call: counts are C `int`, and larger calls have a bad history.
    package static let transferBytesMax = 1 << 30

    /// The longest key and value of a hint in bytes: Open MPI's, the shortest of the libraries', so that what one of them
    /// accepts the others accept.
    package static let hintBytesMax = (key: 35, value: 255)

    /// How a file is opened.
    package enum Mode: Sendable {
        /// An existing file, for reading.
        case read
        /// A file for writing that must not exist yet.
        case createNew
        /// A file for writing that may exist; its contents stay until they are cut or overwritten.
        case createOrOpen
        /// A file for reading and writing; made where there is none.
        case update

        var flags: Int {
            switch self {
            case .read: Int(cmpi_mode_rdonly())
            case .createNew: Int(cmpi_mode_wronly() | cmpi_mode_create() | cmpi_mode_excl())
            case .createOrOpen: Int(cmpi_mode_wronly() | cmpi_mode_create())
            case .update: Int(cmpi_mode_rdwr() | cmpi_mode_create())
            }
        }
    }

    // Its type is left to inference: an optional pointer in Open MPI, another one in MPICH.
    private var handle = cmpi_file_null()
    private let logger: Logger
    /// Asked once: to ask a logger costs more than the rest of a short call.
    private let isTraced: Bool

    /// Opens `path` on all ranks of `communicator`; collective, and fails on the ranks that could not open it.
    ///
    /// Hints are given to the library as they are, which ignores what it does not know. The logger gets every transfer at
    /// trace level.
    ///
    /// The corresponding C function is `MPI_File_open`.
    package init(
        _ path: String, _ mode: Mode, hints: [(key: String, value: String)] = [],
        on communicator: borrowing Communicator, logger: Logger
    ) throws(MPIError) {
        self.logger = logger
        isTraced = logger.logLevel <= .trace
        var info = cmpi_info_null()
        if !hints.isEmpty {
            try check(MPI_Info_create(&info), "MPI_Info_create")
            for hint in hints {
                try check(MPI_Info_set(info, hint.key, hint.value), "MPI_Info_set")
            }
        }
        // Open MPI 4.1 cannot open a name of one letter without a folder.
        let place = path.contains("/") ? path : "./" + path
        let status = MPI_File_open(communicator.handle, place, Int32(mode.flags), info, &handle)
        if !hints.isEmpty { try check(MPI_Info_free(&info), "MPI_Info_free") }
        try check(status, "MPI_File_open", isFileCall: true)
        logger.debug("opened \(path) (\(mode))")
    }

    /// The length of the file in bytes.
    ///
    /// The corresponding C function is `MPI_File_get_size`.
    package func size() throws(MPIError) -> Int {
        var size: Int64 = 0
        try check(MPI_File_get_size(handle, &size), "MPI_File_get_size", isFileCall: true)
        return Int(size)
    }

    /// Writes `buffer` at `offset`, and fails unless all of it is counted as written.
    ///
    /// Together with all ranks it is collective: each has an offset of its own, and one with nothing to write gives an empty
    /// buffer. That the count is checked is not enough then: Open MPI's default component has been seen to count bytes
    /// that were never stored. The caller proves such writes by reading back.
    ///
    /// The corresponding C functions are `MPI_File_write_at` and `MPI_File_write_at_all`.
    package func write(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, together: Bool = false
    ) throws(MPIError) {
        let function: StaticString = together ? "MPI_File_write_at_all" : "MPI_File_write_at"
        let call = together ? MPI_File_write_at_all : MPI_File_write_at
        let stored = try move(
            together ? "write together" : "write", buffer.count, at: offset, function
        ) {
            call(handle, $0, buffer.baseAddress, $1, cmpi_byte(), $2)
        }
        guard stored == buffer.count else {
            throw .shortWrite(function, stored: stored, of: buffer.count)
        }
    }

    /// Reads up to the length of `buffer` from `offset` on.
    ///
    /// Together with all ranks it is collective: each has an offset of its own, and one with nothing to read gives an empty
    /// buffer.
    ///
    /// - Returns: the bytes read: fewer than asked for at the end of the file. The rest of `buffer` is
    ///   left as it was.
    ///
    /// The corresponding C functions are `MPI_File_read_at` and `MPI_File_read_at_all`.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int, together: Bool = false
    ) throws(MPIError) -> Int {
        let function: StaticString = together ? "MPI_File_read_at_all" : "MPI_File_read_at"
        let call = together ? MPI_File_read_at_all : MPI_File_read_at
        let count = try move(
            together ? "read together" : "read", buffer.count, at: offset, function
        ) {
            call(handle, $0, buffer.baseAddress, $1, cmpi_byte(), $2)
        }
        return min(count, buffer.count)
    }

    /// Does one transfer, and asks the library how many bytes it says that it has moved.
    private func move(
        _ verb: StaticString, _ bytes: Int, at offset: Int, _ function: StaticString,
        _ call: (Int64, Int32, UnsafeMutablePointer<cmpi_status>) -> Int32
    ) throws(MPIError) -> Int {
        precondition(bytes <= Self.transferBytesMax, "one MPI call moves at most 1 GiB")
        if isTraced { logger.trace("\(verb) \(bytes) bytes at \(offset)") }
        var status = cmpi_status()
        try check(call(Int64(offset), Int32(bytes), &status), function, isFileCall: true)
        // A component may leave the status of an empty call untouched.
        guard bytes > 0 else { return 0 }
        var moved: Int64 = 0
        try check(MPI_Get_elements_x(&status, cmpi_byte(), &moved), "MPI_Get_elements_x")
        return Int(moved)
    }

    /// Brings what all ranks wrote to stable storage; collective.
    ///
    /// The corresponding C function is `MPI_File_sync`.
    package func sync() throws(MPIError) {
        try check(MPI_File_sync(handle), "MPI_File_sync", isFileCall: true)
    }

    /// Closes the file; collective.
    ///
    /// Says nothing about stable storage: that is ``sync()``'s part.
    ///
    /// The corresponding C function is `MPI_File_close`.
    package func close() throws(MPIError) {
        try check(MPI_File_close(&handle), "MPI_File_close", isFileCall: true)
        logger.debug("closed")
    }

    /// The hints that the library reports for this file.
    ///
    /// Some libraries echo whatever they were given, so a hint that comes back proves nothing.
    ///
    /// The corresponding C function is `MPI_File_get_info`.
    package func reportedHints() throws(MPIError) -> [(key: String, value: String)] {
        var info = cmpi_info_null()
        try check(MPI_File_get_info(handle, &info), "MPI_File_get_info", isFileCall: true)
        guard info != cmpi_info_null() else { return [] }
        var keys: Int32 = 0
        try check(MPI_Info_get_nkeys(info, &keys), "MPI_Info_get_nkeys")
        var hints: [(key: String, value: String)] = []
        var key = [CChar](repeating: 0, count: Int(cmpi_max_info_key()) + 1)
        var value = [CChar](repeating: 0, count: Int(cmpi_max_info_val()) + 1)
        for index in 0..<keys {
            try check(MPI_Info_get_nthkey(info, index, &key), "MPI_Info_get_nthkey")
            var found: Int32 = 0
            try check(
                MPI_Info_get(info, key, cmpi_max_info_val(), &value, &found), "MPI_Info_get")
            if found != 0 { hints.append((String(terminated: key), String(terminated: value))) }
        }
        try check(MPI_Info_free(&info), "MPI_Info_free")
        return hints
    }
}
