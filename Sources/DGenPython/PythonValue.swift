// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython

/// A value that Python has a type for.
protocol PythonValue {
    /// A new object of that type; nil where an exception is set.
    func newObject() -> PythonObject?
}

extension Int: PythonValue {
    func newObject() -> PythonObject? { PyLong_FromLongLong(Int64(self)) }
}

extension UInt64: PythonValue {
    func newObject() -> PythonObject? { PyLong_FromUnsignedLongLong(self) }
}

extension Bool: PythonValue {
    func newObject() -> PythonObject? { PyBool_FromLong(self ? 1 : 0) }
}

extension String: PythonValue {
    func newObject() -> PythonObject? {
        utf8CString.withUnsafeBufferPointer {
            PyUnicode_FromStringAndSize($0.baseAddress, $0.count - 1)
        }
    }
}

/// None where there is none.
extension Optional: PythonValue where Wrapped: PythonValue {
    func newObject() -> PythonObject? {
        guard let self else { return cpython_none() }
        return self.newObject()
    }
}

/// A number that is no whole one; `Double` itself is what options have that Python keeps as texts.
struct PythonFloat: PythonValue {
    private let value: Double

    init(_ value: Double) { self.value = value }

    func newObject() -> PythonObject? { PyFloat_FromDouble(value) }
}

struct PythonBytes: PythonValue {
    let bytes: [UInt8]

    func newObject() -> PythonObject? {
        bytes.withUnsafeBytes {
            PyBytes_FromStringAndSize($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
        }
    }
}

struct PythonList: PythonValue {
    private let elements: [any PythonValue]

    init(_ elements: [any PythonValue]) { self.elements = elements }

    func newObject() -> PythonObject? {
        filled(PyList_New(elements.count), elements.count, PyList_SetItem) {
            elements[$0].newObject()
        }
    }
}

struct PythonTuple: PythonValue {
    private let elements: [any PythonValue]

    init(_ elements: any PythonValue...) { self.elements = elements }
    init(_ elements: [any PythonValue]) { self.elements = elements }

    func newObject() -> PythonObject? {
        filled(PyTuple_New(elements.count), elements.count, PyTuple_SetItem) {
            elements[$0].newObject()
        }
    }

    /// A tuple that has an object before the elements.
    func newObject(after first: PythonObject) -> PythonObject? {
        filled(PyTuple_New(elements.count + 1), elements.count + 1, PyTuple_SetItem) { index in
            guard index == 0 else { return elements[index - 1].newObject() }
            Py_IncRef(first)
            return first
        }
    }
}

/// A dictionary, in the order of its entries.
struct PythonDictionary: PythonValue {
    var entries: [(String, any PythonValue)]

    func newObject() -> PythonObject? {
        guard let dictionary = PyDict_New() else { return nil }
        for (key, value) in entries {
            let object = value.newObject()
            defer { Py_DecRef(object) }
            guard let object, PyDict_SetItemString(dictionary, key, object) == 0 else {
                Py_DecRef(dictionary)
                return nil
            }
        }
        return dictionary
    }
}

extension PythonDictionary: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral entries: (String, any PythonValue)...) { self.init(entries: entries) }
}

/// A new list or tuple, with what `make` makes for each place.
func filled(
    _ sequence: PythonObject?, _ count: Int,
    _ set: (PythonObject?, Int, PythonObject?) -> CInt, _ make: (Int) -> PythonObject?
) -> PythonObject? {
    guard let sequence else { return nil }
    for index in 0..<count {
        // It takes the object, also where it fails.
        guard let object = make(index), set(sequence, index, object) == 0 else {
            Py_DecRef(sequence)
            return nil
        }
    }
    return sequence
}
