// SPDX-License-Identifier: MIT OR Apache-2.0

/// A file of MPI-IO hints, one a line: `KEY=VALUE`, or `KEY VALUE` as ROMIO reads them; `#` begins a comment.
enum HintsFile {
    /// The hints in `text`, as `--hint` has them; not checked yet.
    static func texts(_ text: String) -> [String] {
        var text = text.unicodeScalars[...]
        // A byte order mark, which some editors begin a file with.
        if text.first == "\u{FEFF}" { text.removeFirst() }
        return String(text).split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.prefix { $0 != "#" }
                .split(whereSeparator: \.isWhitespace)
            guard !words.isEmpty else { return nil }
            let joined = words.joined(separator: " ")
            guard !words[0].contains("="), words.count > 1 else { return joined }
            return "\(words[0])=\(words.dropFirst().joined(separator: " "))"
        }
    }
}
