// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import Logging

/// Hands what the modules log to Python's `logging`, to the logger `dgen_mpi.` and the label.
///
/// The level is that which Python's logger has when a handler is made, which is with every data source.
struct PythonLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let name: String

    init(label: String) {
        name = "dgen_mpi.\(label)"
        let name = name
        let level = Self.locked { () -> Int in
            guard let logger = Self.logger(name),
                let method = PyObject_GetAttrString(logger, "getEffectiveLevel"),
                let level = PyObject_CallNoArgs(method)
            else { return 50 }
            defer { for object in [level, method, logger] { Py_DecRef(object) } }
            return Int(PyLong_AsLongLong(level))
        }
        logLevel = Logger.Level.allCases.first { Self.number($0) >= level } ?? .critical
    }

    /// A logger of the level that Python's has now; where that is above DEBUG one that says nothing below INFO, without a
    /// look at more than that.
    static func newLogger(_ label: String) -> Logger {
        if isDebugging { return Logger(label: label) }
        return quiet
    }

    private static let quiet: Logger = {
        var logger = Logger(label: "generator")
        logger.logLevel = .info
        return logger
    }()

    /// Whether Python's logger of the generator takes what is for DEBUG; with Python's lock.
    private static var isDebugging: Bool {
        if isEnabledFor == nil, let logger = logger("dgen_mpi.generator") {
            isEnabledFor = PyObject_GetAttrString(logger, "isEnabledFor")
            debugLevel = PyLong_FromLongLong(10)
            Py_DecRef(logger)
        }
        guard let isEnabledFor, let debugLevel,
            let answer = cpython_call_one(isEnabledFor, debugLevel)
        else {
            PyErr_Clear()
            return false
        }
        defer { Py_DecRef(answer) }
        return PyObject_IsTrue(answer) == 1
    }

    // As long as the process; touched under Python's lock only.
    nonisolated(unsafe) private static var isEnabledFor: PythonObject?
    nonisolated(unsafe) private static var debugLevel: PythonObject?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        Self.locked {
            guard let logger = Self.logger(name) else { return }
            defer { Py_DecRef(logger) }
            let text = "\(event.message)".newObject()
            defer { Py_DecRef(text) }
            Py_DecRef(cpython_call_log(logger, CInt(Self.number(event.level)), text))
        }
    }

    /// Python's number of a level; it has none for tracing and for notices.
    private static func number(_ level: Logger.Level) -> Int {
        switch level {
        case .trace: 5
        case .debug: 10
        case .info: 20
        case .notice: 25
        case .warning: 30
        case .error: 40
        case .critical: 50
        }
    }

    private static func logger(_ name: String) -> PythonObject? {
        guard let function = imported("getLogger", from: "logging") else { return nil }
        defer { Py_DecRef(function) }
        guard let argument = name.newObject() else { return nil }
        defer { Py_DecRef(argument) }
        return cpython_call_one(function, argument)
    }

    /// Runs `body` with Python's lock, whatever thread this is; an exception in there ends in there.
    private static func locked<Result>(_ body: () -> Result) -> Result {
        let state = PyGILState_Ensure()
        defer { PyGILState_Release(state) }
        // One that is on its way to a caller stays as it is.
        var (type, value, traceback): (PythonObject?, PythonObject?, PythonObject?)
        PyErr_Fetch(&type, &value, &traceback)
        defer { PyErr_Restore(type, value, traceback) }
        defer { if PyErr_Occurred() != nil { PyErr_WriteUnraisable(nil) } }
        return body()
    }
}
