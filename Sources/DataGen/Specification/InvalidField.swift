// SPDX-License-Identifier: MIT OR Apache-2.0

/// A value that a data specification or an option cannot have.
public struct InvalidField: Error, Equatable, CustomStringConvertible {
    /// The name of the field, in snake case as in manifests and job files.
    public let field: String
    /// The value as it was given.
    public let value: String
    /// What would have been accepted.
    public let accepted: String

    /// Describes a refusal.
    public init(field: String, value: String, accepted: String) {
        self.field = field
        self.value = value
        self.accepted = accepted
    }

    /// One line: field, value, what is accepted.
    public var description: String {
        "\(field): '\(value.inOneLine(bytesMax: 300))' is not accepted; give \(accepted)"
    }
}

extension String {
    /// The text as one line for people: what would end the line, move the cursor or turn the text around is written as
    /// an escape, and what is longer than `bytesMax` is cut.
    package func inOneLine(bytesMax: Int) -> String {
        var line = ""
        for scalar in unicodeScalars {
            guard line.utf8.count < bytesMax else { return line + "..." }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                line += scalar.escaped(asASCII: true)
            default:
                line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}
