// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// The stream for log, progress and errors.
enum StandardError {
    /// Writes `text` in one call, so that lines of several ranks do not mix.
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            // Nowhere to report a failure of the stream that failures are reported on.
            _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }
}
