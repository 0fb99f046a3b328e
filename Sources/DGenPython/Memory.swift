// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import Glibc

/// Memory that Python objects share, given back with the last of them.
///
/// Made and given back under Python's lock.
final class Memory {
    let start: UnsafeMutableRawPointer
    let count: Int
    /// What it has at least: more where it was used before.
    private let capacity: Int
    /// Larger memory comes from the system in large pages, where it has them: touching it first is then a
    /// fraction of the work.
    private static let mappedMin = 1 << 20
    private static let largePage = 2 << 20

    /// Memory that was mapped and is not in use, the oldest first: touching it again costs nothing.
    nonisolated(unsafe) private static var spare:
        [(start: UnsafeMutableRawPointer, capacity: Int)] = []
    /// No more than this is kept.
    private static let spareBytesMax = 128 << 20

    /// Memory of `count` bytes whose contents are whatever they are; nil where there is not so much.
    init?(count: Int) {
        self.count = count
        if count < Self.mappedMin {
            var memory: UnsafeMutableRawPointer?
            guard posix_memalign(&memory, 64, max(count, 64)) == 0, let memory else { return nil }
            (start, capacity) = (memory, 0)
            return
        }
        let fitting = Self.spare.lastIndex { $0.capacity >= count && $0.capacity / 2 <= count }
        if let fitting {
            (start, capacity) = Self.spare.remove(at: fitting)
            return
        }
        let (length, isTooLong) = count.addingReportingOverflow(2 * Self.largePage)
        guard !isTooLong,
            let memory = mmap(
                nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            memory != MAP_FAILED
        else { return nil }
        // Aligned to large pages; what is before and after goes back.
        let head = -Int(bitPattern: memory) & (Self.largePage - 1)
        if head > 0 { munmap(memory, head) }
        start = memory + head
        capacity = (count + Self.largePage - 1) & ~(Self.largePage - 1)
        if head + capacity < length { munmap(start + capacity, length - head - capacity) }
        madvise(start, capacity, MADV_HUGEPAGE)
    }

    deinit {
        guard capacity > 0 else { return free(start) }
        Self.spare.append((start, capacity))
        while Self.spare.reduce(0, { $0 + $1.capacity }) > Self.spareBytesMax {
            let oldest = Self.spare.removeFirst()
            munmap(oldest.start, oldest.capacity)
        }
    }
}

/// A range of shared memory with Python's buffer protocol.
final class BytesView: PythonContent {
    private let memory: Memory
    private let range: Range<Int>
    private var start: UnsafeMutableRawPointer { memory.start + range.lowerBound }
    nonisolated(unsafe) static var type: OpaquePointer?

    private init(_ memory: Memory, range: Range<Int>) {
        self.memory = memory
        self.range = range
    }

    /// A view of new memory, which `prepare` sees first.
    init(
        count: Int, prepare: (UnsafeMutableRawBufferPointer) -> Void = { _ in }
    ) throws(PythonError) {
        guard let memory = Memory(count: count) else {
            throw PythonError(cpython_memory_error(), "there is no memory for \(count) bytes")
        }
        prepare(UnsafeMutableRawBufferPointer(start: memory.start, count: count))
        (self.memory, range) = (memory, 0..<count)
    }

    private func slice(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let start = try arguments.integer(0, "start", in: 0...range.count)
        let end = try arguments.integer(1, "stop", in: start...range.count)
        let first = range.lowerBound
        return BytesView(memory, range: first + start..<first + end).newObject()
    }

    private func bytes(_: Arguments) -> PythonObject? {
        PyBytes_FromStringAndSize(start.assumingMemoryBound(to: CChar.self), range.count)
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        let getBuffer:
            @convention(c) (PythonObject?, UnsafeMutablePointer<Py_buffer>?, CInt) -> CInt = {
                object, view, flags in
                guard let content = try? BytesView.of(object) else { return -1 }
                return PyBuffer_FillInfo(view, object, content.start, content.range.count, 0, flags)
            }
        let length: @convention(c) (PythonObject?) -> Int = { object in
            (try? BytesView.of(object))?.range.count ?? -1
        }
        return try newType(
            "dgen_mpi._native.BytesView", for: module,
            documentation: """
                Bytes in memory that views share, writable through the buffer protocol.

                `memoryview(view)` and `numpy.frombuffer(view, ...)` copy nothing; `bytes(view)` copies.
                """,
            methods: [
                pythonFunction(
                    "slice", "$self, start, stop",
                    "Return a view of the same memory, from byte `start` to before byte `stop`."
                ) { call($0, $1, $2, wanted: 2, BytesView.slice) },
                pythonFunction(
                    "__bytes__", "$self",
                    "Return a copy as `bytes`."
                ) { call($0, $1, $2, wanted: 0, BytesView.bytes) },
            ],
            slots: [
                cpython_slot(
                    Py_bf_getbuffer, unsafeBitCast(getBuffer, to: UnsafeMutableRawPointer.self)),
                cpython_slot(
                    Py_sq_length, unsafeBitCast(length, to: UnsafeMutableRawPointer.self)),
            ])
    }
}
