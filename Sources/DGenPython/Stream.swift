// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen

/// What `Generator` of the package is derived from: the bytes of a data set in order, and of others when its seed is set.
///
/// Python's lock guards where it is. A call takes its bytes in one step, in which no other Python thread runs, and makes
/// them afterwards.
final class Stream: PythonBase {
    private var kind: Kind?
    private var size = 0
    private var chunkSize = 0
    private var seed: UInt64 = 0
    private var isSeeded = false
    private var forks = 0
    /// What makes the bytes of the seed, once some are wanted.
    private var source: Source?
    /// How many bytes were made before the seed was set, the offset of the next byte in its data set, and where there is
    /// no next one.
    private var before = 0
    private var offset = 0
    private var end = 0
    nonisolated(unsafe) static var type: OpaquePointer?

    private func open(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let kind = try Kind.of(arguments, from: 3)
        return try open(
            try givenSize(of: try arguments.object(0), "size"),
            try givenSize(of: try arguments.object(1), "chunk_size", least: 1),
            try arguments.object(2), kind)
    }

    private func open(
        _ size: Int, _ chunkSize: Int, _ given: PythonObject, _ kind: Kind
    ) throws(PythonError) -> PythonObject? {
        let seed = try givenSeed(of: given)
        // What the environment says is refused at once, and so is a place that is not there.
        _ = try chosenKernel()
        let wish = try kind.wish.now()
        if wish.isPlaced { _ = try Threads.wanted(wish) }
        (self.kind, self.size, self.chunkSize) = (kind, size, chunkSize)
        (self.seed, isSeeded, forks) = (seed, cpython_is_none(given) == 0, Forks.count)
        (source, before, offset, end) = (nil, 0, 0, size)
        return cpython_none()
    }

    /// In a forked process others have the same seed; one that was drawn is drawn anew.
    private func leaveOthers() {
        guard forks != Forks.count else { return }
        forks = Forks.count
        if !isSeeded { (seed, source) = (Seeds.next(), nil) }
    }

    /// What makes the next bytes; nothing of Python's runs between its end and what the caller does next.
    private func current() throws(PythonError) -> Source {
        while true {
            leaveOthers()
            if let source { return source }
            guard let kind else {
                throw PythonError(cpython_type_error(), "Generator.__init__ was not called")
            }
            let seed = seed
            // It looks at Python's loggers: other threads may have come in between.
            let new = try kind.source(size: size, seed: seed)
            if source == nil, seed == self.seed { source = new }
        }
    }

    /// Takes the next bytes, `count` at most.
    private func take(_ count: Int) throws(PythonError) -> (Source, Range<Int>) {
        let source = try current()
        let range = offset..<offset + min(count, end - offset)
        offset = range.upperBound
        return (source, range)
    }

    private func fillChunk(_ buffer: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let buffer else { throw missing("buffer") }
        return try withBuffer(of: buffer, isWritten: true) { (buffer) throws(PythonError) in
            let (source, range) = try take(buffer.count)
            try source.fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count]),
                at: range.lowerBound)
            return range.count.newObject()
        }
    }

    private func getChunk(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let memory = try newChunk(object) else { return cpython_none() }
        let (source, range) = try take(memory.count)
        // Another thread may have taken the rest.
        guard !range.isEmpty else { return cpython_none() }
        try source.fill(
            UnsafeMutableRawBufferPointer(start: memory.start, count: range.count),
            at: range.lowerBound)
        return BytesView.newObject(memory, 0..<range.count)
    }

    /// Memory for the next chunk, as far as there are bytes for it; nil at the end.
    private func newChunk(_ object: PythonObject?) throws(PythonError) -> Memory? {
        var wanted = chunkSize
        if let object, cpython_is_none(object) == 0 {
            wanted = try givenSize(of: object, "chunk_size", least: 1)
        }
        let source = try current()
        let count = min(wanted, end - offset)
        return count > 0 ? try source.newMemory(count) : nil
    }

    private func allocate(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let memory = try newChunk(object) else {
            return BytesView.newObject(try BytesView.newMemory(0), 0..<0)
        }
        return BytesView.newObject(memory, 0..<memory.count)
    }

    private func reserve(_ buffer: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let buffer else { throw missing("buffer") }
        return try withBuffer(of: buffer, isWritten: true) { (buffer) throws(PythonError) in
            let (source, range) = try take(buffer.count)
            return PythonTuple(source, range.lowerBound, range.count).newObject()
        }
    }

    private func seek(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let object else { throw missing("offset") }
        let start = try givenSize(of: object, "offset")
        guard start <= size else {
            throw .value("offset: '\(start)' is not accepted; give 0 to \(size)")
        }
        (before, offset, end) = (0, start, size)
        return cpython_none()
    }

    private func setSeed(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let object else { throw missing("seed") }
        let new = try givenSeed(of: object)
        leaveOthers()
        (before, offset) = (before + offset, 0)
        end = size - before
        if new != seed { (seed, source) = (new, nil) }
        isSeeded = cpython_is_none(object) == 0
        return cpython_none()
    }

    private func reset(_: Arguments) -> PythonObject? {
        (before, offset, end) = (0, 0, size)
        return cpython_none()
    }

    private func position(_: Arguments) -> PythonObject? { (before + offset).newObject() }
    private func totalSize(_: Arguments) -> PythonObject? { size.newObject() }
    private func isComplete(_: Arguments) -> PythonObject? { (before + offset >= size).newObject() }
    private func chunkBytes(_: Arguments) -> PythonObject? { chunkSize.newObject() }

    private func presentSeed(_: Arguments) -> PythonObject? {
        leaveOthers()
        return seed.newObject()
    }

    /// What another one is made of that goes on as this one.
    private func state(_: Arguments) throws(PythonError) -> PythonObject? {
        guard let kind else { return cpython_none() }
        return PythonTuple(
            size, chunkSize, isSeeded ? seed : nil as UInt64?, kind.fields, before, offset
        ).newObject()
    }

    private func goOn(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let size = try arguments.integer(0, "size", in: 0...Int.max)
        let before = try arguments.integer(4, "before", in: 0...size)
        let offset = try arguments.integer(5, "offset", in: 0...size - before)
        let chunkSize = try arguments.integer(1, "chunk_size", in: 1...Int.max)
        let kind = try Kind.of(try arguments.object(3))
        Py_DecRef(try open(size, chunkSize, try arguments.object(2), kind))
        (self.before, self.offset, end) = (before, offset, size - before)
        return cpython_none()
    }

    private func missing(_ name: String) -> PythonError {
        PythonError(cpython_type_error(), "\(name): an argument is missing")
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        try newType(
            "dgen_mpi._native.Stream", for: module,
            documentation: "The bytes of a data set in order.",
            methods: [
                keywordFunction(
                    "fill_chunk", "($self, /, buffer)",
                    """
                    Fill a buffer, one as `dgen_mpi.DataSpec.fill` takes, with the next bytes.

                    Returns how many: fewer than the buffer has at the end of the data set, then 0. The rest of
                    the buffer stays as it is.
                    """
                ) { callNamed($0, $1, $2, $3, "buffer", Stream.fillChunk) },
                keywordFunction(
                    "get_chunk", "($self, /, chunk_size=None)",
                    """
                    Return the next chunk, or `chunk_size` bytes at most (1 at least), in new memory.

                    None at the end.
                    """
                ) { callNamed($0, $1, $2, $3, "chunk_size", Stream.getChunk) },
                keywordFunction(
                    "seek", "($self, /, offset)",
                    "Go on at an offset of the data set, at most its size: in some microseconds."
                ) { callNamed($0, $1, $2, $3, "offset", Stream.seek) },
                keywordFunction(
                    "set_seed", "($self, /, seed)",
                    """
                    Go on with the first bytes of the data set of a seed, drawn at random for None.

                    `position` and `is_complete` count all bytes that were made: a loop over the generator ends
                    however often the seed is set, also to the present one. `reset` goes to the start of the
                    data set of the seed.
                    """
                ) { callNamed($0, $1, $2, $3, "seed", Stream.setSeed) },
                pythonMethod("reset", "Go back to the start of the data set; the seed stays.") {
                    call($0, $1, $2, wanted: 0, Stream.reset)
                },
                pythonMethod("position", "Return how many bytes were made.") {
                    call($0, $1, $2, wanted: 0, Stream.position)
                },
                pythonMethod("total_size", "Return the length of the data set in bytes.") {
                    call($0, $1, $2, wanted: 0, Stream.totalSize)
                },
                pythonMethod("is_complete", "Tell whether all bytes were made.") {
                    call($0, $1, $2, wanted: 0, Stream.isComplete)
                },
                pythonFunction(
                    "_open",
                    """
                    $self, size, chunk_size, seed, dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node, \
                    dedup_unit, compress_unit, fill
                    """,
                    "Begin a data set, of what a `Generator` is given; a seed of None is drawn at random."
                ) { call($0, $1, $2, wanted: 11, Stream.open) },
                keywordFunction(
                    "_allocate", "($self, /, chunk_size=None)",
                    "Return memory for the next chunk, as far as there are bytes for it."
                ) { callNamed($0, $1, $2, $3, "chunk_size", Stream.allocate) },
                keywordFunction(
                    "_reserve", "($self, /, buffer)",
                    """
                    Take the next bytes for `buffer` without making them, and return what makes them, their offset and \
                    number.
                    """
                ) { callNamed($0, $1, $2, $3, "buffer", Stream.reserve) },
                pythonMethod("_seed", "Return the seed.") {
                    call($0, $1, $2, wanted: 0, Stream.presentSeed)
                },
                pythonMethod("_chunk_size", "Return the bytes of a chunk.") {
                    call($0, $1, $2, wanted: 0, Stream.chunkBytes)
                },
                pythonMethod(
                    "_state",
                    """
                    Return size, bytes of a chunk, the seed (None if none was given), what its kind is made of, the bytes \
                    before the seed was set, and the offset since.
                    """
                ) { call($0, $1, $2, wanted: 0, Stream.state) },
                pythonFunction(
                    "_go_on", "$self, size, chunk_size, seed, kind, before, offset",
                    "Be as another one was, as `_state` tells."
                ) { call($0, $1, $2, wanted: 6, Stream.goOn) },
            ],
            new: newSlot { type, _, _ in Stream.newInstance(type) })
    }
}
