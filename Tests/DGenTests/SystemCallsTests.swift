// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc
import Testing

@testable import DGen

@Suite struct SystemCallsTests {
    /// A call that fails with some errors, one after the other, and then gives 5.
    private static func failing(_ codes: Int32..., returns: Bool = false) -> () -> Int32 {
        var rest = codes[...]
        return {
            guard let code = rest.popFirst() else { return returns ? 0 : 5 }
            if returns { return code }
            errno = code
            return -1
        }
    }

    @Test func theErrorIsThatOfTheCall() {
        #expect(System.call(Self.failing(ENOSPC)) == .failure(Errno(ENOSPC)))
        #expect(System.call(Self.failing()) == .success(5))
        #expect(System.call { Glibc.close(-1) } == .failure(Errno(EBADF)))
        #expect(throws: Errno(EDQUOT)) {
            try System.code(Self.failing(EDQUOT, returns: true)).get()
        }
    }

    @Test func whatASignalInterruptsIsCalledAgainUnlessItIsDoneAnyway() throws {
        #expect(System.call(Self.failing(EINTR, EINTR)) == .success(5))
        #expect(System.call(Self.failing(EINTR, EIO)) == .failure(Errno(EIO)))
        #expect(System.call(once: true, Self.failing(EINTR)) == .failure(Errno(EINTR)))
        try System.code(Self.failing(EINTR, returns: true)).get()
    }

    @Test func someErrorsAreNone() {
        let call = System.call(Self.failing(EINVAL))
        #expect(call.unless(EROFS, EINVAL) == .success(nil))
        #expect(call.unless(EROFS) == .failure(Errno(EINVAL)))
        #expect(System.call(Self.failing()).unless(EINVAL) == .success(5))
    }

    @Test func failuresAreOfStorageAndInTheSystemsWords() {
        let failure = #expect(throws: Failure.self) {
            try System.call(Self.failing(ENOSPC)).get("/a", "cannot be written")
        }
        #expect(failure?.status == .inputOutput)
        #expect(failure?.message == "/a: cannot be written: No space left on device")
        let missing = #expect(throws: Failure.self) {
            _ = try OpenFile("/no/such/file", O_RDONLY, or: "cannot be opened")
        }
        #expect(missing?.message == "/no/such/file: cannot be opened: No such file or directory")
    }

    @Test func aFileIsClosedWithTheLastUseOfIt() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        var byte: UInt8 = 0
        do {
            let writer = try OpenFile("/proc/self/fd/\(ends[1])", O_WRONLY)
            close(ends[1])
            #expect(System.call { read(ends[0], &byte, 1) } == .failure(Errno(EAGAIN)))
            #expect(System.call { write(writer.descriptor, &byte, 1) } == .success(1))
        }
        #expect(System.call { read(ends[0], &byte, 1) } == .success(1))
        // Nobody has the other end any more.
        #expect(System.call { read(ends[0], &byte, 1) } == .success(0))
        close(ends[0])
    }
}
