// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen
import Glibc
import Options

/// A data set whose bytes somebody else writes: claimed before the first of them, and called complete when all are stored.
///
/// For one process, which acts for all that write; nothing here waits for others.
package final class NewDataSet {
    package let files: FileSet
    private let spec: DataSpec
    private let ownership: Ownership

    private init(_ files: FileSet, _ spec: DataSpec, transferSize: Int?) {
        (self.files, self.spec) = (files, spec)
        ownership = Ownership(
            files.path, manifestAt: files.manifestPath,
            Manifest(
                status: .writing, spec: spec, layout: files.layout, ranks: files.shards.count,
                align: files.shards.alignment, transferSize: transferSize,
                run: Ownership.drawRun()))
    }

    /// Makes the files, empty, and a manifest that says that they are being written; what is there is only replaced where
    /// that `overwrites`.
    package static func create(
        _ files: FileSet, _ spec: DataSpec, transferSize: Int?, overwrites: Bool, checksSpace: Bool
    ) throws(Failure) -> NewDataSet {
        let made = NewDataSet(files, spec, transferSize: transferSize)
        try made.requirePlace(overwrites: overwrites, checksSpace: checksSpace)
        if overwrites { try made.replace() } else { try made.make() }
        return made
    }

    /// Finds out everything that can be known before anything is changed.
    private func requirePlace(overwrites: Bool, checksSpace: Bool) throws(Failure) {
        let path = files.path
        try files.requireShortNames()
        try FileSystem.requireNoDanglingLink(path)
        let existing = try FileSet.requireReplaceable(path, overwrites: overwrites)
        try files.requireWritable()
        try files.requireNoForeignManifest(overwrites: overwrites)
        if checksSpace {
            try FileSystem.requireSpace(
                for: path, bytes: spec.size - (existing?.allocatedBytes ?? 0))
        }
        _ = try files.requireFileSystem(hasFile: existing != nil)
        if files.layout == .perRank {
            try forParts { part throws(Failure) in
                try FileSystem.requireNoDanglingLink(part.path)
                _ = try FileSet.requireReplaceable(part.path, overwrites: overwrites)
            }
        }
        try requireApart()
        try forParts { part throws(Failure) in
            try FileSystem.requireLength(part.range.count, of: part.path)
        }
    }

    /// Makes new files; none of them stays where one cannot be made.
    private func make() throws(Failure) {
        // Before there is a file: whatever becomes of it, what is left is known to be ours.
        let isNew = try !FileSystem.isTaken(Manifest.path(for: files.path))
        try ownership.begin(earlier: [], isNew: isNew)
        var made: [String] = []
        do {
            try forParts { part throws(Failure) in
                try FileSystem.create(part.path, isNew: true)
                made.append(part.path)
            }
            try ownership.lock(files.path(of: 0))
        } catch {
            made.forEach(FileSystem.removeEmpty)
            // A failure changes nothing: it ends with the error that led here.
            try? ownership.withdraw()
            throw error
        }
    }

    /// Takes files over that are there, and makes those that are not.
    private func replace() throws(Failure) {
        var made: [String] = []
        let earlier: Manifest?
        do {
            try forParts { part throws(Failure) in
                guard try FileSystem.state(part.path) == nil else { return }
                try FileSystem.create(part.path, isNew: true)
                made.append(part.path)
            }
            try ownership.lock(files.path(of: 0))
            earlier = try ownership.takeOver()
        } catch {
            made.forEach(FileSystem.removeEmpty)
            throw error
        }
        try forParts { part throws(Failure) in try FileSystem.cut(part.path, to: 0) }
        if let earlier {
            try files.removeLeftovers(of: earlier.layout, ranks: earlier.ranks)
        }
    }

    /// Says that the data is stored, once all files are as long as they should be, and in stable storage as far as this
    /// node can bring them there.
    package func complete() throws(Failure) {
        try forParts { part throws(Failure) in
            try requireSize(part)
            try FileSystem.synchronize(part.path)
        }
        try ownership.complete()
        ownership.release()
    }

    /// Lets others write it; the manifest goes on saying that it is being written.
    package func release() { ownership.release() }

    /// Writes the manifest of a data set that is there, whoever has written it.
    ///
    /// Every file has to be as long as it should be, and to show where it comes from: a manifest lets others mend what is
    /// beside it. A manifest that is there is only replaced where that `overwrites`.
    ///
    /// - Complexity: of each file 4 MiB at most are looked at.
    package static func describe(
        _ files: FileSet, _ spec: DataSpec, transferSize: Int?, overwrites: Bool, kernel: Kernel
    ) throws(Failure) {
        let found = NewDataSet(files, spec, transferSize: transferSize)
        try files.requireShortNames()
        try FileSystem.requireNoDanglingLink(files.path)
        try files.requireWritable()
        try files.requireNoForeignManifest(overwrites: overwrites, keepsAll: true)
        try found.requireApart()
        try found.requireOurs(kernel)
        try found.ownership.lock(files.path(of: 0))
        defer { found.ownership.release() }
        if overwrites {
            _ = try found.ownership.takeOver()
        } else {
            try found.ownership.begin(earlier: [], isNew: true)
        }
        try found.complete()
    }

    /// Fails where a file is not one of the data set, by its length or its bytes.
    private func requireOurs(_ kernel: Kernel) throws(Failure) {
        // Zeros alone prove nothing, but where the data set has nothing else.
        var isProven = spec.isZeros
        try forParts { part throws(Failure) in
            try FileSystem.regular(part.path)
            try requireSize(part)
            switch try Provenance.of(
                part.path, bytes: part.range.count, part.range, specs: [spec], kernel: kernel)
            {
            case .ours: isProven = true
            case .nothing: break
            case .foreign:
                throw Failure(
                    .usage,
                    "\(part.path): none of the bytes that were looked at is of the data set; it gets no "
                        + "manifest")
            }
        }
        guard isProven || spec.size == 0 else {
            throw Failure(
                .usage, "\(files.path): nothing but zeros was found in it; it gets no manifest")
        }
    }

    private func requireSize(_ part: FileSet.Part) throws(Failure) {
        let found = try FileSystem.state(part.path)?.size
        guard found == part.range.count else {
            throw Failure(
                .inputOutput,
                "\(part.path): has \(found.map(String.init) ?? "no") bytes, not \(part.range.count)"
            )
        }
    }

    /// Fails where two files are one, by links.
    private func requireApart() throws(Failure) {
        guard files.count > 1 else { return }
        var seen: Set<String> = []
        try forParts { part throws(Failure) in
            guard let identity = FileSystem.identity(part.path) else { return }
            guard seen.insert(identity).inserted else {
                throw Failure(
                    .usage, "output: \(part.path) is the file of another rank too, by a link",
                    isInTheWay: true)
            }
        }
    }

    private func forParts(_ body: (FileSet.Part) throws(Failure) -> Void) throws(Failure) {
        for number in 0..<files.count { try body(files.part(number)) }
    }
}

extension DataSpec {
    /// Whether all of its bytes are zeros.
    fileprivate var isZeros: Bool {
        let reduction = Reduction(self)
        return reduction.zeroBlocks == reduction.blocks
    }
}
