// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// The counter in which this rank says, elsewhere than the data is, how much of an update is durable.
///
/// Its file is made where nothing is, or used again where it is provably that of the same update and rank. Whatever else is
/// in its place is left as it is.
final class Acknowledgement {
    let folder: String
    /// The last acknowledgement.
    private(set) var counter: Counter
    private let path: String
    private var file: OpenFile?
    /// Whether this run has made the file.
    private var isNew = false

    /// Prepares a counter; `counter` says of what.
    init(_ folder: String, _ counter: Counter) {
        self.folder = folder
        self.counter = counter
        path = Counter.path(folder, rank: counter.rank)
    }

    /// Makes the counter, or goes on with the one that is there; before anything is acknowledged.
    func begin() throws(Failure) {
        try FileSystem.requireWritableFolder(folder)
        do throws(Errno) {
            file = try OpenFile(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
            isNew = true
        } catch {
            guard error.code == EEXIST else {
                throw FileSystem.failure(path, "cannot be made", error)
            }
            return try takeUp()
        }
        counter.seconds = time(nil)
        // Both slots have their room from now on, so that only data goes to stable storage later.
        try write(counter.bytes + [UInt8](repeating: 0, count: Counter.slotBytes), at: 0)
        try System.call { fsync(descriptor) }.get(path, "cannot be stored")
        try FileSystem.synchronize(folder)
    }

    /// Goes on with a counter that is there.
    private func takeUp() throws(Failure) {
        // Asked before it is opened: a pipe would be waited for, and to open some devices does something.
        let state = try System.status(path, followsLink: false).get(path, "cannot be examined")
        guard state.isRegular else { throw refusal("is no regular file") }
        let found = try OpenFile(
            path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, or: "cannot be opened")
        let slots = try Counter.slots(of: found, path)
        guard let last = slots.first else { throw refusal("is no counter of dgen-mpi") }
        guard last.isSame(as: counter), slots.allSatisfy({ $0.isSame(as: last) }) else {
            let isOthers = last.run != counter.run || last.rank != counter.rank
            throw refusal(
                isOthers
                    ? "is the counter of rank \(last.rank) of another update, of run \(last.run)"
                    : "counts for \(last.ranks) ranks with transfers of \(last.transferSize) bytes, not for "
                        + "\(counter.ranks) with \(counter.transferSize)")
        }
        counter = last
        file = consume found
    }

    private func refusal(_ reason: String) -> Failure {
        Failure(
            .usage, "acknowledge: \(path): \(reason); it is left as it is, so give another folder")
    }

    /// Takes the counter away again if this run has made it, nothing came of it, and nobody has put something else there.
    func withdraw() {
        defer { file = nil }
        guard isNew, case .success(let own)? = file?.status(),
            case .success(let there) = System.status(path, followsLink: false),
            (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
        else { return }
        unlink(path)
    }

    private var descriptor: Int32 { file?.descriptor ?? -1 }

    /// Says that so many transfers of this rank, from its first one on, are durable, and brings that to stable storage.
    ///
    /// One that goes on with an update may count less for a while than is acknowledged; nothing is written then.
    func note(_ count: Int) throws(Failure) {
        guard count > counter.count else { return }
        var next = counter
        (next.number, next.count, next.seconds) = (counter.number + 1, count, time(nil))
        try write(next.bytes, at: next.number % Counter.slots * Counter.slotBytes)
        // The corresponding C function is `fdatasync`: the length of the file stays what it is.
        try System.call { fdatasync(descriptor) }.get(path, "cannot be brought to stable storage")
        counter = next
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(Failure) {
        let count = try bytes.withUnsafeBytes { bytes in
            System.call { pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset)) }
        }.get(path, "pwrite at offset \(offset)")
        guard count == bytes.count else {
            throw Failure(
                .inputOutput, "\(path): pwrite at offset \(offset): stored \(count) bytes")
        }
    }
}

/// The counters that the ranks of an update have left.
struct Counters {
    /// An acknowledgement: so many transfers, at that time.
    struct Entry: Equatable {
        let count: Int
        let seconds: Int
    }

    /// One of them, which says how the update was shared.
    let example: Counter
    /// Of each rank, the last acknowledgement and the one before it; nil where there is no counter that can be read.
    private(set) var entries: [(last: Entry, before: Entry)?]

    /// Puts together what nodes have found.
    init(_ example: Counter, _ entries: [(last: Entry, before: Entry)?]) {
        self.example = example
        self.entries = entries
    }

    /// Reads what this node has of the counters in a folder; `body` gets the slots of each, the last acknowledgement first.
    ///
    /// False where there is no such folder.
    static func read(
        _ folder: String, _ body: (_ rank: Int, _ slots: [Counter]) -> Void
    ) throws(Failure) -> Bool {
        guard let state = try FileSystem.state(folder) else { return false }
        guard state.isDirectory, let entries = opendir(folder) else {
            throw Failure(.inputOutput, "\(folder): a folder that can be read is needed")
        }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let rank = Counter.rank(ofName: name) else { continue }
            if let interruption = Interruption.failure { throw interruption }
            let path = folder + "/" + name
            guard
                try System.status(path).unless(ENOENT).get(path, "cannot be examined")?.isRegular
                    ?? false
            else { continue }
            let file = try OpenFile(
                path, O_RDONLY | O_NONBLOCK | O_NOCTTY, or: "cannot be opened")
            let slots = try Counter.slots(of: file, path).filter { $0.rank == rank }
            if !slots.isEmpty { body(rank, slots) }
        }
        return true
    }
}
