// SPDX-License-Identifier: MIT OR Apache-2.0

import Options

/// What measured data is composed of: a YAML file of some options, and texts that say where the figures are from.
enum ProfileFile {
    private static let sort = JobFile.Sort(
        isNone: "a profile is a mapping of options, such as 'zeros: 5%'",
        rows: OptionRow.ofProfile, remarks: ["name", "about", "source", "measured", "assumed"],
        isChecked: true)

    /// The options of a ready profile or a file, all of them checked one by one.
    static func read(_ name: String) throws(Failure) -> Settings.Given {
        if let text = ReadyProfile.text(of: name) {
            return try parse(text, name: "profile \(name)").given
        }
        let text = try FileSystem.readTextOrPipe(
            name, bytesMax: 1 << 20, what: "profile")
        return try parse(text, name: name).given
    }

    static func parse(
        _ text: String, name: String
    ) throws(Failure) -> (given: Settings.Given, remarks: [String: [String]]) {
        let found = try JobFile.parse(text, name: name, as: sort)
        guard !found.given.isEmpty else {
            let known = sort.rows.map(\.name).joined(separator: " ")
            throw Failure(.usage, "\(name): a profile gives one of these at least: \(known)")
        }
        return found
    }
}
