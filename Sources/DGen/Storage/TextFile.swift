// SPDX-License-Identifier: MIT OR Apache-2.0

extension FileSystem {
    /// A small text file, or a pipe, which is waited for until somebody interrupts the run.
    static func readTextOrPipe(
        _ path: String, bytesMax: Int, what: String
    ) throws(Failure) -> String {
        try readText(path, bytesMax: bytesMax, what: what) { () throws(Failure) in
            if let interruption = Interruption.failure { throw interruption }
        }
    }
}
