// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The extension module `dgen_mpi._native`. Names, defaults, documentation and most checks of arguments are
// in the package's Python code; what stands here is what Python cannot do.

internal import CPython
internal import Checksums
internal import DataGen
internal import Glibc
internal import Logging
internal import NUMA

/// The kernel that `DGEN_KERNEL` names, or the fastest.
func chosenKernel() throws(PythonError) -> Kernel {
    try orValueError { () throws(InvalidField) in
        try Kernel.chosen(by: getenv("DGEN_KERNEL").map { String(cString: $0) })
    }
}

/// The kernel of checksums that it means.
func chosenRemainderKernel() throws(PythonError) -> RemainderKernel {
    try orValueError { () throws(InvalidField) in
        try Kernel.remainders(by: getenv("DGEN_KERNEL").map { String(cString: $0) })
    }
}

/// How the algorithms of checksums are called, for a refusal.
let checksumAlgorithms = ChecksumAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")

private func checksum(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let algorithm: ChecksumAlgorithm = try arguments.choice(1, "algorithm", checksumAlgorithms)
    let kernel = try chosenRemainderKernel()
    return try withBuffer(of: try arguments.object(0), isWritten: false) { buffer in
        let value = withoutInterpreterLock {
            algorithm.checksum(of: UnsafeRawBufferPointer(buffer), kernel: kernel)
        }
        return PythonBytes(bytes: value).newObject()
    }
}

private func combineChecksums(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let algorithm: ChecksumAlgorithm = try arguments.choice(0, "algorithm", checksumAlgorithms)
    let count = try arguments.integer(3, "length", in: 0...Int.max)
    guard let code = algorithm.code else {
        let refusal = InvalidField(
            field: "algorithm", value: algorithm.rawValue,
            accepted: ChecksumAlgorithm.allCases.filter { $0.code != nil }.map(\.rawValue)
                .joined(separator: ", ") + "; others are not joined")
        throw .value(refusal.description)
    }
    func value(_ index: Int) throws(PythonError) -> UInt64 {
        try withBuffer(of: try arguments.object(index), isWritten: false) {
            (buffer) throws(PythonError) in
            guard buffer.count == code.width / 8 else {
                throw .value(
                    "\(buffer.count) bytes are no checksum of \(algorithm.rawValue), which has \(code.width / 8)"
                )
            }
            return code.checksum(buffer)
        }
    }
    let (first, second) = (try value(1), try value(2))
    return PythonBytes(bytes: code.bytes(code.combine(first, second, bytes: count))).newObject()
}

private func length(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    try withBuffer(of: try arguments.object(0), isWritten: true) { $0.count.newObject() }
}

/// The numbers of FORMAT.md section 5.
private func uniform(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let seed = try arguments.seed(1)
    let (low, high) = (Float(try arguments.number(2)), Float(try arguments.number(3)))
    guard low.isFinite, high.isFinite, low < high, (high - low).isFinite else {
        throw .value(
            "low, high: \(low) and \(high) are not accepted; give finite float32 numbers, low below high"
        )
    }
    let kernel = try chosenKernel()
    let threads = try Threads.wanted(arguments, 4)
    return try withBuffer(of: try arguments.object(0), isWritten: true) {
        (buffer) throws(PythonError) in
        guard buffer.count % 4 == 0 else {
            throw .value("buffer: \(buffer.count) bytes are no whole number of float32 numbers")
        }
        let numbers = UniformNumbers(seed: seed, low: low, high: high, kernel: kernel)
        inParts(of: buffer, unit: 4, threads) { part, start in
            var numbers = numbers
            numbers.fill(part, from: start / 4)
        }
        return cpython_none()
    }
}

private func normalizeRows(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let dimension = try arguments.integer(1, "dim", in: 1...Int.max / 8)
    let threads = try Threads.wanted(arguments, 2)
    return try withBuffer(of: try arguments.object(0), isWritten: true) {
        (buffer) throws(PythonError) in
        guard buffer.count % (4 * dimension) == 0 else {
            throw .value(
                "buffer: \(buffer.count) bytes are no whole number of rows of \(dimension) float32 numbers"
            )
        }
        inParts(of: buffer, unit: 4 * dimension, threads) { part, _ in
            UniformNumbers.normalizeRows(part, dimension: dimension)
        }
        return cpython_none()
    }
}

/// Deals whole units of a buffer to threads, without Python's lock.
private func inParts(
    of buffer: UnsafeMutableRawBufferPointer, unit: Int, _ threads: Threads,
    _ work: @escaping (UnsafeMutableRawBufferPointer, Int) -> Void
) {
    withoutInterpreterLock {
        let count = buffer.count / unit
        // A part of less is made sooner than a thread wakes up.
        let parts = min(threads.pool.count, buffer.count >> 18, count)
        guard parts > 1 else { return work(buffer, 0) }
        let shards = Shards(size: count, ranks: parts, alignment: 1)
        threads.pool.run(Array(shards)) { _, part in
            let start = part.lowerBound * unit
            work(
                UnsafeMutableRawBufferPointer(
                    rebasing: buffer[start..<start + part.count * unit]), start)
        }
    }
}

private func allocate(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let count = try arguments.integer(0, "size", in: 0...Int.max)
    return BytesView.newObject(try BytesView.newMemory(count), 0..<count)
}

private func shard(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let size = try arguments.integer(0, "size", in: 0...Int.max)
    let ranks = try arguments.integer(2, "count", in: 1...Int(Int32.max))
    let rank = try arguments.integer(1, "rank", in: 0...ranks - 1)
    let align = try arguments.integer(3, "align", in: 1...1 << 40)
    let range = Shards(size: size, ranks: ranks, alignment: align)[rank]
    return PythonTuple(range.lowerBound, range.count).newObject()
}

private func byteArrays(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let count = try arguments.integer(0, "count", in: 0...Int.max)
    let size = try arguments.integer(1, "size", in: 0...Int.max)
    return filled(PyList_New(count), count, PyList_SetItem) { _ in
        PyByteArray_FromStringAndSize(nil, size)
    }
}

private func topology(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let topology = Topology(root: try arguments.text(0))
    let nodes = topology.nodes.map { node -> PythonDictionary in
        [
            "id": node.id, "cpus": PythonList(node.cpus), "cpus_problem": node.cpusProblem,
            "memory_total_bytes": node.memoryTotalBytes,
            "memory_free_bytes": node.memoryFreeBytes, "distances": PythonList(node.distances),
        ]
    }
    let found: PythonDictionary = [
        "cores": topology.coreCount, "threads": topology.threadCount, "nodes": PythonList(nodes),
    ]
    return found.newObject()
}

private func buildInfo(_: Arguments) throws(PythonError) -> PythonObject? {
    #if DEBUG
        let kind = "debug"
    #else
        let kind = "release"
    #endif
    let info: PythonDictionary = [
        "version": Version.current, "build": kind, "kernel": try chosenKernel().rawValue,
        "kernels": PythonList(Kernel.supported.map(\.rawValue)),
        "processors": Processors.usable,
    ]
    return info.newObject()
}

private func parseSize(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let (text, field) = (try arguments.text(0), try arguments.text(1))
    return try orValueError { () throws(InvalidField) in
        try ByteSize.parse(text, field: field)
    }.newObject()
}

private func formatSize(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    ByteSize.format(try arguments.integer(0, "count", in: 0...Int.max)).newObject()
}

private func manifest(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let text = try arguments.text(0)
    let stored = try orValueError { () throws(StoredManifest.Refusal) in
        try StoredManifest(parsing: text)
    }
    let spec = stored.spec
    var found: PythonDictionary = [
        "is_complete": stored.status == .complete, "size": spec.size, "seed": spec.seed,
        "dedup_unit": spec.dedupUnit, "compress_unit": spec.compressUnit,
        "fill": spec.fill.rawValue, "is_per_rank": stored.isPerRank, "ranks": stored.ranks,
        "align": stored.align,
    ]
    found.entries += spec.reductionFields
    return found.newObject()
}

/// The functions of the module.
nonisolated(unsafe) private let functions = methodTable([
    pythonFunction(
        "source",
        """
        size, seed, dedup_thousandths, compress_thousandths, dedup_unit, compress_unit, fill, \
        composition, max_threads, numa_mode, numa_node
        """,
        """
        Return a data set; a compress_unit or max_threads of 0 and a numa_node of -1 are chosen here. `composition` \
        has lists of texts by the names of the options of version 2.
        """
    ) { call($1, $2, wanted: 11, Source.new) },
    pythonFunction(
        "kind",
        """
        dedup_thousandths, compress_thousandths, dedup_unit, compress_unit, fill, max_threads, numa_mode, numa_node
        """,
        "Return all of a data set but its size and seed, given as for `source`."
    ) { call($1, $2, wanted: 8, Kind.new) },
    keywordFunction(
        "generate_buffer",
        """
        (size, dedup_ratio=1.0, compress_ratio=1.0, numa_mode='auto', max_threads=None, numa_node=None, \
        method='parallel', *, seed=None)
        """,
        """
        Return new memory that holds a data set of `size` bytes.

        It is for ``memoryview(...)`` or ``numpy.frombuffer(...)``, which copy nothing. Parameters and
        errors are those of `Generator`; MemoryError is raised where there is no memory.

        Blocks have 1 MiB: smaller buffers have nothing to deduplicate. Without a seed, up to 1 MiB is a
        slice of a block that was made before, which is there as long as one of its slices. Memory of 1 MiB
        and more that is no longer used is kept for the next call, up to 128 MiB.
        """
    ) { generateBuffer($1, $2, $3) },
    keywordFunction(
        "generate_into_buffer",
        """
        (buffer, dedup_ratio=1.0, compress_ratio=1.0, numa_mode='auto', max_threads=None, numa_node=None, \
        method='parallel', *, seed=None)
        """,
        """
        Fill a buffer with a data set of its length, and return that length.

        Buffers, and what is raised, are as in `dgen_mpi.DataSpec.fill`, all else as in `Generator`.
        """
    ) { generateIntoBuffer($1, $2, $3) },
    pythonFunction(
        "whole", "size, seed, kind",
        "Return new memory that holds a data set; a seed of None is drawn at random."
    ) { call($1, $2, wanted: 3, whole) },
    pythonFunction(
        "fill_whole", "buffer, seed, kind",
        "Fill `buffer` with a data set of its length, and return that; a seed of None is drawn at random."
    ) { call($1, $2, wanted: 3, fillWhole) },
    pythonFunction(
        "piece", "size, kind",
        "Return up to 1 MiB of a block that was made before, with the ratios of `kind`."
    ) { call($1, $2, wanted: 2, piece) },
    pythonFunction(
        "shard", "size, rank, ranks, align",
        "Return where the part of a rank of the program begins, and its length."
    ) { call($1, $2, wanted: 4, shard) },
    pythonFunction(
        "allocate", "size",
        "Return new memory, whose contents are whatever they are."
    ) { call($1, $2, wanted: 1, allocate) },
    pythonFunction(
        "checksum", "buffer, algorithm",
        "Return the checksum of a buffer, as bytes."
    ) { call($1, $2, wanted: 2, checksum) },
    pythonFunction(
        "combine_checksums", "algorithm, first, second, length",
        "Return the checksum of two stretches of bytes, the second of which has `length` of them."
    ) { call($1, $2, wanted: 4, combineChecksums) },
    pythonFunction(
        "length", "buffer",
        "Return the bytes of a buffer, or raise what filling it would raise."
    ) { call($1, $2, wanted: 1, length) },
    pythonFunction(
        "uniform", "buffer, seed, low, high, max_threads, numa_mode, numa_node",
        "Fill `buffer` with float32 numbers."
    ) { call($1, $2, wanted: 7, uniform) },
    pythonFunction(
        "normalize_rows", "buffer, dim, max_threads, numa_mode, numa_node",
        "Give every row of `dim` float32 numbers the length 1."
    ) { call($1, $2, wanted: 5, normalizeRows) },
    pythonFunction(
        "create_bytearrays", "count, size",
        "Return a list of new bytearrays, whose contents are whatever they are."
    ) { call($1, $2, wanted: 2, byteArrays) },
    pythonFunction(
        "topology", "root",
        "Return cores, threads and memory nodes of the machine whose `/sys` and `/proc` stand under `root`."
    ) { call($1, $2, wanted: 1, topology) },
    pythonFunction(
        "parse_size", "text, field",
        "Return the bytes of a size such as 64KiB, or raise a ValueError that names `field`."
    ) { call($1, $2, wanted: 2, parseSize) },
    pythonFunction(
        "format_size", "count",
        "Return a size for people, in binary units."
    ) { call($1, $2, wanted: 1, formatSize) },
    pythonFunction(
        "manifest", "text",
        "Return what a manifest says, or raise a ValueError for what is none."
    ) { call($1, $2, wanted: 1, manifest) },
    pythonFunction(
        "part", "path, layout, ranks, align, size, rank",
        "Return the file of a rank, and where its part of a data set of `size` bytes begins and ends."
    ) { call($1, $2, wanted: 6, part) },
    pythonFunction(
        "options", "",
        "Return the rows of the table of options."
    ) { call($1, $2, wanted: 0, options) },
    pythonFunction(
        "check_options", "operation, texts, profile",
        """
        Return the values of a job's options, given as lists of texts, or raise a ValueError for the first that is \
        not accepted, by itself or with what its profile says.
        """
    ) { call($1, $2, wanted: 3, checkOptions) },
    pythonFunction(
        "profiles", "",
        "Return the ready profiles as YAML, by their names."
    ) { call($1, $2, wanted: 0, profiles) },
    pythonFunction(
        "build_info", "",
        "Return version, kind of build, kernels, and the processors that this process may use."
    ) { call($1, $2, wanted: 0, buildInfo) },
])

/// Fills a new module with what is not a function.
///
/// Types, exceptions and the logger are those of the process, and records of other threads come with the lock of its
/// main interpreter, for which another one would wait for ever.
private func execute(_ module: PythonObject) throws(PythonError) {
    guard cpython_is_main_interpreter() != 0 else {
        throw PythonError(
            cpython_import_error(),
            "dgen_mpi works in the main interpreter of a process, not in a sub-interpreter")
    }
    // The module is given its own reference where it is taken; Python 3.9 has no other way.
    Py_IncRef(unsuitableBufferError)
    guard PyModule_AddObject(module, "UnsuitableBufferError", unsuitableBufferError) == 0 else {
        Py_DecRef(unsuitableBufferError)
        throw PythonError()
    }
    try BytesView.addType(to: module)
    try Source.addType(to: module)
    try Kind.addType(to: module)
    try Stream.addType(to: module)
    try Pool.addType(to: module)
    try WrittenDataSet.addType(to: module)
    _ = log
}

/// Set up when it is touched first.
private let log: Void = LoggingSystem.bootstrap(PythonLogHandler.init(label:))

/// What Python calls when it imports the module.
@_cdecl("PyInit__native")
public func PyInit__native() -> UnsafeMutableRawPointer? {
    let definition = cpython_define_module(
        "_native", "What Python cannot do: bytes made at memory speed.", functions
    ) { module in
        guard let module, (try? execute(module)) != nil else { return -1 }
        return 0
    }
    return UnsafeMutableRawPointer(definition)
}
