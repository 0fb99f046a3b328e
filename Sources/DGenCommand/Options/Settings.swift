// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI
import NUMA

/// The options of a run as texts, each from the strongest place that gave it: command line,
/// environment, job file.
///
/// The one place where option texts become values.
struct Settings: Codable {
    /// Where an option was given, weakest first.
    private enum Source: String, Codable {
        case jobFile, environment, commandLine
    }

    private struct Entry: Codable {
        let texts: [String]
        let source: Source
    }

    private var entries: [OptionKey: Entry] = [:]
    /// All variables `DGEN_*`, among them `DGEN_LOG`.
    private(set) var environment: [String: String] = [:]
    /// The job file that was read.
    private(set) var jobPath: String?

    /// Options as one of the places gives them; several texts only where an option may be repeated.
    typealias Given = [OptionKey: [String]]

    init(commandLine: Given, environment: [String: String], jobFile: Given) {
        self.environment = environment.filter { $0.key.hasPrefix("DGEN_") }
        for (key, texts) in jobFile { entries[key] = Entry(texts: texts, source: .jobFile) }
        for key in OptionKey.allCases {
            guard let text = environment[key.environmentName] else { continue }
            let texts =
                key == .hint ? text.split(separator: ",").map(String.init) : [text]
            entries[key] = Entry(texts: texts, source: .environment)
        }
        for (key, texts) in commandLine {
            entries[key] = Entry(texts: texts, source: .commandLine)
        }
    }

    /// Gathers the options of all places.
    ///
    /// Reads the job file that `--job` or `DGEN_JOB` names.
    init(
        commandLine: Given, jobPath: String?, environment: [String: String]
    ) throws {
        let path = jobPath ?? environment["DGEN_JOB"]
        self.init(
            commandLine: commandLine, environment: environment,
            jobFile: try path.map { try JobFile.read($0) } ?? [:])
        self.jobPath = path
    }

    func has(_ key: OptionKey) -> Bool { entries[key] != nil }

    func texts(_ key: OptionKey) -> [String] { entries[key]?.texts ?? [] }

    func text(_ key: OptionKey) -> String? { entries[key]?.texts.last }

    /// A size in bytes.
    func size(_ key: OptionKey) throws -> Int? {
        try text(key).map { try ByteSize.parse($0, field: key.rawValue) }
    }

    /// A size in bytes within `range`, or its default.
    func size(_ key: OptionKey, in range: ClosedRange<Int>, default value: Int) throws -> Int {
        guard let text = text(key) else { return value }
        let size = try ByteSize.parse(text, field: key.rawValue)
        guard range.contains(size) else {
            throw InvalidField(
                field: key.rawValue, value: text,
                accepted:
                    "\(ByteSize.format(range.lowerBound)) to \(ByteSize.format(range.upperBound))")
        }
        return size
    }

    func ratio(_ key: OptionKey) throws -> Ratio? {
        try text(key).map { try Ratio(parsing: $0, field: key.rawValue) }
    }

    /// A whole number within `range`, or its default.
    func number(_ key: OptionKey, in range: ClosedRange<Int>, default value: Int) throws -> Int {
        guard let text = text(key) else { return value }
        guard let number = Int(text), range.contains(number) else {
            throw InvalidField(
                field: key.rawValue, value: text,
                accepted: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func flag(_ key: OptionKey, default value: Bool) throws -> Bool {
        guard let text = text(key) else { return value }
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default:
            throw InvalidField(
                field: key.rawValue, value: text, accepted: "true or false")
        }
    }

    /// One of the names of an enumeration.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: OptionKey, default value: Choice
    ) throws -> Choice where Choice.RawValue == String {
        guard let text = text(key) else { return value }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue)
            throw InvalidField(
                field: key.rawValue, value: text, accepted: names.joined(separator: " or "))
        }
        return choice
    }

    /// The hints in the order given; of the same key the last counts.
    func hints() throws -> [(key: String, value: String)] {
        var hints: [(key: String, value: String)] = []
        for text in texts(.hint) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let limit = SharedFile.hintBytesMax
            guard parts.count == 2, !parts[0].isEmpty, parts[0].utf8.count <= limit.key,
                !parts[1].isEmpty, parts[1].utf8.count <= limit.value
            else {
                throw InvalidField(
                    field: "hint", value: text,
                    accepted:
                        "KEY=VALUE, the key at most \(limit.key) bytes, the value \(limit.value)")
            }
            hints.removeAll { $0.key == parts[0] }
            hints.append((String(parts[0]), String(parts[1])))
        }
        return hints
    }

    /// The path of the data file.
    ///
    /// - Parameter missing: what to say where there is none.
    /// - Returns: a path that every MPI library takes as it is.
    /// - Throws: ``Failure`` or `InvalidField` for none, or one that they do not.
    func dataPath(missing: String) throws -> String {
        guard let path = text(.output), !path.isEmpty else { throw Failure(.usage, missing) }
        // ROMIO takes what is before a colon for the type of the file system, and may so write to
        // another file. The replacement character stands for bytes that were not UTF-8.
        guard !path.contains(where: { ":\0\n\u{FFFD}".contains($0) }) else {
            throw InvalidField(
                field: "output", value: path.replacing("\n", with: " ").replacing("\0", with: " "),
                accepted: "a path in UTF-8 without colons and line ends")
        }
        return path
    }

    /// Variables `DGEN_*` that mean nothing here, each with the name that was probably meant.
    var unknownVariables: [(name: String, nearest: String?)] {
        let known =
            OptionKey.allCases.map(\.environmentName) + ["DGEN_JOB", "DGEN_LOG", "DGEN_KERNEL"]
        return environment.keys.filter { !known.contains($0) }.sorted().map { name in
            (name, OptionKey.nearest(to: String(name.dropFirst(5)))?.environmentName)
        }
    }

    func seed() throws -> UInt64? {
        guard let text = text(.seed) else { return nil }
        guard text.first?.isASCII == true, text.first?.isNumber == true, let seed = UInt64(text)
        else {
            throw InvalidField(
                field: "seed", value: text, accepted: "a whole number from 0 to 2^64 - 1")
        }
        return seed
    }

    /// The kernel that `DGEN_KERNEL` forces, or the fastest.
    func kernel() throws -> Kernel {
        guard let name = environment["DGEN_KERNEL"] else { return .fastest }
        guard let kernel = Kernel(rawValue: name), kernel.isSupported else {
            throw InvalidField(
                field: "DGEN_KERNEL", value: name,
                accepted: "one that this processor can run: "
                    + Kernel.supported.map(\.rawValue).joined(separator: " "))
        }
        return kernel
    }

    /// Where `threads` threads of this process and their memory go.
    func placement(threads: Int, topology: Topology) throws -> Placement {
        let mode = try choice(.numa, default: Placement.Mode.auto)
        let node: Int? =
            has(.numaNode) ? try number(.numaNode, in: 0...65535, default: 0) : nil
        if mode == .off, let node {
            throw InvalidField(
                field: OptionKey.numaNode.rawValue, value: "\(node)",
                accepted: "no node with numa off")
        }
        do {
            return try Placement(
                threads: threads, mode: mode, node: node, topology: topology,
                allowed: Processors.allowed)
        } catch {
            let usable = error.usable.map(String.init).joined(separator: " ")
            throw InvalidField(
                field: OptionKey.numaNode.rawValue, value: "\(error.node)",
                accepted: "a node with processors that this process may use: \(usable)")
        }
    }

    /// The data specification: the options, and where they are silent that of a manifest.
    ///
    /// - Parameters:
    ///   - base: the specification of a manifest.
    ///   - seed: gives the seed where neither does; without it a seed is required.
    /// - Returns: the specification, validated.
    /// - Throws: `InvalidField` or ``Failure`` for the first field that is wrong or missing.
    func spec(over base: DataSpec?, drawingSeed seed: (() -> UInt64)?) throws -> DataSpec {
        guard let size = try size(.size) ?? base?.size else {
            throw Failure(.usage, "size: missing; give \(ByteSize.accepted)")
        }
        guard let seed = try self.seed() ?? base?.seed ?? seed?() else {
            throw Failure(.usage, "seed: missing; give a whole number from 0 to 2^64 - 1")
        }
        let block = try self.size(.dedupUnit) ?? base?.dedupUnit ?? DataSpec.dedupUnitDefault
        return try DataSpec(
            size: size, seed: seed,
            dedupRatio: try ratio(.dedupRatio) ?? base?.dedupRatio ?? 1,
            compressRatio: try ratio(.compressRatio) ?? base?.compressRatio ?? 1,
            dedupUnit: block,
            compressUnit: try self.size(.compressUnit) ?? base?.compressUnit,
            fill: try choice(.fill, default: base?.fill ?? .backref))
    }
}
