// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import Glibc
import Options

/// How Lustre spreads a file over its targets, told to and asked of its tool `lfs`.
///
/// Hints say the same to an MPI library that was built for Lustre, and nothing to any other one; whoever is asked, only
/// the file system knows what has come of it.
struct Striping: Codable {
    /// How a file is spread.
    struct Stripes: Codable, Equatable {
        let count: Int
        let size: Int
    }

    /// What was asked for.
    private let count: Int?
    private let size: Int?
    /// Whether `lfs` knows the folder of the file.
    let isKnown: Bool
    /// The stripe size that new files in that folder get, where nothing else was asked for.
    let folderStripeSize: Int?

    /// Looks at the folder that holds the file, where something was asked for or it is on Lustre.
    init(folder: String, count: Int?, size: Int?) {
        (self.count, self.size) = (count, size)
        let isAsked = count != nil || size != nil
        let stripes =
            isAsked || FileSystem.type(folder) == "lustre" ? Self.stripes(of: folder) : nil
        isKnown = stripes != nil
        folderStripeSize = size ?? stripes.flatMap { $0.size > 0 ? $0.size : nil }
    }

    /// Whether files are to be made with stripes of their own.
    var isSet: Bool { isKnown && (count != nil || size != nil) }

    /// Makes a file with the stripes that were asked for, in the place of one that is there: stripes are for life.
    func create(_ path: String) throws(Failure) {
        let target = FileSystem.resolved(path)
        try FileSystem.remove(target)
        let words =
            (count.map { ["-c", "\($0)"] } ?? []) + (size.map { ["-S", "\($0)"] } ?? [])
        guard let outcome = Self.lfs(["setstripe"] + words + ["--", target]), outcome.status == 0
        else {
            throw Failure(
                .inputOutput, "\(path): lfs setstripe \(words.joined(separator: " ")) failed")
        }
    }

    /// The stripes of a file; nil where `lfs` does not know it.
    func found(_ path: String) -> Stripes? { Self.stripes(of: FileSystem.resolved(path)) }

    /// That nobody is there to follow what was asked for, or to tell; nil where there is, or nothing was asked for.
    func warning(_ access: Access) -> String? {
        guard count != nil || size != nil, !isKnown else { return nil }
        return "stripe_count, stripe_size: "
            + (access == .mpi ? "passed on as hints" : "not used")
            + "; no lfs here knows the file system, so nothing proves that the file is striped so"
    }

    /// That a file has other stripes than those that were asked for; nil where it has these.
    func warning(of found: Stripes) -> String? {
        let isRight =
            (count == nil || count == found.count || (count ?? 0) < 1)
            && (size == nil || size == found.size)
        return isRight
            ? nil
            : "the file has \(found.count) stripes of \(ByteSize.format(found.size)), not what was "
                + "asked for"
    }

    private static func stripes(of path: String) -> Stripes? {
        func number(_ option: String) -> Int? {
            guard let outcome = lfs(["getstripe", option, "--", path]), outcome.status == 0 else {
                return nil
            }
            // A folder's own line may stand first; of several components the last is the one in use.
            return outcome.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.last
        }
        guard let count = number("-c"), let size = number("-S") else { return nil }
        return Stripes(count: count, size: size)
    }

    /// What `lfs` prints; nil where there is none.
    private static func lfs(_ words: [String]) -> (status: Int32, output: String)? {
        let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
        let tools = folders.map { folder in "\(folder)/lfs" }
        guard let tool = tools.first(where: { Glibc.access($0, X_OK) == 0 }) else { return nil }
        let quoted = ([tool] + words).map { word in
            let parts = word.split(separator: "'", omittingEmptySubsequences: false)
            return "'" + parts.joined(separator: "'\\''") + "'"
        }
        let line = quoted.joined(separator: " ") + " < /dev/null 2> /dev/null"
        guard let pipe = popen(line, "re") else { return nil }
        var output: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&part, 1, part.count, pipe), count > 0 {
            output += part.prefix(count)
        }
        let status = pclose(pipe)
        // What a signal has ended has no status of its own.
        return (
            status & 0x7F == 0 ? status >> 8 & 0xFF : -1, String(decoding: output, as: UTF8.self)
        )
    }
}
