// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Every call of Python's C API that fails by an exception goes through here, so that a Swift function
// throws ``PythonError`` exactly where an exception is set.

internal import CPython
internal import Glibc

/// A Python object; nil where an exception is set.
typealias PythonObject = UnsafeMutablePointer<PyObject>

/// A Python exception is set, and goes to the caller.
struct PythonError: Error {
    /// Sets an exception.
    init(_ type: PythonObject?, _ message: String) {
        PyErr_SetString(type, message)
    }

    /// One is set already.
    init() {}

    static func value(_ message: String) -> PythonError {
        PythonError(cpython_value_error(), message)
    }
}

/// The arguments of a call: by position, as many as the function has.
///
/// Functions here are called by the package's Python code only, which has given names, defaults and
/// checks to their arguments; whatever comes, they raise and do not crash.
struct Arguments {
    private let objects: UnsafePointer<PythonObject?>?
    private let count: Int

    init(_ objects: UnsafePointer<PythonObject?>?, _ count: Int, wanted: Int) throws(PythonError) {
        guard count == wanted else {
            throw PythonError(
                cpython_type_error(), "\(wanted) arguments are needed, \(count) were given")
        }
        self.objects = objects
        self.count = count
    }

    func object(_ index: Int) throws(PythonError) -> PythonObject {
        guard index < count, let object = objects?[index] else {
            throw PythonError(cpython_type_error(), "an argument is missing")
        }
        return object
    }

    /// A number in a range.
    func integer(
        _ index: Int, _ name: String, in range: ClosedRange<Int>
    ) throws(PythonError) -> Int {
        let value = PyLong_AsLongLong(try object(index))
        if value == -1, PyErr_Occurred() != nil { throw PythonError() }
        guard range.contains(Int(value)) else {
            throw .value(
                "\(name): '\(value)' is not accepted; give \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return Int(value)
    }

    func seed(_ index: Int) throws(PythonError) -> UInt64 {
        let value = PyLong_AsUnsignedLongLong(try object(index))
        if value == .max, PyErr_Occurred() != nil { throw PythonError() }
        return value
    }

    func number(_ index: Int) throws(PythonError) -> Double {
        let value = PyFloat_AsDouble(try object(index))
        if value == -1, PyErr_Occurred() != nil { throw PythonError() }
        return value
    }

    func text(_ index: Int) throws(PythonError) -> String { try text(of: object(index)) }

    func text(of object: PythonObject) throws(PythonError) -> String {
        var length = 0
        guard let bytes = PyUnicode_AsUTF8AndSize(object, &length) else {
            throw PythonError()
        }
        return bytes.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }
}

/// Both a `BufferError`, as Python has it, and a `ValueError`, as programs for dgen-py catch it.
nonisolated(unsafe) private(set) var unsuitableBufferError: PythonObject?

/// Adds that exception to a module; it is made for the first.
func addUnsuitableBufferError(to module: PythonObject) throws(PythonError) {
    if unsuitableBufferError == nil {
        // They live as long as the process.
        Py_IncRef(cpython_buffer_error())
        Py_IncRef(cpython_value_error())
        let bases = try newTuple([cpython_buffer_error(), cpython_value_error()])
        defer { Py_DecRef(bases) }
        unsuitableBufferError = PyErr_NewExceptionWithDoc(
            "dgen_mpi.UnsuitableBufferError",
            "Memory that is read-only, not in one piece in C order, or that may hold references.",
            bases, nil)
    }
    guard let unsuitableBufferError,
        PyModule_AddObjectRef(module, "UnsuitableBufferError", unsuitableBufferError) == 0
    else { throw PythonError() }
}

/// The memory of an object with the buffer protocol, held as long as `body` runs.
///
/// - Throws: `UnsuitableBufferError` for what is read-only or not in one piece, and where it is written for what may be
///   more than plain bytes; `TypeError` for what is no buffer at all.
func withBuffer<Result>(
    of object: PythonObject, isWritten: Bool,
    _ body: (UnsafeMutableRawBufferPointer) throws(PythonError) -> Result
) throws(PythonError) -> Result {
    var view = Py_buffer()
    let flags = PyBUF_C_CONTIGUOUS | (isWritten ? PyBUF_WRITABLE : PyBUF_SIMPLE)
    guard PyObject_GetBuffer(object, &view, flags) == 0 else {
        if PyErr_ExceptionMatches(cpython_buffer_error()) != 0
            || PyErr_ExceptionMatches(cpython_value_error()) != 0
        {
            // What it says differs from type to type.
            PyErr_Clear()
            throw PythonError(
                unsuitableBufferError,
                isWritten
                    ? "the buffer must be writable, and in one piece in C order"
                    : "the buffer must be in one piece in C order")
        }
        throw PythonError()
    }
    defer { PyBuffer_Release(&view) }
    // Bytes in the place of references would crash whoever follows them.
    if isWritten, try !isPlain(object) {
        throw PythonError(
            unsuitableBufferError,
            "the buffer must hold plain bytes or numbers, not objects or pointers, and say so")
    }
    return try body(UnsafeMutableRawBufferPointer(start: view.buf, count: view.len))
}

/// Whether every byte of a buffer may have any value, as `dgen_mpi._memory` finds.
///
/// Our own memory and bytearrays are not asked about: that takes longer than filling small ones.
private func isPlain(_ object: PythonObject) throws(PythonError) -> Bool {
    if cpython_is_bytearray(object) != 0 || BytesView.isView(object) { return true }
    if plainTest == nil {
        guard let module = PyImport_ImportModule("dgen_mpi._memory") else { throw PythonError() }
        defer { Py_DecRef(module) }
        plainTest = PyObject_GetAttrString(module, "is_plain")
    }
    guard let plainTest, let answer = cpython_call_one(plainTest, object) else {
        throw PythonError()
    }
    defer { Py_DecRef(answer) }
    return PyObject_IsTrue(answer) == 1
}

// As long as the process; touched under Python's lock only.
nonisolated(unsafe) private var plainTest: PythonObject?

/// Lets other Python threads run while `body` does not touch Python.
func withoutInterpreterLock(_ body: () -> Void) {
    let state = PyEval_SaveThread()
    body()
    PyEval_RestoreThread(state)
}

/// Calls a method of what an object stands for; nil, and an exception is set, where something throws.
func call<Content>(
    _ content: (PythonObject?) throws(PythonError) -> Content, _ object: PythonObject?,
    _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, wanted: Int,
    _ method: (Content, Arguments) throws(PythonError) -> PythonObject?
) -> PythonObject? {
    do throws(PythonError) {
        return try method(
            try content(object), try Arguments(arguments, count, wanted: wanted))
    } catch {
        return nil
    }
}

/// Calls a function of the module.
func call(
    _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, wanted: Int,
    _ function: (Arguments) throws(PythonError) -> PythonObject?
) -> PythonObject? {
    do throws(PythonError) {
        return try function(try Arguments(arguments, count, wanted: wanted))
    } catch {
        return nil
    }
}

func newInteger(_ value: Int) -> PythonObject? { PyLong_FromLongLong(Int64(value)) }

func newBytes(_ bytes: [UInt8]) -> PythonObject? {
    bytes.withUnsafeBufferPointer { bytes in
        guard let start = bytes.baseAddress else { return PyBytes_FromStringAndSize("", 0) }
        return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
            PyBytes_FromStringAndSize($0, bytes.count)
        }
    }
}

func newText(_ text: String) -> PythonObject? {
    var text = text
    return text.withUTF8 { bytes in
        guard let start = bytes.baseAddress else { return PyUnicode_FromStringAndSize("", 0) }
        return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
            PyUnicode_FromStringAndSize($0, bytes.count)
        }
    }
}

/// A list of what `make` makes of every element.
func newList<Element>(
    _ elements: [Element], _ make: (Element) throws(PythonError) -> PythonObject?
) throws(PythonError) -> PythonObject {
    guard let list = PyList_New(elements.count) else { throw PythonError() }
    for (index, element) in elements.enumerated() {
        do throws(PythonError) {
            guard let object = try make(element), PyList_SetItem(list, index, object) == 0 else {
                throw PythonError()
            }
        } catch {
            Py_DecRef(list)
            throw error
        }
    }
    return list
}

func newTuple(_ elements: [PythonObject?]) throws(PythonError) -> PythonObject {
    guard let tuple = PyTuple_New(elements.count) else { throw PythonError() }
    for (index, element) in elements.enumerated() {
        // It takes the element, also where it fails.
        guard let element, PyTuple_SetItem(tuple, index, element) == 0 else {
            Py_DecRef(tuple)
            throw PythonError()
        }
    }
    return tuple
}

func newDictionary(
    _ entries: [(String, PythonObject?)]
) throws(PythonError) -> PythonObject {
    guard let dictionary = PyDict_New() else { throw PythonError() }
    for (key, value) in entries {
        guard let value, PyDict_SetItemString(dictionary, key, value) == 0 else {
            Py_DecRef(dictionary)
            throw PythonError()
        }
        Py_DecRef(value)
    }
    return dictionary
}

/// A function or method of Python; its texts are there as long as the process.
///
/// - Parameters:
///   - name: what it is called.
///   - parameters: names of what it takes, by position, `$self` before those of a method.
///   - documentation: what it does.
///   - function: what does it.
/// - Returns: what a module or a type is made of.
func pythonFunction(
    _ name: String, _ parameters: String, _ documentation: String,
    _ function: cpython_fast_function
) -> PyMethodDef {
    let signature = parameters.isEmpty ? "()" : "(\(parameters), /)"
    let text = "\(name)\(signature)\n--\n\n\(documentation)"
    return cpython_method(strdup(name), function, strdup(text))
}

/// A Python type of ours whose instances own an object of a Swift class.
struct PythonType<Content: AnyObject> {
    private let type: OpaquePointer

    /// Makes the type, for `module`; `name` has that of the module before it.
    init(
        _ name: StaticString, module: PythonObject, documentation: StaticString,
        methods: [PyMethodDef], slots: [PyType_Slot] = []
    ) throws(PythonError) {
        // As long as the process: the type refers to them.
        let table = UnsafeMutablePointer<PyMethodDef>.allocate(capacity: methods.count + 1)
        for (index, method) in methods.enumerated() { (table + index).initialize(to: method) }
        (table + methods.count).initialize(to: PyMethodDef())
        let free: @convention(c) (PythonObject?) -> Void = { object in
            guard let object else { return }
            Unmanaged<AnyObject>.fromOpaque(cpython_content(object)).release()
            cpython_free_instance(object)
        }
        var all = slots
        all.append(cpython_slot(Py_tp_methods, table))
        all.append(
            cpython_slot(Py_tp_dealloc, unsafeBitCast(free, to: UnsafeMutableRawPointer.self)))
        all.append(
            cpython_slot(Py_tp_doc, UnsafeMutableRawPointer(mutating: documentation.utf8Start)))
        all.append(cpython_slot(0, nil))
        let made = name.withUTF8Buffer { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                cpython_new_type(module, $0.baseAddress, &all)
            }
        }
        guard let made else { throw PythonError() }
        type = made
    }

    /// Adds the type to a module: that for which it was made, or the same once more.
    func add(to module: PythonObject) throws(PythonError) {
        guard PyModule_AddType(module, type) == 0 else { throw PythonError() }
    }

    /// A new instance that owns `content`.
    func new(_ content: Content) throws(PythonError) -> PythonObject {
        let owned = Unmanaged.passRetained(content)
        guard let object = cpython_new_instance(type, owned.toOpaque()) else {
            owned.release()
            throw PythonError()
        }
        return object
    }

    func isType(of object: PythonObject) -> Bool { cpython_is_instance(object, type) != 0 }

    /// What an instance owns.
    func content(_ object: PythonObject?) throws(PythonError) -> Content {
        guard let object, isType(of: object) else {
            throw PythonError(cpython_type_error(), "an object of another type was given")
        }
        return Unmanaged<Content>.fromOpaque(cpython_content(object)).takeUnretainedValue()
    }
}
