// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI
internal import Glibc

/// The MPI library of this process: start, end, and what it says of itself.
package enum MPIRuntime {
    /// Starts MPI for a process in which only one thread calls it at a time, and makes errors of
    /// communicators and files come back instead of ending the process.
    ///
    /// Only the watchdog's `MPI_Abort` comes from another thread, while the first is stuck in a call.
    /// MPI does not promise that this works, hence the watchdog's alarm; but then nothing does. The
    /// corresponding C function is `MPI_Init_thread`.
    ///
    /// - Parameters:
    ///   - library: the one that is called, as ``MPILibrary/load()`` gives it.
    ///   - isAlone: whether no launcher started this process.
    /// - Throws: ``MPIError`` if it does not start; Open MPI ends the process itself then.
    package static func start(_ library: MPILibrary, isAlone: Bool) throws(MPIError) {
        keepMemory()
        // Open MPI 4 would start a daemon for a process that may want to start others, which is one more process that
        // fails where files, memory or processes are limited.
        if isAlone { setenv("OMPI_MCA_ess_singleton_isolated", "1", 0) }
        doWithoutSharedPointers()
        var provided: Int32 = 0
        try check(
            MPI_Init_thread(nil, nil, cmpi_thread_serialized(), &provided), "MPI_Init_thread")
        try check(
            MPI_Comm_set_errhandler(cmpi_comm_world(), cmpi_errors_return()),
            "MPI_Comm_set_errhandler")
        // The handler of the null file is the default of every file that is opened later.
        try check(
            MPI_File_set_errhandler(cmpi_file_null(), cmpi_errors_return()),
            "MPI_File_set_errhandler")
    }

    /// Keeps up to 64 MiB that are free, and has large pieces lie in a row with all others.
    ///
    /// Open MPI's component takes memory in each collective call and frees it again. Where the system is asked for it each
    /// time, it is also cleared each time: 4 ranks that write transfers of 4 MiB together took twice as long. And a piece
    /// with a mapping of its own begins 16 bytes into a page, after the header of `malloc`. On AMD's Zen 3 the copies of
    /// the kernel take five times as long where the target lies 16 bytes after the source, but for whole pages: so does
    /// the memory of a file, read to there.
    private static func keepMemory() {
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
    }

    /// Has Open MPI open a file without preparing a pointer that all ranks share, which nothing here uses.
    ///
    /// Its other components make a file of locks beside each file, under a name for which 4.1 has 256 bytes: a longer path
    /// ends the process. This one makes nothing before it is used. Who has chosen another one gets it.
    private static func doWithoutSharedPointers() {
        setenv("OMPI_MCA_sharedfp", "individual", 0)
    }

    /// Ends MPI; collective.
    ///
    /// The corresponding C function is `MPI_Finalize`.
    package static func stop() throws(MPIError) {
        try check(MPI_Finalize(), "MPI_Finalize")
    }

    /// Whether ``start()`` has been called and ``stop()`` has not.
    package static var isRunning: Bool {
        var started: Int32 = 0, stopped: Int32 = 0
        guard cmpi_is_there() != 0 else { return false }
        _ = MPI_Initialized(&started)
        _ = MPI_Finalized(&stopped)
        return started != 0 && stopped == 0
    }

    /// Ends all ranks at once with `status`; for the watchdog only.
    ///
    /// The corresponding C function is `MPI_Abort`.
    package static func abort(status: Int32) {
        _ = MPI_Abort(cmpi_comm_world(), status)
    }

    /// The library's name and version in one line; may be asked before ``start()``.
    ///
    /// The corresponding C function is `MPI_Get_library_version`.
    package static var libraryVersion: String {
        // MPICH goes on with lines about how it was built; Open MPI with its package and date.
        let first = fullVersion.prefix { !$0.isNewline && $0 != "," }
        return first.replacing(" Version:", with: "").split(whereSeparator: \.isWhitespace)
            .joined(separator: " ")
    }

    private static var fullVersion: String {
        guard cmpi_is_there() != 0 else { return "none" }
        var text = [CChar](repeating: 0, count: Int(cmpi_max_library_version_string()) + 1)
        var length: Int32 = 0
        guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "unknown" }
        return String(terminated: text)
    }

    /// The interfaces, in Slurm's words, by which ranks of the library find each other as it is mostly built.
    package static var slurmInterfaces: [String] {
        let version = fullVersion
        if version.hasPrefix("Open MPI") { return ["pmix"] }
        return version.hasPrefix("Intel") || version.contains("pmix") ? ["pmi2", "pmix"] : ["pmi2"]
    }

    /// Whether ranks do not find each other by any of these, for certain.
    package static func isDeaf(to interfaces: [String]) -> Bool {
        let version = fullVersion
        if version.hasPrefix("Open MPI") {
            return !interfaces.contains("pmix") && MPILibrary.current?.hasNoOlderInterface == true
        }
        // MPICH tells how it was built.
        return version.hasPrefix("MPICH") && interfaces == ["pmix"] && !version.contains("pmix")
    }

    /// The version of the MPI standard that the library follows, such as `3.1`.
    ///
    /// The corresponding C function is `MPI_Get_version`.
    package static var standardVersion: String {
        var major: Int32 = 0, minor: Int32 = 0
        guard cmpi_is_there() != 0, MPI_Get_version(&major, &minor) == MPI_SUCCESS else {
            return "unknown"
        }
        return "\(major).\(minor)"
    }

    /// The name of the node that this process runs on.
    ///
    /// The corresponding C function is `MPI_Get_processor_name`.
    package static func processorName() throws(MPIError) -> String {
        var text = [CChar](repeating: 0, count: Int(cmpi_max_processor_name()) + 1)
        var length: Int32 = 0
        try check(MPI_Get_processor_name(&text, &length), "MPI_Get_processor_name")
        return String(terminated: text)
    }
}
