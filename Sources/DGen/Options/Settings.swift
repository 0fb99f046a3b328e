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
    /// What the job file wants to be done.
    private(set) var operation: JobFile.Operation?

    /// Options as one of the places gives them; several texts only where an option may be repeated.
    typealias Given = [OptionKey: [String]]

    init(commandLine: Given, environment: [String: String], jobFile: Given) {
        self.environment = environment.filter { $0.key.hasPrefix("DGEN_") }
        for (key, texts) in jobFile { entries[key] = Entry(texts: texts, source: .jobFile) }
        for key in OptionKey.allCases {
            guard let text = environment[key.environmentName] else { continue }
            let texts = key.isList ? text.split(separator: ",").map(String.init) : [text]
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
        let file = try path.map { try JobFile.read($0) }
        self.init(
            commandLine: commandLine, environment: environment, jobFile: file?.options ?? [:])
        self.jobPath = path
        operation = file?.operation
        if let path = text(.hintsFile), !path.isEmpty {
            let texts = try HintsFile.texts(
                FileSystem.readText(
                    path, bytesMax: 1 << 20, what: "hints file", mayBePipe: true))
            // Before those that are given one by one, which go before it.
            entries[.hint] = Entry(
                texts: texts + self.texts(.hint), source: entries[.hint]?.source ?? .jobFile)
        }
    }

    /// Checks every option that was given, also those that the command at hand does not read.
    ///
    /// - Throws: `InvalidField` for the first that no command accepts.
    func check() throws {
        _ = try (transferSize(), alignment(), ranks(), watchdogSeconds(), progressStyle(), hints())
        _ = try (size(.size), size(.dedupUnit), size(.compressUnit), seed())
        _ = try (ratio(.dedupRatio), ratio(.compressRatio))
        _ = try choice(.fill, default: DataSpec.Fill.backref)
        _ = try choice(.readOrder, default: ReadOrder.same)
        let flags: [OptionKey] = [
            .collective, .overwrite, .spaceCheck, .quiet, .verbose, .freshFile, .keep, .dropCache,
            .preallocate, .direct, .strided, .resume,
        ]
        for key in flags { _ = try flag(key, default: false) }
        _ = try (
            access(), layout(), cut(), stripes(), queueDepth(), sampleCount(of: 1), sampleSeed()
        )
        _ = try alsoKnown()
        _ = try choice(.order, default: DealtPattern.Order.sequential)
        _ = try choice(.sync, default: DataSetWriter.Sync.end)
        guard text(.hintsFile) != "" else {
            throw InvalidField(field: "hints_file", value: "", accepted: "a file")
        }
        _ = try (phases(), repetitions(), warmUps(), shuffleSeed(), timeLimitSeconds())
        _ = try (threads(default: 1), numaMode(), numaNode())
        if has(.output) { _ = try dataPath(missing: "output: missing; give a file") }
        _ = try (reportPath(), csvPath())
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

    // What is accepted for each option stands here and nowhere else.

    /// The most bytes of one MPI-IO call.
    func transferSize() throws -> Int {
        try size(
            .transferSize, in: 1...SharedFile.transferBytesMax,
            default: DealtPattern.transferSizeDefault)
    }

    /// What shard boundaries are multiples of.
    func alignment() throws -> Int {
        let stripe = try stripes().size
        return try size(.align, in: 1...(1 << 40), default: stripe ?? DealtPattern.alignDefault)
    }

    /// Into how many files a data set is written.
    func layout() throws -> FileLayout {
        let layout = try choice(.layout, default: FileLayout.shared)
        if layout == .perRank, try flag(.collective, default: false) {
            throw refusal(.collective, "it with layout shared only")
        }
        return layout
    }

    /// How a data set is cut before it is dealt to ranks.
    func cut() throws -> DealtPattern.Cut {
        let segments = try number(.segments, in: 1...(1 << 40), default: 1)
        let isStrided = try flag(.strided, default: false)
        if isStrided, segments > 1 {
            throw refusal(.segments, "no segments with strided")
        }
        if isStrided || segments > 1, try layout() == .perRank {
            throw refusal(isStrided ? .strided : .segments, "it with layout shared only")
        }
        return isStrided ? .strided : .segments(segments)
    }

    /// What the file system is asked to stripe a file by; nil for what is left to it.
    func stripes() throws -> (count: Int?, size: Int?) {
        let count =
            has(.stripeCount) ? try number(.stripeCount, in: -1...2000, default: 0) : nil
        guard let size = try self.size(.stripeSize) else { return (count, nil) }
        let unit = 64 << 10
        guard size > 0, size % unit == 0, size < 1 << 32 else {
            throw refusal(.stripeSize, "a multiple of 64 KiB below 4 GiB")
        }
        return (count, size)
    }

    /// Transfers that are made or compared ahead of, or behind, the one that is moved; nil to leave it to the program.
    func queueDepth() throws -> Int? {
        has(.queueDepth) ? try number(.queueDepth, in: 1...64, default: 1) : nil
    }

    private func refusal(_ key: OptionKey, _ accepted: String) -> InvalidField {
        InvalidField(field: key.rawValue, value: text(key) ?? "", accepted: accepted)
    }

    /// The ranks to plan for.
    func ranks() throws -> Int { try number(.ranks, in: 1...1_000_000_000, default: 1) }

    /// Threads of each rank that make bytes.
    func threads(default count: Int) throws -> Int {
        try number(.threads, in: 1...4096, default: count)
    }

    /// Seconds that one step may take; 0 for no limit.
    func watchdogSeconds() throws -> Int {
        try number(.watchdog, in: 0...1_000_000, default: Watchdog.limitSecondsDefault)
    }

    /// How files are written and read, and whether past the system's caches.
    func access() throws -> (Access, isDirect: Bool) {
        let access = try choice(.access, default: Access.mpi)
        let isDirect = try flag(.direct, default: false)
        guard access == .posix else {
            guard !isDirect else { throw refusal(.direct, "it with io posix only") }
            return (access, false)
        }
        guard try !flag(.collective, default: false) else {
            throw refusal(.collective, "it with io mpi only")
        }
        for key in [OptionKey.hintsFile, .hint] where has(key) {
            throw refusal(key, "hints with io mpi only")
        }
        for (key, bytes) in [
            (OptionKey.transferSize, try transferSize()), (.align, try alignment()),
        ]
        where isDirect && bytes % PosixFile.directUnit != 0 {
            throw refusal(key, "a multiple of \(PosixFile.directUnit) bytes with direct")
        }
        return (access, isDirect)
    }

    /// What a test does with the file, in this order; each phase as often as it is named.
    func phases() throws -> [FileTest.Phase] {
        guard has(.phases) else { return [.write, .read, .verify] }
        let names = texts(.phases).flatMap {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let phases = names.compactMap(FileTest.Phase.init(rawValue:))
        guard !phases.isEmpty, phases.count == names.count else {
            throw InvalidField(
                field: OptionKey.phases.rawValue, value: names.joined(separator: ","),
                accepted: "a list of write, read and verify")
        }
        return phases
    }

    /// How often a test goes through its phases.
    func repetitions() throws -> Int { try number(.repetitions, in: 1...1_000_000, default: 1) }

    /// How often it does so before that.
    func warmUps() throws -> Int { try number(.warmUp, in: 0...1000, default: 0) }

    /// What decides who reads what, where that is shuffled.
    func shuffleSeed() throws -> UInt64 {
        UInt64(try number(.shuffleSeed, in: 0...Int.max, default: 0))
    }

    /// How many of `count` blocks are looked at; nil for all bytes.
    func sampleCount(of count: Int) throws -> Int? {
        guard let text = text(.sample) else {
            return has(.blocks) ? try number(.blocks, in: 1...Int.max, default: 1) : nil
        }
        guard !has(.blocks) else { throw refusal(.blocks, "no blocks with sample") }
        let isPercent = text.hasSuffix("%")
        let digits = isPercent ? text.dropLast() : text[...]
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
            let number = Double(digits), case let part = isPercent ? number / 100 : number,
            part > 0, part <= 1
        else { throw refusal(.sample, "a part above 0 and up to 1, or 0% to 100%") }
        return max(1, min(count, Int((part * Double(count)).rounded(.up))))
    }

    /// What decides which blocks are looked at; nil to draw it.
    func sampleSeed() throws -> UInt64? {
        has(.sampleSeed) ? UInt64(try number(.sampleSeed, in: 0...Int.max, default: 0)) : nil
    }

    /// Seeds of data sets that may have been in the file before.
    func alsoKnown() throws -> [UInt64] {
        let texts = texts(.alsoKnown)
        guard texts.count <= 64 else { throw refusal(.alsoKnown, "64 seeds at most") }
        return try texts.map { try Self.seed($0, .alsoKnown) }
    }

    /// Seconds after which the run stops by itself; nil for no limit.
    func timeLimitSeconds() throws -> Int? {
        guard let text = text(.timeLimit) else { return nil }
        guard let seconds = Duration.seconds(text) else {
            throw InvalidField(
                field: OptionKey.timeLimit.rawValue, value: text, accepted: Duration.accepted)
        }
        return seconds
    }

    /// How progress is shown.
    func progressStyle() throws -> Progress.Style {
        try flag(.quiet, default: false) ? .none : try choice(.progress, default: .auto)
    }

    /// Where the report goes, `-` being stdout; nil for nowhere.
    func reportPath() throws -> String? { try path(.report, accepted: "a file, or - for stdout") }

    /// Where the operations go as a table; nil for nowhere.
    func csvPath() throws -> String? { try path(.csv, accepted: "a file") }

    private func path(_ key: OptionKey, accepted: String) throws -> String? {
        guard let path = text(key) else { return nil }
        guard !path.isEmpty else { throw refusal(key, accepted) }
        return path
    }

    private func numaMode() throws -> Placement.Mode { try choice(.numa, default: .auto) }

    private func numaNode() throws -> Int? {
        let node = has(.numaNode) ? try number(.numaNode, in: 0...65535, default: 0) : nil
        if let node, try numaMode() == .off {
            throw InvalidField(
                field: OptionKey.numaNode.rawValue, value: "\(node)",
                accepted: "no node with numa off")
        }
        return node
    }

    /// The hints in the order given; of the same key the last counts.
    func hints() throws -> [(key: String, value: String)] {
        var hints: [(key: String, value: String)] = []
        // Names that MPI reserves; where nobody knows them they are passed over.
        let (count, size) = try access().0 == .mpi ? stripes() : (nil, nil)
        let stripes = [
            count.map { "striping_factor=\($0)" }, size.map { "striping_unit=\($0)" },
        ].compactMap { $0 }
        for text in stripes + texts(.hint) {
            let limit = SharedFile.hintBytesMax
            // By bytes: what follows may combine with the sign to one letter.
            guard let sign = text.utf8.firstIndex(of: UInt8(ascii: "=")),
                case let key = String(text[..<sign]),
                case let value = String(text[text.utf8.index(after: sign)...]),
                (1...limit.key).contains(key.utf8.count),
                (1...limit.value).contains(value.utf8.count)
            else {
                throw InvalidField(
                    field: "hint", value: text,
                    accepted:
                        "KEY=VALUE, the key at most \(limit.key) bytes, the value \(limit.value)")
            }
            hints.removeAll { $0.key == key }
            hints.append((key, value))
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
        guard !path.unicodeScalars.contains(where: { ":\0\n\u{FFFD}".unicodeScalars.contains($0) })
        else {
            throw InvalidField(
                field: "output", value: path.replacing("\n", with: " ").replacing("\0", with: " "),
                accepted: "a path in UTF-8 without colons and line ends")
        }
        return path
    }

    /// Variables `DGEN_*` that mean nothing here, each with the name that was probably meant.
    var unknownVariables: [(name: String, nearest: String?)] {
        let known =
            OptionKey.allCases.map(\.environmentName) + [
                "DGEN_JOB", "DGEN_LOG", "DGEN_KERNEL", "DGEN_MPI_PROGRAM",
            ]
        return environment.keys.filter { !known.contains($0) }.sorted().map { name in
            let meant = String(name.dropFirst(5)).nearest(in: OptionKey.allCases.map(\.rawValue))
            return (name, meant.flatMap(OptionKey.init(rawValue:))?.environmentName)
        }
    }

    func seed() throws -> UInt64? { try text(.seed).map { try Self.seed($0, .seed) } }

    private static func seed(_ text: String, _ key: OptionKey) throws -> UInt64 {
        guard text.first?.isASCII == true, text.first?.isNumber == true, let seed = UInt64(text)
        else {
            throw InvalidField(
                field: key.rawValue, value: text, accepted: "a whole number from 0 to 2^64 - 1")
        }
        return seed
    }

    /// The kernel that `DGEN_KERNEL` forces, or the fastest.
    func kernel() throws -> Kernel { try Kernel.chosen(by: environment["DGEN_KERNEL"]) }

    /// Where `threads` threads of this process and their memory go.
    func placement(threads: Int, topology: Topology) throws -> Placement {
        let (mode, node) = (try numaMode(), try numaNode())
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
