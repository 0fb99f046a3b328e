// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Logging
import NUMA
import Options

/// What all operations of a run know, the same from its begin to its end: the ranks, who watches them, and which threads
/// of each make bytes.
final class Run {
    struct Threads {
        /// Those that make bytes, at most.
        var count = 1
        /// Whether a thread may wait awake and take no processor from another.
        var hasSpareProcessor = false
        var kernel = Kernel.fastest
        /// Puts them and their memory on memory nodes; nil for wherever the system likes.
        var placer: Placer?
    }

    let session: Session
    let threads: Threads
    let logger = Logger(label: "command")
    let generatorLogger = Logger(label: "generator")
    let mpiLogger = Logger(label: "mpi")
    private let progressStyle: ProgressStyle

    var watchdog: Watchdog { session.watchdog }

    init(_ session: Session, threads: Threads = Threads(), progress: ProgressStyle = .none) {
        self.session = session
        self.threads = threads
        progressStyle = progress
    }

    /// The same for some of its ranks, which go on by themselves for a while.
    init(_ whole: Run, of session: Session) {
        self.session = session
        threads = whole.threads
        progressStyle = whole.progressStyle
    }

    /// What shows how far an operation over `totalBytes` is; nil on all ranks but 0.
    func progress(title: String, totalBytes: Int) -> Progress? {
        session.isRoot ? Progress(progressStyle, title: title, totalBytes: totalBytes) : nil
    }
}
