// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI

/// What the library says of its I/O components, through MPI's tool interface; needs a loaded one, no running one.
package struct IOComponents: Sendable {
    /// The components that the library has, such as `ompio` and `romio321`; empty where it does not
    /// tell.
    package let available: [String]
    /// The component that the user has asked for; empty where the library chooses when it opens a
    /// file.
    package let requested: String

    /// Asks the library.
    ///
    /// The corresponding C functions begin with `MPI_T_`.
    package init() {
        var provided: Int32 = 0
        guard MPILibrary.current != nil,
            MPI_T_init_thread(cmpi_thread_single(), &provided) == MPI_SUCCESS
        else {
            (available, requested) = ([], "")
            return
        }
        defer { _ = MPI_T_finalize() }
        // Open MPI has one category for each component: "ompi_io_ompio".
        let prefix = "ompi_io_"
        available = Self.categories().filter { $0.hasPrefix(prefix) && $0 != prefix + "base" }
            .map { String($0.dropFirst(prefix.count)) }.sorted()
        requested = Self.text(ofVariable: "io")
    }

    /// The component that files are opened with, as far as it can be known: MPI has no call that
    /// tells, and Open MPI's ROMIO reports none of its hints.
    ///
    /// - Parameter fileSystem: the type of the file system; on Lustre Open MPI's own choice differs.
    /// - Returns: the name of the component, or `unknown`.
    package func used(on fileSystem: String) -> String {
        // ROMIO is the only one that MPICH and its relatives have.
        if !MPIRuntime.libraryVersion.hasPrefix("Open MPI") { return "romio" }
        let named = requested.drop { $0 == "^" }.split(separator: ",").map(String.init)
        let allowed =
            requested.isEmpty || requested.hasPrefix("^")
            ? available.filter { !named.contains($0) } : named
        if allowed.count == 1 { return allowed[0] }
        if allowed.contains("ompio"), fileSystem != "lustre" { return "ompio" }
        return "unknown"
    }

    private static func categories() -> [String] {
        var count: Int32 = 0
        guard MPI_T_category_get_num(&count) == MPI_SUCCESS else { return [] }
        return (0..<count).compactMap { index in
            var name = [CChar](repeating: 0, count: 256)
            var length = Int32(name.count)
            let status = MPI_T_category_get_name(index, &name, &length)
            return status == MPI_SUCCESS ? String(terminated: name) : nil
        }
    }

    private static func text(ofVariable name: String) -> String {
        var index: Int32 = 0
        var handle: cmpi_variable?
        var count: Int32 = 0
        guard MPI_T_cvar_get_index(name, &index) == MPI_SUCCESS,
            MPI_T_cvar_handle_alloc(index, &handle, &count) == MPI_SUCCESS
        else { return "" }
        defer { _ = MPI_T_cvar_handle_free(&handle) }
        var value = [CChar](repeating: 0, count: Int(count) + 1)
        guard MPI_T_cvar_read(handle, &value) == MPI_SUCCESS else { return "" }
        return String(terminated: value)
    }
}
