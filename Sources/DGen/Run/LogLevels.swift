// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import Logging
import Options

/// Which part of the program logs from which level on: `DGEN_LOG=warning,mpi=debug,generator=trace`.
struct LogLevels: Equatable {
    /// The parts that have a level of their own, by the label of their logger.
    static let parts = ["command", "generator", "mpi"]

    private static let accepted: [Logger.Level] = [.error, .warning, .info, .debug, .trace]

    private var common: Logger.Level
    private var levels: [String: Logger.Level] = [:]

    /// Reads `DGEN_LOG`; what it does not name logs from `common` on.
    init(_ text: String?, default common: Logger.Level) throws(InvalidField) {
        self.common = common
        let names = Self.accepted.map(\.rawValue).joined(separator: " ")
        let accepted =
            "LEVEL or PART=LEVEL, joined by commas; levels: \(names); "
            + "parts: \(Self.parts.joined(separator: " "))"
        for word in (text ?? "").split(separator: ",") {
            let sides = word.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count <= 2, let name = sides.last,
                let level = Self.accepted.first(where: { $0.rawValue == name }),
                sides.count == 1 || Self.parts.contains(String(sides[0]))
            else { throw InvalidField(field: "DGEN_LOG", value: String(word), accepted: accepted) }
            if sides.count == 2 { levels[String(sides[0])] = level } else { self.common = level }
        }
    }

    subscript(part: String) -> Logger.Level { levels[part] ?? common }

    /// Makes every logger that is made from now on follow these levels, each line with its `origin`, such as `rank 3 node7`;
    /// once per process.
    func install(origin: String) {
        LoggingSystem.bootstrap { label in
            LineHandler(label: label, origin: origin, logLevel: self[label])
        }
    }
}

/// Writes each message as one line to stderr: time, level, origin, part, message.
private struct LineHandler: LogHandler {
    let label: String
    let origin: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let time = Date().formatted(.iso8601.time(includingFractionalSeconds: true))
        StandardError.write("\(time) \(event.level) [\(origin)] \(label): \(event.message)\n")
    }
}
