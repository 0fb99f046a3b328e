// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CMPI

/// A group of ranks that call together.
///
/// Every method that is not a plain property is collective: all ranks of the group call it, in the same
/// order. It has one owner, who gives it back on all ranks or leaves that to the end of MPI: to free it is collective, so
/// nothing does that by itself, least of all on the way out of a failure.
package struct Communicator: ~Copyable {
    // Its type is left to inference: an optional pointer in Open MPI, a number in MPICH.
    private(set) var handle = cmpi_comm_null()
    /// The number of this process in the group, from 0.
    package private(set) var rank = 0
    /// The number of processes in the group.
    package private(set) var size = 1

    /// A group with the handle that `call` makes, and what the library knows of it.
    private init(
        _ function: StaticString, _ call: (inout Communicator) -> Int32
    ) throws(MPIError) {
        try check(call(&self), function)
        var rank: Int32 = 0, size: Int32 = 0
        try check(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank")
        try check(MPI_Comm_size(handle, &size), "MPI_Comm_size")
        self.rank = Int(rank)
        self.size = Int(size)
    }

    /// All ranks of the job.
    package static func world() throws(MPIError) -> Communicator {
        try Communicator("MPI_COMM_WORLD") {
            $0.handle = cmpi_comm_world()
            return MPI_SUCCESS
        }
    }

    /// This rank alone.
    package static func alone() throws(MPIError) -> Communicator {
        try Communicator("MPI_COMM_SELF") {
            $0.handle = cmpi_comm_self()
            return MPI_SUCCESS
        }
    }

    /// How values of several ranks become one.
    package enum Operation: Sendable {
        case sum, minimum, maximum

        var handle: cmpi_op {
            switch self {
            case .sum: cmpi_sum()
            case .minimum: cmpi_min()
            case .maximum: cmpi_max()
            }
        }
    }

    /// The same group with messages of its own.
    ///
    /// The corresponding C function is `MPI_Comm_dup`.
    package func duplicate() throws(MPIError) -> Communicator {
        try Communicator("MPI_Comm_dup") { MPI_Comm_dup(handle, &$0.handle) }
    }

    /// The ranks that share memory with this one, in rank order: those on its node.
    ///
    /// The corresponding C function is `MPI_Comm_split_type`.
    package func splitByNode() throws(MPIError) -> Communicator {
        try Communicator("MPI_Comm_split_type") {
            MPI_Comm_split_type(
                handle, cmpi_comm_type_shared(), Int32(rank), cmpi_info_null(), &$0.handle)
        }
    }

    /// The ranks that give the same `color`, in the order of their keys, or in rank order; both are 0 to 2^31 - 1.
    ///
    /// The corresponding C function is `MPI_Comm_split`.
    package func split(color: Int = 0, key: Int? = nil) throws(MPIError) -> Communicator {
        try Communicator("MPI_Comm_split") {
            MPI_Comm_split(handle, Int32(color), Int32(key ?? rank), &$0.handle)
        }
    }

    /// Gives a value to one rank while another one gives its own to this rank.
    ///
    /// The corresponding C function is `MPI_Sendrecv`.
    package func exchange(_ value: Int, to: Int, from: Int) throws(MPIError) -> Int {
        var value = value
        var received = 0
        try check(
            MPI_Sendrecv(
                &value, 1, cmpi_int64(), Int32(to), 0, &received, 1, cmpi_int64(), Int32(from), 0,
                handle, nil),
            "MPI_Sendrecv")
        return received
    }

    /// Gives back what the library holds for a group that was made of another one.
    ///
    /// The corresponding C function is `MPI_Comm_free`.
    package consuming func release() throws(MPIError) {
        var handle = handle
        precondition(
            handle != cmpi_comm_world() && handle != cmpi_comm_self(),
            "the library's own groups are not given back")
        try check(MPI_Comm_free(&handle), "MPI_Comm_free")
    }

    /// Waits until every rank has come here.
    ///
    /// The corresponding C function is `MPI_Barrier`.
    package func barrier() throws(MPIError) {
        try check(MPI_Barrier(handle), "MPI_Barrier")
    }

    /// Gives every rank the bytes of `root`, of any number; `bytes` is ignored on the others.
    ///
    /// The corresponding C function is `MPI_Bcast`.
    package func broadcast(_ bytes: [UInt8], from root: Int = 0) throws(MPIError) -> [UInt8] {
        var count = Int64(bytes.count)
        try check(MPI_Bcast(&count, 1, cmpi_int64(), Int32(root), handle), "MPI_Bcast")
        var received = rank == root ? bytes : [UInt8](repeating: 0, count: Int(count))
        try check(
            MPI_Bcast(&received, Int32(count), cmpi_byte(), Int32(root), handle), "MPI_Bcast")
        return received
    }

    /// Combines `values` element by element over all ranks; every rank gets the result.
    ///
    /// The corresponding C function is `MPI_Allreduce`.
    package func allReduce(_ values: [Int], _ operation: Operation) throws(MPIError) -> [Int] {
        var result = values
        try check(
            MPI_Allreduce(
                values, &result, Int32(values.count), cmpi_int64(), operation.handle, handle),
            "MPI_Allreduce")
        return result
    }

    /// Combines the values of all lower ranks.
    ///
    /// - Returns: the result, on rank 0 `initial`.
    ///
    /// The corresponding C function is `MPI_Exscan`.
    package func scanBefore(
        _ value: Int, _ operation: Operation, initial: Int
    ) throws(MPIError) -> Int {
        var value = value
        var result = initial
        try check(
            MPI_Exscan(&value, &result, 1, cmpi_int64(), operation.handle, handle), "MPI_Exscan")
        // MPI leaves the result undefined on rank 0.
        return rank == 0 ? initial : result
    }

    /// Combines bytes, any number of them on each rank, in rank order; every rank gets the result.
    ///
    /// Neighbours first, then what came of them: a rank holds the bytes of two at most, and sends and receives
    /// O(log ranks) times.
    ///
    /// The corresponding C functions are `MPI_Send`, `MPI_Probe` and `MPI_Recv`.
    package func combine(
        _ bytes: [UInt8], _ combine: (_ lower: [UInt8], _ higher: [UInt8]) -> [UInt8]
    ) throws(MPIError) -> [UInt8] {
        var all = bytes
        var distance = 1
        while distance < size {
            if rank % (2 * distance) != 0 {
                try send(all, to: rank - distance)
                break
            }
            if rank + distance < size {
                all = combine(all, try receive(from: rank + distance))
            }
            distance *= 2
        }
        return try broadcast(rank == 0 ? all : [])
    }

    /// Combines lists of numbers as ``combine(_:_:)`` does bytes.
    package func combine(
        numbers: [Int], _ combine: (_ lower: [Int], _ higher: [Int]) -> [Int]
    ) throws(MPIError) -> [Int] {
        func bytes(_ numbers: [Int]) -> [UInt8] { numbers.withUnsafeBytes { [UInt8]($0) } }
        func list(_ bytes: [UInt8]) -> [Int] {
            stride(from: 0, to: bytes.count, by: 8).map { start in
                bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: Int.self) }
            }
        }
        return list(
            try self.combine(bytes(numbers)) { bytes(combine(list($0), list($1))) })
    }

    /// Sends bytes to another rank; does not wait for it, where they are few.
    ///
    /// The corresponding C function is `MPI_Send`.
    package func send(_ bytes: [UInt8], to other: Int, tag: Int = 0) throws(MPIError) {
        try check(
            MPI_Send(bytes, Int32(bytes.count), cmpi_byte(), Int32(other), Int32(tag), handle),
            "MPI_Send")
    }

    private func receive(from other: Int) throws(MPIError) -> [UInt8] {
        var status = cmpi_status()
        try check(MPI_Probe(Int32(other), 0, handle, &status), "MPI_Probe")
        return try receive(&status, tag: 0)
    }

    /// Receives the message that a probe has found.
    private func receive(_ status: inout cmpi_status, tag: Int32) throws(MPIError) -> [UInt8] {
        var count: Int32 = 0
        try check(MPI_Get_count(&status, cmpi_byte(), &count), "MPI_Get_count")
        var bytes = [UInt8](repeating: 0, count: Int(count))
        try check(
            MPI_Recv(
                &bytes, count, cmpi_byte(), status.source, tag, handle, nil),
            "MPI_Recv")
        return bytes
    }

    /// A message that has come, from whoever; nil where there is none.
    ///
    /// The corresponding C functions are `MPI_Iprobe` and `MPI_Recv`.
    package func poll(tag: Int) throws(MPIError) -> (rank: Int, bytes: [UInt8])? {
        var status = cmpi_status()
        var isThere: Int32 = 0
        try check(
            MPI_Iprobe(cmpi_any_source(), Int32(tag), handle, &isThere, &status), "MPI_Iprobe")
        guard isThere != 0 else { return nil }
        return (Int(status.source), try receive(&status, tag: Int32(tag)))
    }
}

/// A sum over all ranks that is under way.
package final class PendingSum {
    private let source: UnsafeMutableBufferPointer<Int>
    private let target: UnsafeMutableBufferPointer<Int>
    private var request = cmpi_request_null()

    /// Starts to sum `values` element by element over all ranks without waiting.
    ///
    /// The corresponding C function is `MPI_Iallreduce`.
    package init(_ values: [Int], _ communicator: borrowing Communicator) throws(MPIError) {
        source = .allocate(capacity: values.count)
        target = .allocate(capacity: values.count)
        _ = source.initialize(from: values)
        _ = target.initialize(from: values)
        try check(
            MPI_Iallreduce(
                source.baseAddress, target.baseAddress, Int32(values.count), cmpi_int64(),
                cmpi_sum(), communicator.handle, &request),
            "MPI_Iallreduce")
    }

    /// The sums, as soon as every rank has given its values; nil until then.
    ///
    /// The corresponding C function is `MPI_Test`.
    package func result() throws(MPIError) -> [Int]? {
        var done: Int32 = 0
        try check(MPI_Test(&request, &done, nil), "MPI_Test")
        return done != 0 ? Array(target) : nil
    }

    deinit {
        // MPI may still write to the memory of an unfinished request: better lost than freed.
        guard request == cmpi_request_null() else { return }
        source.deallocate()
        target.deallocate()
    }
}

/// A message that is under way, perhaps for ever: what it holds is not given back.
package final class PendingMessage {
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private var request = cmpi_request_null()

    /// Sends bytes, few enough for the library to keep them, without waiting.
    ///
    /// The corresponding C function is `MPI_Isend`.
    package init(
        _ bytes: [UInt8], to other: Int, tag: Int, _ communicator: borrowing Communicator
    ) throws(MPIError) {
        self.bytes = .allocate(capacity: bytes.count)
        _ = self.bytes.initialize(from: bytes)
        try check(
            MPI_Isend(
                self.bytes.baseAddress, Int32(bytes.count), cmpi_byte(), Int32(other), Int32(tag),
                communicator.handle, &request), "MPI_Isend")
    }
}
