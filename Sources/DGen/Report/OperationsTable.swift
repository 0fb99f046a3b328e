// SPDX-License-Identifier: MIT OR Apache-2.0

/// The operations of a report as CSV (RFC 4180): a header, and a line for each, for spreadsheets and scripts.
enum OperationsTable {
    /// What every such table begins with, in all versions.
    static let mark = "operation,iteration,status,path,"

    private static let columns: [(name: String, value: @Sendable (Report, Measurement) -> String)] =
        [
            ("operation", { $1.operation }),
            ("iteration", { "\($1.iteration)" }),
            ("status", { report, _ in report.status }),
            ("path", { report, _ in report.path ?? "" }),
            ("file_system", { report, _ in report.fileSystem ?? "" }),
            ("ranks", { report, _ in report.mpi.map { "\($0.ranks)" } ?? "" }),
            ("nodes", { report, _ in report.mpi.map { "\($0.nodes)" } ?? "" }),
            ("io", { report, _ in report.access }),
            ("collective", { "\($1.collective)" }),
            ("layout", { report, _ in report.layout }),
            ("segments", { report, _ in report.strided ? "strided" : "\(report.segments)" }),
            ("order", { report, _ in report.order }),
            ("sync", { report, _ in report.sync ?? "" }),
            ("queue_depth", { report, _ in "\(report.queueDepth)" }),
            ("transfer_size", { "\($1.transferSize)" }),
            ("bytes", { "\($1.bytes)" }),
            ("seconds", { "\($1.seconds)" }),
            ("bytes_per_second", { "\($1.bytesPerSecond)" }),
            ("open_seconds", { "\($1.openSeconds)" }),
            ("generate_seconds", { "\($1.generateSeconds)" }),
            ("transfer_seconds", { "\($1.transferSeconds)" }),
            ("sync_seconds", { "\($1.syncSeconds)" }),
            ("close_seconds", { "\($1.closeSeconds)" }),
            ("latency_p50_ns", { $1.latencyNs.map { "\($0.p50)" } ?? "" }),
            ("latency_p90_ns", { $1.latencyNs.map { "\($0.p90)" } ?? "" }),
            ("latency_p99_ns", { $1.latencyNs.map { "\($0.p99)" } ?? "" }),
            ("latency_p99_9_ns", { $1.latencyNs.map { "\($0.p999)" } ?? "" }),
            ("latency_max_ns", { $1.latencyNs.map { "\($0.max)" } ?? "" }),
            ("slowest_rank", { "\($1.slowestRank)" }),
            ("slowest_node", { $1.slowestNode }),
        ]

    static func text(_ report: Report) -> String {
        let lines = report.operations.map { operation in
            columns.map { quoted($0.value(report, operation)) }
        }
        return ([columns.map(\.name)] + lines).map { $0.joined(separator: ",") + "\r\n" }.joined()
    }

    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { ",\"\r\n".contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
