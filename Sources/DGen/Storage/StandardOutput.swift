// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// The stream for results.
enum StandardOutput {
    /// Writes all of `bytes`, or fails where nobody takes them, such as a full disk or a pipe that was closed.
    static func write(_ bytes: some Sequence<UInt8>) throws(Failure) {
        try FileSystem.writeAll(Array(bytes), to: STDOUT_FILENO, "standard output")
    }
}
