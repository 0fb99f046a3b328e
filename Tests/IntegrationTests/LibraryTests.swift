// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing
import TestSupport

extension Integration {
    /// Which MPI library is called, and what is said where there is none that can be.
    @Suite struct LibraryTests {
        private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/CMPI").standardizedFileURL.path

        /// What `info --report -` says of MPI.
        private func info(_ environment: [String: String] = [:]) throws -> [String: Any] {
            let outcome = try Launch.ranks(1, ["info", "--report", "-"], environment: environment)
            try #require(outcome.status == 0, "\(outcome.error)")
            let all = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
            return try #require((all as? [String: Any])?["mpi"] as? [String: Any])
        }

        private func text(_ value: Any?) -> String { value as? String ?? "" }

        @Test func infoAndReportSayWhichLibraryAndWhy() throws {
            let mpi = try info()
            #expect(text(mpi["library_path"]).contains("/libmpi"))
            #expect(text(mpi["library_rule"]) == "the launcher's")
            let family = Launch.isMPICH ? "mpich" : "openmpi"
            #expect(text(mpi["backend"]).hasSuffix("/\(family).so"))
            #expect(text(mpi["problem"]) == "")
            let folder = try Folder()
            let outcome = try Launch.ranks(
                2, ["-o", folder.file("f"), "-s", "1MiB", "--report", folder.file("r")])
            #expect(outcome.status == 0, "\(outcome.error)")
            let report = try folder.json("r")["mpi"] as? [String: Any]
            for key in ["library", "library_path", "library_rule", "backend"] {
                #expect(text(report?[key]) == text(mpi[key]), "\(key)")
            }
        }

        @Test func aLibraryIsTakenByName() throws {
            let path = text(try info()["library_path"])
            let mpi = try info(["DGEN_MPI_LIBRARY": path])
            #expect(text(mpi["library_path"]) == path)
            #expect(text(mpi["library_rule"]) == "DGEN_MPI_LIBRARY")
        }

        /// Refuses in one line, with status 4, and notes it in the report.
        private func expectRefused(
            _ environment: [String: String], _ words: String, ranks: Int = 2
        ) throws {
            let folder = try Folder()
            try folder.write("precious", to: "f")
            let outcome = try Launch.ranks(
                ranks,
                [
                    "-o", folder.file("f"), "-s", "1MiB", "--overwrite", "--report",
                    folder.file("r"),
                ],
                environment: environment)
            #expect(outcome.status == 4, "\(environment): \(outcome.status) \(outcome.error)")
            #expect(outcome.complaints.count == 1, "\(outcome.error)")
            #expect(outcome.complaints.first?.contains(words) == true, "\(outcome.error)")
            #expect(try folder.text("f") == "precious")
            #expect(try folder.json("r")["exit_status"] as? Int == 4)
        }

        @Test(arguments: [
            ("/nonexistent/libmpi.so", "DGEN_MPI_LIBRARY: /nonexistent/libmpi.so"),
            ("/etc/passwd", "DGEN_MPI_LIBRARY: /etc/passwd"),
            ("libm.so.6", "libm.so.6 is no MPI library"),
        ])
        func aNamedLibraryThatIsNoneIsRefused(path: String, words: String) throws {
            try expectRefused(["DGEN_MPI_LIBRARY": path], words)
        }

        @Test func aBackendThatDoesNotFitIsRefused() throws {
            try expectRefused(["DGEN_MPI_BACKEND": "/nonexistent.so"], "cannot be opened")
            try expectRefused(["DGEN_MPI_BACKEND": "libm.so.6"], "is none of dgen-mpi's")
            let folder = try Folder()
            try folder.write(
                "const unsigned *cmpi_backend_table(void) { static const unsigned table[9] = {99, 4}; return table; }",
                to: "old.c")
            let compiled = try Launch.run(
                ["cc", "-shared", "-fPIC", "-o", folder.file("old.so"), folder.file("old.c")])
            try #require(compiled.status == 0, "\(compiled.error)")
            try expectRefused(
                ["DGEN_MPI_BACKEND": folder.file("old.so")], "is of another version of dgen-mpi")
        }

        /// By the line that the source file shows.
        @Test func aSiteCompilesItsOwnBackend() throws {
            let folder = try Folder()
            let compiler = Launch.isMPICH ? "mpicc.mpich" : "mpicc.openmpi"
            let backend = folder.file("mine.so")
            let compiled = try Launch.run([
                compiler, "-shared", "-fPIC", "-O2", "-I", Self.sources + "/include", "-o", backend,
                Self.sources + "/backend/backend.c",
            ])
            try #require(compiled.status == 0, "\(compiled.error)")
            let environment = ["DGEN_MPI_BACKEND": backend]
            #expect(text(try info(environment)["backend"]) == backend)
            let outcome = try Launch.ranks(
                3, ["test", "-o", folder.file("f"), "-s", "3MiB", "--seed", "1", "--collective"],
                environment: environment)
            #expect(outcome.status == 0, "\(outcome.error)")
        }

        /// As profilers do it: their functions are called first, and theirs is the library.
        @Test func aPreloadedToolSeesTheCalls() throws {
            let folder = try Folder()
            try folder.write(
                """
                #include <mpi.h>
                #include <stdio.h>
                int MPI_File_write_at(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                                      MPI_Status *status) {
                    fprintf(stderr, "seen: %d at %lld\\n", count, (long long)offset);
                    return PMPI_File_write_at(file, offset, data, count, type, status);
                }
                """, to: "tool.c")
            let compiler = Launch.isMPICH ? "mpicc.mpich" : "mpicc.openmpi"
            let compiled = try Launch.run([
                compiler, "-shared", "-fPIC", "-o", folder.file("tool.so"), folder.file("tool.c"),
            ])
            try #require(compiled.status == 0, "\(compiled.error)")
            let outcome = try Launch.run(
                Launch.mpirun(2) + [
                    "env", "LD_PRELOAD=" + folder.file("tool.so"), Launch.program,
                    "-o", folder.file("f"), "-s", "2MiB", "-t", "1MiB", "--io", "mpi",
                    "--report", folder.file("r"),
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            for offset in [0, 1 << 20] {
                #expect(outcome.error.contains("seen: 1048576 at \(offset)"), "\(outcome.error)")
            }
            let mpi = try folder.json("r")["mpi"] as? [String: Any]
            #expect(text(mpi?["library_rule"]) == "already in the process")
        }

        /// Where nothing of MPI is installed, what needs none works, and the rest says what was tried and what helps.
        @Test(.enabled(if: Launch.mayMount, "hiding libraries needs root"))
        func withoutALibraryOneLineSaysWhatHelps() throws {
            let folder = try Folder()
            let outcome = try Launch.run([
                "unshare", "--mount", "bash", "-c",
                #"""
                shopt -s nullglob
                for file in /usr/lib/*-linux-gnu/lib{mpi,mpich,mpi_abi}.so* /usr/lib/*-linux-gnu/openmpi/lib/libmpi.so*; do
                    mount --bind /dev/null "$(readlink -f "$file")" 2> /dev/null
                done
                "$1" --version && "$1" plan -s 1TiB && "$1" info || exit 90
                exec "$1" -o "$2/f" -s 1MiB
                """#, "bash", Launch.program, folder.path,
            ])
            #expect(outcome.status == 4, "\(outcome.status) \(outcome.error)")
            let line = try #require(outcome.complaints.first)
            #expect(outcome.complaints.count == 1)
            for words in [
                "no MPI library", "LD_LIBRARY_PATH", "module", "pip install", "DGEN_MPI_LIBRARY",
            ] {
                #expect(line.contains(words), "\(line)")
            }
            #expect(outcome.output.contains("no MPI library"))
            #expect(!folder.exists("f"))
        }

        /// A library that is not the launcher's, which a user has named.
        @Test(.enabled(if: !Launch.isMPICH, "under MPICH's launcher it is this one's"))
        func aLibraryThatTheLauncherDoesNotSpeakWithIsRefused() throws {
            let mpich = try Launch.run(["sh", "-c", "ls /usr/lib/*/libmpich.so.12"]).output
                .split(separator: "\n").first
            try expectRefused(["DGEN_MPI_LIBRARY": String(try #require(mpich))], "MPI sees only 1")
        }
    }
}
