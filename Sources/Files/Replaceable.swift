// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
package import Glibc
package import Options

/// What is in the place of a data set that is to be written, and what may become of it.
extension FileSet {
    /// What is at a path that is to be written, which is nothing, or a file that may be replaced.
    package static func requireReplaceable(
        _ path: String, overwrites: Bool
    ) throws(Failure) -> stat? {
        guard let existing = try FileSystem.state(path) else { return nil }
        guard !existing.isDirectory else {
            throw Failure(.inputOutput, "output: \(path) is a directory; give a file")
        }
        guard existing.isRegular else {
            throw Failure(.inputOutput, "output: \(path) is not a regular file")
        }
        guard overwrites else {
            throw Failure(
                .usage, "output: \(path) exists; it is left as it is without --overwrite",
                isInTheWay: true)
        }
        return existing
    }

    /// The type of the file system that the data will be on; fails where that is for devices, and no file is there yet.
    package func requireFileSystem(hasFile: Bool) throws(Failure) -> String {
        let folder = FileSystem.folder(of: FileSystem.resolved(path))
        let type = FileSystem.type(folder)
        guard type != "devtmpfs" || hasFile else {
            throw Failure(
                .usage,
                "output: \(path) is not there, and \(folder) is for devices: a file there would be in "
                    + "memory")
        }
        return type
    }

    /// The manifest's place may be taken: by that of a data set whose files have other names, or by a file that is none,
    /// and that nobody has asked to overwrite.
    ///
    /// One whose files are all gone speaks of nothing; with `keepsAll` it stays all the same.
    package func requireNoForeignManifest(
        overwrites: Bool, keepsAll: Bool = false
    ) throws(Failure) {
        let manifest = Manifest.path(for: path)
        guard try FileSystem.isTaken(manifest) else { return }
        guard try Manifest.isThere(at: manifest) else {
            throw Failure(
                .usage,
                "output: \(manifest) exists and is no manifest; it is left as it is (give another "
                    + "output)", isInTheWay: true)
        }
        guard !overwrites else { return }
        let known = (try? Manifest.read(for: path)) ?? nil
        if !keepsAll, known != nil, FileLayout.rankFiles(of: path).isEmpty { return }
        let what = known.map { " (layout \($0.layout.rawValue), seed \($0.spec.seed))" } ?? ""
        throw Failure(
            .usage,
            "output: \(manifest) says that a data set is there\(what); it is left as it is without "
                + "--overwrite", isInTheWay: true)
    }

    /// Takes away the files of a data set that was here before, where they are not those of this one: every so many of
    /// them, from one on.
    package func removeLeftovers(
        of layout: FileLayout, ranks: Int, from first: Int = 0, by step: Int = 1
    ) throws(Failure) {
        guard layout == .perRank else {
            if self.layout == .perRank, first == 0 { try FileSystem.remove(path) }
            return
        }
        let kept = self.layout == .perRank ? shards.count : 0
        for number in stride(from: first, to: max(1, ranks), by: step) where number >= kept {
            let file = layout.path(path, rank: number)
            // What a manifest says is not true for ever.
            guard let state = try FileSystem.state(file) else { break }
            if state.isRegular { try FileSystem.remove(file) }
        }
    }
}
