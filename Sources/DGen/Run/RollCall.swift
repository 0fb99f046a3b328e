// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI

/// Ends the job where a rank has failed and others do not answer, as on a node that is cut off.
///
/// Ranks hear of a failure in sums of all of them, which a rank that is stuck holds up for everybody. So a rank that waits in
/// vain says that it is there, to a few that keep the roll; these ask all others, who answer them; and the lowest of them
/// tells who did not. Only the thread that calls MPI is at work here, where it waits.
final class RollCall {
    /// The most ranks that keep the roll.
    private static let keepersMax = 8
    private static let tag = 31
    /// Between looks for messages: rarely, for it is seldom that there is one.
    private static let pauseNanoseconds = 200_000_000
    /// How much longer those wait who have not been told by a keeper.
    private static let patienceNanoseconds = 5_000_000_000
    /// How long others have for an answer, at most; less where the watchdog has less patience.
    private static let answerSecondsMax = 120.0

    private let communicator: Ranks
    private let hosts: [String]
    private let watchdog: Watchdog
    /// How long others have for an answer; 0 for ever.
    private var limitNanoseconds = 0
    /// What is done with the failure before the job is ended, such as a report.
    var last: (Failure) -> Void = { _ in }
    private let keepers: [Int]

    /// Why the job ends, once that is known here.
    private(set) var failure: Failure?
    private var heard: Set<Int> = []
    private var hasAnswered = false
    private var lookNanoseconds = Stopwatch.nowNanoseconds
    /// How long this process has run since it knows.
    private var waitedNanoseconds = 0
    private var posted: [PendingMessage] = []

    /// Prepares to call the roll of ranks on these hosts, among messages that nobody else sends.
    init(on communicator: Ranks, hosts: [String], watchdog: Watchdog) {
        self.communicator = communicator
        self.hosts = hosts
        self.watchdog = watchdog
        let count = min(Self.keepersMax, communicator.size)
        keepers = (0..<count).map { $0 * communicator.size / count }
    }

    /// Waits for the answers of others, once a failure is known, no longer than a watchdog with this limit allows.
    func start(watchdogSeconds: Int) {
        limitNanoseconds = Int(min(Self.answerSecondsMax, 0.75 * Double(watchdogSeconds)) * 1e9)
    }

    /// Notes that this rank cannot go on; the failure with the place of the rank.
    @discardableResult
    func know(_ failure: Failure) -> Failure {
        let rank = communicator.rank
        let place = communicator.size > 1 ? "rank \(rank) on \(hosts[rank]): " : ""
        let placed = Failure(failure.status, place + failure.message)
        hear(placed)
        return placed
    }

    /// Notes why the job ends, the first time.
    private func hear(_ failure: Failure) {
        guard self.failure == nil else { return }
        self.failure = failure
        watchdog.knows(failure, limitNanoseconds: limitNanoseconds)
    }

    /// Looks whether others call, and whether they were waited for long enough; while this rank waits.
    ///
    /// Does not return where they were.
    func attend() throws(Failure) {
        guard limitNanoseconds > 0, communicator.size > 1 else { return }
        let now = Stopwatch.nowNanoseconds
        guard now - lookNanoseconds >= Self.pauseNanoseconds else { return }
        if failure != nil { waitedNanoseconds += Stopwatch.ran(now - lookNanoseconds) }
        lookNanoseconds = now
        while let (rank, bytes) = try communicator.poll(tag: Self.tag) {
            heard.insert(rank)
            let status = bytes.first.flatMap { ExitStatus(rawValue: Int32($0)) } ?? .inputOutput
            hear(Failure(status, String(decoding: bytes.dropFirst(), as: UTF8.self)))
            try answer()
        }
        guard failure != nil else { return }
        // In time for the answers, and not where they come by themselves.
        if waitedNanoseconds > Self.silenceNanoseconds(limitNanoseconds) { try answer() }
        let isKeeper =
            keepers.first { $0 == communicator.rank || heard.contains($0) } == communicator.rank
        // A keeper may have heard of the failure only when this rank broke its silence, and waits from then on.
        let limit = isKeeper ? limitNanoseconds : Self.endNanoseconds(limitNanoseconds)
        if waitedNanoseconds > limit { end() }
    }

    /// How long a rank that knows of a failure waits for sums to tell of it, before it does so itself.
    private static func silenceNanoseconds(_ limit: Int) -> Int { min(limit / 4, 10_000_000_000) }

    /// How long ranks wait that do not keep the roll, where keepers wait for `limit`.
    static func endNanoseconds(_ limit: Int) -> Int {
        limit + silenceNanoseconds(limit) + patienceNanoseconds
    }

    /// Tells those who keep the roll that this rank is there; one of them asks all others.
    private func answer() throws(Failure) {
        guard !hasAnswered, let failure else { return }
        hasAnswered = true
        let isKeeper = keepers.contains(communicator.rank)
        // Short enough for any library to send it at once.
        let bytes = [UInt8(failure.status.rawValue)] + Array(failure.message.utf8.prefix(1000))
        for rank in isKeeper ? Array(0..<communicator.size) : keepers
        where rank != communicator.rank {
            posted.append(try communicator.post(bytes, to: rank, tag: Self.tag))
        }
    }

    private func end() {
        guard let failure else { return }
        let missing = (0..<communicator.size).filter {
            $0 != communicator.rank && !heard.contains($0)
        }
        // Where all have answered, something else holds up the sums, which the watchdog is for.
        guard !missing.isEmpty else { return }
        let whole = Failure(
            failure.status,
            failure.message + "; " + Self.text(of: missing, on: hosts)
                + " did not answer for \(waitedNanoseconds / 1_000_000_000) s; ending the job")
        last(whole)
        watchdog.end(whole)
    }

    /// Ranks and their nodes: `rank 2 on a and ranks 4-7 on b`.
    static func text(of ranks: [Int], on hosts: [String]) -> String {
        var parts: [String] = []
        var index = 0
        while index < ranks.count {
            var end = index
            while end + 1 < ranks.count, ranks[end + 1] == ranks[end] + 1,
                hosts[ranks[end + 1]] == hosts[ranks[index]]
            {
                end += 1
            }
            let numbers =
                end == index ? "rank \(ranks[index])" : "ranks \(ranks[index])-\(ranks[end])"
            parts.append("\(numbers) on \(hosts[ranks[index]])")
            index = end + 1
        }
        let shown = parts.prefix(20)
        let more = parts.count > shown.count ? ", and others" : ""
        return shown.joined(separator: ", ") + more
    }
}
