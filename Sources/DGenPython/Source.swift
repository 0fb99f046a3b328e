// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen
internal import Glibc
internal import Logging

/// A data set, any range of which fills or is compared with Python's buffers, and a place in it.
///
/// Python's lock guards the place. Bytes are made without it, under a lock of the source's own, so that threads that
/// share a source take turns.
final class Source {
    private let spec: DataSpec
    private let layout: Layout
    private let kernel: Kernel
    private let threads: Threads
    private let logger: Logger
    private var generator: ParallelGenerator
    private var lock = Lock()
    /// The offset of the next byte, and where there is no next one; within the data set.
    private var position = 0
    private var end: Int
    /// What is wrong before that place, as far as it was compared since the source went there.
    private var log: DamageLog
    /// The most ranges of it that are kept.
    private static let rangesMax = 1000
    nonisolated(unsafe) private static var type: PythonType<Source>?

    /// A lock that a forked process finds free, whoever held it when it was forked.
    private final class Lock {
        let process = getpid()
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

        init() {
            mutex.initialize(to: pthread_mutex_t())
            pthread_mutex_init(mutex, nil)
        }

        deinit {
            if process == getpid() { pthread_mutex_destroy(mutex) }
            mutex.deallocate()
        }
    }

    private init(_ spec: DataSpec, kernel: Kernel, threads: Threads) {
        self.spec = spec
        self.kernel = kernel
        self.threads = threads
        end = spec.size
        log = DamageLog(spec, limit: Self.rangesMax)
        layout = Layout(spec)
        logger = Logger(label: "generator")
        generator = ParallelGenerator(spec, pool: threads.pool, kernel: kernel, logger: logger)
        logger.debug(
            """
            \(spec.size) bytes of seed \(spec.seed), dedup ratio \(spec.dedupRatio), compress ratio \
            \(spec.compressRatio): kernel \(kernel.rawValue), threads \(threads.pool.count)
            """)
    }

    /// Calls `body`, as one of the threads that share the source at a time; other Python threads run
    /// meanwhile where it `isLong`.
    private func exclusively(isLong: Bool, _ body: (ParallelGenerator) -> Void) {
        // Only one thread of a forked process comes here first: it has Python's lock.
        if lock.process != getpid() {
            // Another thread may have been in the midst of its work.
            generator = ParallelGenerator(spec, pool: threads.pool, kernel: kernel, logger: logger)
            lock = Lock()
        }
        let (lock, generator) = (lock, generator)
        if !isLong, pthread_mutex_trylock(lock.mutex) == 0 {
            defer { pthread_mutex_unlock(lock.mutex) }
            return body(generator)
        }
        withoutInterpreterLock {
            pthread_mutex_lock(lock.mutex)
            defer { pthread_mutex_unlock(lock.mutex) }
            body(generator)
        }
    }

    /// Shorter buffers are filled sooner than Python's lock changes hands.
    private static let longMin = 16 << 10

    private func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        exclusively(isLong: buffer.count >= Self.longMin) { $0.fill(buffer, at: offset) }
    }

    /// So much is made between two looks at a flag that may end it.
    private static let stoppableBytes = 32 << 20

    /// Fills a buffer in parts, as long as a flag is not set, which other Python threads may set meanwhile.
    ///
    /// - Returns: how many bytes were made.
    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, until flag: UnsafeRawPointer
    ) -> Int {
        var done = 0
        while done < buffer.count, cpython_is_set(flag) == 0 {
            let end = min(buffer.count, done + Self.stoppableBytes)
            fill(UnsafeMutableRawBufferPointer(rebasing: buffer[done..<end]), at: offset + done)
            done = end
        }
        return done
    }

    /// Takes the next bytes, `count` at most.
    private func take(_ count: Int) -> Range<Int> {
        let range = position..<position + min(count, max(0, end - position))
        position = range.upperBound
        return range
    }

    /// A range that lies within the data set.
    private func range(_ count: Int, _ offset: Int) throws(PythonError) -> Range<Int> {
        guard offset <= spec.size, count <= spec.size - offset else {
            throw .value(
                "offset: \(count) bytes from \(offset) on go past the end of the data set; it has \(spec.size) bytes"
            )
        }
        return offset..<offset + count
    }

    /// Adds what is wrong in a buffer, which should be from `offset` on, to a log.
    private func compare(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, log: inout DamageLog
    ) {
        exclusively(isLong: true) { generator in generator.compare(buffer, at: offset, log: &log) }
    }

    /// Looks at evidence of so many bytes at once.
    private static let evidenceBytes = 64 << 20

    /// What has become of the ranges that a log keeps; as many at once as memory is for, and as are near each other.
    ///
    /// - Parameters:
    ///   - log: what is wrong.
    ///   - start: from where on all else is right.
    ///   - known: seeds of data sets that may have been there before.
    ///   - searchBytes: how much of the data set to look through for what nothing explains.
    ///   - found: what is found in a range; less where no more is there.
    /// - Returns: a diagnosis for each.
    /// - Throws: what `found` throws.
    private func diagnoses(
        of log: DamageLog, rightFrom start: Int, known: [UInt64], searchBytes: Int,
        _ found: (Range<Int>) throws(PythonError) -> [UInt8]
    ) throws(PythonError) -> [Diagnosis] {
        var diagnoses: [Diagnosis] = []
        guard log.rangeCount > 0 else { return diagnoses }
        // The same with another seed is as legal.
        let earlier = known.compactMap { try? spec.withSeed($0) }
        var examination = Examination(spec, earlier: earlier, kernel: kernel)
        // A search goes so far to both sides of the first range that it is for.
        let reach = searchBytes > 0 ? searchBytes / 2 : Int.max
        var rest = log.ranges[...]
        while let first = rest.first {
            var (evidence, bytes): ([[Examination.Evidence]], Int) = ([], 0)
            let near = rest.prefix { $0.offset - first.offset <= reach }
            for range in near where bytes < Self.evidenceBytes {
                let parts = Examination.evidenceWanted(of: range)
                evidence.append(
                    try parts.map { (part) throws(PythonError) in
                        Examination.Evidence(offset: part.lowerBound, bytes: try found(part))
                    })
                bytes += parts.reduce(0) { $0 + $1.count }
            }
            let ranges = Array(rest.prefix(evidence.count))
            let start = log.ranges[..<rest.startIndex].last?.end ?? start
            withoutInterpreterLock {
                diagnoses += examination.diagnose(
                    ranges, evidence, rightFrom: start, searchBytes: searchBytes)
            }
            rest = rest.dropFirst(evidence.count)
        }
        return diagnoses
    }

    /// Seeds, eight bytes each.
    private static func seeds(_ object: PythonObject) throws(PythonError) -> [UInt64] {
        try withBuffer(of: object, isWritten: false) { (buffer) throws(PythonError) in
            guard buffer.count % 8 == 0 else { throw .value("known: eight bytes for each seed") }
            return stride(from: 0, to: buffer.count, by: 8).map {
                UInt64(
                    littleEndian: buffer.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
            }
        }
    }

    /// A diagnosis as a dictionary, with what goes with its kind alone.
    private static func newDiagnosis(
        _ diagnosis: Diagnosis
    ) throws(PythonError) -> PythonObject {
        var entries: [(String, PythonObject?)] = [
            ("kind", newText(diagnosis.kind.rawValue)),
            ("expected", newBytes(diagnosis.expected)), ("found", newBytes(diagnosis.found)),
        ]
        for (name, value) in [
            ("source_offset", diagnosis.sourceOffset), ("flipped_bits", diagnosis.flippedBits),
            ("torn_at", diagnosis.tornAt),
        ] {
            if let value { entries.append((name, newInteger(value))) }
        }
        if diagnosis.isSampled { entries.append(("sampled", newInteger(1))) }
        if let seed = diagnosis.seed {
            entries.append(("seed", PyLong_FromUnsignedLongLong(seed)))
        }
        if diagnosis.kind == .bitFlips {
            let bits = try newList(diagnosis.bits) { (bit) throws(PythonError) in
                try newTuple([newInteger(bit.offset), newInteger(bit.bit)])
            }
            entries.append(("bits", bits))
        }
        if diagnosis.kind == .mixed {
            let parts = try newList(diagnosis.parts) { (part) throws(PythonError) in
                try newTuple([
                    newText(part.kind.rawValue), newInteger(part.offset), newInteger(part.bytes),
                ])
            }
            entries.append(("parts", parts))
            entries.append(("part_count", newInteger(diagnosis.partCount)))
        }
        return try newDictionary(entries)
    }

    /// A log and its diagnoses as a tuple.
    private static func newDamage(
        _ log: DamageLog, _ diagnoses: [Diagnosis]
    ) throws(PythonError) -> PythonObject {
        func numbers(_ range: Damage) -> [PythonObject?] {
            [range.offset, range.bytes, range.wrongBytes].map(newInteger)
        }
        return try newTuple([
            try newList(Array(zip(log.ranges, diagnoses))) { (it) throws(PythonError) in
                try newTuple(numbers(it.0) + [try newDiagnosis(it.1)])
            },
            newInteger(log.rangeCount), newInteger(log.rangeBytes), newInteger(log.wrongBytes),
            try log.last.map { (last) throws(PythonError) in try newTuple(numbers(last)) }
                ?? cpython_none(),
        ])
    }

    // MARK: Python's side

    private static func of(_ object: PythonObject?) throws(PythonError) -> Source {
        guard let type else { throw PythonError(cpython_type_error(), "the module is not there") }
        return try type.content(object)
    }

    /// `source(size, seed, dedup_thousandths, compress_thousandths, dedup_unit, compress_unit, fill,
    /// max_threads, numa_mode, numa_node)`.
    static func new(_ arguments: Arguments) throws(PythonError) -> PythonObject {
        let name = try arguments.text(6)
        guard let fill = DataSpec.Fill(rawValue: name) else {
            throw .value(
                InvalidField(field: "fill", value: name, accepted: "backref or zeros").description)
        }
        let grain = try arguments.integer(5, "compress_unit", in: Int.min...Int.max)
        let threads = try Threads.wanted(arguments, 7)
        let size = try arguments.integer(0, "size", in: 0...Int.max)
        let seed = try arguments.seed(1)
        let dedup = try arguments.integer(2, "dedup_ratio", in: Int.min...Int.max)
        let compress = try arguments.integer(3, "compress_ratio", in: Int.min...Int.max)
        let block = try arguments.integer(4, "dedup_unit", in: Int.min...Int.max)
        let spec: DataSpec
        do {
            spec = try DataSpec(
                size: size, seed: seed, dedupRatio: Ratio(thousandths: dedup),
                compressRatio: Ratio(thousandths: compress), dedupUnit: block,
                compressUnit: grain == 0 ? nil : grain, fill: fill)
        } catch {
            throw .value(error.description)
        }
        guard let type else { throw PythonError(cpython_type_error(), "the module is not there") }
        return try type.new(Source(spec, kernel: try chosenKernel(), threads: threads))
    }

    private static func fill(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let wanted = try arguments.integer(2, "count", in: -1...Int.max)
        return try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let count = wanted < 0 ? buffer.count : min(wanted, buffer.count)
            _ = try source.range(count, offset)
            source.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: offset)
            return newInteger(count)
        }
    }

    private static func fillUntil(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let count = try arguments.integer(2, "count", in: 0...Int.max)
        let flag = try arguments.object(3)
        return try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let count = min(count, buffer.count)
            _ = try source.range(count, offset)
            return try withBuffer(of: flag, isWritten: false) { (flag) throws(PythonError) in
                guard flag.count == 1, let flag = flag.baseAddress else {
                    throw .value("flag: one byte")
                }
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                return newInteger(source.fill(part, at: offset, until: flag))
            }
        }
    }

    private static func fillNext(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: true) { (buffer) in
            let range = source.take(buffer.count)
            source.fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count]),
                at: range.lowerBound)
            return newInteger(range.count)
        }
    }

    private static func compare(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let limit = try arguments.integer(2, "limit", in: 1...1_000_000)
        let known = try seeds(try arguments.object(3))
        let searchBytes = try arguments.integer(4, "search_bytes", in: 0...Int.max)
        return try withBuffer(of: try arguments.object(0), isWritten: false) {
            (buffer) throws(PythonError) in
            _ = try source.range(buffer.count, offset)
            let found = UnsafeRawBufferPointer(buffer)
            var log = DamageLog(source.spec, limit: limit)
            source.compare(found, at: offset, log: &log)
            let diagnoses = try source.diagnoses(
                of: log, rightFrom: offset, known: known, searchBytes: searchBytes
            ) { Array(found[$0.lowerBound - offset..<$0.upperBound - offset]) }
            return try newDamage(log, diagnoses)
        }
    }

    private static func compareNext(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: false) { (buffer) in
            let range = source.take(buffer.count)
            var log = source.log
            source.compare(
                UnsafeRawBufferPointer(rebasing: buffer[..<range.count]), at: range.lowerBound,
                log: &log)
            source.log = log
            return newInteger(range.count)
        }
    }

    private static func missNext(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let range = source.take(try arguments.integer(0, "count", in: 0...Int.max))
        if !range.isEmpty {
            source.log.add(offset: range.lowerBound, count: range.count, isMissing: true)
        }
        return newInteger(range.count)
    }

    private static func damage(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let read = try arguments.object(0)
        let searchBytes = try arguments.integer(1, "search_bytes", in: 0...Int.max)
        let log = source.log
        let diagnoses = try source.diagnoses(
            of: log, rightFrom: 0, known: [], searchBytes: searchBytes
        ) { (range) throws(PythonError) in
            let place = try newTuple([newInteger(range.lowerBound), newInteger(range.count)])
            defer { Py_DecRef(place) }
            guard let found = PyObject_CallObject(read, place) else { throw PythonError() }
            defer { Py_DecRef(found) }
            return try withBuffer(of: found, isWritten: false) { Array($0.prefix(range.count)) }
        }
        return try newDamage(log, diagnoses)
    }

    private static func reserve(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let range = source.take(buffer.count)
            return try newTuple([newInteger(range.lowerBound), newInteger(range.count)])
        }
    }

    private static func seek(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let position = try arguments.integer(0, "offset", in: 0...source.spec.size)
        source.end = try arguments.integer(1, "end", in: position...source.spec.size)
        source.position = position
        source.log = DamageLog(source.spec, limit: rangesMax)
        return cpython_none()
    }

    private static func describe(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        try newDictionary([
            ("compress_unit", newInteger(source.spec.compressUnit)),
            ("blocks", newInteger(source.layout.blockCount)),
            ("distinct_blocks", newInteger(source.layout.distinctBlockCount)),
            ("expected_stored_bytes", newInteger(source.layout.expectedStoredBytes)),
            ("kernel", newText(source.kernel.rawValue)),
            ("threads", newInteger(source.threads.pool.count)),
        ])
    }

    private static func allocate(
        _ source: Source, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        try BytesView.new(count: try arguments.integer(0, "size", in: 0...Int.max)) { memory in
            source.threads.placer.place(
                memory, parts: source.generator.parts(of: memory.count))
        }
    }

    /// Adds the type to a module; it is made for the first.
    static func addType(to module: PythonObject) throws(PythonError) {
        if type == nil { try makeType(module) }
        try type?.add(to: module)
    }

    private static func makeType(_ module: PythonObject) throws(PythonError) {
        type = try PythonType(
            "dgen_mpi._native.Source", module: module,
            documentation: "A data set of FORMAT.md, and a place in it.",
            methods: [
                pythonFunction(
                    "fill", "$self, buffer, offset, count",
                    """
                    Fill the first `count` bytes of `buffer` (all, if it is -1) with the bytes from `offset` \
                    on, and return how many.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 3, Source.fill) },
                pythonFunction(
                    "fill_until", "$self, buffer, offset, count, flag",
                    """
                    Fill the first `count` bytes of `buffer` with the bytes from `offset` on until another \
                    thread makes the byte `flag` something else than 0, and return how many were filled.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 4, Source.fillUntil) },
                pythonFunction(
                    "fill_next", "$self, buffer",
                    "Fill `buffer` with the next bytes, and return how many: fewer at the end."
                ) { call(Source.of, $0, $1, $2, wanted: 1, Source.fillNext) },
                pythonFunction(
                    "compare", "$self, buffer, offset, limit, known, search_bytes",
                    """
                    Return the first `limit` damaged ranges as tuples (offset, bytes, wrong bytes, diagnosis), \
                    the number of all, their bytes, the number of wrong bytes, and the last of all ranges as a \
                    tuple or None. `known` are seeds of eight bytes each.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 5, Source.compare) },
                pythonFunction(
                    "compare_next", "$self, buffer",
                    """
                    Compare `buffer` with the next bytes, and return with how many: fewer at the end. `damage` \
                    tells what is wrong.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 1, Source.compareNext) },
                pythonFunction(
                    "miss_next", "$self, count",
                    """
                    Note that the next `count` bytes are not there, and return how many these are: fewer at \
                    the end.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 1, Source.missNext) },
                pythonFunction(
                    "damage", "$self, read, search_bytes",
                    """
                    Return what `compare_next` and `miss_next` have found since the last `seek`, as `compare` \
                    does. `read(offset, count)` returns what is there now.
                    """
                ) { call(Source.of, $0, $1, $2, wanted: 2, Source.damage) },
                pythonFunction(
                    "reserve", "$self, buffer",
                    "Take the next bytes for `buffer` without making them, and return their offset and number."
                ) { call(Source.of, $0, $1, $2, wanted: 1, Source.reserve) },
                pythonFunction("tell", "$self", "Return the offset of the next byte.") {
                    call(Source.of, $0, $1, $2, wanted: 0) { source, _ in
                        newInteger(source.position)
                    }
                },
                pythonFunction(
                    "stop", "$self",
                    "Go on no further, and return the offset of the byte that would be next."
                ) {
                    call(Source.of, $0, $1, $2, wanted: 0) { source, _ in
                        source.end = source.position
                        return newInteger(source.position)
                    }
                },
                pythonFunction(
                    "seek", "$self, offset, end",
                    "Go on at `offset`, and before `end` no further."
                ) { call(Source.of, $0, $1, $2, wanted: 2, Source.seek) },
                pythonFunction(
                    "describe", "$self",
                    "Return what follows from the specification, the kernel, and the threads."
                ) { call(Source.of, $0, $1, $2, wanted: 0, Source.describe) },
                pythonFunction(
                    "allocate", "$self, size",
                    "Return memory on the nodes of the threads that fill it."
                ) { call(Source.of, $0, $1, $2, wanted: 1, Source.allocate) },
            ])
    }
}
