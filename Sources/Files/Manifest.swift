// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen
package import Options

/// The file beside a data file that says what it holds (FORMAT.md section 6).
package struct Manifest {
    package typealias Status = StoredManifest.Status

    /// An update that goes on.
    package struct UnfinishedUpdate: Codable, Equatable, Sendable {
        /// The generation of the data before it.
        package let from: Int
        /// How many ranks share it, and when they bring what they write to stable storage; not part of the format.
        package var ranks: Int?
        package var sync: String?
        /// The most bytes of a write.
        package var transferSize: Int?
        /// The run that began it, where another one goes on with it.
        package var run: String?

        package init(
            from: Int, ranks: Int? = nil, sync: String? = nil, transferSize: Int? = nil,
            run: String? = nil
        ) {
            (self.from, self.ranks, self.sync) = (from, ranks, sync)
            (self.transferSize, self.run) = (transferSize, run)
        }

        /// Whether its ranks write in the order in which those of another one do, and have their sync points where those do.
        package func hasOrder(of other: UnfinishedUpdate) -> Bool {
            from == other.from && ranks == other.ranks && sync == other.sync
                && transferSize == other.transferSize
        }

        fileprivate var json: JSONValue {
            JSONValue([
                "from": .number(from), "ranks": ranks.map { .number($0) },
                "sync": sync.map { .string($0) },
                "transfer_size": transferSize.map { .number($0) },
                "run": run.map { .string($0) },
            ])
        }
    }

    package var status: Status
    /// While ``status`` says so.
    package var update: UnfinishedUpdate?
    package var spec: DataSpec
    /// Into how many files the data was written.
    package var layout = FileLayout.shared
    /// How many ranks wrote the data, and what their shards were aligned to; not part of the format.
    package let ranks: Int
    package let align: Int
    /// How it was dealt to them, and in which transfers; not part of the format.
    package var cut = Cut.segments(1)
    package var transferSize: Int?
    /// What the file held before, the last first: bytes of it may have stayed.
    package var earlier: [DataSpec] = []
    /// Those of the whole data set that are known.
    package var checksums: [RangeChecksum] = []
    /// Which run wrote the manifest: two that write one file must not both call it complete.
    package var run = ""
    /// What the data was written to where that is no file, and which device; not part of the format.
    package var target: String?
    package var device: String?

    package init(
        status: Status, update: UnfinishedUpdate? = nil, spec: DataSpec,
        layout: FileLayout = .shared, ranks: Int, align: Int, cut: Cut = .segments(1),
        transferSize: Int? = nil, earlier: [DataSpec] = [], checksums: [RangeChecksum] = [],
        run: String = "", target: String? = nil, device: String? = nil
    ) {
        (self.status, self.update, self.spec, self.layout) = (status, update, spec, layout)
        (self.ranks, self.align, self.cut) = (ranks, align, cut)
        (self.transferSize, self.earlier, self.checksums) = (transferSize, earlier, checksums)
        (self.run, self.target, self.device) = (run, target, device)
    }

    /// Why the data may not be what the manifest says; nil where it should be.
    package var doubt: String? {
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
    package var owner: String { update?.run ?? run }

    /// The most of ``earlier`` that are kept.
    package static let earlierMax = 4

    package static func path(for data: String) -> String { data + ".dgen.json" }

    /// The text of the manifest of the data file at `data`.
    package func text(for data: String) -> String {
        // Names for people; those who read the manifest make them of its own path.
        let name = FileSystem.name(of: data)
        let files =
            layout == .perRank
            ? [layout.path(name, rank: 0), layout.path(name, rank: ranks - 1)] : nil
        return JSONValue([
            "format": .string(StoredManifest.format(of: spec)),
            "status": .string(status.rawValue),
            "update": status == .updating ? update?.json : nil, "spec": spec.json,
            "created_by": .string("dgen-mpi \(Version.current)"),
            "layout": .string(layout.rawValue),
            // The names of the first and the last file, where there are several.
            "files": files.map { .array($0.map { .string($0) }) },
            "ranks": .number(ranks), "align": .number(align),
            "segments": cut.segmentCount.map { .number($0) },
            "strided": cut == .strided ? .boolean(true) : nil,
            "transfer_size": transferSize.map { .number($0) },
            "earlier": earlier.isEmpty ? nil : .array(earlier.map(\.json)),
            "checksums": checksums.isEmpty || status != .complete
                ? nil
                : .array(
                    checksums.map {
                        JSONValue([
                            "algorithm": .string($0.algorithm.rawValue), "hex": .string($0.hex),
                        ])
                    }),
            "run": .string(run), "target": target.map { .string($0) },
            "device": device.map { .string($0) },
        ]).text
    }

    /// Writes the manifest of the data at `data` to the file at `path`; where it is new, nothing may be in its place.
    package func write(to path: String, for data: String, isNew: Bool = false) throws(Failure) {
        let bytes = Array(text(for: data).utf8)
        if isNew {
            try FileSystem.make(path, with: bytes)
        } else {
            try FileSystem.replace(path, with: bytes)
        }
    }

    /// Reads the manifest of the data file at `data`; nil where there is none.
    package static func read(for data: String) throws(Failure) -> Manifest? {
        try read(at: path(for: data))
    }

    /// Reads the manifest at `path`; nil where there is none.
    package static func read(at path: String) throws(Failure) -> Manifest? {
        try text(at: path).map { text throws(Failure) in try parse(text, name: path) }
    }

    /// Refuses to write a manifest through a link that leads elsewhere than to that of the file that the data's link leads to:
    /// it may be that of another data set.
    package static func requireOwnPlace(for data: String) throws(Failure) {
        let place = path(for: data)
        guard FileSystem.isLink(place) else { return }
        guard FileSystem.resolved(place) == path(for: FileSystem.resolved(data)) else {
            throw Failure(
                .usage,
                "output: \(place) is a link that does not lead to the manifest beside the data; what it "
                    + "leads to is left as it is", isInTheWay: true)
        }
    }

    /// Whether what is at `path` is a manifest, be it broken or of another version.
    package static func isThere(at path: String) throws(Failure) -> Bool {
        guard try FileSystem.state(path)?.isRegular == true, let text = (try? text(at: path)) ?? nil
        else { return false }
        let start = text.drop(while: \.isWhitespace)
        return start.first == "{" && text.contains("\"format\"") && text.contains("\"dgen/")
    }

    /// The text of the manifest at `path`; nil where there is none.
    package static func text(at path: String) throws(Failure) -> String? {
        guard try FileSystem.state(path) != nil else { return nil }
        return try FileSystem.readText(path, bytesMax: 1 << 20, what: "manifest")
    }

    /// Reads a manifest.
    package static func parse(_ text: String, name: String) throws(Failure) -> Manifest {
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
                $0 <= OptionLimits.transferBytes ? $0 : nil
            },
            earlier: Array(stored.earlier.prefix(earlierMax)), checksums: stored.checksums,
            run: stored.run, target: stored.target, device: stored.device)
    }
}
