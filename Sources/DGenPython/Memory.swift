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
    /// Larger memory comes from the system, each whole large page in one where it has them.
    ///
    /// Touching it first is then a fraction of the work. What is no whole one takes no more than it has.
    private static let mappedMin = 1 << 20
    private static let largePage = 2 << 20
    private static let page = max(4096, sysconf(Int32(_SC_PAGESIZE)))

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
        let fitting = Self.spare.lastIndex {
            $0.capacity >= count && $0.capacity - count <= count / 16
        }
        if let fitting {
            (start, capacity) = Self.spare.remove(at: fitting)
            return
        }
        // Less than a large page has no whole one. Without a gap between them the kernel joins neighbours: it lets a
        // process have 65530 mappings, unless it is told otherwise.
        let room = count < Self.largePage ? 0 : 2 * Self.largePage
        let (length, isTooLong) = count.addingReportingOverflow(room)
        guard !isTooLong,
            let memory = mmap(
                nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            memory != MAP_FAILED
        else { return nil }
        // Aligned to large pages, where it has any; what is before and after goes back.
        let head = room == 0 ? 0 : -Int(bitPattern: memory) & (Self.largePage - 1)
        if head > 0 { munmap(memory, head) }
        start = memory + head
        capacity = (count + Self.page - 1) & ~(Self.page - 1)
        if head + capacity < length { munmap(start + capacity, length - head - capacity) }
        let large = capacity & ~(Self.largePage - 1)
        if large > 0 { madvise(start, large, MADV_HUGEPAGE) }
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

/// A range of shared memory with Python's buffer protocol: an object of Python's alone, since many are made of few bytes.
enum BytesView {
    nonisolated(unsafe) private static var type: OpaquePointer?

    static func isInstance(_ object: PythonObject) -> Bool {
        type.map { cpython_is_instance(object, $0) != 0 } ?? false
    }

    /// A new view of a part of memory.
    static func newObject(_ memory: Memory, _ range: Range<Int>) -> PythonObject? {
        let owned = Unmanaged.passRetained(memory)
        guard let type,
            let object = cpython_new_view(
                type, owned.toOpaque(), memory.start + range.lowerBound, range.count)
        else {
            owned.release()
            return nil
        }
        return object
    }

    /// New memory.
    static func newMemory(_ count: Int) throws(PythonError) -> Memory {
        guard let memory = Memory(count: count) else {
            throw PythonError(cpython_memory_error(), "there is no memory for \(count) bytes")
        }
        return memory
    }

    /// What a method is of: Python has seen that it is of the type.
    private static func view(
        _ object: PythonObject?
    ) throws(PythonError) -> (memory: Memory, start: UnsafeMutableRawPointer, count: Int) {
        guard let object, isInstance(object), let view = cpython_view_of(object),
            let memory = view.pointee.memory, let start = view.pointee.start
        else { throw PythonError(cpython_type_error(), "an object of another type was given") }
        return (
            Unmanaged<Memory>.fromOpaque(memory).takeUnretainedValue(),
            UnsafeMutableRawPointer(start), view.pointee.count
        )
    }

    private static func slice(
        _ object: PythonObject?, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let view = try view(object)
        let start = try arguments.integer(0, "start", in: 0...view.count)
        let end = try arguments.integer(1, "stop", in: start...view.count)
        let first = view.start - view.memory.start
        return newObject(view.memory, first + start..<first + end)
    }

    private static func bytes(_ object: PythonObject?) throws(PythonError) -> PythonObject? {
        let view = try view(object)
        return PyBytes_FromStringAndSize(
            view.start.assumingMemoryBound(to: CChar.self), view.count)
    }

    private static func arrayInterface(_ object: PythonObject?) throws(PythonError) -> PythonObject?
    {
        let view = try view(object)
        let fields: PythonDictionary = [
            "version": 3, "typestr": "|u1", "shape": PythonTuple(view.count),
            "data": PythonTuple(Int(bitPattern: view.start), false),
        ]
        return fields.newObject()
    }

    /// What DLPack calls a device: its kind, and its number.
    private static func requireProcessor(_ device: PythonObject) throws(PythonError) {
        guard let kind = PySequence_GetItem(device, 0) else { throw PythonError() }
        defer { Py_DecRef(kind) }
        let number = PyLong_AsLongLong(kind)
        if number == -1, PyErr_Occurred() != nil { throw PythonError() }
        guard number == 1 else {
            throw PythonError(
                cpython_buffer_error(),
                "dl_device: the memory is that of the processor, no other's")
        }
    }

    private static func dlpack(
        _ object: PythonObject?, _ names: PythonObject?,
        _ values: UnsafePointer<PythonObject?>?
    ) throws(PythonError) -> PythonObject? {
        _ = try view(object)
        for index in 0..<(names.map { max(0, PyTuple_Size($0)) } ?? 0) {
            guard let name = PyTuple_GetItem(names, index), let value = values?[index] else {
                continue
            }
            if PyUnicode_CompareWithASCIIString(name, "copy") == 0, PyObject_IsTrue(value) == 1 {
                throw PythonError(
                    cpython_buffer_error(), "copy: the memory itself is given, no copy")
            }
            if PyUnicode_CompareWithASCIIString(name, "dl_device") == 0, cpython_is_none(value) == 0
            {
                try requireProcessor(value)
            }
        }
        return cpython_new_dlpack(object)
    }

    static func addType(to module: PythonObject) throws(PythonError) {
        if type == nil { type = try newType(for: module) }
        guard PyModule_AddType(module, type) == 0 else { throw PythonError() }
    }

    private static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        let free: @convention(c) (PythonObject?) -> Void = { object in
            guard let object else { return }
            if let memory = cpython_view_of(object)?.pointee.memory {
                Unmanaged<Memory>.fromOpaque(memory).release()
            }
            cpython_free_instance(object)
        }
        let getBuffer:
            @convention(c) (PythonObject?, UnsafeMutablePointer<Py_buffer>?, CInt) -> CInt = {
                object, view, flags in
                guard let object, let found = cpython_view_of(object)?.pointee else { return -1 }
                return PyBuffer_FillInfo(view, object, found.start, found.count, 0, flags)
            }
        let length: @convention(c) (PythonObject?) -> Int = { object in
            object.flatMap { cpython_view_of($0)?.pointee.count } ?? -1
        }
        let interface: @convention(c) (PythonObject?, UnsafeMutableRawPointer?) -> PythonObject? = {
            object, _ in
            do throws(PythonError) { return try BytesView.arrayInterface(object) } catch {
                return nil
            }
        }
        let properties = UnsafeMutablePointer<PyGetSetDef>.allocate(capacity: 2)
        properties.initialize(repeating: PyGetSetDef(), count: 2)
        properties.pointee = PyGetSetDef(
            name: strdup("__array_interface__"), get: interface, set: nil,
            doc: strdup("The memory as numpy's array interface tells of it."), closure: nil)
        let documentation: StaticString = """
            Bytes in memory that views share, writable through the buffer protocol.

            `memoryview(view)`, `numpy.frombuffer(view, ...)` and `torch.from_dlpack(view)` copy nothing; `bytes(view)` \
            copies.
            """
        var slots = [
            cpython_slot(
                Py_tp_methods,
                methodTable([
                    pythonFunction(
                        "slice", "$self, start, stop",
                        "Return a view of the same memory, from byte `start` to before byte `stop`."
                    ) { object, arguments, count in
                        call(arguments, count, wanted: 2) { (arguments) throws(PythonError) in
                            try BytesView.slice(object, arguments)
                        }
                    },
                    pythonFunction("__bytes__", "$self", "Return a copy as `bytes`.") {
                        object, arguments, count in
                        call(arguments, count, wanted: 0) { (_) throws(PythonError) in
                            try BytesView.bytes(object)
                        }
                    },
                    pythonFunction(
                        "__dlpack_device__", "$self",
                        "Return what DLPack calls memory of the processor."
                    ) { _, arguments, count in
                        call(arguments, count, wanted: 0) { (_) throws(PythonError) in
                            PythonTuple(1, 0).newObject()
                        }
                    },
                    keywordFunction(
                        "__dlpack__",
                        "($self, *, stream=None, max_version=None, dl_device=None, copy=None)",
                        "Return the memory as DLPack has it."
                    ) { object, arguments, count, names in
                        call(arguments, count, wanted: 0) { (_) throws(PythonError) in
                            try BytesView.dlpack(object, names, arguments)
                        }
                    },
                ])),
            cpython_slot(Py_tp_dealloc, unsafeBitCast(free, to: UnsafeMutableRawPointer.self)),
            cpython_slot(Py_tp_doc, UnsafeMutableRawPointer(mutating: documentation.utf8Start)),
            cpython_no_instances_slot(), cpython_getset_slot(properties),
            cpython_slot(
                Py_bf_getbuffer, unsafeBitCast(getBuffer, to: UnsafeMutableRawPointer.self)),
            cpython_slot(Py_sq_length, unsafeBitCast(length, to: UnsafeMutableRawPointer.self)),
            cpython_slot(0, nil),
        ]
        let name: StaticString = "dgen_mpi._native.BytesView"
        let start = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        guard let type = cpython_new_view_type(module, start, &slots) else { throw PythonError() }
        return type
    }
}
