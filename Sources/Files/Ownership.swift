// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen
import Options

/// The right to write a data set: a lock on one of its files, as long as this lives, and a manifest with the number of the
/// run, so that two that write one file do not both call it complete.
package final class Ownership {
    private let path: String
    /// Where the manifest is; nil where none is kept.
    private let place: String?
    private var manifest: Manifest
    private var lock: OpenFile?

    /// Prepares to take the data set at `path`, whose `manifest` has the number of the run and is at `place`.
    package init(_ path: String, manifestAt place: String?, _ manifest: Manifest) {
        (self.path, self.place, self.manifest) = (path, place, manifest)
    }

    /// The number of a run, drawn at random.
    package static func drawRun() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 16) }

    /// The number of the run.
    package var run: String { manifest.run }

    /// What is written next: all of a data set, or what an update of it changes.
    package func plan(_ spec: DataSpec, updating: Manifest.UnfinishedUpdate? = nil) {
        if spec != manifest.spec { manifest.checksums = [] }
        (manifest.spec, manifest.update) = (spec, updating)
    }

    /// Locks a file, if none was locked before.
    package func lock(_ own: String) throws(Failure) {
        if lock == nil { lock = try FileSystem.locked(own) }
    }

    /// Gives the lock back.
    package func release() { lock = nil }

    /// Makes a data set that is there that of this run: its manifest no longer says what it held.
    ///
    /// Tells what the manifest said, where there was one.
    package func takeOver() throws(Failure) -> Manifest? {
        let before = place.flatMap { (try? Manifest.read(at: $0)) ?? nil }
        try begin(earlier: before.map { [$0.spec] + $0.earlier } ?? [])
        return before
    }

    /// Says that the data is being written, and no longer what it held before, the last first; with `isNew` nothing
    /// may be there that says something else.
    package func begin(earlier: [DataSpec], isNew: Bool = false) throws(Failure) {
        // Other generations of the same data are known without.
        let known = earlier.filter {
            $0 != manifest.spec && !$0.isGeneration(of: manifest.spec)
        }
        manifest.earlier = Array(known.prefix(Manifest.earlierMax))
        manifest.status = manifest.update == nil ? .writing : .updating
        if let place { try manifest.write(to: place, for: path, isNew: isNew) }
    }

    /// Takes back what ``begin(earlier:isNew:)`` has said of data that does not come to be, unless another run has said
    /// something since.
    package func withdraw() throws(Failure) {
        try requireOurs()
        if let place { try FileSystem.remove(place) }
    }

    /// Says that the data is stored, and which checksums it has, unless another run has taken it meanwhile.
    package func complete(checksums: [RangeChecksum] = []) throws(Failure) {
        try requireOurs()
        // An update that several runs went on with is that of the one that began it.
        manifest.run = manifest.update?.run ?? manifest.run
        if !checksums.isEmpty { manifest.checksums = checksums }
        (manifest.status, manifest.update) = (.complete, nil)
        if let place { try manifest.write(to: place, for: path) }
    }

    /// Fails where the manifest is not that of this run any more.
    private func requireOurs() throws(Failure) {
        guard let place else { return }
        guard try Manifest.read(at: place)?.run == manifest.run else {
            throw Failure(.inputOutput, "\(path): another run has written it meanwhile")
        }
    }
}
