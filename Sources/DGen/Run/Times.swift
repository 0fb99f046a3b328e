// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// Where the time of one rank went.
struct Times {
    /// What is timed.
    ///
    /// All but making the bytes, and comparing them, is a stage: all ranks begin it together, and agree after it on whether
    /// to go on.
    enum Part: Int, CaseIterable {
        case open, generate, transfers, sync, close
    }

    private var nanoseconds = [Int](repeating: 0, count: Part.allCases.count)
    /// Of each transfer.
    private(set) var latencies = Latencies()
    /// When this rank began its part of each stage and when it was done with it, by the clock of its node.
    private var begins = [Int](repeating: .max, count: Part.allCases.count)
    private var ends = [Int](repeating: 0, count: Part.allCases.count)

    /// The time from the first rank that begins a stage to the last that is done with it, summed over the stages.
    ///
    /// That ranks agree in between takes time of its own, which says nothing about the file. Since only one node's clock
    /// is one clock, this is the time of one node; the slowest node's is that of the operation. Collective.
    func total(onNode node: Ranks) throws(Failure) -> Int {
        let first = try node.allReduce(begins, .minimum)
        let last = try node.allReduce(ends, .maximum)
        // What no rank has begun takes no time.
        return zip(first, last).reduce(0) { $0 + max(0, $1.1 - $1.0) }
    }

    /// What all ranks took for an operation over `bytes`; collective.
    func measurement(
        of operation: String, _ iteration: Int = 0, bytes: Int, _ run: Run
    ) throws(Failure) -> Measurement {
        let session = run.session
        let (generate, transfers) = (
            nanoseconds[Part.generate.rawValue], nanoseconds[Part.transfers.rawValue]
        )
        let slowest = try session.largest(generate + transfers)
        let all = try session.world.allReduce(
            nanoseconds + [try total(onNode: session.node)], .maximum
        ).map { Double($0) / 1e9 }
        let seconds = all[Part.allCases.count]
        run.logger.debug(
            """
            \(operation): generated for \(Double(generate) / 1e9) s, transferred for \
            \(Double(transfers) / 1e9) s
            """)
        return Measurement(
            operation: operation, iteration: iteration, bytes: bytes, seconds: seconds,
            bytesPerSecond: seconds > 0 ? Double(bytes) / seconds : 0,
            openSeconds: all[Part.open.rawValue], generateSeconds: all[Part.generate.rawValue],
            transferSeconds: all[Part.transfers.rawValue], syncSeconds: all[Part.sync.rawValue],
            closeSeconds: all[Part.close.rawValue], slowestRank: slowest.rank,
            slowestNode: session.hosts[slowest.rank],
            latencyNs: try latencies.merged(over: session.world))
    }

    /// This rank begins its part of a stage now.
    mutating func begin(_ stage: Part) { begins[stage.rawValue] = Stopwatch.nowNanoseconds }

    /// This rank is done with its part of a stage, beside which bytes were made or compared for so long.
    mutating func end(_ stage: Part, workNanoseconds: Int = 0) {
        ends[stage.rawValue] = Stopwatch.nowNanoseconds
        nanoseconds[Part.generate.rawValue] += workNanoseconds
    }

    /// Runs `step`, which is this rank's part of a stage, and adds the time that it takes.
    mutating func run<Result, Problem: Error>(
        _ stage: Part, _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        begin(stage)
        defer { end(stage) }
        return try add(to: stage, step)
    }

    /// Adds the time that `step` takes, among other steps of a stage or beside them.
    mutating func add<Result, Problem: Error>(
        to part: Part, _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        let clock = Stopwatch()
        defer { nanoseconds[part.rawValue] += clock.elapsedNanoseconds }
        return try step()
    }

    /// Runs a transfer, adds the time that it took, and notes it for itself.
    mutating func transfer<Result, Problem: Error>(
        _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        let clock = Stopwatch()
        defer {
            let elapsed = clock.elapsedNanoseconds
            nanoseconds[Part.transfers.rawValue] += elapsed
            latencies.record(elapsed)
        }
        return try step()
    }
}
