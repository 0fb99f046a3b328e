// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen

/// The options of a run as texts, each from the strongest place that gave it: command line, environment, job file.
package struct Settings: Codable, Sendable {
    private struct Entry: Codable {
        let texts: [String]
        /// Whether nothing stronger gives it.
        var isOfJobFile = false
    }

    private enum CodingKeys: CodingKey {
        case entries, environment, jobPath
    }

    private var entries: [String: Entry] = [:]
    /// All variables `DGEN_*`, among them `DGEN_LOG`.
    package let environment: [String: String]
    /// The job file that was read.
    package let jobPath: String?
    /// What may be given.
    private var rows = OptionRow.all

    /// Options as one of the places gives them; several texts only where an option may be repeated.
    package typealias Given = [OptionRow: [String]]

    package init(
        commandLine: Given, environment: [String: String], jobFile: Given, jobPath: String? = nil,
        rows: [OptionRow] = OptionRow.all
    ) {
        self.environment = environment.filter { $0.key.hasPrefix("DGEN_") }
        self.jobPath = jobPath
        self.rows = rows
        for (row, texts) in jobFile { entries[row.name] = Entry(texts: texts, isOfJobFile: true) }
        for row in rows {
            guard let text = row.variable.flatMap({ environment[$0] }) else { continue }
            let texts = row.isList ? text.split(separator: ",").map(String.init) : [text]
            entries[row.name] = Entry(texts: texts)
        }
        for (row, texts) in commandLine { entries[row.name] = Entry(texts: texts) }
    }

    /// Checks every option that was given, also those that the command at hand does not read.
    package func check() throws(InvalidField) {
        for row in rows {
            if let texts = entries[row.name]?.texts { _ = try row.values(texts) }
        }
        try checkTogether()
    }

    package func has(_ row: OptionRow) -> Bool { entries[row.name] != nil }
    package func text(_ row: OptionRow) -> String? { entries[row.name]?.texts.last }
    func isOfJobFile(_ row: OptionRow) -> Bool { entries[row.name]?.isOfJobFile == true }

    /// Gives an option that was not given a value.
    package mutating func supply(_ text: String, for row: OptionRow) {
        if !has(row) { entries[row.name] = Entry(texts: [text]) }
    }

    /// Puts texts before those that were given for an option.
    package mutating func prepend(_ texts: [String], to row: OptionRow) {
        let entry = entries[row.name] ?? Entry(texts: [], isOfJobFile: true)
        entries[row.name] = Entry(texts: texts + entry.texts, isOfJobFile: entry.isOfJobFile)
    }

    /// Takes from a profile what nothing else gives, and nothing that was given excludes.
    package mutating func add(profile: Given) {
        let excluded = Self.alternatives.filter { has($0.0) }.map(\.1)
        for (row, texts) in profile where !has(row) && !excluded.contains(row) {
            entries[row.name] = Entry(texts: texts)
        }
    }

    /// What says the same in two ways, of which one may be given: for all alike, and by classes.
    private static let alternatives: [(OptionRow, OptionRow)] = [
        (.dedupRatio, .copies), (.compressRatio, .compressMix),
    ]

    /// The value of an option, or its default.
    package subscript<Value>(_ setting: Setting<Value>) -> Value {
        get throws(InvalidField) { try setting.value(entries[setting.name]?.texts) }
    }

    /// Variables `DGEN_*` that mean nothing here, each with the name that was probably meant.
    package var unknownVariables: [(name: String, nearest: String?)] {
        let options = rows.filter { $0.variable != nil }
        let known =
            options.map(\.variable) + [
                "DGEN_JOB", "DGEN_LOG", "DGEN_KERNEL", "DGEN_MPI_BACKEND", "DGEN_MPI_LIBRARY",
                "DGEN_MPI_PROGRAM",
            ]
        return environment.keys.filter { !known.contains($0) }.sorted().map { variable in
            let meant = String(variable.dropFirst(5)).nearest(in: options.map(\.name))
            return (variable, options.first { $0.name == meant }?.variable)
        }
    }

    /// The data specification, validated: the options, where they are silent that of a manifest, and then size and seed.
    package func spec(
        over base: DataSpec?, size: Int, seed: UInt64
    ) throws(InvalidField) -> DataSpec {
        // What excludes each other is not taken from the manifest where the other one is given.
        let dedup = try self[.dedupRatio] ?? (has(.copies) ? nil : base?.dedupRatio)
        let compress = try self[.compressRatio] ?? (has(.compressMix) ? nil : base?.compressRatio)
        return try DataSpec(
            size: self[.size] ?? base?.size ?? size, seed: self[.seed] ?? base?.seed ?? seed,
            dedupRatio: dedup ?? 1, compressRatio: compress ?? 1,
            dedupUnit: self[.dedupUnit] ?? base?.dedupUnit ?? DataSpec.dedupUnitDefault,
            compressUnit: self[.compressUnit] ?? base?.compressUnit,
            fill: self[.fill] ?? base?.fill ?? .backref,
            composition: try composition(over: base?.composition))
    }

    /// What makes the data set one of version 2: the options, and where they are silent what another one has.
    package func composition(
        over base: Composition? = nil
    ) throws(InvalidField) -> Composition {
        for (row, other) in Self.alternatives where has(row) && has(other) {
            throw refusal(row, "none with \(other.name)")
        }
        /// The values of a list, which may be empty where no text says so.
        func list<Value>(
            _ setting: Setting<[Value]>, otherwise: [Value]?
        ) throws(InvalidField) -> [Value]? {
            guard let texts = entries[setting.name]?.texts else { return otherwise }
            return texts.isEmpty ? [] : try setting.value(texts)
        }
        return Composition(
            copies: try list(.copies, otherwise: has(.dedupRatio) ? nil : base?.copies),
            zeros: try self[.zeros] ?? base?.zeros,
            compressMix: try list(
                .compressMix, otherwise: has(.compressRatio) ? nil : base?.compressMix),
            run: try self[.run] ?? base?.run,
            change: try list(.change, otherwise: base?.change),
            generation: try self[.generation] ?? base?.generation)
    }
}
