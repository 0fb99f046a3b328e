// SPDX-License-Identifier: MIT OR Apache-2.0

/// Every option that a job file or the environment may give, by its name in job files.
///
/// `--dedup-ratio` on the command line, `DGEN_DEDUP_RATIO` in the environment and `dedup_ratio` in a job
/// file are the same option.
enum OptionKey: String, CaseIterable, Codable, CodingKeyRepresentable {
    case size, seed, fill
    case dedupRatio = "dedup_ratio"
    case compressRatio = "compress_ratio"
    case dedupUnit = "dedup_unit"
    case compressUnit = "compress_unit"
    case output, align, collective, hint, ranks, overwrite, progress, report, quiet, verbose
    case transferSize = "transfer_size"
    case spaceCheck = "space_check"
    case threads, watchdog, numa
    case numaNode = "numa_node"

    var environmentName: String { "DGEN_" + rawValue.uppercased() }

    /// The known key that `name` was probably meant to be, if one is near.
    static func nearest(to name: String) -> OptionKey? {
        let wanted = name.lowercased().replacing("-", with: "_")
        let ranked = allCases.map { (key: $0, distance: editDistance(wanted, $0.rawValue)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }),
            best.distance <= max(2, best.key.rawValue.count / 3)
        else { return nil }
        return best.key
    }

    /// The fewest insertions, deletions and replacements between two words (Levenshtein).
    private static func editDistance(_ first: String, _ second: String) -> Int {
        let second = Array(second)
        var row = Array(0...second.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in second.indices {
                let replaced = diagonal + (letter == second[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[second.count]
    }
}
