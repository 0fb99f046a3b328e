// SPDX-License-Identifier: MIT OR Apache-2.0

import MPI

/// A group of ranks that call together: a communicator, of which this is the one owner.
///
/// Every method that is not a plain property is collective, as those of `Communicator` that they stand for. What a call
/// of the library reports comes as a ``Failure``. Groups for a while come as the argument of a closure, so that none is
/// left behind; the others live as long as MPI, which gives them back when it ends.
final class Ranks {
    /// Nothing once it is given back.
    private var communicator: Communicator?
    /// The number of this process in the group, from 0.
    let rank: Int
    /// The number of processes in the group.
    let size: Int

    private init(_ communicator: consuming Communicator) {
        rank = communicator.rank
        size = communicator.size
        self.communicator = consume communicator
    }

    /// Lends the communicator to a call.
    func lend<Result: ~Copyable, Problem: Error>(
        to call: (borrowing Communicator) throws(Problem) -> Result
    ) throws(Problem) -> Result {
        switch communicator {
        case .some(let communicator): return try call(communicator)
        case .none: preconditionFailure("a group that was given back is not asked")
        }
    }

    /// Does a call of the library.
    private func call<Result: ~Copyable>(
        _ call: (borrowing Communicator) throws(MPIError) -> Result
    ) throws(Failure) -> Result {
        try Failure.mapping { () throws(MPIError) in try lend(to: call) }
    }

    /// All ranks of the job.
    static func world() throws(Failure) -> Ranks { Ranks(try Failure.mapping(Communicator.world)) }

    /// This rank alone.
    static func alone() throws(Failure) -> Ranks { Ranks(try Failure.mapping(Communicator.alone)) }

    /// The same group with messages of its own, as long as MPI runs.
    func duplicate() throws(Failure) -> Ranks {
        Ranks(try call { all throws(MPIError) in try all.duplicate() })
    }

    /// The ranks that share memory with this one, in rank order, as long as MPI runs: those on its node.
    func splitByNode() throws(Failure) -> Ranks {
        Ranks(try call { all throws(MPIError) in try all.splitByNode() })
    }

    /// Runs `body` with the ranks that give the same `color`, 0 to 2^31 - 1, in rank order.
    func split<Result, Problem: Error>(
        color: Int, _ body: (Ranks) throws(Problem) -> Result
    ) throws(Failure) -> Result {
        let part = Ranks(try call { all throws(MPIError) in try all.split(color: color) })
        return try part.releasing(after: body)
    }

    /// Runs `body` with all ranks in the order of their keys, 0 to 2^31 - 1.
    func ordered<Result, Problem: Error>(
        by key: Int, _ body: (Ranks) throws(Problem) -> Result
    ) throws(Failure) -> Result {
        let all = Ranks(try call { all throws(MPIError) in try all.split(key: key) })
        return try all.releasing(after: body)
    }

    /// Gives the group back once `body` is through.
    ///
    /// Not where it has failed: to give back is collective, and the others may wait somewhere else then.
    private func releasing<Result, Problem: Error>(
        after body: (Ranks) throws(Problem) -> Result
    ) throws(Failure) -> Result {
        let result: Result
        do { result = try body(self) } catch { throw Failure(error) }
        guard let own = communicator.take() else {
            preconditionFailure("a group is given back once")
        }
        do { try own.release() } catch { throw Failure(error) }
        return result
    }

    /// Gives a value to one rank while another one gives its own to this rank.
    func exchange(_ value: Int, to: Int, from: Int) throws(Failure) -> Int {
        try call { all throws(MPIError) in try all.exchange(value, to: to, from: from) }
    }

    /// Waits until every rank has come here.
    func barrier() throws(Failure) {
        try call { all throws(MPIError) in try all.barrier() }
    }

    /// Gives every rank the bytes of `root`, of any number; `bytes` is ignored on the others.
    func broadcast(_ bytes: [UInt8], from root: Int = 0) throws(Failure) -> [UInt8] {
        try call { all throws(MPIError) in try all.broadcast(bytes, from: root) }
    }

    /// Combines `values` element by element over all ranks; every rank gets the result.
    func allReduce(
        _ values: [Int], _ operation: Communicator.Operation
    ) throws(Failure) -> [Int] {
        try call { all throws(MPIError) in try all.allReduce(values, operation) }
    }

    /// Combines one value over all ranks; every rank gets the result.
    func allReduce(_ value: Int, _ operation: Communicator.Operation) throws(Failure) -> Int {
        try allReduce([value], operation)[0]
    }

    /// Combines the values of all lower ranks; on rank 0 it is `initial`.
    func scanBefore(
        _ value: Int, _ operation: Communicator.Operation, initial: Int
    ) throws(Failure) -> Int {
        try call { all throws(MPIError) in try all.scanBefore(value, operation, initial: initial) }
    }

    /// Combines bytes, any number of them on each rank, in rank order; every rank gets the result.
    func combine(
        _ bytes: [UInt8], _ combine: (_ lower: [UInt8], _ higher: [UInt8]) -> [UInt8]
    ) throws(Failure) -> [UInt8] {
        try call { all throws(MPIError) in try all.combine(bytes, combine) }
    }

    /// Combines lists of numbers as ``combine(_:_:)`` does bytes.
    func combine(
        numbers: [Int], _ combine: (_ lower: [Int], _ higher: [Int]) -> [Int]
    ) throws(Failure) -> [Int] {
        try call { all throws(MPIError) in try all.combine(numbers: numbers, combine) }
    }

    /// Sends bytes, few enough for the library to keep them, without waiting.
    func post(_ bytes: [UInt8], to other: Int, tag: Int) throws(Failure) -> PendingMessage {
        try call { all throws(MPIError) in try PendingMessage(bytes, to: other, tag: tag, all) }
    }

    /// A message that has come, from whoever; nil where there is none.
    func poll(tag: Int) throws(Failure) -> (rank: Int, bytes: [UInt8])? {
        try call { all throws(MPIError) in try all.poll(tag: tag) }
    }

    /// Starts to sum `values` element by element over all ranks without waiting.
    func startSum(_ values: [Int]) throws(Failure) -> PendingSum {
        try call { all throws(MPIError) in try PendingSum(values, all) }
    }
}

extension PendingSum {
    /// The sums, as soon as every rank has given its values; nil until then.
    func sums() throws(Failure) -> [Int]? {
        try Failure.mapping(result)
    }
}
