// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// Where the time of one rank went.
struct Times {
    /// The parts of an operation: all ranks begin each of them together, and agree after each on whether to go on.
    enum Stage: Int, CaseIterable {
        case open, transfers, sync, close
    }

    private(set) var openNanoseconds = 0
    /// Making the bytes, or making them and comparing.
    private(set) var generateNanoseconds = 0
    private(set) var transferNanoseconds = 0
    private(set) var syncNanoseconds = 0
    private(set) var closeNanoseconds = 0
    /// Of each transfer.
    private(set) var latencies = Latencies()
    /// When this rank began its part of each stage and when it was done with it, by the clock of its node.
    private var begins = [Int](repeating: .max, count: Stage.allCases.count)
    private var ends = [Int](repeating: 0, count: Stage.allCases.count)

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
        let slowest = try session.largest(generateNanoseconds + transferNanoseconds)
        let all = try session.world.allReduce(
            [
                try total(onNode: session.node), openNanoseconds, generateNanoseconds,
                transferNanoseconds, syncNanoseconds, closeNanoseconds,
            ], .maximum
        ).map { Double($0) / 1e9 }
        run.logger.debug(
            """
            \(operation): generated for \(Double(generateNanoseconds) / 1e9) s, transferred for \
            \(Double(transferNanoseconds) / 1e9) s
            """)
        return Measurement(
            operation: operation, iteration: iteration, bytes: bytes, seconds: all[0],
            bytesPerSecond: all[0] > 0 ? Double(bytes) / all[0] : 0, openSeconds: all[1],
            generateSeconds: all[2], transferSeconds: all[3], syncSeconds: all[4],
            closeSeconds: all[5], slowestRank: slowest.rank,
            slowestNode: String(
                decoding: try session.world.broadcast(
                    Array(session.host.utf8), from: slowest.rank), as: UTF8.self),
            latencyNs: try latencies.merged(over: session.world))
    }

    /// This rank begins its part of a stage now.
    mutating func begin(_ stage: Stage) { begins[stage.rawValue] = Stopwatch.nowNanoseconds }

    /// This rank is done with its part of a stage.
    private mutating func end(_ stage: Stage) { ends[stage.rawValue] = Stopwatch.nowNanoseconds }

    /// Runs `step`, which is this rank's part of a stage, and adds the time that it took to one of the sums.
    private mutating func run<Result, Problem: Error>(
        _ stage: Stage, addingTo sum: WritableKeyPath<Times, Int>,
        _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        begin(stage)
        defer { end(stage) }
        return try add(to: sum, step)
    }

    /// Opens files.
    mutating func open<Result, Problem: Error>(_ step: () throws(Problem) -> Result) throws(Problem)
        -> Result
    {
        try run(.open, addingTo: \.openNanoseconds, step)
    }

    /// This rank is done with its part of a stage, beside which bytes were made or compared for so long.
    mutating func end(_ stage: Stage, workNanoseconds: Int) {
        end(stage)
        generateNanoseconds += workNanoseconds
    }

    /// Runs a transfer, adds the time that it took, and notes it for itself.
    mutating func transfer<Result, Problem: Error>(_ step: () throws(Problem) -> Result)
        throws(Problem) -> Result
    {
        let clock = Stopwatch()
        defer {
            let nanoseconds = clock.elapsedNanoseconds
            transferNanoseconds += nanoseconds
            latencies.record(nanoseconds)
        }
        return try step()
    }

    /// Brings one transfer to stable storage, among the others.
    mutating func syncTransfer<Problem: Error>(_ step: () throws(Problem) -> Void) throws(Problem) {
        try add(to: \.syncNanoseconds, step)
    }

    /// Brings everything to stable storage.
    mutating func sync<Problem: Error>(_ step: () throws(Problem) -> Void) throws(Problem) {
        try run(.sync, addingTo: \.syncNanoseconds, step)
    }

    /// Closes files.
    mutating func close<Problem: Error>(_ step: () throws(Problem) -> Void) throws(Problem) {
        try run(.close, addingTo: \.closeNanoseconds, step)
    }

    /// Makes bytes, or compares them.
    mutating func generate<Result, Problem: Error>(_ step: () throws(Problem) -> Result)
        throws(Problem) -> Result
    {
        try add(to: \.generateNanoseconds, step)
    }

    private mutating func add<Result, Problem: Error>(
        to sum: WritableKeyPath<Times, Int>, _ step: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        let clock = Stopwatch()
        defer { self[keyPath: sum] += clock.elapsedNanoseconds }
        return try step()
    }
}
