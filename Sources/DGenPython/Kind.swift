// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen
internal import Glibc
internal import NUMA

/// How often this process came out of a fork: what was made before may be in the midst of something, or another
/// process may have the same.
enum Forks {
    nonisolated(unsafe) private static let counter: UnsafeMutablePointer<Int> = {
        let counter = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        counter.initialize(to: 0)
        pthread_atfork(nil, nil) { Forks.counter.pointee += 1 }
        return counter
    }()

    static var count: Int { counter.pointee }
}

/// Seeds that nobody gave: at random, below 2^53, as JSON keeps them exactly.
///
/// Touched under Python's lock only.
enum Seeds {
    nonisolated(unsafe) private static var drawn: [UInt64] = []
    nonisolated(unsafe) private static var forks = 0

    static func next() -> UInt64 {
        if forks != Forks.count {
            forks = Forks.count
            drawn = []
        }
        if let seed = drawn.popLast() { return seed }
        // As many as the system gives at once.
        drawn = Array(repeating: 0, count: 32)
        let status = drawn.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
        var random = SystemRandomNumberGenerator()
        drawn = drawn.map { (status == 0 ? $0 : random.next()) >> 11 }
        return drawn.removeLast()
    }
}

/// All of a data set but its size and seed, and how it is made: legal, and the same for many.
final class Kind: PythonContent {
    let dedup: Int
    let compress: Int
    let wish: Threads.Wish
    private let dedupUnit: Int
    private let compressUnit: Int?
    private let fill: DataSpec.Fill
    nonisolated(unsafe) static var type: OpaquePointer?

    /// Both ratios in thousandths, units, the fill, and then threads, as they are from some places on.
    init(_ arguments: Arguments, _ first: Int, threads: Int) throws(PythonError) {
        dedup = try arguments.integer(first, "dedup_ratio", in: Int.min...Int.max)
        compress = try arguments.integer(first + 1, "compress_ratio", in: Int.min...Int.max)
        dedupUnit = try arguments.integer(first + 2, "dedup_unit", in: Int.min...Int.max)
        let grain = try arguments.integer(first + 3, "compress_unit", in: Int.min...Int.max)
        compressUnit = grain == 0 ? nil : grain
        fill = try arguments.choice(first + 4, "fill", "backref or zeros")
        wish = try Threads.wish(arguments, threads)
    }

    /// Two ratios, and all else as it is where nothing is asked for.
    init(dedup: Int, compress: Int, wish: Threads.Wish) throws(PythonError) {
        (self.dedup, self.compress, self.wish) = (dedup, compress, wish)
        (dedupUnit, compressUnit, fill) = (DataSpec.dedupUnitDefault, nil, .backref)
        _ = try spec(size: 0, seed: 0)
    }

    /// A data set; what is not legal in itself is refused whatever its size.
    func spec(
        size: Int, seed: UInt64, _ composition: Composition? = nil
    ) throws(PythonError) -> DataSpec {
        try orValueError { () throws(InvalidField) in
            try DataSpec(
                size: size, seed: seed, dedupRatio: Ratio(thousandths: dedup),
                compressRatio: Ratio(thousandths: compress), dedupUnit: dedupUnit,
                compressUnit: compressUnit, fill: fill, composition: composition)
        }
    }

    /// Whether so many bytes are those of the seed's stream, in its order.
    func isStream(upTo count: Int) -> Bool {
        compress == 1000 && (dedup == 1000 || count <= dedupUnit)
    }

    /// What makes one.
    func source(size: Int, seed: UInt64) throws(PythonError) -> Source {
        try Source(
            try spec(size: size, seed: seed), kernel: try chosenKernel(), wish: try wish.now())
    }

    /// What the function `kind` makes it of again.
    var fields: PythonTuple {
        PythonTuple(
            dedup, compress, dedupUnit, compressUnit ?? 0, fill.rawValue, wish.number,
            wish.mode.rawValue, wish.node ?? -1)
    }

    /// What was asked for last, object for object: mostly what stands in a program, or a default.
    private struct Asked {
        let objects: [PythonObject]
        let kind: Kind
    }

    // Touched under Python's lock only.
    nonisolated(unsafe) private static var asked: Asked?
    private static let parameters = 8

    /// That of arguments as `dgen_mpi._arguments.kind_of` takes them, from one on.
    static func of(_ arguments: Arguments, from first: Int) throws(PythonError) -> Kind {
        if let asked {
            var isSame = true
            for index in 0..<parameters {
                isSame = try arguments.object(first + index) == asked.objects[index] && isSame
            }
            if isSame { return asked.kind }
        }
        var objects: [PythonObject] = []
        for index in 0..<parameters { objects.append(try arguments.object(first + index)) }
        guard let function = imported("kind_of", from: "dgen_mpi._arguments") else {
            throw PythonError()
        }
        defer { Py_DecRef(function) }
        let all = filled(PyTuple_New(parameters), parameters, PyTuple_SetItem) {
            Py_IncRef(objects[$0])
            return objects[$0]
        }
        defer { Py_DecRef(all) }
        guard let all, let found = PyObject_CallObject(function, all) else { throw PythonError() }
        defer { Py_DecRef(found) }
        let kind = try Kind.of(found)
        // What may be something else the next time is not kept.
        if objects.allSatisfy({ cpython_is_constant($0) != 0 }) {
            for object in objects { Py_IncRef(object) }
            let old = asked
            asked = Asked(objects: objects, kind: kind)
            for object in old?.objects ?? [] { Py_DecRef(object) }
        }
        return kind
    }

    /// What the function `kind` of the module returns.
    static func new(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let kind = try Kind(arguments, 0, threads: 5)
        _ = try kind.spec(size: 0, seed: 0)
        return kind.newObject()
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        try newType(
            "dgen_mpi._native.Kind", for: module,
            documentation: "All of a data set but its size and seed, and how it is made.",
            methods: [])
    }
}

/// A size that Python code may have given in any way that `dgen_mpi._arguments.size_of` takes.
func givenSize(
    of object: PythonObject, _ name: StaticString, least: Int = 0
) throws(PythonError) -> Int {
    if cpython_is_int(object) != 0 {
        let value = Int(PyLong_AsLongLong(object))
        if value >= least { return value }
        PyErr_Clear()
    }
    let checked = try checked(
        by: "size_of", object, PythonTuple(name.description, least))
    defer { Py_DecRef(checked) }
    return Int(PyLong_AsLongLong(checked))
}

/// A seed that was given, as `dgen_mpi._arguments.seed_of` takes it, or one at random for None.
func givenSeed(of object: PythonObject) throws(PythonError) -> UInt64 {
    if cpython_is_none(object) != 0 { return Seeds.next() }
    if cpython_is_int(object) != 0 {
        let value = PyLong_AsUnsignedLongLong(object)
        if value != .max || PyErr_Occurred() == nil { return value }
        PyErr_Clear()
    }
    let checked = try checked(by: "seed_of", object, PythonTuple())
    defer { Py_DecRef(checked) }
    return PyLong_AsUnsignedLongLong(checked)
}

/// What a function of `dgen_mpi._arguments` makes of a value and some more arguments.
private func checked(
    by name: String, _ object: PythonObject, _ more: PythonTuple
) throws(PythonError) -> PythonObject {
    guard let function = imported(name, from: "dgen_mpi._arguments") else { throw PythonError() }
    defer { Py_DecRef(function) }
    let arguments = more.newObject(after: object)
    defer { Py_DecRef(arguments) }
    guard let arguments, let result = PyObject_CallObject(function, arguments) else {
        throw PythonError()
    }
    return result
}
