// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import DataGen
import MPI
import Options

/// Computes checksums of a data set, which need not be anywhere: all ranks together, each its share with its threads.
struct ComputedChecksums {
    let run: Run
    let spec: DataSpec
    let parts: ChecksumPlan.Parts
    let algorithms: [ChecksumAlgorithm]
    let kernel: RemainderKernel
    /// The threads of this rank, all of which compute: nothing is moved meanwhile.
    let threads: Int

    /// Those of the whole data set; collective, since each node has processors of its own.
    init(
        _ run: Run, _ settings: Settings, _ spec: DataSpec, _ parts: ChecksumPlan.Parts,
        _ algorithms: [ChecksumAlgorithm]
    ) throws(Failure) {
        (self.run, self.spec, self.parts, self.algorithms) = (run, spec, parts, algorithms)
        kernel = try run.session.together { try settings.remainderKernel() }
        let share = try run.session.threadShare()
        threads = try Failure.reading(settings[.threads]) ?? share
    }

    /// Part after part; collective.
    func compute() throws(Failure) -> [RangeChecksum] {
        let (session, placer) = (run.session, run.threads.placer)
        placer?.pin(thread: 0)
        let sums = DataSetChecksums(
            spec, parts, algorithms, rank: (session.world.rank, session.world.size),
            pool: WorkerPool(count: threads, prepare: { placer?.pin(thread: $0) }),
            kernel: run.threads.kernel, remainders: kernel)
        // Sums of all ranks stay below 2^63.
        let most = Int.max / session.world.size
        let total = try session.world.allReduce(min(sums.shareBytes, most), .sum)
        let agreement = Agreement(run, title: "checksum", totalBytes: total)
        while !agreement.mustStop, let bytes = sums.advance() {
            agreement.transfer(bytes) {}
            try agreement.exchange()
        }
        agreement.noteInterruption()
        try agreement.finish()
        agreement.end()
        try agreement.settle()
        return sums.results(try run.session.joined(sums.values))
    }
}

extension Session {
    /// Adds numbers of all ranks, one by one, by exclusive or, in O(log ranks) steps; collective.
    func joined(_ values: [UInt64]) throws(Failure) -> [UInt64] {
        try world.combine(numbers: values.map { Int(bitPattern: UInt($0)) }) { lower, higher in
            zip(lower, higher).map { $0 ^ $1 }
        }.map { UInt64(UInt(bitPattern: $0)) }
    }
}
