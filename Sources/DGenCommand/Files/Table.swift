// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation

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
}

extension Double {
    /// A number with a fixed count of decimals.
    func fixed(_ decimals: Int) -> String {
        String(format: "%.\(decimals)f", self)
    }

    /// A number with so many significant digits.
    func significant(_ digits: Int) -> String {
        String(format: "%.\(digits)g", self)
    }
}
