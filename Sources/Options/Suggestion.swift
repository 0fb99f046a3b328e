// SPDX-License-Identifier: MIT OR Apache-2.0

extension String {
    /// The one of `names` that this was probably meant to be, if one is near.
    package func nearest(in names: [String]) -> String? {
        // What is far longer than any name is like none, and takes long to compare.
        guard utf8.count <= 64 else { return nil }
        let wanted = lowercased().replacing("-", with: "_")
        let ranked = names.map { (name: $0, distance: wanted.editDistance(to: $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }),
            best.distance <= max(2, best.name.count / 3)
        else { return nil }
        return best.name
    }

    /// The fewest insertions, deletions and replacements that lead to `other` (Levenshtein).
    private func editDistance(to other: String) -> Int {
        let other = Array(other)
        var row = Array(0...other.count)
        for (index, letter) in enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in other.indices {
                let replaced = diagonal + (letter == other[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = Swift.min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[other.count]
    }
}
