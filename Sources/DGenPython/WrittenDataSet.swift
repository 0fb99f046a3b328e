// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CPython
internal import DataGen
internal import Files
internal import Glibc
internal import Options

/// A data set that a Python program writes, as long as it does.
///
/// The package's Python code has one thread call it at a time.
final class WrittenDataSet: PythonContent {
    private let data: NewDataSet
    nonisolated(unsafe) static var type: OpaquePointer?

    private init(_ data: NewDataSet) { self.data = data }

    /// What the method `create` of a source returns.
    static func create(
        _ spec: DataSpec, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let asked = try Arrangement(spec, arguments)
        let checksSpace = try arguments.integer(6, "space_check", in: 0...1) == 1
        let data = try orOSError { () throws(Failure) in
            try NewDataSet.create(
                asked.files, spec, transferSize: asked.transferSize,
                overwrites: asked.overwrites, checksSpace: checksSpace)
        }
        return WrittenDataSet(data).newObject()
    }

    /// Writes the manifest of a data set that is there.
    static func describe(
        _ spec: DataSpec, kernel: Kernel, _ arguments: Arguments
    ) throws(PythonError) -> PythonObject? {
        let asked = try Arrangement(spec, arguments)
        try orOSError { () throws(Failure) in
            try NewDataSet.describe(
                asked.files, spec, transferSize: asked.transferSize,
                overwrites: asked.overwrites, kernel: kernel)
        }
        return cpython_none()
    }

    private func complete(_: Arguments) throws(PythonError) -> PythonObject? {
        try orOSError { () throws(Failure) in try data.complete() }
        return cpython_none()
    }

    private func release(_: Arguments) -> PythonObject? {
        data.release()
        return cpython_none()
    }

    static func newType(for module: PythonObject) throws(PythonError) -> OpaquePointer {
        try newType(
            "dgen_mpi._native.WrittenDataSet", for: module,
            documentation: "A data set that is being written by others, and its manifest.",
            methods: [
                pythonFunction(
                    "complete", "$self",
                    "Say that the data is stored, if all files are as long as they should be."
                ) { call($0, $1, $2, wanted: 0, WrittenDataSet.complete) },
                pythonFunction(
                    "release", "$self",
                    "Let others write it, and leave the manifest as it is."
                ) { call($0, $1, $2, wanted: 0, WrittenDataSet.release) },
            ])
    }
}

/// What the function `part` of the module returns: the file of a rank, and where its part of the data set begins and ends.
func part(_ arguments: Arguments) throws(PythonError) -> PythonObject? {
    let size = try arguments.integer(4, "size", in: 0...Int.max)
    let files = try Arrangement.files(size, arguments)
    let rank = try arguments.integer(5, "rank", in: 0...files.shards.count - 1)
    let range = files.shards[rank]
    return PythonTuple(files.path(of: rank), range.lowerBound, range.upperBound).newObject()
}

/// Where a data set is to be, and how it is dealt.
private struct Arrangement {
    let files: FileSet
    let transferSize: Int?
    let overwrites: Bool

    init(_ spec: DataSpec, _ arguments: Arguments) throws(PythonError) {
        files = try Self.files(spec.size, arguments)
        let size = try arguments.integer(4, "transfer_size", in: 0...OptionLimits.transferBytes)
        transferSize = size == 0 ? nil : size
        overwrites = try arguments.integer(5, "overwrite", in: 0...1) == 1
        guard spec.size >= 1 else {
            throw .value(
                InvalidField(field: "size", value: "0", accepted: "1 byte at least").description)
        }
    }

    /// The first four arguments: a path, a layout, how many ranks there are, and their alignment.
    static func files(_ size: Int, _ arguments: Arguments) throws(PythonError) -> FileSet {
        let path = try arguments.text(0, "path", "that of a file")
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw .value("path: must be that of a file")
        }
        let layout: FileLayout = try arguments.choice(1, "layout", "shared or per-rank")
        let ranksMax =
            layout == .perRank ? StoredManifest.emptyFilesMax : StoredManifest.ranksMax
        let ranks = try arguments.integer(2, "ranks", in: 1...ranksMax)
        let align = try arguments.integer(3, "align", in: 1...StoredManifest.alignMax)
        return FileSet(
            path: path, layout: layout,
            shards: Shards(size: size, ranks: ranks, alignment: align))
    }
}

/// What `body` returns, without Python's lock; an `OSError` with its own words where it throws, or a `ValueError` where
/// an argument is wrong.
private func orOSError<Value>(
    _ body: () throws(Failure) -> Value
) throws(PythonError) -> Value {
    var result: Result<Value, Failure>?
    withoutInterpreterLock {
        do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
    }
    switch result {
    case .success(let value): return value
    case .failure(let failure):
        let kind =
            failure.isInTheWay
            ? cpython_file_exists_error()
            : failure.status == .usage ? cpython_value_error() : cpython_os_error()
        // In the words of the program's options.
        throw PythonError(
            kind,
            failure.message.replacing("--overwrite", with: "overwrite=True")
                .replacing("--no-space-check", with: "space_check=False"))
    case nil: preconditionFailure("the body was called")
    }
}
