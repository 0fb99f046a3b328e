// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import MPI
import Options

/// The file beside a data file that says what it holds (FORMAT.md section 6).
struct Manifest {
    typealias Status = StoredManifest.Status

    /// An update that goes on.
    struct UnfinishedUpdate: Codable, Equatable {
        /// The generation of the data before it.
        let from: Int
        /// How many ranks share it, and when they bring what they write to stable storage; not part of the format.
        var ranks: Int?
        var sync: String?
        /// The most bytes of a write.
        var transferSize: Int?
        /// The run that began it, where another one goes on with it.
        var run: String?

        /// Whether its ranks write in the order in which those of another one do, and have their sync points where those do.
        func hasOrder(of other: UnfinishedUpdate) -> Bool {
            from == other.from && ranks == other.ranks && sync == other.sync
                && transferSize == other.transferSize
        }
    }

    var status: Status
    /// While ``status`` says so.
    var update: UnfinishedUpdate?
    var spec: DataSpec
    /// Into how many files the data was written.
    var layout = FileLayout.shared
    /// How many ranks wrote the data, and what their shards were aligned to; not part of the format.
    let ranks: Int
    let align: Int
    /// How it was dealt to them, and in which transfers; not part of the format.
    var cut = Cut.segments(1)
    var transferSize: Int?
    /// What the file held before, the last first: bytes of it may have stayed.
    var earlier: [DataSpec] = []
    /// Those of the whole data set that are known.
    var checksums: [RangeChecksum] = []
    /// Which run wrote the manifest: two that write one file must not both call it complete.
    var run = ""
    /// What the data was written to where that is no file, and which device; not part of the format.
    var target: String?
    var device: String?

    /// Why the data may not be what the manifest says; nil where it should be.
    var doubt: String? {
        switch status {
        case .complete: return nil
        case .writing: return "says 'writing': the run that wrote it did not finish"
        case .updating:
            let (old, new) = (update?.from ?? 0, spec.generation)
            return
                "says 'updating': the run that brings it from generation \(old) to \(new) did not finish"
        }
    }

    /// The run that the data set is of, or the update that goes on.
    var owner: String { update?.run ?? run }

    /// The most of ``earlier`` that are kept.
    static let earlierMax = 4

    /// Which rank wrote what; nil where the manifest does not say.
    var pattern: DealtPattern? {
        guard ranks >= 1, align >= 1 else { return nil }
        return DealtPattern(
            Shards(size: spec.size, ranks: ranks, alignment: align),
            transferSize: transferSize ?? OptionLimits.transferBytesDefault, cut: cut)
    }

    static func path(for data: String) -> String { data + ".dgen.json" }

    private struct Encoded: Encodable {
        let format: String
        let status: Status
        let update: UnfinishedUpdate?
        let spec: EncodedSpec
        let createdBy = "dgen-mpi \(Version.current)"
        let layout: FileLayout
        /// The names of the first and the last file, where there are several.
        let files: [String]?
        let ranks: Int
        let align: Int
        let segments: Int?
        let strided: Bool?
        let transferSize: Int?
        let earlier: [EncodedSpec]?
        let checksums: [Checksum]?
        let run: String
        let target: String?
        let device: String?

        struct Checksum: Encodable {
            let algorithm: String
            let hex: String
        }
    }

    /// Writes the manifest of the data at `data` to the file at `path`; where it is new, nothing may be in its place.
    func write(to path: String, for data: String, isNew: Bool = false) throws(Failure) {
        // Names for people; those who read the manifest make them of its own path.
        let name = FileSystem.name(of: data)
        let files =
            layout == .perRank
            ? [layout.path(name, rank: 0), layout.path(name, rank: ranks - 1)] : nil
        let encoded = Encoded(
            format: StoredManifest.format(of: spec), status: status,
            update: status == .updating ? update : nil, spec: EncodedSpec(spec), layout: layout,
            files: files, ranks: ranks,
            align: align, segments: cut.segmentCount, strided: cut == .strided ? true : nil,
            transferSize: transferSize,
            earlier: earlier.isEmpty ? nil : earlier.map(EncodedSpec.init),
            checksums: checksums.isEmpty || status != .complete
                ? nil
                : checksums.map { Encoded.Checksum(algorithm: $0.algorithm.rawValue, hex: $0.hex) },
            run: run, target: target, device: device)
        let bytes = try JSON.encode(encoded)
        if isNew {
            try FileSystem.make(path, with: bytes)
        } else {
            try FileSystem.replace(path, with: bytes)
        }
    }

    /// Reads the manifest of the data file at `data`; nil where there is none.
    static func read(for data: String) throws(Failure) -> Manifest? {
        try read(at: path(for: data))
    }

    /// Reads the manifest at `path`; nil where there is none.
    static func read(at path: String) throws(Failure) -> Manifest? {
        try text(at: path).map { text throws(Failure) in try parse(text, name: path) }
    }

    /// Refuses to write a manifest through a link that leads elsewhere than to that of the file that the data's link leads to:
    /// it may be that of another data set.
    static func requireOwnPlace(for data: String) throws(Failure) {
        let place = path(for: data)
        guard FileSystem.isLink(place) else { return }
        guard FileSystem.resolved(place) == path(for: FileSystem.resolved(data)) else {
            throw Failure(
                .usage,
                "output: \(place) is a link that does not lead to the manifest beside the data; what it "
                    + "leads to is left as it is")
        }
    }

    /// Whether what is at `path` is a manifest, be it broken or of another version.
    static func isThere(at path: String) throws(Failure) -> Bool {
        guard try FileSystem.state(path)?.isRegular == true, let text = (try? text(at: path)) ?? nil
        else { return false }
        let start = text.drop(while: \.isWhitespace)
        return start.first == "{" && text.contains("\"format\"") && text.contains("\"dgen/")
    }

    /// The text of the manifest at `path`; nil where there is none.
    static func text(at path: String) throws(Failure) -> String? {
        guard try FileSystem.state(path) != nil else { return nil }
        return try FileSystem.readText(path, bytesMax: 1 << 20, what: "manifest")
    }

    /// Reads a manifest.
    static func parse(_ text: String, name: String) throws(Failure) -> Manifest {
        let stored: StoredManifest
        do {
            stored = try StoredManifest(parsing: text)
        } catch {
            throw Failure(.usage, "\(name): \(error)")
        }
        return Manifest(
            status: stored.status,
            update: stored.updatedFrom.map {
                UnfinishedUpdate(
                    from: $0, ranks: stored.updateRanks, sync: stored.updateSync,
                    transferSize: stored.updateTransferSize, run: stored.updateRun)
            }, spec: stored.spec,
            layout: stored.isPerRank ? .perRank : .shared, ranks: stored.ranks ?? 0,
            align: stored.align ?? 0,
            cut: stored.isStrided ? .strided : .segments(stored.segments),
            transferSize: stored.transferSize.flatMap {
                $0 <= SharedFile.transferBytesMax ? $0 : nil
            },
            earlier: Array(stored.earlier.prefix(earlierMax)), checksums: stored.checksums,
            run: stored.run, target: stored.target, device: stored.device)
    }
}
