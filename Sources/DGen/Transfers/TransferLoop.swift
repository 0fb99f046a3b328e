// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// All transfers of this rank, batch by batch, and when the ranks tell each other how far they are.
///
/// Either each rank goes at its own speed, and hears of the others now and then; or all are in step: each does its transfer
/// in the same round as the others, and a rank that has no more, or has failed, keeps its place with empty ones until all
/// have heard of it. Ranks in step agree at the ends of stretches, since to agree costs as much as some small transfers.
struct TransferLoop {
    /// One transfer.
    struct Transfer {
        /// Which of the rank's it is.
        let round: Int
        /// The bytes of the data set; none, where other ranks have more of them.
        let range: Range<Int>
        /// As many bytes of the buffer of its batch, and where they begin there.
        let part: UnsafeMutableRawBufferPointer
        let place: Int
        /// Whether ranks in step agree after it.
        let endsStretch: Bool
    }

    let batches: Batches
    let rank: Int
    let isInStep: Bool
    let agreement: Agreement

    /// Does all of them, unless a rank cannot go on; collective.
    ///
    /// `transfer` does each by ``move(_:_:)``. `batchEnd` is called after each batch with the number of the next one, and tells
    /// how many of them to leave out. The failure of any rank is that of all.
    func run(
        _ relay: Relay, on data: OpenDataSet, _ transfer: (Transfer) throws(Failure) -> Void,
        batchEnd: (_ next: Int) -> Int = { _ in 0 }
    ) throws(Failure) {
        let transfers = batches.transfers
        data.times.begin(.transfers)
        do {
            defer {
                relay.finish()
                data.times.end(.transfers, workNanoseconds: relay.workNanoseconds)
            }
            var index = 0
            while index < batches.count, !mustStop {
                let buffer = relay.take()
                defer { relay.giveBack() }
                for (number, round) in batches.rounds(index).enumerated() {
                    let (place, range) = (number * transfers.transferSize, transfers[round, rank])
                    let part = UnsafeMutableRawBufferPointer(
                        rebasing: buffer[place..<place + range.count])
                    try transfer(
                        Transfer(
                            round: round, range: range, part: part, place: place,
                            endsStretch: batches.endsStretch(round)))
                    if mustStop { break }
                }
                index += 1
                index += batchEnd(index)
            }
        }
        if !isInStep { try agreement.finish() }
        agreement.end()
        // Open MPI's component may hang or fail in any later collective call on the file once a write
        // has failed, so nothing more is asked of it then, not even to close.
        try agreement.settle()
    }

    private var mustStop: Bool { isInStep ? agreement.mustStopTogether : agreement.mustStop }

    /// Moves the bytes of a transfer by `call`, whose failure is noted, and tells and hears how far all ranks are.
    func move(
        _ transfer: Transfer, _ call: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        if isInStep {
            moveTogether(transfer.part, call)
            if transfer.endsStretch { try agreement.exchangeTogether() }
        } else {
            agreement.transfer(transfer.part.count) { () throws(Failure) in
                if !transfer.part.isEmpty { try call(transfer.part) }
            }
            try agreement.exchange()
        }
    }

    /// Moves bytes of all ranks in one round, which every rank takes part in whatever has happened to it.
    func moveTogether(
        _ part: UnsafeMutableRawBufferPointer,
        _ call: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) {
        agreement.noteInterruption()
        let given = agreement.failure == nil ? part : .init(rebasing: part[..<0])
        let outcome = Result { () throws(Failure) in try call(given) }
        agreement.transfer(given.count, outcome.get)
    }
}
