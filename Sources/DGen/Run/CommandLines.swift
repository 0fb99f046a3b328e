// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CStart
import MPI

/// The command lines of all ranks, which must be the same: a rank with another command would leave the others waiting for
/// ever, and what another value says would be dropped without a word.
///
/// Compared before a rank does anything else, by those that could not read theirs too.
enum CommandLines {
    /// That of this process, the program's name first.
    static let words: [String] = (0..<cstart_count()).map { index in
        cstart_word(index).map { String(cString: $0) } ?? ""
    }

    /// Ranks that were started with the same arguments.
    private struct Group: Codable {
        let arguments: [String]
        /// The first of them, and where they are.
        var names: [String]
        var count: Int
        var hasRoot: Bool
    }

    /// The most ranks of a group, and the most groups, that a message names.
    private static let namesMax = 8
    private static let groupsMax = 4
    /// The most bytes of arguments that it shows.
    private static let bytesMax = 200

    /// Fails, on every rank with the same ranks that differ from most of them, unless all have the same arguments; collective.
    ///
    /// Costs two messages. Only ranks that differ tell each other more.
    static func requireSame(_ world: Ranks) throws(Failure) {
        guard world.size > 1 else { return }
        let mine = Array(words.dropFirst())
        let encoded = try JSON.pack(mine)
        let isSame = try world.broadcast(encoded) == encoded
        guard try world.allReduce(isSame ? 0 : 1, .sum) > 0 else { return }
        let name = "rank \(world.rank) on \(try Failure.mapping(MPIRuntime.processorName))"
        let group = Group(arguments: mine, names: [name], count: 1, hasRoot: world.rank == 0)
        let bytes = try world.combine(try JSON.pack([group])) { lower, higher in
            let groups = (try? merged(JSON.unpack(lower), JSON.unpack(higher))) ?? []
            return (try? JSON.pack(groups)) ?? lower
        }
        throw Failure(.usage, message(try JSON.unpack(bytes)))
    }

    private static func merged(_ lower: [Group], _ higher: [Group]) -> [Group] {
        var groups = lower
        for group in higher {
            guard let index = groups.firstIndex(where: { $0.arguments == group.arguments }) else {
                groups.append(group)
                continue
            }
            groups[index].count += group.count
            groups[index].names += group.names.prefix(max(0, namesMax - groups[index].names.count))
        }
        // The largest first, and of two that are as large the one of rank 0.
        let sorted = groups.sorted {
            ($0.count, $0.hasRoot ? 1 : 0) > ($1.count, $1.hasRoot ? 1 : 0)
        }
        // As many as are shown, beside the one that they are compared with, and one that tells that there are more.
        return Array(sorted.prefix(groupsMax + 2))
    }

    private static func message(_ groups: [Group]) -> String {
        let most = groups[0]
        let others = groups.dropFirst().prefix(groupsMax).map { group in
            let rest = group.count - group.names.count
            let (its, those) = difference(group.arguments, most.arguments)
            return group.names.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
                + (group.count == 1 ? " has " : " have ") + its + " instead of " + those
        }
        return "command line: not the same on all ranks: " + others.joined(separator: "; ")
            + (groups.count > groupsMax + 1 ? "; and others" : "")
            + "; give all ranks of a run the same arguments"
    }

    /// What two lists of arguments have between that in which they begin and end alike.
    private static func difference(_ one: [String], _ other: [String]) -> (String, String) {
        let start = zip(one, other).prefix { $0 == $1 }.count
        let (rest, otherRest) = (one.dropFirst(start), other.dropFirst(start))
        let end = zip(rest.reversed(), otherRest.reversed()).prefix { $0 == $1 }.count
        // With the option that a value belongs to.
        let isValue =
            start > 0 && one[start - 1].hasPrefix("-")
            && (rest.count > end || otherRest.count > end)
            && [rest.first, otherRest.first].contains { $0?.hasPrefix("-") == false }
        func shown(_ arguments: [String]) -> String {
            let part = arguments.dropFirst(isValue ? start - 1 : start).dropLast(end)
            return part.isEmpty
                ? "nothing"
                : "'\(part.joined(separator: " ").inOneLine(bytesMax: bytesMax))'"
        }
        return (shown(one), shown(other))
    }
}
