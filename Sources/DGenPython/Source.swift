// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import Checksums
internal import DataGen
internal import Glibc
internal import Logging

/// A data set, any range of which fills or is compared with Python's buffers, and a place in it.
///
/// Python's lock guards the place. Bytes are made without it, under a lock of the source's own, so that threads that
/// share a source take turns.
final class Source: PythonContent {
    private let spec: DataSpec
    private let kernel: Kernel
    private let wish: Threads.Wish
    private let logger: Logger
    /// What makes the bytes.
    private var maker: Maker
    /// The threads that share the work of large buffers, once there was one.
    private var found: Threads?
    /// The offset of the next byte, and where there is no next one; within the data set.
    private var position = 0
    private var end: Int
    /// What is wrong before that place, as far as it was compared since the source went there.
    private var log: DamageLog
    /// The most ranges of it that are kept.
    private static let rangesMax = 1000
    nonisolated(unsafe) static var type: OpaquePointer?

    /// What makes the bytes of a source for one thread of Python's at a time; a forked process makes another one, since
    /// nobody knows what this one was in the midst of.
    private final class Maker {
        let forks = Forks.count
        // Unchecked: it is there for threads that come at once, and the rest for the one that has it.
        @exclusivity(unchecked) private var mutex = pthread_mutex_t()
        @exclusivity(unchecked) private var generator: Generator
        @exclusivity(unchecked) private var parallel: ParallelGenerator?
        private let logger: Logger

        init(_ spec: DataSpec, _ kernel: Kernel, _ logger: Logger) {
            pthread_mutex_init(&mutex, nil)
            generator = Generator(spec, kernel: kernel, logger: logger)
            self.logger = logger
        }

        deinit { if forks == Forks.count { pthread_mutex_destroy(&mutex) } }

        func tryLock() -> Bool { pthread_mutex_trylock(&mutex) == 0 }
        func lock() { pthread_mutex_lock(&mutex) }
        func unlock() { pthread_mutex_unlock(&mutex) }

        /// For threads that share the work, where there are any.
        private func forMany(_ threads: Threads?) -> ParallelGenerator? {
            guard let threads, threads.pool.count > 1 else { return nil }
            if let parallel { return parallel }
            let new = ParallelGenerator(
                generator.spec, pool: threads.pool, kernel: generator.kernel, logger: logger)
            parallel = new
            return new
        }

        func fill(
            _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, _ threads: Threads?
        ) {
            guard let many = forMany(threads) else { return generator.fill(buffer, at: offset) }
            many.fill(buffer, at: offset)
        }

        func compare(
            _ buffer: UnsafeRawBufferPointer, at offset: Int, _ log: inout DamageLog,
            _ threads: Threads?
        ) {
            guard let many = forMany(threads) else {
                return generator.compare(buffer, at: offset, log: &log)
            }
            many.compare(buffer, at: offset, log: &log)
        }
    }

    /// Threads that are looked for when a buffer is large enough for several, unless a place on memory nodes was asked for:
    /// whether there is such a place is told at once.
    init(_ spec: DataSpec, kernel: Kernel, wish: Threads.Wish) throws(PythonError) {
        self.spec = spec
        self.kernel = kernel
        self.wish = wish
        found = wish.isPlaced ? try Threads.wanted(wish) : nil
        end = spec.size
        log = DamageLog(spec, limit: Self.rangesMax)
        logger = PythonLogHandler.newLogger("generator")
        maker = Maker(spec, kernel, logger)
        logger.debug(
            """
            \(spec.size) bytes of seed \(spec.seed), dedup ratio \(spec.dedupRatio), compress ratio \
            \(spec.compressRatio), \(StoredManifest.format(of: spec)): kernel \(kernel.rawValue), \
            threads \(wish.count.map(String.init) ?? "as many as may be used")
            """)
    }

    private func threads() throws(PythonError) -> Threads {
        if let found { return found }
        let threads = try Threads.wanted(wish)
        found = threads
        return threads
    }

    /// The threads that share the work of so many bytes; nil where one does it.
    private func threads(for count: Int) throws(PythonError) -> Threads? {
        count < ParallelGenerator.splitBytesMin ? nil : try threads()
    }

    /// Calls `body`, as one of the threads that share the source at a time; other Python threads run
    /// meanwhile where it `isLong`.
    private func exclusively(isLong: Bool, _ body: (Maker) -> Void) {
        // Only one thread of a forked process comes here first: it has Python's lock.
        if maker.forks != Forks.count { maker = Maker(spec, kernel, logger) }
        let maker = maker
        if !isLong, maker.tryLock() {
            defer { maker.unlock() }
            return body(maker)
        }
        withoutInterpreterLock {
            maker.lock()
            defer { maker.unlock() }
            body(maker)
        }
    }

    /// Shorter buffers are filled sooner than Python's lock changes hands.
    private static let longMin = 16 << 10

    /// Fills a buffer; other Python threads run meanwhile if it is long, unless this one keeps the lock.
    func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, keepsLock: Bool = false
    ) throws(PythonError) {
        let threads = try threads(for: buffer.count)
        exclusively(isLong: !keepsLock && buffer.count >= Self.longMin) {
            $0.fill(buffer, at: offset, threads)
        }
    }

    /// New memory on the nodes of the threads that will fill it.
    func newMemory(_ count: Int) throws(PythonError) -> Memory {
        let memory = try BytesView.newMemory(count)
        if let threads = try threads(for: count) ?? found {
            threads.placer.place(
                UnsafeMutableRawBufferPointer(start: memory.start, count: count),
                parts: ParallelGenerator.parts(of: count, threads: threads.pool.count))
        }
        return memory
    }

    /// So much is made between two looks at a flag that may end it.
    private static let stoppableBytes = 32 << 20

    /// Takes the next bytes, `count` at most.
    func take(_ count: Int) -> Range<Int> {
        let range = position..<position + min(count, max(0, end - position))
        position = range.upperBound
        return range
    }

    private func requireRange(_ count: Int, _ offset: Int) throws(PythonError) {
        guard offset <= spec.size, count <= spec.size - offset else {
            throw .value(
                "offset: \(count) bytes from \(offset) on go past the end of the data set; it has \(spec.size) bytes"
            )
        }
    }

    /// Looks at evidence of so many bytes at once.
    private static let evidenceBytes = 64 << 20

    /// What has become of the ranges that a log keeps; as many at once as memory is for, and as are near each other.
    ///
    /// From `start` on all else is right; `known` are seeds of data sets that may have been there before; `searchBytes` of
    /// the data set are looked through for what nothing explains; `found` gives what is in a range, less at the end.
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
                UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
            }
        }
    }

    /// A diagnosis, with what goes with its kind alone.
    private static func dictionary(_ diagnosis: Diagnosis) -> PythonDictionary {
        var dictionary: PythonDictionary = [
            "kind": diagnosis.kind.rawValue, "expected": PythonBytes(bytes: diagnosis.expected),
            "found": PythonBytes(bytes: diagnosis.found),
        ]
        for (name, value) in [
            ("source_offset", diagnosis.sourceOffset), ("flipped_bits", diagnosis.flippedBits),
            ("torn_at", diagnosis.tornAt), ("sampled", diagnosis.isSampled ? 1 : nil),
            ("generation", diagnosis.generation),
            ("source_blocks", diagnosis.sourceBlocks.flatMap { $0 > 1 ? $0 : nil }),
        ] {
            if let value { dictionary.entries.append((name, value)) }
        }
        if let seed = diagnosis.seed { dictionary.entries.append(("seed", seed)) }
        if diagnosis.staleBlocks.count > 1 {
            let blocks = diagnosis.staleBlocks.sorted { $0.key < $1.key }
            let pairs = PythonList(blocks.map { PythonTuple($0.key, $0.value) })
            dictionary.entries.append(("stale_blocks", pairs))
        }
        if diagnosis.kind == .bitFlips {
            let bits = diagnosis.bits.map { PythonTuple($0.offset, $0.bit) }
            dictionary.entries.append(("bits", PythonList(bits)))
        }
        if diagnosis.kind == .mixed {
            let parts = diagnosis.parts.map { PythonTuple($0.kind.rawValue, $0.offset, $0.bytes) }
            dictionary.entries += [
                ("parts", PythonList(parts)), ("part_count", diagnosis.partCount),
            ]
        }
        return dictionary
    }

    private static func newDamage(_ log: DamageLog, _ diagnoses: [Diagnosis]) -> PythonObject? {
        PythonTuple(
            PythonList(
                zip(log.ranges, diagnoses).map { range, diagnosis in
                    PythonTuple(range.offset, range.bytes, range.wrongBytes, dictionary(diagnosis))
                }),
            log.rangeCount, log.rangeBytes, log.wrongBytes,
            log.last.map { PythonTuple($0.offset, $0.bytes, $0.wrongBytes) }
        ).newObject()
    }

    // MARK: Python's side

    /// What the function `source` of the module returns.
    static func new(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let kind = try Kind(arguments, 2, threads: 8)
        let size = try arguments.integer(0, "size", in: 0...Int.max)
        let seed = try arguments.seed(1)
        let spec = try kind.spec(size: size, seed: seed, try arguments.composition(7))
        let source = try Source(spec, kernel: try chosenKernel(), wish: try kind.wish.now())
        // What is said of it tells how many these are.
        _ = try source.threads()
        return source.newObject()
    }

    private func fill(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let wanted = try arguments.integer(2, "count", in: -1...Int.max)
        return try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let count = wanted < 0 ? buffer.count : min(wanted, buffer.count)
            try requireRange(count, offset)
            try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: offset)
            return count.newObject()
        }
    }

    private func fillUntil(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let count = try arguments.integer(2, "count", in: 0...Int.max)
        let flag = try arguments.object(3)
        return try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let count = min(count, buffer.count)
            try requireRange(count, offset)
            return try withBuffer(of: flag, isWritten: false) { (flag) throws(PythonError) in
                guard flag.count == 1, let flag = flag.baseAddress else {
                    throw .value("flag: one byte")
                }
                var done = 0
                // Other Python threads may set it meanwhile.
                while done < count, cpython_is_set(flag) == 0 {
                    let end = min(count, done + Self.stoppableBytes)
                    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<end])
                    try fill(part, at: offset + done)
                    done = end
                }
                return done.newObject()
            }
        }
    }

    private func fillNext(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: true) {
            (buffer) throws(PythonError) in
            let range = take(buffer.count)
            try fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count]),
                at: range.lowerBound)
            return range.count.newObject()
        }
    }

    private func compare(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let limit = try arguments.integer(2, "limit", in: 1...1_000_000)
        let known = try Self.seeds(try arguments.object(3))
        let searchBytes = try arguments.integer(4, "search_bytes", in: 0...Int.max)
        return try withBuffer(of: try arguments.object(0), isWritten: false) {
            (buffer) throws(PythonError) in
            try requireRange(buffer.count, offset)
            var log = DamageLog(spec, limit: limit)
            let threads = try threads(for: buffer.count)
            exclusively(isLong: true) {
                $0.compare(UnsafeRawBufferPointer(buffer), at: offset, &log, threads)
            }
            let diagnoses = try diagnoses(
                of: log, rightFrom: offset, known: known, searchBytes: searchBytes
            ) { Array(buffer[$0.lowerBound - offset..<$0.upperBound - offset]) }
            return Self.newDamage(log, diagnoses)
        }
    }

    private func compareParts(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let read = try arguments.object(0)
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let count = try arguments.integer(2, "count", in: 0...Int.max)
        let limit = try arguments.integer(4, "limit", in: 1...1_000_000)
        let known = try Self.seeds(try arguments.object(5))
        let searchBytes = try arguments.integer(6, "search_bytes", in: 0...Int.max)
        try requireRange(count, offset)
        let words = try Self.seeds(try arguments.object(3))
        var log = DamageLog(spec, limit: limit)
        var end = offset
        for pair in stride(from: 0, to: words.count - words.count % 2, by: 2) {
            guard let start = Int(exactly: words[pair]), start >= end, start <= offset + count,
                let length = Int(exactly: words[pair + 1]), length <= offset + count - start
            else { throw .value("parts: ascending, and within the range") }
            end = start + length
            try Self.withBytes(of: start..<end, by: read) { (buffer) throws(PythonError) in
                guard buffer.count == length else { throw .value("read: all bytes of a part") }
                let threads = try threads(for: length)
                exclusively(isLong: true) { $0.compare(buffer, at: start, &log, threads) }
            }
        }
        let diagnoses = try diagnoses(
            of: log, rightFrom: offset, known: known, searchBytes: searchBytes
        ) { (range) throws(PythonError) in
            try Self.withBytes(of: range, by: read) { Array($0.prefix(range.count)) }
        }
        return Self.newDamage(log, diagnoses)
    }

    /// Calls `body` with what a function of Python's returns for an offset and a number of bytes.
    private static func withBytes<Result>(
        of range: Range<Int>, by read: PythonObject,
        _ body: (UnsafeRawBufferPointer) throws(PythonError) -> Result
    ) throws(PythonError) -> Result {
        let place = PythonTuple(range.lowerBound, range.count).newObject()
        defer { Py_DecRef(place) }
        guard let place, let found = PyObject_CallObject(read, place) else {
            throw PythonError()
        }
        defer { Py_DecRef(found) }
        return try withBuffer(of: found, isWritten: false) { (buffer) throws(PythonError) in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }

    private func compareNext(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: false) {
            (buffer) throws(PythonError) in
            let range = take(buffer.count)
            let part = UnsafeRawBufferPointer(rebasing: buffer[..<range.count])
            let threads = try threads(for: range.count)
            var log = log
            exclusively(isLong: true) { $0.compare(part, at: range.lowerBound, &log, threads) }
            self.log = log
            return range.count.newObject()
        }
    }

    private func checksums(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let algorithm: ChecksumAlgorithm = try arguments.choice(
            0, "algorithm", checksumAlgorithms)
        let offset = try arguments.integer(1, "offset", in: 0...Int.max)
        let count = try arguments.integer(2, "length", in: 0...Int.max)
        let partBytes = try arguments.integer(3, "part_size", in: 0...Int.max)
        try requireRange(count, offset)
        let parts = try orValueError { () throws(InvalidField) in
            try ChecksumPlan.Parts(
                offset..<offset + count, of: spec, partBytes: partBytes == 0 ? nil : partBytes)
        }
        let remainders = try chosenRemainderKernel()
        // What is made sooner than a thread wakes up.
        let isShort = count < ParallelGenerator.splitBytesMin
        let sums = DataSetChecksums(
            spec, parts, [algorithm], pool: isShort ? WorkerPool(count: 1) : try threads().pool,
            kernel: kernel, remainders: remainders)
        while withoutInterpreterLock({ sums.advance() }) != nil {
            guard PyErr_CheckSignals() == 0 else { throw PythonError() }
        }
        let found = withoutInterpreterLock { sums.results(sums.values) }
        return PythonList(found.map { PythonBytes(bytes: $0.value) }).newObject()
    }

    private func missNext(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let range = take(try arguments.integer(0, "count", in: 0...Int.max))
        if !range.isEmpty {
            log.add(offset: range.lowerBound, count: range.count, isMissing: true)
        }
        return range.count.newObject()
    }

    private func damage(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let read = try arguments.object(0)
        let searchBytes = try arguments.integer(1, "search_bytes", in: 0...Int.max)
        let log = log
        let diagnoses = try diagnoses(
            of: log, rightFrom: 0, known: [], searchBytes: searchBytes
        ) { (range) throws(PythonError) in
            try Self.withBytes(of: range, by: read) { Array($0.prefix(range.count)) }
        }
        return Self.newDamage(log, diagnoses)
    }

    private func reserve(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        try withBuffer(of: try arguments.object(0), isWritten: true) { (buffer) in
            let range = take(buffer.count)
            return PythonTuple(range.lowerBound, range.count).newObject()
        }
    }

    private func tell(_: Arguments) -> PythonObject? { position.newObject() }

    /// How many bytes come.
    var left: Int { max(0, end - position) }

    private func stop(_: Arguments) -> PythonObject? {
        end = position
        return position.newObject()
    }

    private func seek(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let position = try arguments.integer(0, "offset", in: 0...spec.size)
        end = try arguments.integer(1, "end", in: position...spec.size)
        self.position = position
        log = DamageLog(spec, limit: Self.rangesMax)
        return cpython_none()
    }

    private func create(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        try WrittenDataSet.create(spec, arguments)
    }

    private func writeManifest(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        try WrittenDataSet.describe(spec, kernel: kernel, arguments)
    }

    private func describe(_: Arguments) throws(PythonError) -> PythonObject? {
        let reduction = Reduction(spec)
        var found: PythonDictionary = [
            "compress_unit": spec.compressUnit, "blocks": reduction.blocks,
            "distinct_blocks": reduction.contents + (reduction.zeroBlocks > 0 ? 1 : 0),
            "zero_blocks": reduction.zeroBlocks,
            "expected_stored_bytes": reduction.storedBytes, "kernel": kernel.rawValue,
            "threads": try threads().pool.count,
        ]
        found.entries += spec.reductionFields
        return found.newObject()
    }

    private func allocate(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
        let count = try arguments.integer(0, "size", in: 0...Int.max)
        return BytesView.newObject(try newMemory(count), 0..<count)
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        try newType(
            "dgen_mpi._native.Source", for: module,
            documentation: "A data set of FORMAT.md, and a place in it.",
            methods: [
                pythonFunction(
                    "fill", "$self, buffer, offset, count",
                    """
                    Fill the first `count` bytes of `buffer` (all, if it is -1) with the bytes from `offset` \
                    on, and return how many.
                    """
                ) { call($0, $1, $2, wanted: 3, Source.fill) },
                pythonFunction(
                    "fill_until", "$self, buffer, offset, count, flag",
                    """
                    Fill the first `count` bytes of `buffer` with the bytes from `offset` on until another \
                    thread makes the byte `flag` something else than 0, and return how many were filled.
                    """
                ) { call($0, $1, $2, wanted: 4, Source.fillUntil) },
                pythonFunction(
                    "fill_next", "$self, buffer",
                    "Fill `buffer` with the next bytes, and return how many: fewer at the end."
                ) { call($0, $1, $2, wanted: 1, Source.fillNext) },
                pythonFunction(
                    "compare", "$self, buffer, offset, limit, known, search_bytes",
                    """
                    Return the first `limit` damaged ranges as tuples (offset, bytes, wrong bytes, diagnosis), \
                    the number of all, their bytes, the number of wrong bytes, and the last of all ranges as a \
                    tuple or None. `known` are seeds of eight bytes each.
                    """
                ) { call($0, $1, $2, wanted: 5, Source.compare) },
                pythonFunction(
                    "compare_parts",
                    "$self, read, offset, count, parts, limit, known, search_bytes",
                    """
                    Return what `compare` does of the `count` bytes from `offset` on, where all are right outside \
                    of `parts`: offsets and lengths, eight bytes each. `read(offset, count)` returns what is there.
                    """
                ) { call($0, $1, $2, wanted: 7, Source.compareParts) },
                pythonFunction(
                    "compare_next", "$self, buffer",
                    """
                    Compare `buffer` with the next bytes, and return with how many: fewer at the end. `damage` \
                    tells what is wrong.
                    """
                ) { call($0, $1, $2, wanted: 1, Source.compareNext) },
                pythonFunction(
                    "checksums", "$self, algorithm, offset, length, part_size",
                    """
                    Return the checksum of each part of a range of the data set, as bytes; of the whole range, \
                    if `part_size` is 0.
                    """
                ) { call($0, $1, $2, wanted: 4, Source.checksums) },
                pythonFunction(
                    "miss_next", "$self, count",
                    """
                    Note that the next `count` bytes are not there, and return how many these are: fewer at \
                    the end.
                    """
                ) { call($0, $1, $2, wanted: 1, Source.missNext) },
                pythonFunction(
                    "damage", "$self, read, search_bytes",
                    """
                    Return what `compare_next` and `miss_next` have found since the last `seek`, as `compare` \
                    does. `read(offset, count)` returns what is there now.
                    """
                ) { call($0, $1, $2, wanted: 2, Source.damage) },
                pythonFunction(
                    "reserve", "$self, buffer",
                    "Take the next bytes for `buffer` without making them, and return their offset and number."
                ) { call($0, $1, $2, wanted: 1, Source.reserve) },
                pythonFunction("tell", "$self", "Return the offset of the next byte.") {
                    call($0, $1, $2, wanted: 0, Source.tell)
                },
                pythonFunction(
                    "stop", "$self",
                    "Go on no further, and return the offset of the byte that would be next."
                ) { call($0, $1, $2, wanted: 0, Source.stop) },
                pythonFunction(
                    "seek", "$self, offset, end",
                    "Go on at `offset`, and before `end` no further."
                ) { call($0, $1, $2, wanted: 2, Source.seek) },
                pythonFunction(
                    "create",
                    "$self, path, layout, ranks, align, transfer_size, overwrite, space_check",
                    "Make the files of the data set, empty, and a manifest that says that it is being written."
                ) { call($0, $1, $2, wanted: 7, Source.create) },
                pythonFunction(
                    "write_manifest",
                    "$self, path, layout, ranks, align, transfer_size, overwrite",
                    "Write the manifest of the data set that is there, once its files show that they are its."
                ) { call($0, $1, $2, wanted: 6, Source.writeManifest) },
                pythonFunction(
                    "describe", "$self",
                    "Return what follows from the specification, the kernel, and the threads."
                ) { call($0, $1, $2, wanted: 0, Source.describe) },
                pythonFunction(
                    "allocate", "$self, size",
                    "Return memory on the nodes of the threads that fill it."
                ) { call($0, $1, $2, wanted: 1, Source.allocate) },
            ])
    }
}
