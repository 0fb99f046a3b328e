// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import TestSupport
import Testing

/// What a program that was run left behind.
struct Outcome {
    let status: Int32
    let output: String
    let error: String

    /// The lines of dgen-mpi itself on stderr: launchers and MPI libraries have their own.
    var complaints: [String] {
        error.split(separator: "\n").map(String.init).filter { $0.hasPrefix("dgen-mpi: error:") }
    }
}

/// Runs programs the way a user does: the built program, a real `mpirun`, a hard timeout.
enum Launch {
    /// The program under test: what `DGEN_MPI_PROGRAM` names (`make test` gives the one that is
    /// installed, without a Swift runtime), otherwise the one built beside the tests.
    static let program: String = {
        if let given = ProcessInfo.processInfo.environment["DGEN_MPI_PROGRAM"] { return given }
        return built("dgen-mpi")
    }()

    /// What was built beside the tests.
    static func built(_ name: String) -> String {
        // Swift Testing runs in a helper of the toolchain, which is told the bundle.
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
        return URL(filePath: bundle).deletingLastPathComponent().appending(path: name).path
    }

    /// How often each fault is tried: `make soak` says 20.
    static let rounds =
        0..<(ProcessInfo.processInfo.environment["DGEN_SOAK_ROUNDS"].flatMap { Int($0) } ?? 1)

    /// Whether MPICH launches the program: what `make MPI=mpich test` sets.
    static let isMPICH = ProcessInfo.processInfo.environment["MPI"] == "mpich"

    /// The I/O components to choose from.
    static let components: [String?] = isMPICH ? [nil] : ["ompio", "romio321"]

    /// The launcher's part of a command line.
    static func mpirun(_ ranks: Int, component: String? = nil) -> [String] {
        guard !isMPICH else { return ["mpirun.mpich", "-n", "\(ranks)"] }
        let io = component.map { ["--mca", "io", $0] } ?? []
        return ["mpirun", "--oversubscribe", "-n", "\(ranks)"] + io
    }

    /// A command line of ranks of which each notes its process in `folder`, for scripts that send signals.
    ///
    /// Rank 3 is the process that the file `pid.3` names, before it has become the program.
    static func noting(_ folder: Folder, _ launcher: [String]) -> [String] {
        let script = #"echo $$ > "$0/pid.${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}"; exec "$@""#
        return launcher + ["sh", "-c", script, folder.path, program]
    }

    /// Functions for scripts in bash that send signals when it is time, not after a while.
    ///
    /// `until_begun REPORT PID` waits until a run has begun its report, or has ended; `until_caught SIGNAL PID` until a
    /// process catches a signal; `until_state STATE PID` until a process is stopped (`T`) or running (`[RS]`);
    /// `until_moved BYTES PID` until a process has read and written so much.
    static let waiting = #"""
        until_begun() { until test -s "$1" || ! kill -0 "$2" 2> /dev/null; do sleep 0.01; done; }
        until_caught() {
            local number mask
            number=$(kill -l "$1")
            while kill -0 "$2" 2> /dev/null; do
                mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$2/status" 2> /dev/null)
                ((16#${mask:-0} >> (number - 1) & 1)) && return
                sleep 0.01
            done
        }
        until_state() {
            while kill -0 "$2" 2> /dev/null; do
                grep -q "^State:[[:space:]]*$1" "/proc/$2/status" 2> /dev/null && return
                sleep 0.01
            done
        }
        until_moved() {
            local bytes
            while kill -0 "$2" 2> /dev/null; do
                bytes=$(awk '/^[rw]char:/ { sum += $2 } END { print sum + 0 }' "/proc/$2/io")
                ((${bytes:-0} >= $1)) && return
                sleep 0.01
            done
        }

        """#

    /// Whether this user may mount a file system of its own.
    static let mayMount: Bool = {
        let outcome = try? run(["unshare", "--mount", "true"], seconds: 5)
        return outcome?.status == 0
    }()

    /// Runs `words` with a limit of `seconds`; a program that outlives it counts as hung.
    static func run(
        _ words: [String], environment: [String: String] = [:], seconds: Int = 60
    ) throws -> Outcome {
        let process = Process()
        // `swift test` ignores the signals that end programs, and what is ignored is inherited.
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["--default-signal", "timeout", "--kill-after=5", "\(seconds)"] + words
        var all = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DGEN_") }
        // Open MPI refuses root, as in containers and CI, unless told twice.
        all["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
        all["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
        // What it takes within one machine anyway; looking for fabrics first costs each start 0.2 seconds.
        if !TestForm.isWhole { all["OMPI_MCA_pml"] = "ob1" }
        // Files, not pipes: a pipe that fills up would stop the program.
        let folder = try Folder()
        // Launchers that run at the same time share a folder, and take it away when it is empty, unless each has its own.
        let session = try Folder(
            in: "/tmp", name: "dgen-\(UUID().uuidString.prefix(8))", mode: 0o1777)
        defer { withExtendedLifetime(session) {} }
        all["OMPI_MCA_orte_tmpdir_base"] = session.path
        process.environment = all.merging(environment) { $1 }
        let output = try folder.fileForWriting("out"), error = try folder.fileForWriting("err")
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = error
        try process.run()
        // What hangs is looked at shortly before it is ended.
        let ends = Date.now + Double(seconds) - 1
        while process.isRunning, Date.now < ends { usleep(2000) }
        let seen = process.isRunning ? stacks(below: process.processIdentifier) : ""
        // `timeout` ends its process group alone, of which launchers are none, and until they end, nothing has.
        while process.isRunning, Date.now < ends + 10 { usleep(20_000) }
        let orphans =
            process.isRunning
            ? end(allWith: "OMPI_MCA_orte_tmpdir_base=\(session.path)") : ""
        process.waitUntilExit()
        let outcome = Outcome(
            status: process.terminationStatus, output: try folder.text("out"),
            error: try folder.text("err"))
        #expect(
            outcome.status != 124 && outcome.status != 137 && orphans.isEmpty,
            "hung: \(words.joined(separator: " "))\n\(outcome.error)\n\(seen)\n\(orphans)")
        return outcome
    }

    /// Ends all processes that were started with a variable of the environment.
    ///
    /// - Returns: which they were.
    private static func end(allWith variable: String) -> String {
        heard(
            #"""
            for environment in $(grep -lxzF -- "$0" /proc/[0-9]*/environ 2> /dev/null); do
                process=${environment//[^0-9]/}
                echo "outlived its launcher: $process $(tr '\0' ' ' < "/proc/$process/cmdline")"
                kill -KILL "$process"
            done 2> /dev/null
            """#, variable)
    }

    /// Where the threads of a process and of all that it has started are; in the program's words where there is gdb.
    private static func stacks(below process: Int32) -> String {
        heard(
            #"""
            look() {
                local task
                for task in /proc/$1/task/*; do
                    echo "$1 ${task##*/} $(cat $task/comm) $(sed -n 's/^State:.//p' $task/status) $(cat $task/wchan)"
                done
                timeout 20 gdb -p "$1" -batch -ex "thread apply all backtrace 12" 2> /dev/null | grep '^#\|^Thread'
                for child in $(cat /proc/$1/task/*/children); do look $child; done
            }
            # So that nothing is ended meanwhile.
            kill -STOP "$0"
            look "$0" 2> /dev/null
            kill -CONT "$0"
            """#, "\(process)")
    }

    /// What a script in bash says to an argument, which it has as `$0`.
    private static func heard(_ script: String, _ argument: String) -> String {
        let looking = Process(), pipe = Pipe()
        looking.executableURL = URL(filePath: "/bin/bash")
        looking.arguments = ["-c", script, argument]
        looking.standardOutput = pipe
        looking.standardError = FileHandle.nullDevice
        guard (try? looking.run()) != nil else { return "" }
        return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    /// Runs the program with `ranks` ranks.
    static func ranks(
        _ ranks: Int, _ words: [String], component: String? = nil,
        environment: [String: String] = [:], seconds: Int = 60
    ) throws -> Outcome {
        try run(
            mpirun(ranks, component: component) + [program] + words, environment: environment,
            seconds: seconds)
    }

    /// Runs the program without a launcher.
    static func alone(
        _ words: [String], environment: [String: String] = [:], seconds: Int = 60
    ) throws -> Outcome {
        try run([program] + words, environment: environment, seconds: seconds)
    }
}

/// A folder that goes with the value: in memory where there is room, since the tests write a lot.
final class Folder {
    let path: String

    init(in parent: String = "/dev/shm", name: String? = nil, mode: Int? = nil) throws {
        path = "\(parent)/\(name ?? "dgen-mpi-test-\(UUID().uuidString)")"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        if let mode {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: file(name)))
    }

    func text(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: file(name))), as: UTF8.self)
    }

    func json(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(filePath: file(name)))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    func fileForWriting(_ name: String) throws -> FileHandle {
        _ = FileManager.default.createFile(atPath: file(name), contents: nil)
        return try #require(FileHandle(forWritingAtPath: file(name)))
    }

    func size(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: file(name))
        return try #require(attributes[.size] as? Int)
    }

    /// The SHA-256 digest of a file by coreutils: not by anything of ours.
    func sha256(_ name: String) throws -> String {
        String(try Launch.run(["sha256sum", file(name)]).output.prefix(64))
    }

    /// Flips bits of one byte of a file.
    func flip(_ name: String, at offset: Int, with mask: UInt8 = 0xFF) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file(name)))
        try handle.seek(toOffset: UInt64(offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data([byte ^ mask]))
        try handle.close()
    }

    func truncate(_ name: String, to size: Int) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file(name)))
        try handle.truncate(atOffset: UInt64(size))
        try handle.close()
    }
}
