// SPDX-License-Identifier: MIT OR Apache-2.0
//
// All calls of libnuma, and the one gate that turns their status into an error.

internal import CNUMA
internal import Glibc

/// A system call of memory placement that failed.
package struct PlacementError: Error, CustomStringConvertible, Sendable {
    /// The value of `errno`.
    package let code: Int32
    /// The C function.
    package let call: String

    package var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// Where the kernel puts threads and pages.
package enum MemoryPolicy {
    /// Why placement does not work here, as in containers that forbid its system calls; nil where it
    /// works.
    package static var obstacle: PlacementError? {
        // Asks for the policy of this thread, which changes nothing.
        // The corresponding C function is `get_mempolicy`.
        do {
            try call("get_mempolicy") { cnuma_probe() }
        } catch {
            return error
        }
        return nil
    }

    /// Makes the pages of `memory` come from `node` while it has room: those that are not there yet,
    /// and those that are.
    ///
    /// Pages at the ends that are only partly in `memory` are left alone.
    ///
    /// The corresponding C function is `mbind`.
    package static func place(
        _ memory: UnsafeMutableRawBufferPointer, on node: Int
    ) throws(PlacementError) {
        guard let start = memory.baseAddress else { return }
        let page = sysconf(Int32(_SC_PAGESIZE))
        let first = (Int(bitPattern: start) + page - 1) / page * page
        let end = (Int(bitPattern: start) + memory.count) / page * page
        guard first < end else { return }
        let mask = mask(of: [node])
        try call("mbind") {
            cnuma_prefer(
                UnsafeMutableRawPointer(bitPattern: first), UInt(end - first), mask,
                UInt(mask.count * UInt.bitWidth + 1))
        }
    }

    /// The node that the page at `address` lies on; it must have been touched.
    ///
    /// The corresponding C function is `get_mempolicy`.
    package static func node(of address: UnsafeRawPointer) throws(PlacementError) -> Int {
        var node: Int32 = -1
        try call("get_mempolicy") {
            cnuma_node_of(UnsafeMutableRawPointer(mutating: address), &node)
        }
        return Int(node)
    }

    /// Lets the calling thread run on `cpus` only.
    ///
    /// The corresponding C function is `sched_setaffinity`.
    package static func pin(to cpus: [Int]) throws(PlacementError) {
        let mask = mask(of: cpus)
        try call("sched_setaffinity") {
            cnuma_pin(mask, Int32(mask.count * MemoryLayout<UInt>.size))
        }
    }

    /// A bit for each number, as the kernel wants it.
    private static func mask(of numbers: [Int]) -> [UInt] {
        var words = [UInt](repeating: 0, count: (numbers.max() ?? 0) / UInt.bitWidth + 1)
        for number in numbers { words[number / UInt.bitWidth] |= 1 << (number % UInt.bitWidth) }
        return words
    }

    /// The processor that the calling thread runs on, at this moment.
    ///
    /// The corresponding C function is `getcpu`.
    package static func currentProcessor() -> Int { Int(cnuma_current_cpu()) }

    /// The gate: `errno` is read where it is set, before anything else is done.
    @inline(never)
    private static func call(
        _ name: StaticString, _ call: () -> some FixedWidthInteger
    ) throws(PlacementError) {
        guard call() < 0 else { return }
        let code = errno
        throw PlacementError(code: code, call: "\(name)")
    }
}
