// SPDX-License-Identifier: MIT OR Apache-2.0

import FoundationEssentials
import Glibc
import Options

/// The files that a run names, whatever it does with them: no two of them may be one, or writing one would destroy
/// another.
struct NamedFiles {
    private struct File {
        let option: OptionRow?
        let path: String
        let what: String
        /// Whether it is replaced without being asked for.
        let isResult: Bool

        init?(_ option: OptionRow?, _ path: String?, _ what: String, isResult: Bool = false) {
            guard let path, !path.isEmpty else { return nil }
            (self.option, self.path, self.what, self.isResult) = (option, path, what, isResult)
        }

        /// The option that names it, as messages have it.
        var field: String { option?.name ?? (path == StandardOutput.path ? "stdout" : "job") }
    }

    private let files: [File]
    /// The data, beside which files of ranks may lie.
    private let data: String?

    init(_ settings: Settings) throws(Failure) {
        let output = settings.text(.output).flatMap { $0.isEmpty ? nil : $0 }
        let isStandardOutput = output == Target.standardOutput
        let data = isStandardOutput ? nil : output
        let manifest = settings.text(.manifest)
        self.data = data
        let profile = settings.text(.profile).flatMap {
            ReadyProfile.text(of: $0) == nil ? $0 : nil
        }
        let (report, table, isQuiet) = try Failure.reading(
            (settings[.report], settings[.csv], settings[.quiet]))
        if isStandardOutput, report == "-" {
            throw Failure(.usage, "report: '-' is where the data goes; give a file")
        }
        files = [
            File(.output, data, "the data"),
            File(.output, manifest == nil ? data.map(Manifest.path(for:)) : nil, "the manifest"),
            File(.manifest, manifest, "the manifest"),
            File(nil, settings.jobPath, "the job file"),
            File(.hintsFile, settings.text(.hintsFile), "the hints file"),
            File(.profile, profile, "the profile"),
            File(.report, report == "-" ? nil : report, "the report", isResult: true),
            File(.csv, table, "the table", isResult: true),
            // What a shell has led it to is not named, and is written all the same, unless nothing is said there.
            isQuiet && !isStandardOutput && report != "-"
                ? nil : File(nil, StandardOutput.path, "what stdout leads to"),
        ].compactMap { $0 }
    }

    /// Refuses files that are one, and results in the place of data; before anything is written.
    func requireApart() throws(Failure) {
        let identities = files.map { FileIdentity($0.path) }
        for (later, file) in files.enumerated() {
            for (other, earlier) in zip(identities, files).prefix(later)
            where identities[later].isSame(as: other) {
                throw Self.refusal(file, earlier.what)
            }
        }
        if let data {
            try requireApart(fromRanksOf: data, Array(zip(files, identities).dropFirst()))
        }
        for file in files where file.isResult {
            // Also finds out whether it may be written at all.
            _ = try Place(file.path)
            let target = FileSystem.resolved(file.path)
            guard let state = try FileSystem.state(target) else { continue }
            guard !state.isBlockDevice else {
                throw Failure(.inputOutput, "\(file.path): is a block device; give a file")
            }
            guard state.isRegular else { continue }
            try requireNoData(file, at: target)
            // An empty file has nothing to lose.
            if state.size > 0 { try requireResult(file, at: target) }
        }
    }

    /// The longest result of an earlier run that is looked at.
    private static let resultBytesMax = 64 << 20

    /// Refuses to replace what is not a result of this program.
    private func requireResult(_ file: File, at target: String) throws(Failure) {
        let isTable = file.option == .csv
        let text = try? FileSystem.readText(
            target, bytesMax: Self.resultBytesMax, what: "earlier result")
        let isOurs =
            isTable
            ? text?.hasPrefix(OperationsTable.mark) : text?.contains(Report.mark)
        guard isOurs != true else { return }
        throw Failure(
            .usage,
            "\(file.field): '\(file.path)' is there and is no \(isTable ? "table" : "report") of "
                + "dgen-mpi; give another file")
    }

    private static func refusal(_ file: File, _ what: String) -> Failure {
        let path = file.path == StandardOutput.path ? FileSystem.resolved(file.path) : file.path
        return Failure(.usage, "\(file.field): '\(path)' is \(what); give another file")
    }

    /// Refuses what is, or may come to be, a file of a rank: of a data set that was there, is written, or will be.
    private func requireApart(
        fromRanksOf data: String, _ others: [(file: File, identity: FileIdentity)]
    ) throws(Failure) {
        let what = "a place for the data of a rank"
        for (file, identity) in others {
            for name in [FileSystem.name(of: file.path), identity.name] {
                guard let rank = FileLayout.rank(of: name)?.rank else { continue }
                let place = FileIdentity(FileLayout.perRank.path(data, rank: rank))
                if identity.isSame(as: place) { throw Self.refusal(file, what) }
            }
        }
        // Links to or from one that is there.
        let mayBeLinked = others.contains { $0.identity.isLinked }
        for entry in FileLayout.rankFiles(of: data) where entry.isLink || mayBeLinked {
            let identity = FileIdentity(entry.path)
            for (file, other) in others where other.isSame(as: identity) {
                throw Self.refusal(file, what)
            }
        }
    }

    /// Refuses to replace a data set that another run has made, or its manifest.
    private func requireNoData(_ file: File, at target: String) throws(Failure) {
        var names = [target]
        if let base = FileLayout.rank(of: target)?.base { names.append(base) }
        let suffix = Manifest.path(for: "")
        if target.hasSuffix(suffix) { names.append(String(target.dropLast(suffix.count))) }
        for name in names {
            // What cannot be read proves nothing.
            guard let manifest = (try? Manifest.read(for: name)) ?? nil else { continue }
            if name == target, manifest.layout != .shared { continue }
            if let rank = FileLayout.rank(of: target), rank.base == name,
                manifest.layout != .perRank || rank.rank >= manifest.ranks
            {
                continue
            }
            throw Self.refusal(file, "of the data set \(name), as its manifest says")
        }
    }
}

/// What makes a path that of one file and no other, whatever it is written like: the file itself where it is there,
/// otherwise its folder and its name.
struct FileIdentity {
    private enum Key: Equatable {
        case file(String)
        case place(String, folder: String)
        case text(String)
        /// A device, a pipe, a folder: what is written to it replaces nothing.
        case none
    }

    private let key: Key
    /// The name in its folder, links followed.
    let name: String
    /// Whether a regular file has several names.
    let isLinked: Bool

    init(_ path: String) {
        var place = Self.trimmed(path)
        if let status = try? System.status(place).get() {
            key = status.isRegular ? .file("\(status.st_dev):\(status.st_ino)") : .none
            name = FileSystem.name(of: FileSystem.resolved(place))
            isLinked = status.isRegular && status.st_nlink > 1
            return
        }
        isLinked = false
        // What a link would make where it leads.
        for _ in 0..<40 where FileSystem.isLink(place) {
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: place)
            else { break }
            place = Self.trimmed(
                target.hasPrefix("/") ? target : FileSystem.folder(of: place) + "/" + target)
        }
        name = FileSystem.name(of: place)
        let folder = FileSystem.folder(of: place)
        key =
            FileSystem.identity(folder).map { .place($0, folder: folder) }
            ?? .text(URL(filePath: place).standardizedFileURL.path)
    }

    /// A path without what it may end with and mean the same.
    private static func trimmed(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// Whether two paths lead to one file, or would once they exist.
    func isSame(as other: FileIdentity) -> Bool {
        switch (key, other.key) {
        case (.none, _), (_, .none): false
        case (.place(let one, let folder), .place(let two, _)):
            one == two
                && (name.utf8.elementsEqual(other.name.utf8)
                    || Self.isOneName(name, other.name, in: folder))
        default: key == other.key
        }
    }

    /// Whether a file system takes two names that differ in case, or in how letters are composed, for one.
    ///
    /// It is asked, in a folder that is made for that in the one in question: rules differ, also from folder to folder.
    private static func isOneName(_ one: String, _ other: String, in folder: String) -> Bool {
        func folded(_ name: String) -> String {
            var name = name.lowercased()
            while name.hasSuffix(".") || name.hasSuffix(" ") { name.removeLast() }
            return name
        }
        // What is the same beyond ASCII is a matter of tables that file systems have several of.
        func isPlain(_ name: String) -> Bool { name.utf8.allSatisfy { $0 < 0x80 } }
        guard folded(one) == folded(other) || !isPlain(one) || !isPlain(other) else { return false }
        let number = UInt64.random(in: 0...UInt64.max)
        let trial = "\(folder)/.dgen-mpi-\(String(number, radix: 36)).tmp"
        // Where nothing can be made, nothing is written either.
        guard mkdir(trial, 0o700) == 0 else { return false }
        let made = open(
            "\(trial)/\(one)", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if made >= 0 { close(made) }
        var status = stat()
        let isOne = lstat("\(trial)/\(other)", &status) == 0
        unlink("\(trial)/\(one)")
        rmdir(trial)
        return isOne
    }
}
