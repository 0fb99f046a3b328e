// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options

/// What rank 0 shows on stderr of how far all ranks together are.
struct Progress {
    private let title: String
    private let totalBytes: Int
    private let style: ProgressStyle
    private let intervalSeconds: Double
    private let clock = Stopwatch()
    private var shownSeconds = 0.0
    private var hasBar = false

    /// Progress of an operation over `totalBytes`; with ``ProgressStyle/none`` it is shown when it is asked for only.
    init(_ style: ProgressStyle, title: String, totalBytes: Int) {
        self.style = style != .auto ? style : isatty(STDERR_FILENO) == 1 ? .bar : .lines
        self.title = title
        self.totalBytes = totalBytes
        intervalSeconds = self.style == .lines ? 5 : 0.2
    }

    /// Shows that `doneBytes` are done, if it is time to show something.
    mutating func update(doneBytes: Int) {
        let seconds = clock.elapsedSeconds
        if Interruption.wantsProgress {
            let text = Self.line(title, doneBytes, of: totalBytes, seconds: seconds, bar: false)
            return StandardError.write("dgen-mpi: \(text)\n")
        }
        // Programs hear of the end too, however soon it comes.
        let isEnd = style == .json && doneBytes >= totalBytes
        guard style != .none, isEnd || seconds - shownSeconds >= intervalSeconds else { return }
        shownSeconds = seconds
        guard style != .json else {
            return StandardError.write(
                """
                {"operation": "\(title)", "bytes": \(doneBytes), "total_bytes": \(totalBytes), \
                "seconds": \(seconds.fixed(3))}

                """)
        }
        hasBar = style == .bar
        let text = Self.line(title, doneBytes, of: totalBytes, seconds: seconds, bar: hasBar)
        StandardError.write(hasBar ? "\r\u{1B}[K\(text)" : "dgen-mpi: \(text)\n")
    }

    func finish() {
        if hasBar { StandardError.write("\r\u{1B}[K") }
    }

    /// One line: how much, how fast, how much longer.
    static func line(
        _ title: String, _ doneBytes: Int, of totalBytes: Int, seconds: Double, bar: Bool
    ) -> String {
        let share = totalBytes > 0 ? Double(doneBytes) / Double(totalBytes) : 1
        let rate = seconds > 0 ? Double(doneBytes) / seconds : 0
        let width = 24
        let filled = Int((share * Double(width)).rounded(.down))
        let picture =
            bar
            ? "[\(String(repeating: "#", count: filled))"
                + "\(String(repeating: ".", count: width - filled))] " : ""
        let left = rate > 0 ? duration(Double(totalBytes - doneBytes) / rate) : "unknown"
        return "\(title) \(picture)\(Int(share * 100))% \(ByteSize.format(doneBytes))"
            + " of \(ByteSize.format(totalBytes)), \(ByteSize.format(Int(rate)))/s, \(left) left"
    }

    /// A time for people: `45 s`, `3 min 20 s`, `2 h 5 min`.
    static func duration(_ seconds: Double) -> String {
        guard seconds < 1e9 else { return "years" }
        let whole = Int(seconds.rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}
