// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import MPI
import NUMA

/// All ranks of a run, and the ways in which they come to one result.
final class Session {
    let world: Ranks
    /// The ranks on this node.
    let node: Ranks
    let nodeCount: Int
    /// The most ranks on one node.
    let ranksPerNode: Int
    let host: String
    /// Of each rank.
    let hosts: [String]
    /// Watches every step, once it is told for how long one may take.
    let watchdog: Watchdog
    /// Finds out who does not answer, from then on.
    let rollCall: RollCall
    /// All ranks, for sums that they tell each other beside everything else.
    let sums: Ranks
    /// Whether there are ranks beside them.
    private let isPart: Bool

    var isRoot: Bool { world.rank == 0 }

    /// Starts MPI; collective.
    init(_ launcher: Launcher?) throws(Failure) {
        let library = try MPILibrary.required()
        let advice = launcher?.advice(MPIRuntime.slurmInterfaces) ?? ""
        if let launcher, launcher.tasks > 1, let told = launcher.slurmInterfaces,
            MPIRuntime.isDeaf(to: told)
        {
            let way = told.first ?? "none"
            throw Failure(
                .mpi,
                "srun started \(launcher.tasks) tasks with --mpi=\(way), by which "
                    + "\(MPIRuntime.libraryVersion) does not learn of them\(advice)")
        }
        try Failure.mapping { () throws(MPIError) in
            try MPIRuntime.start(library, isAlone: launcher == nil)
        }
        world = try Ranks.world()
        if let launcher, launcher.tasks > 1, world.size == 1 {
            throw Failure(
                .mpi,
                "\(launcher.name) started \(launcher.tasks) tasks but MPI sees only 1: each would "
                    + "write the whole file; use a launcher that fits \(MPIRuntime.libraryVersion)"
                    + advice)
        }
        try CommandLines.requireSame(world)
        node = try world.splitByNode()
        nodeCount = try world.allReduce(node.rank == 0 ? 1 : 0, .sum)
        ranksPerNode = try world.allReduce(node.size, .maximum)
        host = try Failure.mapping(MPIRuntime.processorName)
        sums = try world.duplicate()
        isPart = false
        watchdog = Watchdog(place: "rank \(world.rank) on \(host)")
        hosts = try world.collect([host])
        rollCall = RollCall(on: sums, hosts: hosts, watchdog: watchdog)
    }

    /// Some of the ranks of a run, which go on by themselves for a while: what they agree on, they agree on among themselves.
    ///
    /// `ranks`, those of them on this node, and the ranks once more for sums; collective among them.
    init(_ whole: Session, ranks: Ranks, onNode node: Ranks, sums: Ranks) throws(Failure) {
        (world, self.node, self.sums, isPart) = (ranks, node, sums, true)
        (host, watchdog, rollCall) = (whole.host, whole.watchdog, whole.rollCall)
        nodeCount = try ranks.allReduce(node.rank == 0 ? 1 : 0, .sum)
        ranksPerNode = try ranks.allReduce(node.size, .maximum)
        hosts = try ranks.collect([whole.host])
    }

    /// Where this rank is where ranks are counted node after node, and the places of its node; collective.
    func placeByNode() throws(Failure) -> (place: Int, ofNode: Range<Int>) {
        let nodeStart = try world.ordered(
            by: node.rank == 0 ? world.rank : world.size + world.rank
        ) { try $0.scanBefore(node.rank == 0 ? node.size : 0, .sum, initial: 0) }
        let start = try node.allReduce(node.rank == 0 ? nodeStart : 0, .sum)
        return (start + node.rank, start..<start + node.size)
    }

    /// Watches all steps from now on, each of which may take so long, 0 for no limit; once.
    func watch(limitSeconds seconds: Int) {
        watchdog.start(limitSeconds: seconds)
        rollCall.start(watchdogSeconds: seconds)
    }

    /// The threads that this rank may run at once: its share of the processors that it and other ranks
    /// of its node are bound to, and of what control groups grant; collective.
    func threadShare() throws(Failure) -> Int {
        let allowed = Processors.allowed ?? Topology().nodes.flatMap(\.cpus)
        // Masks are told apart by a hash (FNV-1a); where launchers bind ranks, they are equal or apart.
        let hash = allowed.reduce(into: UInt32(2_166_136_261)) { hash, cpu in
            hash = (hash ^ UInt32(truncatingIfNeeded: cpu)) &* 16_777_619
        }
        let sharing = try node.split(color: Int(hash & 0x7FFF_FFFF)) {
            (rank: $0.rank, count: $0.size)
        }
        let (share, more) = allowed.count.quotientAndRemainder(dividingBy: sharing.count)
        let granted = Processors.quota().map { $0 / node.size } ?? .max
        return max(1, min(sharing.rank < more ? share + 1 : share, granted))
    }

    /// Runs `body` on rank 0 and gives its result, or its failure, to every rank; collective.
    func onRoot<Result: Codable>(_ body: () throws -> Result) throws(Failure) -> Result {
        var outcome: Outcome<Result>?
        if isRoot {
            watchdog.enter(.rootStep)
            do {
                outcome = .success(try body())
            } catch {
                let failure = Failure(error)
                // What is wrong with storage may be so on one node only.
                let place = nodeCount > 1 && failure.status == .inputOutput ? "on \(host): " : ""
                outcome = .failure(Failure(failure.status, place + failure.message))
            }
        }
        let mine = if let outcome { try JSON.pack(outcome) } else { [UInt8]() }
        let bytes = try waiting(world.broadcast(mine))
        switch try JSON.unpack(bytes, as: Outcome<Result>.self) {
        case .success(let result): return result
        case .failure(let failure): throw failure
        }
    }

    /// Runs `body` on rank 0, and gives its failure to every rank; collective.
    func onRoot(_ body: () throws -> Void) throws(Failure) {
        let _: Bool = try onRoot {
            try body()
            return true
        }
    }

    /// Calls other ranks under watch.
    private func waiting<Result>(
        _ call: @autoclosure () throws(Failure) -> Result
    ) throws(Failure) -> Result { try watchdog.during(.agreement, call) }

    private enum Outcome<Result: Codable>: Codable {
        case success(Result)
        case failure(Failure)
    }

    /// Makes the failure of any rank that of all: returns when none has one; collective.
    ///
    /// What a rank could not do goes before an interruption, then the lowest rank. A failure on which some ranks have agreed
    /// before `isPlaced`. For some of the ranks, the failure of another one that they have heard of is theirs too: it stops them.
    func agree(_ failure: Failure?, isPlaced: Bool = false) throws(Failure) {
        let heard = failure == nil && isPart ? rollCall.failure : nil
        try agree(on: failure ?? heard, isPlaced: isPlaced || heard != nil)
    }

    private func agree(on failure: Failure?, isPlaced: Bool) throws(Failure) {
        let order = failure.map {
            ($0.status == .interrupted ? world.size : 0) + world.rank
        }
        let placed = isPlaced ? failure : failure.map(rollCall.know)
        // A look, while others are waited for, at whether they are there.
        let counts = try waiting(
            world.startSum([failure == nil ? 0 : 1]).wait(rollCall.attend)[0])
        guard counts > 0 else { return }
        let first = try world.allReduce(order ?? .max, .minimum) % world.size
        let others =
            counts > 1 && !isPlaced ? " (and \(counts - 1) more of \(world.size) ranks)" : ""
        let whole = placed.map { Failure($0.status, $0.message + others) }
        let bytes = try world.broadcast(try JSON.pack(whole), from: first)
        throw try JSON.unpack(bytes, as: Failure.self)
    }

    /// Runs `body` on every rank and makes the failure of any rank that of all; collective.
    func together<Result>(_ body: () throws -> Result) throws(Failure) -> Result {
        var result: Result?
        var failure: Failure?
        do { result = try body() } catch { failure = Failure(error) }
        try agree(failure)
        guard let result else { preconditionFailure("a rank that failed must not get here") }
        return result
    }

    /// The values of all ranks, in rank order, on every rank: for a few values, since every rank holds all of them; collective.
    func collect<Value: Codable>(_ values: [Value]) throws(Failure) -> [Value] {
        try waiting(world.collect(values))
    }

    /// The largest of a value over all ranks, and the lowest rank that has it; collective.
    func largest(_ value: Int) throws(Failure) -> (value: Int, rank: Int) {
        let largest = try world.allReduce(value, .maximum)
        return (largest, try world.allReduce(value == largest ? world.rank : .max, .minimum))
    }
}

extension MPILibrary {
    /// The library; without one, nothing that several ranks do can begin.
    static func required() throws(Failure) -> MPILibrary {
        do { return try load() } catch { throw Failure(.mpi, error.message) }
    }
}
