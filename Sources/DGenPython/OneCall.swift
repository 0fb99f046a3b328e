// SPDX-License-Identifier: MIT OR Apache-2.0
//
// `generate_buffer` and `generate_into_buffer`: here for what is asked for most, and is over sooner than Python has sorted
// the arguments; all else is left to the package's Python code.

internal import CPython
internal import DataGen
internal import Glibc

/// The pools of this process, for the last few kinds of data; touched under Python's lock only.
private enum Pools {
    nonisolated(unsafe) private static var pools: [Pool] = []
    private static let most = 8

    static func pool(dedup: Int, compress: Int) throws(PythonError) -> Pool {
        for pool in pools {
            if let kind = pool.kind, kind.dedup == dedup, kind.compress == compress { return pool }
        }
        let pool = Pool(try Kind(dedup: dedup, compress: compress, wish: .any))
        if pools.count == most { pools.removeFirst() }
        pools.append(pool)
        return pool
    }

    /// What is asked for with two ratios alone.
    static func kind(dedup: Int, compress: Int) throws(PythonError) -> Kind {
        guard let kind = try pool(dedup: dedup, compress: compress).kind else {
            throw PythonError(cpython_type_error(), "a pool has a kind")
        }
        return kind
    }

    /// Takes bytes, 1 to those of a block; no more grains are cut than these have.
    static func take(
        _ count: Int, dedup: Int, compress: Int
    ) throws(PythonError) -> (Memory, Range<Int>) {
        let isGrain = compress != 1000 && count >= grain
        return try pool(dedup: dedup, compress: compress).take(
            count, alignment: isGrain ? grain : 1)
    }

    private static let grain = 1024
}

/// A call that gives ratios alone, and says no more of its data.
private struct PlainCall {
    let subject: PythonObject
    private(set) var dedup = 1000
    private(set) var compress = 1000
    /// None, where it was given so.
    private(set) var seed: PythonObject?

    /// Nil for another call, whether it is legal or not.
    init?(
        _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, _ names: PythonObject?
    ) {
        guard count >= 1, count <= 3, let arguments, let subject = arguments[0] else { return nil }
        self.subject = subject
        if count > 1 {
            guard let ratio = Self.thousandths(arguments[1]) else { return nil }
            dedup = ratio
        }
        if count > 2 {
            guard let ratio = Self.thousandths(arguments[2]) else { return nil }
            compress = ratio
        }
        guard let names else { return }
        for index in 0..<PyTuple_Size(names) {
            guard let name = PyTuple_GetItem(names, index) else { return nil }
            let value = arguments[count + index]
            if count < 2, PyUnicode_CompareWithASCIIString(name, "dedup_ratio") == 0 {
                guard let ratio = Self.thousandths(value) else { return nil }
                dedup = ratio
            } else if count < 3, PyUnicode_CompareWithASCIIString(name, "compress_ratio") == 0 {
                guard let ratio = Self.thousandths(value) else { return nil }
                compress = ratio
            } else if PyUnicode_CompareWithASCIIString(name, "seed") == 0 {
                seed = value
            } else {
                return nil
            }
        }
    }

    /// A ratio that is legal, where it is a number, and plain which thousandth it is nearest to.
    private static func thousandths(_ object: PythonObject?) -> Int? {
        guard let object else { return nil }
        if cpython_is_float(object) != 0 {
            let value = PyFloat_AsDouble(object)
            if value == 1 { return 1000 }
            guard value >= 1, value <= 1_000_000 else { return nil }
            let rounded = (value * 1000).rounded()
            return abs(value * 1000 - rounded) < 0.4 ? Int(rounded) : nil
        }
        guard cpython_is_int(object) != 0 else { return nil }
        let value = PyLong_AsLongLong(object)
        if value == -1 { PyErr_Clear() }
        return (1...1_000_000).contains(value) ? Int(value) * 1000 : nil
    }
}

// As long as the process; touched under Python's lock only.
nonisolated(unsafe) private var functions: [String: PythonObject] = [:]

/// What a function of the package's Python code does with the same arguments.
private func leave(
    to name: String, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int,
    _ names: PythonObject?
) -> PythonObject? {
    guard let function = functions[name] ?? imported(name, from: "dgen_mpi.generator") else {
        return nil
    }
    functions[name] = function
    func given(_ index: Int) -> PythonObject? {
        let object = arguments?[index]
        Py_IncRef(object)
        return object
    }
    let positional = filled(PyTuple_New(count), count, PyTuple_SetItem, given)
    defer { Py_DecRef(positional) }
    guard let positional else { return nil }
    guard let names else { return PyObject_Call(function, positional, nil) }
    guard let named = PyDict_New() else { return nil }
    defer { Py_DecRef(named) }
    for index in 0..<PyTuple_Size(names) {
        guard let name = PyTuple_GetItem(names, index),
            PyDict_SetItem(named, name, arguments?[count + index]) == 0
        else { return nil }
    }
    return PyObject_Call(function, positional, named)
}

func generateBuffer(
    _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, _ names: PythonObject?
) -> PythonObject? {
    guard let plain = PlainCall(arguments, count, names), cpython_is_int(plain.subject) != 0 else {
        return leave(to: "_generate_buffer", arguments, count, names)
    }
    let size = Int(PyLong_AsLongLong(plain.subject))
    guard size > 0, size <= Pool.blockBytes else {
        PyErr_Clear()
        return leave(to: "_generate_buffer", arguments, count, names)
    }
    do throws(PythonError) {
        if let given = plain.seed, cpython_is_none(given) == 0 {
            return try newWhole(
                size, seed: try givenSeed(of: given),
                try Pools.kind(dedup: plain.dedup, compress: plain.compress))
        }
        let (memory, range) = try Pools.take(size, dedup: plain.dedup, compress: plain.compress)
        return BytesView.newObject(memory, range)
    } catch {
        return nil
    }
}

func generateIntoBuffer(
    _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, _ names: PythonObject?
) -> PythonObject? {
    guard let plain = PlainCall(arguments, count, names) else {
        return leave(to: "_generate_into_buffer", arguments, count, names)
    }
    do throws(PythonError) {
        return try withBuffer(of: plain.subject, isWritten: true) { (buffer) throws(PythonError) in
            let (dedup, compress) = (plain.dedup, plain.compress)
            let isDrawn = plain.seed.map { cpython_is_none($0) != 0 } ?? true
            guard isDrawn, buffer.count > 0, buffer.count <= copiedMax else {
                let kind = try Pools.kind(dedup: dedup, compress: compress)
                let seed = try plain.seed.map { (seed) throws(PythonError) in
                    try givenSeed(of: seed)
                }
                return try fill(buffer, seed: seed ?? Seeds.next(), kind)
            }
            let (memory, range) = try Pools.take(buffer.count, dedup: dedup, compress: compress)
            buffer.copyMemory(
                from: UnsafeRawBufferPointer(
                    start: memory.start + range.lowerBound, count: range.count))
            return range.count.newObject()
        }
    } catch {
        return nil
    }
}

/// Up to so many bytes are copied from a pool sooner than a data set of their own is opened.
private let copiedMax = 16 << 10

/// Up to so many bytes are made sooner by the scalar kernel.
private let scalarMax = 8 << 10

/// Fills a buffer with a data set of its length; returns that.
private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, seed: UInt64, _ kind: Kind
) throws(PythonError) -> PythonObject? {
    guard buffer.count < ParallelGenerator.splitBytesMin else {
        try kind.source(size: buffer.count, seed: seed).fill(buffer, at: 0)
        return buffer.count.newObject()
    }
    let (kernel, logger) = (try chosenKernel(), PythonLogHandler.newLogger("generator"))
    // Lanes are placed in more time than few bytes take one after another.
    let isShort = buffer.count <= scalarMax
    if isShort, kind.isStream(upTo: buffer.count), logger.logLevel > .trace {
        Generator.fillStart(buffer, seed: seed)
        return buffer.count.newObject()
    }
    var generator = Generator(
        try kind.spec(size: buffer.count, seed: seed), kernel: isShort ? .scalar : kernel,
        logger: logger)
    if buffer.count < copiedMax {
        generator.fillOnce(buffer, at: 0)
    } else {
        withoutInterpreterLock { generator.fillOnce(buffer, at: 0) }
    }
    return buffer.count.newObject()
}

/// A data set of a size, seed (None for one at random) and kind, in new memory.
func whole(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let count = try arguments.integer(0, "size", in: 0...Int.max)
    let seed = try givenSeed(of: try arguments.object(1))
    return try newWhole(count, seed: seed, try Kind.of(try arguments.object(2)))
}

private func newWhole(
    _ count: Int, seed: UInt64, _ kind: Kind
) throws(PythonError) -> PythonObject? {
    let wish = try kind.wish.now()
    guard count < ParallelGenerator.splitBytesMin, !wish.isPlaced else {
        let source = try kind.source(size: count, seed: seed)
        let memory = try source.newMemory(count)
        try source.fill(UnsafeMutableRawBufferPointer(start: memory.start, count: count), at: 0)
        return BytesView.newObject(memory, 0..<count)
    }
    let memory = try BytesView.newMemory(count)
    Py_DecRef(
        try fill(
            UnsafeMutableRawBufferPointer(start: memory.start, count: count), seed: seed, kind))
    return BytesView.newObject(memory, 0..<count)
}

/// Fills a buffer with a data set of its length, a seed (None for one at random) and a kind.
func fillWhole(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let seed = try givenSeed(of: try arguments.object(1))
    let kind = try Kind.of(try arguments.object(2))
    let wish = try kind.wish.now()
    if wish.isPlaced { _ = try Threads.wanted(wish) }
    return try withBuffer(of: try arguments.object(0), isWritten: true) {
        (buffer) throws(PythonError) in try fill(buffer, seed: seed, kind)
    }
}

/// A piece of a block that was made before, of the ratios of a kind.
func piece(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let count = try arguments.integer(0, "size", in: 1...Pool.blockBytes)
    let kind = try Kind.of(try arguments.object(1))
    let (memory, range) = try Pools.take(count, dedup: kind.dedup, compress: kind.compress)
    return BytesView.newObject(memory, range)
}
