// SPDX-License-Identifier: MIT OR Apache-2.0

/// Sizes as people write and read them.
///
/// This is the one parser and the one printer of sizes in the project.
public enum ByteSize {
    /// What ``parse(_:field:)`` accepts, for messages.
    public static let accepted =
        "bytes as 4096, 64KiB, 1.5GiB, 10GB or 4k (k m g t are binary), at most 2^63 - 1"

    /// The number of bytes that each suffix stands for, in lower case.
    private static let units: [String: UInt128] = {
        var units: [String: UInt128] = ["": 1, "b": 1]
        for (power, letter) in ["k", "m", "g", "t", "p", "e"].enumerated() {
            let binary = UInt128(1) << (10 * (UInt128(power) + 1))
            units[letter] = binary
            units[letter + "ib"] = binary
            units[letter + "b"] = (0...power).reduce(1) { decimal, _ in decimal * 1000 }
        }
        return units
    }()

    /// Reads a size exactly, without floating point.
    ///
    /// Upper and lower case are the same: `KiB`, `MiB`, ... `EiB` and the bare letters `k` ... `e` are
    /// powers of 1024, `KB` ... `EB` powers of 1000. A fraction must come out as whole bytes.
    ///
    /// - Parameters:
    ///   - text: the size, without spaces.
    ///   - field: the name to use in the error.
    /// - Returns: the number of bytes, 0 to 2^63 - 1.
    /// - Throws: ``InvalidField`` for anything else.
    public static func parse(_ text: String, field: String) throws(InvalidField) -> Int {
        let refusal = InvalidField(field: field, value: text, accepted: accepted)
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        let suffix = text.dropFirst(number.count).lowercased()
        guard let unit = units[suffix], (1...2).contains(parts.count),
            parts.allSatisfy({ !$0.isEmpty }), number.count <= 32,
            var digits = UInt128(parts.joined())
        else { throw refusal }
        // 32 digits times a unit may pass 2^128: bound the whole part first, then be exact.
        guard let whole = UInt128(parts[0]), whole <= UInt128(Int.max) else { throw refusal }
        var divisor: UInt128 = 1
        if parts.count == 2 {
            for _ in parts[1] { divisor *= 10 }
        }
        while divisor > 1, digits % 10 == 0 {
            digits /= 10
            divisor /= 10
        }
        let (product, overflow) = digits.multipliedReportingOverflow(by: unit)
        guard !overflow, product % divisor == 0, product / divisor <= UInt128(Int.max) else {
            throw refusal
        }
        return Int(product / divisor)
    }

    /// A size for people, in binary units with up to two decimals: `1.50 GiB`, `512 B`.
    public static func format(_ bytes: Int) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        let names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        let power = min((63 - bytes.leadingZeroBitCount) / 10, names.count)
        let unit = UInt128(1) << (10 * UInt128(power))
        let hundredths = UInt128(bytes) * 100 / unit
        let (whole, rest) = hundredths.quotientAndRemainder(dividingBy: 100)
        guard rest > 0 || UInt128(bytes) % unit != 0 else { return "\(whole) \(names[power - 1])" }
        return "\(whole).\(rest < 10 ? "0" : "")\(rest) \(names[power - 1])"
    }
}
