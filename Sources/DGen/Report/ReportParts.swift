// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import MPI

// What a report says of the values that operations give.

extension Report {
    /// Says how all operations of the run go about it, with the most threads, and the longest queue, of any rank.
    mutating func describe(_ run: Run, _ pipeline: Pipeline, threads: Int, queueDepth: Int) {
        mpi = Launch(
            library: MPIRuntime.libraryVersion, libraryPath: MPILibrary.current?.path ?? "",
            libraryRule: MPILibrary.current?.rule ?? "", backend: MPILibrary.current?.backend ?? "",
            ranks: run.session.world.size,
            nodes: run.session.nodeCount, ranksPerNode: run.session.ranksPerNode)
        kernel = run.threads.kernel.rawValue
        threadsPerRank = threads
        access = pipeline.access.access.rawValue
        direct = pipeline.access.isDirect
        self.queueDepth = queueDepth
        hints = Hints(
            requested: Dictionary(
                pipeline.access.hints.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
    }

    private mutating func describe(_ files: FileSet) {
        path = files.path
        target = files.target.kind.rawValue
        manifest = files.manifestPath
    }

    /// Says which data set is written, and how.
    mutating func describe(_ writer: DataSetWriter) {
        describe(writer.files)
        spec = writer.spec.json
        layout = writer.files.layout.rawValue
        segments = writer.pattern.cut.segmentCount ?? 1
        strided = writer.pattern.cut == .strided
        order = writer.pattern.order.rawValue
        sync = writer.sync.text
    }

    /// Says which data set is looked at, in another generation than its manifest says, maybe.
    mutating func describe(_ subject: StoredDataSet, in generation: DataSpec? = nil) {
        describe(subject.files)
        if subject.manifest == nil { manifest = nil }
        spec = (generation ?? subject.spec).json
        layout = subject.files.layout.rawValue
        manifestStatus = subject.manifest?.status.rawValue
    }

    /// Says what is wrong with a data set, and what has become of it.
    mutating func note(
        _ found: Comparison.Result, _ findings: [DamageSearch.Finding], of search: DamageSearch
    ) {
        damage = findings.map {
            DamagedRange($0.range, $0.diagnosis, of: search.spec, writtenAs: search.pattern)
        }
        let stale = findings.reduce(into: [:]) {
            $0.merge($1.diagnosis.staleBlocks, uniquingKeysWith: +)
        }
        staleBlocks = stale.isEmpty ? nil : Self.byName(stale)
        let logs = [found.log] + (found.oldestLog.map { [$0] } ?? [])
        damageRanges = logs.reduce(0) { $0 + $1.rangeCount }
        damageBytes = logs.reduce(0) { $0 + $1.rangeBytes }
        wrongBytes = logs.reduce(0) { $0 + $1.wrongBytes }
        firstWrongOffset = logs.compactMap(\.firstOffset).min()
        fileBytes = found.fileBytes
    }
}
