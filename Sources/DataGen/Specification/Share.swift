// SPDX-License-Identifier: MIT OR Apache-2.0

/// A part of a whole, held exactly as whole millionths (FORMAT.md section 7).
public struct Share: Sendable, Hashable, Comparable {
    /// A million times the share.
    public let millionths: Int

    /// The whole, in millionths.
    public static let whole = 1_000_000

    /// A share of `millionths` / 1000000.
    ///
    /// Whether it is legal is decided by ``DataSpec``.
    public init(millionths: Int) { self.millionths = millionths }

    /// Reads a decimal number exactly, without floating point: a fraction with at most 6 decimals, or per cent with at most 4.
    ///
    /// - Parameters:
    ///   - text: for example `0.05` or `5%`.
    ///   - field: the name to use in the error.
    /// - Throws: ``InvalidField`` for anything else, and for more than the whole.
    public init(parsing text: String, field: String) throws(InvalidField) {
        let isPercent = text.hasSuffix("%")
        let number = isPercent ? String(text.dropLast()) : text
        let decimalsMax = isPercent ? 4 : 6
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        let decimals = parts.count == 2 ? parts[1].utf8.count : 0
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }),
            parts.joined().utf8.allSatisfy(\.isDigit), decimals <= decimalsMax,
            let millionths = Int(
                parts.joined() + String(repeating: "0", count: decimalsMax - decimals)),
            millionths <= Self.whole
        else {
            throw InvalidField(
                field: field, value: text,
                accepted: "0 to 1 with at most 6 decimals, or 0% to 100% with at most 4")
        }
        self.millionths = millionths
    }

    /// The nearest double-precision number, which prints with the same decimals.
    public var doubleValue: Double { Double(millionths) / Double(Self.whole) }

    /// Whether one share is less than another.
    public static func < (left: Share, right: Share) -> Bool { left.millionths < right.millionths }
}

extension Share: CustomStringConvertible {
    /// In per cent, as short as it goes: `5%`, `29.27%`.
    public var description: String {
        let (whole, rest) = millionths.quotientAndRemainder(dividingBy: 10_000)
        guard rest > 0 else { return "\(whole)%" }
        var decimals = String(repeating: "0", count: 4 - "\(rest)".count) + "\(rest)"
        while decimals.hasSuffix("0") { decimals.removeLast() }
        return "\(whole).\(decimals)%"
    }
}
