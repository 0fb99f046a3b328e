// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import DataGen
import MPI

/// All ranks together read a data set and sum it up; nothing is compared, so that nothing is made.
struct SummedFiles {
    /// What was found in all files, and how long that took.
    struct Result {
        let checksums: [RangeChecksum]
        let fileBytes: Int
        /// Nothing is read where the files have another length than they should.
        let readBytes: Int
        /// Whether all bytes were there, so that ``checksums`` are those of the data set.
        let isWhole: Bool
        let times: Times
    }

    private let pipeline: Pipeline
    private let files: FileSet
    private let shards: Shards
    private let spec: DataSpec
    private let tally: ChecksumTally

    /// Sums up what a data set has in storage.
    init(
        _ pipeline: Pipeline, _ subject: StoredDataSet, _ spec: DataSpec,
        _ algorithms: [ChecksumAlgorithm], kernel: RemainderKernel
    ) {
        self.pipeline = pipeline
        (files, shards, self.spec) = (subject.files, subject.shards, spec)
        tally = ChecksumTally(
            spec, algorithms, threads: pipeline.run.threads.count, kernel: kernel)
    }

    /// What a batch has brought, from the thread that reads to the one that adds: it goes to and fro with its buffer.
    private final class BatchExtents {
        var extents: [OpenDataSet.Extent] = []
    }

    /// Reads and sums up; collective.
    ///
    /// `note` is told what the library says of the hints of the files.
    func run(note: (OpenDataSet.Hints) -> Void) throws(Failure) -> Result {
        let (session, depth, tally) = (pipeline.run.session, pipeline.depth, tally)
        let pattern = DealtPattern(shards, transferSize: pipeline.transferSize)
        let batches = Batches(pattern, depth: depth)
        let generator = pipeline.generator(spec)
        let brought = (0..<depth).map { _ in BatchExtents() }
        // Whether a file has ended too early.
        var isCut = false
        let relay = try pipeline.relay(batches, spec, .afterGivenBack, depth: depth) {
            index, buffer in
            for extent in brought[index % depth].extents {
                generator.add(
                    UnsafeRawBufferPointer(
                        rebasing: buffer[extent.place..<extent.place + extent.read]),
                    at: extent.range.lowerBound, to: tally)
            }
            brought[index % depth].extents.removeAll(keepingCapacity: true)
        }
        defer { relay.finish() }
        let data = try OpenDataSet(pipeline.run, files, .read, by: pipeline.access, note: note)
        let fileBytes = try data.size()
        if fileBytes == spec.size {
            let loop = TransferLoop(
                batches: batches, rank: session.world.rank, isInStep: false,
                agreement: Agreement(pipeline.run, title: "verify", totalBytes: spec.size))
            var taken = 0
            try loop.run(relay, on: data) { transfer throws(Failure) in
                try loop.move(transfer) { part throws(Failure) in
                    try data.read(
                        from: transfer.range.lowerBound, into: part, at: transfer.place,
                        together: false
                    ) { extent in
                        brought[taken % depth].extents.append(extent)
                        isCut = isCut || !extent.isWhole
                    }
                }
            } batchEnd: { _ in
                taken += 1
                return 0
            }
        }
        try data.close()
        let cut = try session.world.allReduce(isCut ? 1 : 0, .maximum)
        return Result(
            checksums: tally.results(try session.joined(tally.values)), fileBytes: fileBytes,
            readBytes: fileBytes == spec.size ? spec.size : 0,
            isWhole: fileBytes == spec.size && cut == 0, times: data.times)
    }
}
