// SPDX-License-Identifier: MIT OR Apache-2.0
// Classes and rings as people write them: `2:29.27%`, `1.5:30%`, `10%:15%`.

extension Composition.CopyClass: CustomStringConvertible {
    /// What is read, in words.
    package static let accepted = "COPIES:SHARE, such as 2:29.27% or 2:0.2927"

    /// Reads a class.
    ///
    /// - Throws: ``InvalidField`` for anything else than ``accepted``.
    public init(parsing text: String, field: String) throws(InvalidField) {
        let parts = try Composition.parts(text, 2...2, field, Self.accepted)
        guard let copies = Int(parts[0]), parts[0].utf8.allSatisfy(\.isDigit) else {
            throw InvalidField(field: field, value: text, accepted: Self.accepted)
        }
        self.init(copies: copies, share: try Share(parsing: parts[1], field: field))
    }

    /// The shortest text that is read as this class.
    public var description: String { "\(copies):\(share)" }
}

extension Composition.CompressClass: CustomStringConvertible {
    /// What is read, in words.
    package static let accepted = "RATIO:SHARE, such as 2:50% or 1.5:0.5"

    /// Reads a class.
    ///
    /// - Throws: ``InvalidField`` for anything else than ``accepted``.
    public init(parsing text: String, field: String) throws(InvalidField) {
        let parts = try Composition.parts(text, 2...2, field, Self.accepted)
        self.init(
            ratio: try Ratio(parsing: parts[0], field: field),
            share: try Share(parsing: parts[1], field: field))
    }

    /// The shortest text that is read as this class.
    public var description: String { "\(ratio):\(share)" }
}

extension Composition.Ring: CustomStringConvertible {
    /// What is read, in words.
    package static let accepted =
        "SHARE:RATE, such as 10%:15%, or the rate of all contents, such as 2%"

    /// Reads a ring.
    ///
    /// - Throws: ``InvalidField`` for anything else than ``accepted``.
    public init(parsing text: String, field: String) throws(InvalidField) {
        let parts = try Composition.parts(text, 1...2, field, Self.accepted)
        self.init(
            share: parts.count == 2
                ? try Share(parsing: parts[0], field: field) : Share(millionths: Share.whole),
            rate: try Share(parsing: parts[parts.count - 1], field: field))
    }

    /// The shortest text that is read as this ring.
    public var description: String {
        share.millionths == Share.whole ? "\(rate)" : "\(share):\(rate)"
    }
}

extension Composition {
    fileprivate static func parts(
        _ text: String, _ count: ClosedRange<Int>, _ field: String, _ accepted: String
    ) throws(InvalidField) -> [String] {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard count.contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
            throw InvalidField(field: field, value: text, accepted: accepted)
        }
        return parts
    }

    /// A list of classes or rings as one text.
    package static func text(_ list: [some CustomStringConvertible]) -> String {
        list.map(\.description).joined(separator: ",")
    }
}
