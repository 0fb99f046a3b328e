// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Results for people, on stdout: a name and a value a line.
struct Table {
    private var rows: [(name: String, value: String)] = []

    mutating func row(_ name: String, _ value: String) { rows.append((name, value)) }

    /// The rows, names padded to one width.
    var text: String {
        let width = (rows.map(\.name.count).max() ?? 0) + 2
        return rows.map { row in
            guard !row.value.isEmpty else { return row.name + "\n" }
            return row.name + String(repeating: " ", count: width - row.name.count) + row.value
                + "\n"
        }.joined()
    }

    /// Texts in columns of these widths, flush right, or flush left where the width is below 0.
    static func line(_ cells: [String], widths: [Int]) -> String {
        zip(cells, widths).map { text, width in
            let space = String(repeating: " ", count: max(0, abs(width) - text.count))
            return width < 0 ? text + space : space + text
        }.joined(separator: "  ")
    }
}

extension Double {
    func fixed(_ decimals: Int) -> String {
        Self.text("%.*f", decimals, self)
    }

    /// A bound from above with so many significant digits: the next such number where it has more.
    func significantRoundedUp(_ digits: Int) -> String {
        let text = Self.text("%.*g", digits, self)
        guard let rounded = Double(text), rounded < self else { return text }
        // One in the last digit, which is at least so large that the text changes, and at most twice.
        let exponent = Int(Glibc.log10(self).rounded(.down)) - digits + 1
        return Self.text("%.*g", digits, rounded + Glibc.pow(10, Double(exponent)))
    }

    /// A number as C's `printf` has it.
    private static func text(_ format: String, _ digits: Int, _ value: Double) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { room in
            guard let text = room.baseAddress else { return "" }
            withVaList([Int32(digits), value]) { _ = vsnprintf(text, room.count, format, $0) }
            return String(cString: text)
        }
    }
}
