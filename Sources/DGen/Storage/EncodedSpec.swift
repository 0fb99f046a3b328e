// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// A data specification as manifests and reports have it.
struct EncodedSpec: Encodable {
    let size: Int
    let seed: UInt64
    /// Not where ``copies`` say how often contents are repeated.
    let dedupRatio: Double?
    /// Not where ``compressMix`` has the ratios.
    let compressRatio: Double?
    let dedupUnit: Int
    let compressUnit: Int
    let fill: String
    // Of version 2, what was given: classes and rings are pairs of numbers, shares parts of one.
    let copies: [[Number]]?
    let zeros: Number?
    let compressMix: [[Number]]?
    let run: Int?
    let change: [[Number]]?
    let generation: Int?

    /// A number that every reader takes for exactly what it is.
    enum Number: Encodable {
        case count(Int)
        case ratio(Ratio)
        case share(Share)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .count(let value): try container.encode(value)
            case .ratio(let ratio): try container.encode(ratio.doubleValue)
            // Smaller ones would get an exponent.
            case .share(let share) where (1..<100).contains(share.millionths):
                try container.encode(share.description)
            case .share(let share): try container.encode(share.doubleValue)
            }
        }
    }

    init(_ spec: DataSpec) {
        size = spec.size
        seed = spec.seed
        let composition = spec.composition
        dedupRatio = composition?.copies == nil ? spec.dedupRatio.doubleValue : nil
        compressRatio = composition?.compressMix == nil ? spec.compressRatio.doubleValue : nil
        dedupUnit = spec.dedupUnit
        compressUnit = spec.compressUnit
        fill = spec.fill.rawValue
        copies = composition?.copies?.map { [.count($0.copies), .share($0.share)] }
        zeros = composition?.zeros.map { .share($0) }
        compressMix = composition?.compressMix?.map { [.ratio($0.ratio), .share($0.share)] }
        run = composition?.run
        change = composition?.change?.map { [.share($0.share), .share($0.rate)] }
        generation = composition?.generation
    }
}
