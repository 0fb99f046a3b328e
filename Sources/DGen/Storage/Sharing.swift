// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI

/// The proof that all ranks mean the same files by a path, before any of them is opened.
///
/// A folder may be another one on each node, as /tmp is, or on each rank, by its working directory or its mounts. Rank 0
/// makes a token beside the data, and every rank looks for it where it would look for the data. Where no token can be
/// made, what is read must at least look the same to all of them.
///
/// Costs three messages and a few calls of the file system on each rank; where ranks do not share the files, some seconds
/// more, since file systems may show a new file late.
struct Sharing {
    let run: Run
    let files: FileSet

    private var session: Session { run.session }
    private var path: String { files.path }

    /// What rank 0 has to show, where the data is or will be.
    private struct Evidence: Codable {
        /// The name of the token; nil where none could be made.
        var token: String?
        /// The data's own name, behind links.
        let name: String
        /// The folder, as rank 0 calls it.
        let folder: String
        /// How the data looks; asked only where there is no token.
        var look: String?
        let host: String
    }

    /// A rank that does not see what rank 0 shows.
    private struct Stranger: Codable {
        let rank: Int
        /// Its node, and where it has looked if that is another folder than rank 0's.
        let place: String
    }

    /// For how long a rank of another node, or of rank 0's own, looks for what it does not see.
    private static let patienceMilliseconds = (other: 8_000, own: 500)
    /// The pauses between looks: the first, and the longest.
    private static let pauseMicroseconds: (first: UInt32, longest: UInt32) = (5_000, 500_000)

    /// Fails with the nodes and ranks that do not see what rank 0 sees; collective.
    ///
    /// With `isReading` nothing is written: where no token can be made it is enough that the data looks the same to all.
    func prove(isReading: Bool) throws(Failure) {
        guard session.world.size > 1 else { return }
        guard files.target.isFile else { return try proveDevice() }
        var token: FolderToken?
        // Until all have looked, whatever they have seen.
        defer { withExtendedLifetime(token) {} }
        let evidence = try session.onRoot {
            let place = place
            var evidence = Evidence(
                name: FileSystem.name(of: place), folder: absoluteFolder, host: session.host)
            do {
                token = try FolderToken(in: FileSystem.folder(of: place))
                evidence.token = token?.name
            } catch  where isReading {
                evidence.look = look
            }
            return evidence
        }
        // Ranks on the node of rank 0 see at once what it does.
        let isNear = try isAny(session.isRoot, of: session.node)
        let isSeen = wait(
            isNear ? Self.patienceMilliseconds.own : Self.patienceMilliseconds.other
        ) {
            sees(evidence)
        }
        try session.agree(isSeen ? nil : Interruption.failure)
        try require(isSeen, evidence)
        try proveMountedFiles(isNear, evidence)
    }

    /// The data of this rank, behind links; the file itself where all ranks share one.
    private var place: String {
        files.layout == .shared ? FileSystem.resolved(path) : path
    }

    /// The folder of the data, as messages name it.
    private var absoluteFolder: String {
        let folder = FileSystem.folder(of: place)
        let resolved = FileSystem.resolved(folder)
        guard !resolved.hasPrefix("/"), let here = FileSystem.realPath(".") else { return resolved }
        return here + "/" + resolved
    }

    private func sees(_ evidence: Evidence) -> Bool {
        let place = place
        guard FileSystem.name(of: place) == evidence.name else { return false }
        guard let token = evidence.token else { return evidence.look == look }
        return FolderToken.isSeen(token, in: FileSystem.folder(of: place))
    }

    /// The manifest's text, and length and time of the first and the last file.
    private var look: String {
        let manifest = (try? Manifest.text(at: Manifest.path(for: path))) ?? nil
        let all = [files.path(of: 0), files.path(of: files.shards.count - 1)]
        return ([manifest ?? "none"] + all.map(Self.look)).joined(separator: "\n")
    }

    private static func look(of path: String) -> String {
        // Opened, so that NFS asks its server.
        let found = (try? OpenFile(path, O_RDONLY | O_NONBLOCK).status()) ?? System.status(path)
        guard let status = try? found.get() else { return "none" }
        return "\(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }

    /// Asks until the answer is yes, or the time is over.
    private func wait(_ milliseconds: Int, _ question: () -> Bool) -> Bool {
        // Those who wait for the answer must not be ended by their watchdog meanwhile.
        let patience = run.watchdog.limitNanoseconds
        let limit =
            patience > 0 ? min(1_000_000 * milliseconds, patience) : 1_000_000 * milliseconds
        let clock = Stopwatch()
        var pause = Self.pauseMicroseconds.first
        while !run.watchdog.during(.sharing, question) {
            guard clock.elapsedNanoseconds < limit, Interruption.failure == nil else {
                return false
            }
            usleep(pause)
            pause = min(2 * pause, Self.pauseMicroseconds.longest)
            run.watchdog.during(.sharing) { FolderToken.refresh(FileSystem.folder(of: place)) }
        }
        return true
    }

    /// A file may be mounted over one in a folder that all share: then the folder proves nothing.
    ///
    /// On one node the numbers of device and file do; on several nothing does.
    private func proveMountedFiles(_ isNear: Bool, _ evidence: Evidence) throws(Failure) {
        let place = place
        let name = FileSystem.name(of: place)
        let mounts = FileSystem.names(in: FileSystem.resolved(FileSystem.folder(of: place)))
        let isMounted = mounts.contains {
            files.layout == .shared ? $0 == name : $0.hasPrefix(name + ".")
        }
        guard try isAny(isMounted, of: session.world) else { return }
        let identity = FileSystem.identity(place)
        let isSame = try session.onRoot { identity } == identity
        try require(files.layout == .shared && isNear && isSame, evidence)
    }

    /// What tells a device from others on its node, and on all nodes.
    private struct DeviceIdentity: Codable {
        let number: dev_t
        let worldwideName: String?
    }

    /// A device is the same on one node by its number, and on several by a name that its maker has given it.
    private func proveDevice() throws(Failure) {
        let found = (try? FileSystem.state(path)) ?? nil
        let name = found.flatMap { BlockDevice($0.st_rdev).worldwideName }
        let isNear = try isAny(session.isRoot, of: session.node)
        let root = try session.onRoot {
            DeviceIdentity(number: found?.st_rdev ?? 0, worldwideName: name)
        }
        let isSeen =
            files.target.kind == .null
            ? found?.st_rdev == root.number
            : isNear ? found?.st_rdev == root.number : name != nil && name == root.worldwideName
        guard try isAny(!isSeen, of: session.world) else { return }
        let strangers = try session.collect(isSeen ? [] : [session.world.rank])
        let ranks = strangers.prefix(Self.namesMax).map(String.init).joined(separator: ", ")
        throw Failure(
            .inputOutput,
            "output: \(path): the ranks do not share it: it is another one on "
                + "\(strangers.count) of them (rank \(ranks)), or has no name that is the same on all "
                + "nodes; give a device that all nodes share, or run on one node")
    }

    /// Whether it is so on any of the ranks, under watch.
    private func isAny(_ isSo: Bool, of ranks: Ranks) throws(Failure) -> Bool {
        try run.watchdog.during(.agreement) { () throws(Failure) in
            try ranks.allReduce(isSo ? 1 : 0, .maximum) == 1
        }
    }

    /// Fails on all ranks where one of them does not see the same.
    private func require(_ isSeen: Bool, _ evidence: Evidence) throws(Failure) {
        guard try isAny(!isSeen, of: session.world) else { return }
        let folder = absoluteFolder
        let mine = Stranger(
            rank: session.world.rank,
            place: "on \(session.host)" + (folder == evidence.folder ? "" : " in \(folder)"))
        let strangers = try session.collect(isSeen ? [] : [mine])
        throw Failure(.inputOutput, message(strangers, evidence))
    }

    /// The most places, and the most ranks of one, that a message names.
    private static let namesMax = 8

    private func message(_ strangers: [Stranger], _ evidence: Evidence) -> String {
        var places: [String] = []
        for one in strangers where places.count < Self.namesMax && !places.contains(one.place) {
            places.append(one.place)
        }
        let groups = places.map { place in
            let ranks = strangers.filter { $0.place == place }.map(\.rank)
            let rest = ranks.count - Self.namesMax
            return (ranks.count == 1 ? "rank " : "ranks ")
                + ranks.prefix(Self.namesMax).map(String.init).joined(separator: ", ")
                + (rest > 0 ? " and \(rest) more " : " ") + place
        }
        let rest = strangers.count { !places.contains($0.place) }
        let shown =
            evidence.token == nil
            ? "as rank 0 on \(evidence.host) sees it in \(evidence.folder) it is not seen"
            : "what rank 0 on \(evidence.host) makes in \(evidence.folder) is not seen"
        return "output: \(path): the ranks do not share it: \(shown) by "
            + groups.joined(separator: "; ") + (rest > 0 ? "; and \(rest) more ranks" : "")
            + "; give a path that leads all ranks of all nodes to the same file"
    }
}
