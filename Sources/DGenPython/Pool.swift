// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen

/// What `BufferPool` of the package is derived from: small pieces, cut from blocks that are made at once.
///
/// Python's lock guards it, and is kept while a block is made: that is sooner done than the lock changes hands. A piece
/// is cut in one step, in which no other Python thread runs.
final class Pool: PythonBase {
    static let blockBytes = 1 << 20
    /// Its data set: after so much it goes on with another seed.
    private static let dataBytes = 256 << 20

    private(set) var kind: Kind?
    private var isSeeded = false
    private var nextSeed: UInt64 = 0
    private var forks = Forks.count
    /// The seed of the data set, and what makes it once a block is wanted.
    private var seed: UInt64 = 0
    private var source: Source?
    private var block: Memory?
    private var used = 0
    nonisolated(unsafe) static var type: OpaquePointer?

    convenience init(_ kind: Kind) {
        self.init()
        go(to: kind)
    }

    private func drawSeed() -> UInt64 {
        guard isSeeded else { return Seeds.next() }
        defer { nextSeed &+= 1 }
        return nextSeed
    }

    /// Goes on with another data set.
    private func go(to kind: Kind) {
        self.kind = kind
        (seed, source) = (drawSeed(), nil)
        (block, used) = (nil, 0)
    }

    private func needKind() throws(PythonError) -> Kind {
        guard let kind else {
            throw PythonError(cpython_type_error(), "BufferPool.__init__ was not called")
        }
        if forks != Forks.count {
            forks = Forks.count
            // Others have the same block.
            if !isSeeded { go(to: kind) }
        }
        return kind
    }

    /// Takes the next bytes, 1 to those of a block; the first of them at a multiple of `alignment` in its block.
    @inline(__always)
    func take(_ count: Int, alignment: Int = 1) throws(PythonError) -> (Memory, Range<Int>) {
        // In a forked process it may be another pool; one with a seed goes on in its block.
        if forks != Forks.count { _ = try needKind() }
        if let block {
            let start = (used + alignment - 1) & -alignment
            if count <= Self.blockBytes - start {
                used = start + count
                return (block, start..<used)
            }
        }
        // What another thread has cut meanwhile is no part of this one.
        let new = try newBlock()
        (block, used) = (new, count)
        return (new, 0..<count)
    }

    @inline(never)
    private func newBlock() throws(PythonError) -> Memory {
        let memory = try BytesView.newMemory(Self.blockBytes)
        while true {
            let kind = try needKind()
            if let source, source.left > 0 {
                let range = source.take(Self.blockBytes)
                try source.fill(
                    UnsafeMutableRawBufferPointer(start: memory.start, count: range.count),
                    at: range.lowerBound, keepsLock: true)
                return memory
            }
            if source != nil { go(to: kind) }
            let seed = seed
            // It looks at Python's loggers: other threads may have come in between.
            let new = try Source(
                try kind.spec(size: Self.dataBytes, seed: seed), kernel: try chosenKernel(),
                wish: .one)
            if source == nil, seed == self.seed { source = new }
        }
    }

    private func nextSlice(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        guard let object else {
            throw PythonError(cpython_type_error(), "size: an argument is missing")
        }
        let count = try givenSize(of: object, "size", least: 1)
        guard count <= Self.blockBytes else {
            let whole = try needKind().source(size: count, seed: drawSeed())
            let memory = try whole.newMemory(count)
            try whole.fill(
                UnsafeMutableRawBufferPointer(start: memory.start, count: count), at: 0)
            return BytesView.newObject(memory, 0..<count)
        }
        let (memory, range) = try take(count)
        return BytesView.newObject(memory, range)
    }

    private func open(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let given = try arguments.object(0)
        (nextSeed, isSeeded) = (try givenSeed(of: given), cpython_is_none(given) == 0)
        go(to: try Kind.of(try arguments.object(1)))
        return cpython_none()
    }

    private func change(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let (old, new) = (try needKind(), try Kind.of(try arguments.object(0)))
        if (old.dedup, old.compress) != (new.dedup, new.compress) { go(to: new) }
        return cpython_none()
    }

    private func ratios(_: Arguments) throws(PythonError) -> PythonObject? {
        let kind = try needKind()
        return PythonTuple(kind.dedup, kind.compress).newObject()
    }

    private func remaining(_: Arguments) throws(PythonError) -> PythonObject? {
        _ = try needKind()
        if block == nil {
            let new = try newBlock()
            (block, used) = (new, 0)
        }
        return (Self.blockBytes - used).newObject()
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        try newType(
            "dgen_mpi._native.Pool", for: module, documentation: "Small pieces of test data.",
            methods: [
                keywordFunction(
                    "next_slice", "($self, /, size)",
                    """
                    Return the next `size` bytes of the pool, 1 at least; more than 1 MiB are made at once.

                    Copies nothing: views share the memory of a block, which is there as long as one of them. What
                    is left of a block that is too short for `size` is not used.
                    """
                ) { callNamed($0, $1, $2, $3, "size", Pool.nextSlice) },
                pythonFunction(
                    "_open", "$self, seed, kind", "Begin; a seed of None is drawn at random."
                ) { call($0, $1, $2, wanted: 2, Pool.open) },
                pythonFunction(
                    "_change", "$self, kind", "Go on with another kind, if its ratios are others."
                ) { call($0, $1, $2, wanted: 1, Pool.change) },
                pythonMethod("_ratios", "Return both ratios in thousandths.") {
                    call($0, $1, $2, wanted: 0, Pool.ratios)
                },
                pythonMethod("_remaining", "Return the bytes that are left of the block.") {
                    call($0, $1, $2, wanted: 0, Pool.remaining)
                },
            ],
            new: newSlot { type, _, _ in Pool.newInstance(type) })
    }
}
