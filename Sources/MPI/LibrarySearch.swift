// SPDX-License-Identifier: MIT OR Apache-2.0

/// MPI libraries that understand each other's programs.
package enum LibraryFamily: String, Sendable, CaseIterable {
    /// Open MPI, all versions that are in use.
    case openmpi
    /// MPICH and those that follow its interface: Intel MPI, MVAPICH, Cray MPICH.
    case mpich
    /// The interface of the MPI 5 standard.
    case abi

    /// What people call it.
    package var title: String {
        switch self {
        case .openmpi: "Open MPI"
        case .mpich: "MPICH"
        case .abi: "the standard ABI"
        }
    }
}

/// Where MPI libraries may be, most likely first: what started the process decides before what a user has set for others.
///
/// A function of what it is given, so that tests can give it machines that are not there.
struct LibrarySearch {
    /// Why a library is tried.
    enum Rule: String {
        case variable = "DGEN_MPI_LIBRARY"
        case process = "already in the process"
        case launcher = "the launcher's"
        case libraryPath = "LD_LIBRARY_PATH"
        case path = "beside mpirun on the PATH"
        case program = "beside the program"
        case system = "the system's"
    }

    struct Candidate: Equatable {
        let path: String
        let rule: Rule
    }

    /// The variables of the process.
    let environment: [String: String]
    /// The library that somebody has brought into the process before it began, as tools do that look at calls.
    let pathInProcess: String?
    /// The programs that started this one, the closest first, as absolute paths without links.
    let ancestors: [String]
    /// The folder of this program, without links.
    let programFolder: String
    /// The path without links; nil for what is not there.
    let resolve: (String) -> String?

    /// The names of libraries in a folder, each family's own interface before the standard one, which Intel's library
    /// has in a form that aborts on a full file system.
    private static let names: [(name: String, family: LibraryFamily?)] = [
        ("libmpi.so.40", .openmpi), ("libmpi.so.12", .mpich), ("libmpich.so.12", .mpich),
        ("libmpi.so", nil),
        ("libmpi_abi.so.1", .abi),
    ]

    /// The programs that start ranks, by the library that they come with.
    private static let launchers: Set<String> = [
        "orted", "orterun", "prted", "prterun", "mpirun", "mpiexec", "hydra_pmi_proxy",
        "hydra_bstrap_proxy",
        "mpiexec.hydra",
    ]

    /// Where the libraries of a `bin` are, seen from there.
    private static let siblings = [
        "../lib", "../lib64", "../lib/release", "../lib/\(multiarch)",
        "../lib/\(multiarch)/openmpi/lib",
    ]

    #if arch(x86_64)
        private static let multiarch = "x86_64-linux-gnu"
    #else
        private static let multiarch = "aarch64-linux-gnu"
    #endif

    /// The family whose launcher started this process, where its variables tell.
    var family: LibraryFamily? {
        if environment["OMPI_COMM_WORLD_SIZE"] != nil { return .openmpi }
        return environment["PMI_SIZE"] != nil || environment["PMI_RANK"] != nil ? .mpich : nil
    }

    /// Whether a library may be what the launcher speaks with.
    func fits(_ family: LibraryFamily) -> Bool {
        // The standard interface is one of either's.
        self.family == nil || family == self.family || family == .abi
    }

    /// The libraries to try, in this order, each once; those whose names tell that they are another family's are left out.
    var candidates: [Candidate] {
        if let path = environment[Rule.variable.rawValue] {
            return [Candidate(path: path, rule: .variable)]
        }
        // With a second one beside it, calls would go to either.
        if let pathInProcess { return [Candidate(path: pathInProcess, rule: .process)] }
        var found: [Candidate] = []
        func look(in folders: [String], _ rule: Rule) {
            for folder in folders {
                for (name, family) in Self.names where family.map(fits) ?? true {
                    guard let path = resolve("\(folder)/\(name)"),
                        !found.contains(where: { $0.path == path })
                    else { continue }
                    found.append(Candidate(path: path, rule: rule))
                }
            }
        }
        func siblings(of folder: String) -> [String] { Self.siblings.map { "\(folder)/\($0)" } }
        for ancestor in ancestors where Self.launchers.contains(Self.name(of: ancestor)) {
            look(in: siblings(of: Self.folder(of: ancestor)), .launcher)
        }
        look(in: folders("LD_LIBRARY_PATH"), .libraryPath)
        for folder in folders("PATH") {
            guard let launcher = resolve("\(folder)/mpirun") ?? resolve("\(folder)/mpiexec") else {
                continue
            }
            // Where links lead somewhere else, either may be the one with libraries.
            look(in: siblings(of: folder) + siblings(of: Self.folder(of: launcher)), .path)
        }
        look(in: siblings(of: programFolder), .program)
        // By name: the dynamic linker knows where.
        for (name, family) in Self.names where name != "libmpi.so" && (family.map(fits) ?? true) {
            found.append(Candidate(path: name, rule: .system))
        }
        return found
    }

    private func folders(_ variable: String) -> [String] {
        (environment[variable] ?? "").split(separator: ":").map(String.init)
    }

    /// The name of a program; in wheels, launchers have others in front of them.
    private static func name(of path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        let end = "_wrapper"
        return name.hasSuffix(end) ? String(name.dropLast(end.count)) : name
    }

    /// What is before the last slash of a path.
    static func folder(of path: String) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        return parts.joined(separator: "/")
    }
}
