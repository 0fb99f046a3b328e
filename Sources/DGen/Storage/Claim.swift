// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

/// The right of a run to write a data set, on all of its ranks: each locks its files, and rank 0 has the manifest.
final class Claim {
    private var session: Session
    private let path: String
    private let target: Target
    /// Where the manifest is; nil where none is kept.
    private let place: String?
    private let ownership: Ownership
    /// What the manifest has of a target that is no file.
    private let targetName, deviceName: String?
    /// The device, on one rank of each node.
    private var device: DeviceClaim?

    /// Prepares a claim; collective, since rank 0 draws the number of the run.
    init(
        _ session: Session, _ path: String, _ target: Target, _ manifest: Manifest
    ) throws(Failure) {
        try target.requireWritable(path)
        self.session = session
        self.path = path
        self.target = target
        place = target.manifestPath(for: path)
        var manifest = manifest
        if !target.isFile {
            manifest.target = target.kind.rawValue
            manifest.device = target.kind == .device ? path : nil
        }
        manifest.run = try session.onRoot { Ownership.drawRun() }
        (targetName, deviceName) = (manifest.target, manifest.device)
        ownership = Ownership(path, manifestAt: place, manifest)
    }

    /// The number of the run.
    var run: String { ownership.run }

    /// What is written next: all of a data set, or what an update of it changes.
    func plan(_ spec: DataSpec, updating: Manifest.UnfinishedUpdate? = nil) {
        ownership.plan(spec, updating: updating)
    }

    /// The files of a data set that was here before, as its manifest has them.
    struct EarlierFiles: Codable {
        let layout: FileLayout
        let ranks: Int
    }

    /// Makes a data set that is there that of this run: nobody else writes it, and its manifest no longer says what it held;
    /// collective.
    ///
    /// Tells what was there, where a manifest says that. `own` is the file that this rank looks after.
    func take(_ own: String?) throws(Failure) -> EarlierFiles? {
        try lock(own)
        return try session.onRoot {
            try ownership.takeOver().map { EarlierFiles(layout: $0.layout, ranks: $0.ranks) }
        }
    }

    /// Takes a device for this run alone, of which `bytes` bytes will be written, on each node, if it holds what it may;
    /// collective.
    func takeDevice(bytes: Int, holding content: DeviceClaim.Content) throws(Failure) {
        guard target.kind == .device else { return }
        try session.together {
            guard device == nil, session.node.rank == 0 else { return }
            device = try session.watchdog.during(.read) { () throws(Failure) in
                let device = try DeviceClaim(path, target, bytes: bytes)
                if session.isRoot { try device.require(content, path) }
                return device
            }
        }
    }

    /// Fails where the place of the manifest of what is no file holds anything but an earlier one of the same; on rank 0.
    ///
    /// With `mayMove` a device may have got another name since.
    func requireOwnPlace(overwrites: Bool, mayMove: Bool = false) throws(Failure) {
        guard !target.isFile, let place else { return }
        try FileSystem.requireWritableFolder(FileSystem.folder(of: place))
        _ = try Place(place)
        guard try FileSystem.isTaken(place) else { return }
        func left(_ what: String) -> Failure {
            Failure(.usage, "manifest: \(place) \(what); it is left as it is")
        }
        guard !FileSystem.isLink(place) else { throw left("is a link") }
        guard try Manifest.isThere(at: place) else { throw left("exists and is no manifest") }
        let known = (try? Manifest.read(at: place)) ?? nil
        guard let known, known.target == targetName,
            mayMove
                || known.device.map(FileSystem.resolved)
                    == deviceName.map(FileSystem.resolved)
        else { throw left("is the manifest of something else") }
        guard overwrites else { throw left("exists without --overwrite") }
    }

    /// Locks the file that this rank looks after, if it looks after one and has not locked it before; collective.
    func lock(_ own: String?) throws(Failure) {
        guard target.isFile else { return }
        try session.together {
            if let own { try ownership.lock(own) }
        }
    }

    /// Has some of the ranks use it for a while, rank 0 among them.
    func lent<Result>(
        to some: Session, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let all = session
        session = some
        defer { session = all }
        return try body()
    }

    /// Gives the locks back.
    func release() {
        ownership.release()
        device = nil
    }

    /// Says on rank 0 that the data is being written, and no longer what it held before, the last first; with `isNew` nothing
    /// may be there that says something else.
    func begin(earlier: [DataSpec], isNew: Bool = false) throws(Failure) {
        try ownership.begin(earlier: earlier, isNew: isNew)
    }

    /// Takes back on rank 0 what ``begin(earlier:isNew:)`` has said of data that does not come to be, unless another run has
    /// said something since.
    func withdraw() throws(Failure) { try ownership.withdraw() }

    /// Says that the data is stored, unless another run has taken the file meanwhile; collective.
    func complete(checksums: [RangeChecksum] = []) throws(Failure) {
        try session.onRoot { try ownership.complete(checksums: checksums) }
    }
}
