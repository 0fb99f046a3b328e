// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Every call of Python's C API that fails by an exception goes through here, so that a Swift function
// throws ``PythonError`` exactly where an exception is set.

internal import CPython
internal import DataGen
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

/// What `body` returns; a `ValueError` with its own words where it throws.
func orValueError<Value, Failure: Error & CustomStringConvertible>(
    _ body: () throws(Failure) -> Value
) throws(PythonError) -> Value {
    do throws(Failure) { return try body() } catch { throw .value(error.description) }
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

    /// One of the values that have names.
    func choice<Choice: RawRepresentable<String>>(
        _ index: Int, _ name: String, _ accepted: String
    ) throws(PythonError) -> Choice {
        let text = try text(index)
        guard let choice = Choice(rawValue: text) else {
            let refusal = InvalidField(field: name, value: text, accepted: accepted)
            throw .value(refusal.description)
        }
        return choice
    }

    func text(of object: PythonObject) throws(PythonError) -> String {
        var length = 0
        guard let bytes = PyUnicode_AsUTF8AndSize(object, &length) else {
            throw PythonError()
        }
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: length), as: UTF8.self)
    }
}

/// Both a `BufferError`, as Python has it, and a `ValueError`, as programs for dgen-py catch it; made for the first module.
nonisolated(unsafe) let unsuitableBufferError = cpython_new_buffer_and_value_error(
    "dgen_mpi.UnsuitableBufferError",
    "Memory that is read-only, not in one piece in C order, or that may hold references.")

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
    if cpython_is_bytearray(object) != 0 || BytesView.isInstance(object) { return true }
    if plainTest == nil { plainTest = imported("is_plain", from: "dgen_mpi._memory") }
    guard let plainTest, let answer = cpython_call_one(plainTest, object) else {
        throw PythonError()
    }
    defer { Py_DecRef(answer) }
    return PyObject_IsTrue(answer) == 1
}

// As long as the process; touched under Python's lock only.
nonisolated(unsafe) private var plainTest: PythonObject?

/// What another module has by a name; nil where an exception is set.
func imported(_ name: String, from module: String) -> PythonObject? {
    guard let module = PyImport_ImportModule(module) else { return nil }
    defer { Py_DecRef(module) }
    return PyObject_GetAttrString(module, name)
}

/// Lets other Python threads run while `body` does not touch Python.
func withoutInterpreterLock<Result>(_ body: () -> Result) -> Result {
    let state = PyEval_SaveThread()
    defer { PyEval_RestoreThread(state) }
    return body()
}

/// Calls a function of the module; nil, and an exception is set, where it throws.
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

/// Calls a method of what an instance owns.
///
/// Inlined, so that a method of an object is not allocated: a tenth of filling a small buffer.
@inline(__always)
func call<Content: PythonContent>(
    _ object: PythonObject?, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int, wanted: Int,
    _ method: (Content) -> (Arguments) throws(PythonError) -> PythonObject?
) -> PythonObject? {
    call(arguments, count, wanted: wanted) { (arguments) throws(PythonError) in
        try method(try Content.of(object))(arguments)
    }
}

/// A function of Python, whose `parameters` go by position, or a method, which has `$self` before them; its texts are there
/// as long as the process.
func pythonFunction(
    _ name: String, _ parameters: String, _ documentation: String,
    _ function: cpython_fast_function
) -> PyMethodDef {
    let signature = parameters.isEmpty ? "()" : "(\(parameters), /)"
    let text = "\(name)\(signature)\n--\n\n\(documentation)"
    return cpython_method(strdup(name), function, strdup(text))
}

/// A table as Python wants it, there as long as the process: modules and types refer to it.
func methodTable(_ methods: [PyMethodDef]) -> UnsafeMutablePointer<PyMethodDef> {
    let table = UnsafeMutablePointer<PyMethodDef>.allocate(capacity: methods.count + 1)
    for (index, method) in (methods + [PyMethodDef()]).enumerated() {
        (table + index).initialize(to: method)
    }
    return table
}

/// A class whose objects instances of a Python type of ours own.
protocol PythonContent: AnyObject, PythonValue {
    /// The type, once a module has it; touched under Python's lock only.
    static var type: OpaquePointer? { get set }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer
}

extension PythonContent {
    /// Makes the type; `name` has that of the module before it.
    static func newType(
        _ name: StaticString, for module: PythonObject, documentation: StaticString,
        methods: [PyMethodDef], slots: [PyType_Slot] = []
    ) throws(PythonError) -> OpaquePointer {
        let free: @convention(c) (PythonObject?) -> Void = { object in
            guard let object else { return }
            Unmanaged<AnyObject>.fromOpaque(cpython_content(object)).release()
            cpython_free_instance(object)
        }
        var all =
            slots + [
                cpython_slot(Py_tp_methods, methodTable(methods)),
                cpython_slot(Py_tp_dealloc, unsafeBitCast(free, to: UnsafeMutableRawPointer.self)),
                cpython_slot(Py_tp_doc, UnsafeMutableRawPointer(mutating: documentation.utf8Start)),
                cpython_no_instances_slot(),
                cpython_slot(0, nil),
            ]
        let start = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        guard let type = cpython_new_type(module, start, &all) else { throw PythonError() }
        return type
    }

    /// Adds the type to a module; it is made for the first.
    static func addType(to module: PythonObject) throws(PythonError) {
        if type == nil { type = try newType(for: module) }
        guard PyModule_AddType(module, type) == 0 else { throw PythonError() }
    }

    static func isInstance(_ object: PythonObject) -> Bool {
        type.map { cpython_is_instance(object, $0) != 0 } ?? false
    }

    /// What an instance owns.
    static func of(_ object: PythonObject?) throws(PythonError) -> Self {
        guard let object, isInstance(object) else {
            throw PythonError(cpython_type_error(), "an object of another type was given")
        }
        return Unmanaged<Self>.fromOpaque(cpython_content(object)).takeUnretainedValue()
    }

    /// A new instance that owns it.
    func newObject() -> PythonObject? {
        guard let type = Self.type else {
            PyErr_SetString(cpython_type_error(), "the module is not there")
            return nil
        }
        let owned = Unmanaged.passRetained(self)
        guard let object = cpython_new_instance(type, owned.toOpaque()) else {
            owned.release()
            return nil
        }
        return object
    }
}
