// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI
import Options

/// A data set that is in storage, as its manifest and the options tell; the same on every rank.
struct StoredDataSet {
    let path: String
    let spec: DataSpec
    let manifest: Manifest?
    /// The files that hold it.
    let files: FileSet
    /// How the ranks of this run share it.
    let shards: Shards

    /// Finds out what the file that the options name should hold; collective.
    ///
    /// - Parameters:
    ///   - run: the ranks.
    ///   - settings: the options.
    ///   - missing: what to say where no file is named.
    /// - Throws: ``Failure`` where neither manifest nor options tell.
    init(_ run: Run, _ settings: Settings, missing: String) throws {
        let session = run.session
        let path = try settings.dataPath(missing: missing)
        let text = try session.onRoot {
            let text = try Manifest.text(for: path)
            // Without either, what is missing is the file; the files of ranks have other names.
            if text == nil, try settings.layout() == .shared {
                try Self.requireFile(path)
            }
            return text
        }
        self.path = path
        manifest = try text.map { try Manifest.parse($0, name: Manifest.path(for: path)) }
        if manifest == nil, !settings.has(.size) || !settings.has(.seed) {
            throw Failure(
                .usage,
                "\(path): has no manifest \(Manifest.path(for: path)); give its specification as "
                    + "options, --size and --seed at least")
        }
        spec = try settings.spec(over: manifest?.spec, drawingSeed: nil)
        shards = Shards(
            size: spec.size, ranks: session.world.size, alignment: try settings.alignment())
        let asked = try settings.layout()
        let layout = settings.has(.layout) ? asked : manifest?.layout ?? asked
        try manifest.map { try Self.requireSameCut(settings, $0, path) }
        // Without a manifest of such files there are as many as ranks.
        let size = spec.size
        let written =
            layout == .perRank && manifest?.layout == .perRank
            ? manifest.map { Shards(size: size, ranks: $0.ranks, alignment: $0.align) } : nil
        files = FileSet(path: path, layout: layout, shards: written ?? shards)
        guard session.isRoot else { return }
        if manifest?.status == .writing {
            run.logger.warning(
                "\(path): its manifest says 'writing': the run that wrote it did not finish")
        }
        if let manifest, manifest.spec != spec || manifest.layout != layout {
            run.logger.warning("\(path): the options given differ from its manifest; they are used")
        }
    }

    /// Refuses to be told that the ranks that wrote the data set took other parts of it than they did, which nothing would
    /// come of.
    private static func requireSameCut(
        _ settings: Settings, _ manifest: Manifest, _ path: String
    ) throws {
        guard settings.has(.segments) || settings.has(.strided), try settings.cut() != manifest.cut
        else { return }
        let written =
            manifest.cut == .strided ? "strided" : "in \(manifest.cut.segmentCount ?? 1) segments"
        throw Failure(
            .usage,
            "segments, strided: \(path) was written \(written), as its manifest tells; give that or "
                + "nothing")
    }

    /// The first file is there, and the same for all ranks; others are missed when they are read; collective.
    ///
    /// - Parameters:
    ///   - run: the ranks.
    ///   - note: told the type of the file system as soon as it is known.
    /// - Throws: ``Failure`` where it is not.
    func requireFiles(_ run: Run, note: (String?) -> Void) throws {
        let first = files.path(of: 0)
        note(
            try run.session.onRoot {
                try Self.requireFile(first)
                return FileSystem.type(first)
            })
        try Sharing(run, files).prove(isReading: true)
    }

    private static func requireFile(_ path: String) throws {
        guard let state = try FileSystem.state(path) else {
            throw Failure(.inputOutput, "\(path): no such file")
        }
        guard state.isRegular else {
            throw Failure(.inputOutput, "\(path): not a regular file")
        }
    }

    /// Refuses options that describe another data set than the manifest, or have its bytes lie elsewhere.
    func requireAgreement(_ settings: Settings) throws {
        guard let manifest else { return }
        guard manifest.spec == spec, manifest.layout == files.layout else {
            throw Failure(
                .usage,
                "\(path): was begun with another specification or layout than the options say, as its "
                    + "manifest tells; give that one or none")
        }
    }

    /// Data sets that the file may have held before: those that the manifest knows, and the same with other seeds.
    func earlier(_ settings: Settings) throws -> [DataSpec] {
        try (manifest?.earlier ?? []) + settings[.alsoKnown].map { try spec.withSeed($0) }
    }

    /// What damage to it is explained by.
    func damageSearch(
        _ pipeline: Pipeline, _ settings: Settings, isOfSample: Bool = false
    ) throws -> DamageSearch {
        // Options that differ from the manifest describe another data set than the one that ranks have written.
        let isWritten = manifest?.spec.size == spec.size
        return DamageSearch(
            pipeline, files, spec, earlier: try earlier(settings),
            writtenAs: isWritten ? manifest?.pattern : nil, isOfSample: isOfSample)
    }
}
