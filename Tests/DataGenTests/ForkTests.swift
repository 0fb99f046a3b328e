// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

/// To be run alone: a thread of another test may hold a lock of Swift's when this process forks, and the child would
/// wait for it.
@Suite struct ForkTests {
    /// Python's `multiprocessing` forks; the threads stay behind.
    @Test func aForkedProcessGoesOn() throws {
        let spec = try DataSpec(size: 6 << 20, seed: 21, compressRatio: 1.5)
        let generator = ParallelGenerator(spec, threads: 3)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: spec.size, alignment: 64)
        defer { buffer.deallocate() }
        func isRight() -> Bool {
            if let start = buffer.baseAddress { memset(start, 0, buffer.count) }
            var log = DamageLog(spec, limit: 1)
            generator.fill(buffer, at: 0)
            generator.compare(UnsafeRawBufferPointer(buffer), at: 0, log: &log)
            return log.rangeCount == 0
        }
        #expect(isRight())

        // Swift hides `fork`, since a program that goes on afterwards has to know what it does.
        typealias Fork = @convention(c) () -> pid_t
        let symbol = try #require(dlsym(nil, "fork"))
        let child = unsafeBitCast(symbol, to: Fork.self)()
        if child == 0 { _exit(isRight() ? 0 : 1) }
        // A hang must end as well, and a child that hangs under the thread sanitizer takes no signal but one.
        var status: Int32 = 0
        var ended: pid_t = 0
        for _ in 0..<6000 where ended == 0 {
            usleep(10_000)
            ended = waitpid(child, &status, WNOHANG)
        }
        if ended == 0 {
            kill(child, SIGKILL)
            waitpid(child, &status, 0)
        }
        #expect(ended == child && status == 0, "the forked process made other bytes, or hung")
        // And so does this one.
        #expect(isRight())
    }
}
