// SPDX-License-Identifier: MIT OR Apache-2.0

import Options

/// How far a rank that writes is in its order, as those hear it that read meanwhile.
struct WriteProgress {
    enum State: Int { case going, done, failed }

    /// The writes that have begun: no other has been seen by anybody.
    var begun = 0
    /// The writes that whoever reads from now on must see.
    var promised = 0
    var state = State.going

    /// Tags of messages.
    enum Tag {
        static let ofReaders = 1
        static let ofWriters = 2
    }

    /// What readers say.
    enum Word: UInt8 { case howFar, farewell }

    var bytes: [UInt8] { [begun, promised, state.rawValue].withUnsafeBytes { [UInt8]($0) } }

    init() {}

    init(bytes: [UInt8]) {
        func number(_ index: Int) -> Int {
            bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8 * index, as: Int.self) }
        }
        (begun, promised, state) = (number(0), number(1), State(rawValue: number(2)) ?? .failed)
    }
}

/// Answers ranks that read what this one writes, between its calls, and tells all of them when it is done.
///
/// No clock is in it. A write is counted as begun before it is issued, and as promised after the call that promises it has
/// returned. So an answer that a reader gets before it reads bounds what it must see, and one that it asks for after it has
/// read bounds what it may have seen.
final class WriteHerald {
    private let ranks: Ranks
    private let readers: [Int]
    private let rule: VisibilityRule
    private var progress = WriteProgress()

    /// Prepares to answer `readers` among `ranks`, between which nobody else sends messages.
    init(among ranks: Ranks, readers: [Int], _ rule: VisibilityRule) {
        (self.ranks, self.readers, self.rule) = (ranks, readers, rule)
    }

    /// A write is about to begin.
    func begin(_ round: Int) throws(Failure) {
        progress.begun = round + 1
        try answer()
    }

    /// A write has returned.
    func end(_ round: Int) throws(Failure) {
        if rule == .posix { progress.promised = round + 1 }
        try answer()
    }

    /// A write, and all before it, were brought to stable storage.
    func synced(_ round: Int) throws(Failure) {
        if rule == .sync { progress.promised = round + 1 }
        try answer()
    }

    private func answer() throws(Failure) {
        while let (rank, _) = try ranks.poll(tag: WriteProgress.Tag.ofReaders) {
            try tell(rank)
        }
    }

    private func tell(_ rank: Int) throws(Failure) {
        try ranks.send(progress.bytes, to: rank, tag: WriteProgress.Tag.ofWriters)
    }

    /// Tells all that this rank writes no more: everything is stored, and the files are closed, or something has failed.
    ///
    /// Returns when all readers have taken leave, `session` being of all ranks.
    func finish(_ state: WriteProgress.State, _ session: Session) throws(Failure) {
        progress.state = state
        if state == .done { progress.promised = .max }
        progress.begun = .max
        for reader in readers { try tell(reader) }
        var left = readers.count
        let patience = Patience()
        session.watchdog.enter(.othersToFinish)
        while left > 0 {
            // Questions that came meanwhile are answered by what all were told; that a reader asks says that it is there.
            if let (_, bytes) = try ranks.poll(tag: WriteProgress.Tag.ofReaders) {
                if bytes.first == WriteProgress.Word.farewell.rawValue { left -= 1 }
                session.watchdog.enter(.othersToFinish)
                continue
            }
            try session.rollCall.attend()
            patience.pause()
        }
        session.watchdog.enter(.idle)
    }
}
