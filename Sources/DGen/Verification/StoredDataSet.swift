// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import MPI
import Options

/// A data set that is in storage, as its manifest and the options tell; the same on every rank.
struct StoredDataSet {
    let spec: DataSpec
    let manifest: Manifest?
    /// The files that hold it.
    let files: FileSet
    /// How the ranks of this run share it.
    let shards: Shards
    /// Data sets that the file may have held before: those that the manifest knows, and the same with other seeds.
    let earlier: [DataSpec]

    var path: String { files.path }

    /// Finds out what the file that the options name should hold, as its manifest or the options tell; collective.
    ///
    /// Says `missing` where no file is named.
    /// With `isUpdate` the options tell what it is to become.
    init(
        _ run: Run, _ settings: Settings, _ target: Target, missing: String, isUpdate: Bool = false
    ) throws(Failure) {
        let session = run.session
        var settings = settings
        let path = try settings.dataPath(missing: missing)
        try target.requireReadable(path)
        let (asked, alignment) = try Failure.reading((settings.layout(), settings.alignment()))
        let place = target.manifestPath(for: path)
        let text = try session.onRoot {
            let text = try place.flatMap { place throws(Failure) in try Manifest.text(at: place) }
            if text == nil, let named = target.manifest { try FileSystem.regular(named) }
            // Without either, what is missing is the file; the files of ranks have other names.
            if text == nil, asked == .shared, target.isFile { try FileSystem.regular(path) }
            return text
        }
        manifest = try text.map { text throws(Failure) in
            try Manifest.parse(text, name: place ?? path)
        }
        if manifest == nil, target.kind == .device {
            settings.supply("\(target.deviceBytes)", for: .size)
        }
        if manifest == nil, !settings.has(.size) || !settings.has(.seed) {
            throw Failure(
                .usage,
                "\(path): has no manifest \(place ?? "(--manifest FILE)"); give its specification as "
                    + "options, --size and --seed at least")
        }
        var spec = try settings.spec(over: manifest?.spec, drawingSeed: nil)
        if isUpdate, let step = try Failure.reading(settings[.by]) {
            let now = spec.generation
            spec = try Failure.reading(spec.withGeneration(now + step))
        }
        self.spec = spec
        shards = Shards(size: spec.size, ranks: session.world.size, alignment: alignment)
        let layout = settings.has(.layout) ? asked : manifest?.layout ?? asked
        // Without a manifest of such files there are as many as ranks.
        let written =
            layout == .perRank && manifest?.layout == .perRank
            ? manifest.map { Shards(size: spec.size, ranks: $0.ranks, alignment: $0.align) } : nil
        files = FileSet(path: path, layout: layout, shards: written ?? shards, target: target)
        let reseeded = try Failure.reading(
            settings[.alsoKnown].map { seed throws(InvalidField) in try spec.withSeed(seed) })
        earlier = (manifest?.earlier ?? []) + reseeded
        if settings.has(.segments) || settings.has(.strided) {
            try requireCut(Failure.reading(settings.cut()))
        }
        guard session.isRoot else { return }
        if let manifest, let doubt = manifest.doubt {
            run.logger.warning("\(path): its manifest \(doubt)")
        }
        if !isUpdate, let manifest, manifest.spec != spec || manifest.layout != files.layout {
            run.logger.warning("\(path): the options given differ from its manifest; they are used")
        }
    }

    /// Refuses to be told that the ranks that wrote the data set took other parts of it than they did, which nothing would
    /// come of.
    private func requireCut(_ cut: Cut) throws(Failure) {
        guard let manifest, cut != manifest.cut else { return }
        let written =
            manifest.cut == .strided ? "strided" : "in \(manifest.cut.segmentCount ?? 1) segments"
        throw Failure(
            .usage,
            "segments, strided: \(path) was written \(written), as its manifest tells; give that or "
                + "nothing")
    }

    /// The first file is there, and the same for all ranks; others are missed when they are read; collective.
    ///
    /// `note` is told the type of the file system as soon as it is known.
    func requireFiles(_ run: Run, note: (String?) -> Void) throws(Failure) {
        let first = files.path(of: 0)
        note(
            try run.session.onRoot {
                guard files.target.isFile else { return nil }
                try FileSystem.regular(first)
                return FileSystem.type(first)
            })
        try Sharing(run: run, files: files).prove(isReading: true)
    }

    /// Refuses options that describe another data set than the manifest, or have its bytes lie elsewhere.
    func requireAgreement() throws(Failure) {
        guard let manifest else { return }
        // An update may be undone.
        let isUndone =
            manifest.update.map { update in
                update.from == spec.generation
                    && manifest.spec.isGeneration(of: spec)
            } ?? false
        guard manifest.spec == spec || isUndone, manifest.layout == files.layout else {
            throw Failure(
                .usage,
                "\(path): was begun with another specification or layout than the options say, as its "
                    + "manifest tells; give that one or none")
        }
    }

    /// What its manifest says while it is changed: whoever does that, it stays the data set of the ranks that have written it.
    func changedManifest(_ status: Manifest.Status, transferSize: Int) -> Manifest {
        let isKnown = manifest?.pattern != nil
        return Manifest(
            status: status, spec: spec, layout: files.layout,
            ranks: isKnown ? manifest?.ranks ?? 1 : shards.count,
            align: isKnown ? manifest?.align ?? 1 : shards.alignment,
            cut: manifest?.cut ?? .segments(1),
            transferSize: isKnown ? manifest?.transferSize : transferSize,
            checksums: manifest?.spec == spec ? manifest?.checksums ?? [] : [])
    }

    /// What damage to it is explained by, where it is in another generation than its manifest says, maybe.
    func damageSearch(
        _ pipeline: Pipeline, isOfSample: Bool = false, in generation: DataSpec? = nil
    ) -> DamageSearch {
        // Options that differ from the manifest describe another data set than the one that ranks have written.
        let isWritten = manifest?.spec.size == spec.size
        return DamageSearch(
            pipeline: pipeline, files: files, spec: generation ?? spec, earlier: earlier,
            pattern: isWritten ? manifest?.pattern : nil, isOfSample: isOfSample)
    }
}
