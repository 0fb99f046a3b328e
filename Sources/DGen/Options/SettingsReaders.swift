// SPDX-License-Identifier: MIT OR Apache-2.0
// Options by the names that their readers have for them.

import DataGen
import Options

typealias OptionKey = OptionRow

extension OptionRow {
    var rawValue: String { name }
}

extension Settings {
    var operation: Operation? { try? self[.operation] }

    func flag(_ setting: Setting<Bool>, default: Bool) throws(InvalidField) -> Bool {
        try self[setting]
    }

    func choice<Choice>(
        _ setting: Setting<Choice>, default: Choice
    ) throws(InvalidField) -> Choice { try self[setting] }

    func transferSize() throws(InvalidField) -> Int { try self[.transferSize] }
    func queueDepth() throws(InvalidField) -> Int? { try self[.queueDepth] }
    func ranks() throws(InvalidField) -> Int { try self[.ranks] }
    func watchdogSeconds() throws(InvalidField) -> Int { try self[.watchdog] }
    func phases() throws(InvalidField) -> [Phase] { try self[.phases] }
    func repetitions() throws(InvalidField) -> Int { try self[.repetitions] }
    func warmUps() throws(InvalidField) -> Int { try self[.warmUp] }
    func sampleSeed() throws(InvalidField) -> UInt64? { try self[.sampleSeed].map(UInt64.init) }
    func alsoKnown() throws(InvalidField) -> [UInt64] { try self[.alsoKnown] }
    func timeLimitSeconds() throws(InvalidField) -> Int? { try self[.timeLimit] }
    func reportPath() throws(InvalidField) -> String? { try self[.report] }
    func csvPath() throws(InvalidField) -> String? { try self[.csv] }
    func seed() throws(InvalidField) -> UInt64? { try self[.seed] }
    func shuffleSeed() throws(InvalidField) -> UInt64 { UInt64(try self[.shuffleSeed]) }

    func threads(default count: Int) throws(InvalidField) -> Int { try self[.threads] ?? count }

    /// How progress is shown.
    func progressStyle() throws(InvalidField) -> ProgressStyle {
        try self[.quiet] ? .none : self[.progress]
    }
}
