// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import MPI

/// Which MPI library is taken, on machines that are lists of files.
@Suite struct LibrarySearchTests {
    /// A machine: what there is, and what links lead to.
    private struct Machine {
        var files: Set<String> = []
        var links: [String: String] = [:]

        func search(
            _ environment: [String: String] = [:], launchedBy ancestors: [String] = [],
            program: String = "/home/user/bin", preloaded: String? = nil
        ) -> LibrarySearch {
            LibrarySearch(
                environment: environment, pathInProcess: preloaded, ancestors: ancestors,
                programFolder: program
            ) { path in
                let plain = Self.withoutDots(path)
                return files.contains(plain) ? plain : links[plain]
            }
        }

        private static func withoutDots(_ path: String) -> String {
            var parts: [Substring] = []
            for part in path.split(separator: "/") {
                if part == ".." { parts.removeLast() } else { parts.append(part) }
            }
            return "/" + parts.joined(separator: "/")
        }
    }

    private func first(_ search: LibrarySearch) -> String {
        search.candidates.first.map { "\($0.path) \($0.rule.rawValue)" } ?? "none"
    }

    private static let multiarch = "x86_64-linux-gnu"
    private let both = Machine(
        files: [
            "/opt/openmpi/lib/libmpi.so.40", "/opt/openmpi/bin/mpirun",
            "/opt/mpich/lib/libmpi.so.12",
            "/opt/mpich/lib/libmpi_abi.so.1", "/opt/mpich/bin/mpirun",
            "/opt/intel/lib/release/libmpi.so.12",
        ])

    @Test func theLauncherDecidesBeforeWhatIsSetForOthers() {
        let environment = [
            "LD_LIBRARY_PATH": "/opt/mpich/lib", "PATH": "/opt/mpich/bin:/usr/bin",
        ]
        #expect(first(both.search(environment)) == "/opt/mpich/lib/libmpi.so.12 LD_LIBRARY_PATH")
        for launcher in ["orted", "orterun", "orterun_wrapper", "prted", "prterun", "mpirun"] {
            let started = both.search(
                environment,
                launchedBy: ["/usr/bin/bash", "/opt/openmpi/bin/\(launcher)", "/usr/bin/bash"])
            #expect(first(started) == "/opt/openmpi/lib/libmpi.so.40 the launcher's")
        }
        let intel = both.search(environment, launchedBy: ["/opt/intel/bin/hydra_pmi_proxy"])
        #expect(first(intel) == "/opt/intel/lib/release/libmpi.so.12 the launcher's")
    }

    @Test func aVariableDecidesBeforeAll() {
        let search = both.search(
            ["DGEN_MPI_LIBRARY": "/mine.so", "LD_LIBRARY_PATH": "/opt/mpich/lib"],
            launchedBy: ["/opt/openmpi/bin/orted"], preloaded: "/tool/libmpi.so.40")
        #expect(search.candidates == [.init(path: "/mine.so", rule: .variable)])
    }

    @Test func whatIsInTheProcessDecidesBeforeTheLauncher() {
        let search = both.search(
            ["LD_LIBRARY_PATH": "/opt/mpich/lib"], launchedBy: ["/opt/openmpi/bin/orted"],
            preloaded: "/tool/libmpi.so.40")
        #expect(search.candidates == [.init(path: "/tool/libmpi.so.40", rule: .process)])
    }

    /// Open MPI's `mpirun` with MPICH's folder first on the PATH.
    @Test func theLaunchersVariablesLeaveOutTheOtherFamily() {
        let environment = ["PATH": "/opt/mpich/bin:/opt/openmpi/bin"]
        #expect(
            first(both.search(environment))
                == "/opt/mpich/lib/libmpi.so.12 beside mpirun on the PATH")
        let started = both.search(environment.merging(["OMPI_COMM_WORLD_SIZE": "4"]) { $1 })
        #expect(!started.candidates.contains { $0.path.contains("libmpi.so.12") })
        #expect(started.candidates.contains { $0.path == "/opt/openmpi/lib/libmpi.so.40" })
        #expect(started.family == .openmpi && started.fits(.openmpi) && !started.fits(.mpich))
        let slurm = both.search(environment.merging(["PMI_RANK": "0"]) { $1 })
        #expect(first(slurm) == "/opt/mpich/lib/libmpi.so.12 beside mpirun on the PATH")
        #expect(!slurm.fits(.openmpi) && slurm.fits(.mpich) && slurm.fits(.abi))
    }

    /// Intel's library of the standard interface aborts on a full file system.
    @Test func aFamilysOwnInterfaceGoesBeforeTheStandardOne() {
        let paths = both.search(["LD_LIBRARY_PATH": "/opt/mpich/lib"]).candidates.map(\.path)
        #expect(
            paths.prefix(2) == ["/opt/mpich/lib/libmpi.so.12", "/opt/mpich/lib/libmpi_abi.so.1"])
    }

    @Test func linksAreFollowedFromThePath() {
        var machine = Machine(files: ["/opt/a/lib/libmpi.so.40"])
        machine.links["/usr/bin/mpirun"] = "/opt/a/bin/orterun"
        #expect(
            first(machine.search(["PATH": "/home/bin:/usr/bin"]))
                == "/opt/a/lib/libmpi.so.40 beside mpirun on the PATH")
    }

    @Test func aVenvIsFoundWithoutBeingActivated() {
        let machine = Machine(files: ["/home/user/venv/lib/libmpi.so.40"])
        let search = machine.search(program: "/home/user/venv/bin")
        #expect(first(search) == "/home/user/venv/lib/libmpi.so.40 beside the program")
    }

    @Test func theSystemIsAskedLastAndByName() {
        let paths = Machine().search(["PATH": "/usr/bin", "LD_LIBRARY_PATH": ""]).candidates
        #expect(
            paths.map(\.path) == [
                "libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1",
            ])
        #expect(paths.allSatisfy { $0.rule == .system })
    }

    @Test func eachLibraryIsTriedOnce() {
        var machine = both
        machine.links["/opt/openmpi/lib/libmpi.so"] = "/opt/openmpi/lib/libmpi.so.40"
        let paths = machine.search(["LD_LIBRARY_PATH": "/opt/openmpi/lib:/opt/openmpi/lib/../lib"])
            .candidates
        #expect(
            paths.filter { $0.path.hasPrefix("/opt") }.map(\.path) == [
                "/opt/openmpi/lib/libmpi.so.40"
            ])
    }
}
