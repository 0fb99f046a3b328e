// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// A group of ranks that call together: a communicator, of which this is the one owner.
///
/// `Communicator` says what its methods do; that a call of the library fails comes as a ``Failure``. Groups for a while come
/// as the argument of a closure, so that none is left behind; the others live as long as MPI, which gives them back when
/// it ends.
final class Ranks {
    /// Nothing once it is given back.
    private var communicator: Communicator?
    let rank: Int
    let size: Int

    private init(_ communicator: consuming Communicator) {
        rank = communicator.rank
        size = communicator.size
        self.communicator = consume communicator
    }

    func lend<Result: ~Copyable, Problem: Error>(
        to call: (borrowing Communicator) throws(Problem) -> Result
    ) throws(Problem) -> Result {
        switch communicator {
        case .some(let communicator): return try call(communicator)
        case .none: preconditionFailure("a group that was given back is not asked")
        }
    }

    private func call<Result: ~Copyable>(
        _ call: (borrowing Communicator) throws(MPIError) -> Result
    ) throws(Failure) -> Result {
        try Failure.mapping { () throws(MPIError) in try lend(to: call) }
    }

    static func world() throws(Failure) -> Ranks { Ranks(try Failure.mapping(Communicator.world)) }
    static func alone() throws(Failure) -> Ranks { Ranks(try Failure.mapping(Communicator.alone)) }

    func duplicate() throws(Failure) -> Ranks {
        Ranks(try call { all throws(MPIError) in try all.duplicate() })
    }
    func splitByNode() throws(Failure) -> Ranks {
        Ranks(try call { all throws(MPIError) in try all.splitByNode() })
    }

    /// Runs `body` with the ranks that give the same `color`, 0 to 2^31 - 1, in rank order.
    func split<Result>(color: Int, _ body: (Ranks) throws -> Result) throws(Failure) -> Result {
        try Ranks(call { all throws(MPIError) in try all.split(color: color) }).lent(to: body)
    }

    /// Runs `body` with all ranks in the order of their keys, 0 to 2^31 - 1.
    func ordered<Result>(by key: Int, _ body: (Ranks) throws -> Result) throws(Failure) -> Result {
        try Ranks(call { all throws(MPIError) in try all.split(key: key) }).lent(to: body)
    }

    /// Gives the group back once `body` is through.
    ///
    /// Not where it has failed: to give back is collective, and the others may wait somewhere else then.
    private func lent<Result>(to body: (Ranks) throws -> Result) throws(Failure) -> Result {
        do {
            let result = try body(self)
            guard let own = communicator.take() else {
                preconditionFailure("a group is given back once")
            }
            try own.release()
            return result
        } catch {
            throw Failure(error)
        }
    }

    func exchange(_ value: Int, to: Int, from: Int) throws(Failure) -> Int {
        try call { all throws(MPIError) in try all.exchange(value, to: to, from: from) }
    }
    func barrier() throws(Failure) {
        try call { all throws(MPIError) in try all.barrier() }
    }
    func broadcast(_ bytes: [UInt8], from root: Int = 0) throws(Failure) -> [UInt8] {
        try call { all throws(MPIError) in try all.broadcast(bytes, from: root) }
    }
    func allReduce(
        _ values: [Int], _ operation: Communicator.Operation
    ) throws(Failure) -> [Int] {
        try call { all throws(MPIError) in try all.allReduce(values, operation) }
    }
    func allReduce(_ value: Int, _ operation: Communicator.Operation) throws(Failure) -> Int {
        try allReduce([value], operation)[0]
    }
    func scanBefore(
        _ value: Int, _ operation: Communicator.Operation, initial: Int
    ) throws(Failure) -> Int {
        try call { all throws(MPIError) in try all.scanBefore(value, operation, initial: initial) }
    }
    func combine(
        _ bytes: [UInt8], _ combine: (_ lower: [UInt8], _ higher: [UInt8]) -> [UInt8]
    ) throws(Failure) -> [UInt8] {
        try call { all throws(MPIError) in try all.combine(bytes, combine) }
    }
    func combine(
        numbers: [Int], _ combine: (_ lower: [Int], _ higher: [Int]) -> [Int]
    ) throws(Failure) -> [Int] {
        try call { all throws(MPIError) in try all.combine(numbers: numbers, combine) }
    }
    func post(_ bytes: [UInt8], to other: Int, tag: Int) throws(Failure) -> PendingMessage {
        try call { all throws(MPIError) in try PendingMessage(bytes, to: other, tag: tag, all) }
    }
    func send(_ bytes: [UInt8], to other: Int, tag: Int) throws(Failure) {
        try call { all throws(MPIError) in try all.send(bytes, to: other, tag: tag) }
    }
    func poll(tag: Int) throws(Failure) -> (rank: Int, bytes: [UInt8])? {
        try call { all throws(MPIError) in try all.poll(tag: tag) }
    }
    func startSum(_ values: [Int]) throws(Failure) -> PendingSum {
        try call { all throws(MPIError) in try PendingSum(values, all) }
    }

    /// The values of all ranks, in rank order, on every rank: for a few values, since every rank holds all of them.
    func collect<Value: Codable>(_ values: [Value]) throws(Failure) -> [Value] {
        // One list a rank, told apart by lines: JSON has none of its own.
        let all = try combine(JSON.pack(values) + [UInt8(ascii: "\n")]) { $0 + $1 }
        var result: [Value] = []
        for part in all.split(separator: UInt8(ascii: "\n")) {
            result += try JSON.unpack(part, as: [Value].self)
        }
        return result
    }
}
