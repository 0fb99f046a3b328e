// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen

/// A data specification as manifests and reports have it.
struct EncodedSpec: Encodable {
    let size: Int
    let seed: UInt64
    let dedupRatio: Double
    let compressRatio: Double
    let dedupUnit: Int
    let compressUnit: Int
    let fill: String

    init(_ spec: DataSpec) {
        size = spec.size
        seed = spec.seed
        dedupRatio = spec.dedupRatio.doubleValue
        compressRatio = spec.compressRatio.doubleValue
        dedupUnit = spec.dedupUnit
        compressUnit = spec.compressUnit
        fill = spec.fill.rawValue
    }
}
