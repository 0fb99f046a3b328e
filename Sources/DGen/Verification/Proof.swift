// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

extension DataSetWriter {
    /// Writes the data; what collective calls claim to have written is read back, since they may have lost it; collective.
    func writeProven(
        iteration: Int = 0, over isOurs: Bool = false, note: (OpenDataSet.Hints) -> Void
    ) throws(Failure) -> Result {
        try write(iteration: iteration, over: isOurs, note: note) { () throws(Failure) in
            isCollective ? try prove() : nil
        }
    }

    /// Reads all of it; seconds of the slowest rank.
    private func prove() throws(Failure) -> Double {
        try Comparison(
            pipeline: pipeline, files: files, spec: spec, title: "prove",
            pattern: DealtPattern(files.shards, transferSize: pipeline.transferSize)
        ).proof()
    }
}

extension Comparison {
    /// Requires that everything is there which collective calls claim to have written; seconds of the slowest rank; collective.
    func proof() throws(Failure) -> Double {
        let clock = Stopwatch()
        let log = try run().log
        guard log.rangeCount == 0 else {
            throw Failure(
                .inputOutput,
                "\(log.wrongBytes) bytes that MPI_File_write_at_all reported as written are not stored, "
                    + "the first at offset \(log.firstOffset ?? 0)")
        }
        let slowest = try pipeline.run.session.world.allReduce(clock.elapsedNanoseconds, .maximum)
        return Double(slowest) / 1e9
    }
}
