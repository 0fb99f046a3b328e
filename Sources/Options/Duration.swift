// SPDX-License-Identifier: MIT OR Apache-2.0

extension Duration {
    /// What ``seconds(_:)`` accepts, for messages.
    static var accepted: String {
        "1 second to 10000 hours, as 90s, 30m, 2h, 1:30:00 or 90 seconds"
    }

    /// Reads seconds, `90s`, `30m`, `2h`, `M:SS` or `H:MM:SS`; nil for anything else.
    package static func seconds(_ text: String) -> Int? {
        guard text.utf8.count <= 16, text.utf8.allSatisfy({ $0 < 128 }) else { return nil }
        var digits = Substring(text)
        var unit = 1
        if let suffix = text.last, let seconds = ["s": 1, "m": 60, "h": 3600][suffix] {
            unit = seconds
            digits = text.dropLast()
        }
        let parts = digits.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 1 || digits.count == text.count && parts.count <= 3,
            parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isNumber) }),
            parts.dropFirst().allSatisfy({ $0.count == 2 && $0 < "60" })
        else { return nil }
        let seconds = parts.reduce(0) { $0 * 60 + (Int($1) ?? 0) } * unit
        return (1...36_000_000).contains(seconds) ? seconds : nil
    }
}
