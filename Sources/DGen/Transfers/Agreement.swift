// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// How far all ranks are, while each goes at its own speed.
///
/// Every rank tells the same few sums over and over, without waiting for the others: bytes done, ranks
/// at their end, ranks that failed, ranks that were told to stop. So rank 0 can show the progress of
/// the whole job, and a rank that cannot go on stops the others at their next transfer instead of
/// leaving them to work for nothing. A round costs O(log ranks) messages; there are ten a second at
/// most.
final class Agreement {
    /// The sums of all ranks.
    private struct Sums {
        var doneBytes = 0
        var atEnd = 0
        var failed = 0
    }

    private let session: Session
    private var progress: Progress?
    private var pending: PendingSum?
    private var clock = Stopwatch(isCoarse: true)
    private var sums = Sums()
    private var doneBytes = 0
    /// Why this rank stopped, if it did.
    private(set) var failure: Failure? {
        didSet { if let failure { rollCall.know(failure) } }
    }

    /// Starts an operation, which progress calls `title`, and in which all ranks together move so many bytes.
    init(_ run: Run, title: String, totalBytes: Int) {
        session = run.session
        progress = run.progress(title: title, totalBytes: totalBytes)
    }

    private var watchdog: Watchdog { session.watchdog }
    private var rollCall: RollCall { session.rollCall }

    /// Whether this rank or, as far as it has heard, another one has to stop.
    var mustStop: Bool { failure != nil || sums.failed > 0 || rollCall.failure != nil }

    /// Whether all ranks that are in step have heard, in the same round, that one of them has to stop.
    var mustStopTogether: Bool { sums.failed > 0 }

    /// Stops this rank if it was told to by a signal.
    func noteInterruption() {
        if failure == nil { failure = Interruption.failure }
    }

    /// The bytes that all ranks have moved, as far as this one has heard.
    var allDoneBytes: Int { sums.doneBytes }

    /// Does one transfer of this rank, and notes what becomes of it.
    func transfer(_ bytes: Int, _ body: () throws(Failure) -> Void) {
        noteInterruption()
        guard failure == nil else { return }
        do {
            try body()
            doneBytes += bytes
        } catch {
            failure = error
        }
    }

    /// Hears and tells without waiting; after each transfer.
    func exchange() throws(Failure) {
        if let result = try pending?.sums() {
            pending = nil
            take(result)
        } else if pending == nil, clock.elapsedNanoseconds > 100_000_000 {
            try tell(atEnd: false)
        }
        // Also where sums come at once: some ranks do not take part in them, such as readers.
        try rollCall.attend()
    }

    /// Hears and tells with waiting: every rank is in the same round, and gets the same answer, which is what rank 0 wishes.
    @discardableResult
    func exchangeTogether(wish: Int = 0) throws(Failure) -> Int {
        let result = try watchdog.during(.round) { () throws(Failure) in
            try session.sums.allReduce([doneBytes, 0, failure == nil ? 0 : 1, wish], .sum)
        }
        take(result)
        return result[3]
    }

    /// Waits until every rank is at its end; almost without using the processor where that takes long.
    func finish() throws(Failure) {
        watchdog.enter(.othersToFinish)
        let patience = Patience()
        while sums.atEnd < session.sums.size {
            if let result = try pending?.sums() {
                pending = nil
                take(result)
                watchdog.enter(.othersToFinish)
                continue
            }
            guard pending != nil else {
                try tell(atEnd: true)
                continue
            }
            try rollCall.attend()
            patience.pause()
        }
        watchdog.enter(.idle)
    }

    /// Makes the failure of any rank that of all; collective.
    func settle() throws(Failure) { try session.agree(failure) }

    /// Takes the progress bar away; the failure of this rank, or of another, stays known.
    func end() { progress?.finish() }

    private func tell(atEnd: Bool) throws(Failure) {
        pending = try session.sums.startSum([doneBytes, atEnd ? 1 : 0, failure == nil ? 0 : 1])
        clock = Stopwatch(isCoarse: true)
    }

    private func take(_ result: [Int]) {
        sums = Sums(doneBytes: result[0], atEnd: result[1], failed: result[2])
        progress?.update(doneBytes: sums.doneBytes)
    }
}
