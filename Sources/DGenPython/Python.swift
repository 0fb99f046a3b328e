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

    /// A text; what Python says of anything else names no argument.
    func text(
        _ index: Int, _ name: String, _ accepted: String
    ) throws(PythonError) -> String {
        do throws(PythonError) { return try text(index) } catch {
            guard PyErr_ExceptionMatches(cpython_type_error()) != 0 else { throw error }
            PyErr_Clear()
            throw PythonError(
                cpython_type_error(), "\(name): a text is needed; give \(accepted)")
        }
    }

    /// One of the values that have names.
    func choice<Choice: RawRepresentable<String>>(
        _ index: Int, _ name: String, _ accepted: String
    ) throws(PythonError) -> Choice {
        let text = try text(index, name, accepted)
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
        guard PyErr_ExceptionMatches(cpython_type_error()) != 0 else { throw PythonError() }
        throw noBuffer(object)
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

/// The error for what is no buffer at all; an exception is set already.
private func noBuffer(_ object: PythonObject) -> PythonError {
    PyErr_Clear()
    func text(_ name: String) -> String {
        let found = PyObject_GetAttrString(cpython_type_of(object), name)
        defer { Py_DecRef(found) }
        var length = 0
        guard let found, let bytes = PyUnicode_AsUTF8AndSize(found, &length) else {
            PyErr_Clear()
            return "?"
        }
        return String(
            decoding: UnsafeRawBufferPointer(start: bytes, count: length), as: UTF8.self)
    }
    let (name, module) = (text("__name__").inOneLine(bytesMax: 300), text("__module__"))
    let hint = module == "torch" || module.hasPrefix("torch.") ? "; give the tensor's .numpy()" : ""
    return PythonError(
        cpython_type_error(), "buffer: a bytes-like object is required, not '\(name)'\(hint)")
}

/// Whether every byte of a buffer may have any value, as `dgen_mpi._memory` finds.
///
/// Our own memory and bytearrays are not asked about: that takes longer than filling small ones.
private func isPlain(_ object: PythonObject) throws(PythonError) -> Bool {
    if isOfBytes(object) || isViewOfBytes(object) || NumberArray.isInstance(object) { return true }
    if plainTest == nil { plainTest = imported("is_plain", from: "dgen_mpi._memory") }
    guard let plainTest, let answer = cpython_call_one(plainTest, object) else {
        throw PythonError()
    }
    defer { Py_DecRef(answer) }
    NumberArray.learn(from: object)
    return PyObject_IsTrue(answer) == 1
}

private func isOfBytes(_ object: PythonObject) -> Bool {
    cpython_is_bytearray(object) != 0 || BytesView.isInstance(object)
}

// As long as the process.
nonisolated(unsafe) private let formatName = "format".newObject()
nonisolated(unsafe) private let ownerName = "obj".newObject()

/// Whether it is a view of the bytes of these, by which parts of them are given.
private func isViewOfBytes(_ object: PythonObject) -> Bool {
    guard cpython_is_memoryview(object) != 0 else { return false }
    defer { PyErr_Clear() }
    guard let format = PyObject_GetAttr(object, formatName) else { return false }
    defer { Py_DecRef(format) }
    guard PyUnicode_CompareWithASCIIString(format, "B") == 0,
        let owner = PyObject_GetAttr(object, ownerName)
    else { return false }
    defer { Py_DecRef(owner) }
    return isOfBytes(owner)
}

// As long as the process; touched under Python's lock only.
nonisolated(unsafe) private var plainTest: PythonObject?

/// Arrays of numpy that hold numbers in memory of their own, or of bytes, and parts of such arrays: most of what is filled, and known sooner than by
/// `dgen_mpi._memory`, which says the same of them.
private enum NumberArray {
    // As long as the process; touched under Python's lock only.
    nonisolated(unsafe) private static var type: PythonObject?
    nonisolated(unsafe) private static let base = "base".newObject()
    nonisolated(unsafe) private static let dtype = "dtype".newObject()
    nonisolated(unsafe) private static let number = "num".newObject()
    /// numpy's own types of numbers have smaller ones.
    private static let numbersEnd = 17

    /// Notes numpy's type of arrays, once one of it comes along.
    static func learn(from object: PythonObject) {
        guard type == nil else { return }
        defer { PyErr_Clear() }
        guard let modules = PyImport_GetModuleDict(),
            let numpy = PyDict_GetItemString(modules, "numpy"),
            let array = PyObject_GetAttrString(numpy, "ndarray")
        else { return }
        type = array
    }

    static func isInstance(_ object: PythonObject) -> Bool {
        guard let type, cpython_type_of(object) == type else { return false }
        defer { PyErr_Clear() }
        var owner = object
        Py_IncRef(owner)
        defer { Py_DecRef(owner) }
        while cpython_type_of(owner) == type {
            guard isOfNumbers(owner), let next = PyObject_GetAttr(owner, base) else { return false }
            Py_DecRef(owner)
            owner = next
        }
        return cpython_is_none(owner) != 0 || isOfBytes(owner)
    }

    private static func isOfNumbers(_ array: PythonObject) -> Bool {
        guard let kind = PyObject_GetAttr(array, dtype) else { return false }
        defer { Py_DecRef(kind) }
        guard let number = PyObject_GetAttr(kind, number) else { return false }
        defer { Py_DecRef(number) }
        return (0..<numbersEnd).contains(Int(PyLong_AsLongLong(number)))
    }
}

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

/// Calls a method of what an instance owns with its only argument, which may have its name; nil where none was given.
@inline(__always)
func callNamed<Content: PythonContent>(
    _ object: PythonObject?, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int,
    _ names: PythonObject?, _ name: StaticString,
    _ method: (Content) -> (PythonObject?) throws(PythonError) -> PythonObject?
) -> PythonObject? {
    do throws(PythonError) {
        let named = names.map { PyTuple_Size($0) } ?? 0
        if named > 0 || count > 1 {
            let start = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
            guard count + named == 1, let given = PyTuple_GetItem(names, 0),
                PyUnicode_CompareWithASCIIString(given, start) == 0
            else {
                PyErr_Clear()
                throw PythonError(
                    cpython_type_error(), "\(name): one argument, which has this name")
            }
        }
        return try method(try Content.of(object))(count + named == 1 ? arguments?[0] : nil)
    } catch {
        return nil
    }
}

/// A method that has no parameters.
func pythonMethod(
    _ name: String, _ documentation: String, _ function: cpython_fast_function
) -> PyMethodDef { pythonFunction(name, "$self", documentation, function) }

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

/// One whose arguments may have names; `signature` is as Python shows it.
func keywordFunction(
    _ name: String, _ signature: String, _ documentation: String,
    _ function: cpython_keyword_function
) -> PyMethodDef {
    let text = "\(name)\(signature)\n--\n\n\(documentation)"
    return cpython_keyword_method(strdup(name), function, strdup(text))
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

/// One of whose type Python code derives others: an instance of these begins with a new object.
protocol PythonBase: PythonContent {
    init()
}

extension PythonBase {
    /// The slot by which Python makes an instance, whatever its arguments.
    static func newSlot(
        _ new:
            @escaping @convention(c) (OpaquePointer?, PythonObject?, PythonObject?) -> PythonObject?
    ) -> PyType_Slot { cpython_new_slot(new) }

    static func newInstance(_ type: OpaquePointer?) -> PythonObject? {
        guard let type, let object = cpython_new_derived(type) else { return nil }
        cpython_set_content(object, Unmanaged.passRetained(Self()).toOpaque())
        return object
    }
}

extension PythonContent {
    /// Makes the type, whose `name` has that of the module before it.
    ///
    /// With `new` it is one that others are derived from.
    static func newType(
        _ name: StaticString, for module: PythonObject, documentation: StaticString,
        methods: [PyMethodDef], new: PyType_Slot? = nil
    ) throws(PythonError) -> OpaquePointer {
        let free: @convention(c) (PythonObject?) -> Void = { object in
            guard let object else { return }
            if let content = cpython_content(object) {
                Unmanaged<AnyObject>.fromOpaque(content).release()
            }
            cpython_free_instance(object)
        }
        var all = [
            cpython_slot(Py_tp_methods, methodTable(methods)),
            cpython_slot(Py_tp_dealloc, unsafeBitCast(free, to: UnsafeMutableRawPointer.self)),
            cpython_slot(Py_tp_doc, UnsafeMutableRawPointer(mutating: documentation.utf8Start)),
            new ?? cpython_no_instances_slot(),
            cpython_slot(0, nil),
        ]
        let start = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        guard
            let type = new == nil
                ? cpython_new_type(module, start, &all)
                : cpython_new_base_type(module, start, &all)
        else { throw PythonError() }
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
        guard let content = cpython_content(object) else {
            throw PythonError(cpython_type_error(), "an object of another type was given")
        }
        return Unmanaged<Self>.fromOpaque(content).takeUnretainedValue()
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
