// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

/// The polynomials of the last few distances: from block to block, and from call to call of a regular
/// pattern, they are always the same, and ten times as dear to find as to use.
struct KnownJumps: Sendable {
    private var entries: [(distance: UInt64, polynomial: JumpPolynomial)] = []
    private var oldest = 0

    /// The polynomial of `distance`.
    mutating func polynomial(of distance: UInt64) -> JumpPolynomial {
        for entry in entries where entry.distance == distance { return entry.polynomial }
        let polynomial = JumpPolynomial(steps: distance)
        if entries.count < 4 {
            entries.append((distance, polynomial))
        } else {
            entries[oldest] = (distance, polynomial)
            oldest = (oldest + 1) % entries.count
        }
        return polynomial
    }
}
