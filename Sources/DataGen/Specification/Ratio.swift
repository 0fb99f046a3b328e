// SPDX-License-Identifier: MIT OR Apache-2.0

/// A reduction ratio, held exactly as whole thousandths (FORMAT.md section 2).
public struct Ratio: Sendable, Hashable {
    /// A thousand times the ratio; `cm` and `dm` in FORMAT.md.
    public let thousandths: Int

    /// A ratio of `thousandths` / 1000.
    ///
    /// Whether it is legal is decided by ``DataSpec``.
    public init(thousandths: Int) {
        self.thousandths = thousandths
    }

    /// Reads a decimal number with at most three decimals exactly, without floating point.
    ///
    /// - Parameters:
    ///   - text: for example `2`, `2.5` or `1.333`.
    ///   - field: the name to use in the error.
    /// - Throws: ``InvalidField`` for anything else.
    public init(parsing text: String, field: String) throws(InvalidField) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let digits = parts.joined()
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }),
            digits.utf8.allSatisfy(\.isDigit),
            parts.count == 1 || parts[1].count <= 3,
            let thousandths = Int(
                digits + String(repeating: "0", count: parts.count == 1 ? 3 : 3 - parts[1].count))
        else {
            throw InvalidField(
                field: field, value: text,
                accepted: "a number from 1 up with at most 3 decimals, such as 2 or 1.333")
        }
        self.thousandths = thousandths
    }

    /// The nearest double-precision number, which prints with the same decimals.
    public var doubleValue: Double { Double(thousandths) / 1000 }
}

extension Ratio: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, CustomStringConvertible {
    /// A whole ratio.
    public init(integerLiteral value: Int) {
        thousandths = value * 1000
    }

    /// A ratio with decimals, rounded to the nearest thousandth.
    public init(floatLiteral value: Double) {
        thousandths = Int((value * 1000).rounded())
    }

    /// The shortest decimal form: `2`, `2.5`, `1.333`.
    public var description: String {
        let (whole, rest) = thousandths.quotientAndRemainder(dividingBy: 1000)
        guard rest > 0 else { return "\(whole)" }
        var decimals = String(repeating: "0", count: 3 - "\(rest)".count) + "\(rest)"
        while decimals.hasSuffix("0") { decimals.removeLast() }
        return "\(whole).\(decimals)"
    }
}
