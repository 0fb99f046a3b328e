// SPDX-License-Identifier: MIT OR Apache-2.0

import ArgumentParser
import Options

struct ProfilesCommand: RunsAlone {
    static let configuration = CommandConfiguration(
        commandName: "profiles",
        abstract: "List the ready profiles, or print one as YAML.")

    @Argument(help: "The profile to print.") var name: String?
    @OptionGroup(title: "Result") var result: ResultOptions

    func answer(_ settings: Settings) throws(Failure) -> any Answer { try Profiles(name: name) }
}

/// `dgen-mpi profiles`: what comes with the program, one line each, or one as it is.
struct Profiles: Answer {
    struct Profile: Encodable {
        let name: String
        let about: String
        /// As YAML.
        let text: String
    }

    let format = "dgen-profiles/1"
    let profiles: [Profile]
    private let isOne: Bool

    private enum CodingKeys: CodingKey {
        case format, profiles
    }

    init(name: String?) throws(Failure) {
        isOne = name != nil
        var found: [Profile] = []
        for ready in ReadyProfile.all where name == nil || name == ready.name {
            let about = try ProfileFile.parse(ready.text, name: ready.name).remarks["about"] ?? []
            found.append(
                Profile(
                    name: ready.name, about: about.joined(separator: " "), text: ready.text))
        }
        profiles = found
        guard found.isEmpty else { return }
        let known = ReadyProfile.all.map(\.name)
        let advice = (name ?? "").nearest(in: known).map { "; did you mean '\($0)'?" } ?? ""
        throw Failure(
            .usage,
            "no profile '\(name ?? "")'\(advice) known: \(known.joined(separator: " "))")
    }

    var table: Table {
        var table = Table()
        for profile in profiles { table.row(profile.name, profile.about) }
        return table
    }

    var text: String { isOne ? profiles.map(\.text).joined() : table.text }
}
