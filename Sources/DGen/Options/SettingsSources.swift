// SPDX-License-Identifier: MIT OR Apache-2.0
// Where options come from and go to that the table of options does not know of: files, MPI's world, this machine.

import Checksums
import DataGen
import NUMA
import Options

extension Settings {
    /// Gathers the options of all places for a command.
    ///
    /// Reads the job file that `--job` (`jobPath`) or `DGEN_JOB` names, the file of hints, and the profile.
    init(
        commandLine: Given, jobPath: String?, environment: [String: String], command: Command?
    ) throws(Failure) {
        let path = jobPath ?? environment["DGEN_JOB"]
        let rows = OptionRow.rows(of: command)
        self.init(
            commandLine: commandLine, environment: environment,
            jobFile: try path.map { path throws(Failure) in try JobFile.read(path, rows: rows) }
                ?? [:], jobPath: path, rows: rows)
        if let path = text(.hintsFile), !path.isEmpty {
            let text = try FileSystem.readTextOrPipe(
                path, bytesMax: 1 << 20, what: "hints file")
            // Before those that are given one by one, which go before it.
            prepend(HintsFile.texts(text), to: .hint)
        }
        if let profile = try Failure.reading(self[.profile]) {
            add(profile: try ProfileFile.read(profile))
        }
    }

    /// The path of the data file, or a failure that says what is `missing`.
    func dataPath(missing: String) throws(Failure) -> String {
        guard let path = try Failure.reading(self[.output]) else { throw Failure(.usage, missing) }
        return path
    }

    /// The kernel that `DGEN_KERNEL` forces, or the fastest.
    func kernel() throws(InvalidField) -> Kernel {
        try Kernel.chosen(by: environment["DGEN_KERNEL"])
    }

    /// The kernel of checksums that it means.
    func remainderKernel() throws(InvalidField) -> RemainderKernel {
        try Kernel.remainders(by: environment["DGEN_KERNEL"])
    }

    /// Where `threads` threads of this process and their memory go.
    func placement(threads: Int, topology: Topology) throws(InvalidField) -> Placement {
        let (mode, node) = (try self[.numa], try numaNode())
        do throws(Placement.UnusableNode) {
            return try Placement(
                threads: threads, mode: mode, node: node, topology: topology,
                allowed: Processors.allowed)
        } catch {
            let usable = error.usable.map(String.init).joined(separator: " ")
            throw OptionRow.numaNode.refusal(
                "\(error.node)", "a node with processors that this process may use: \(usable)")
        }
    }

    /// The data specification: the options, where they are silent that of a manifest, and a seed that is drawn where
    /// neither has one; without `seed` one is required.
    func spec(
        over base: DataSpec?, drawingSeed seed: (() -> UInt64)?
    ) throws(Failure) -> DataSpec {
        guard let size = try Failure.reading(self[.size]) ?? base?.size else {
            throw Failure(.usage, "size: missing; give \(ByteSize.accepted)")
        }
        guard let seed = try Failure.reading(self[.seed]) ?? base?.seed ?? seed?() else {
            throw Failure(.usage, "seed: missing; give \(OptionRow.seed.accepted)")
        }
        return try Failure.reading(spec(over: base, size: size, seed: seed))
    }
}
