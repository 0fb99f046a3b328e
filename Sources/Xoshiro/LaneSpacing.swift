// SPDX-License-Identifier: MIT OR Apache-2.0

/// How far lanes stand apart, with the jumps that put them there.
public struct LaneSpacing: Sendable {
    /// Outputs between neighbouring lanes; a multiple of 8 for lanes that fill memory in a row.
    public let distance: Int
    /// Eight, or sixteen in two groups.
    public let laneCount: Int
    /// The jumps by 1, 2 and 4 distances, and by 8 for a second group.
    public let doublings: [JumpPolynomial]

    /// Prepares lanes that stand `distance` outputs apart.
    public init(distance: Int, laneCount: Int = 8) {
        precondition(distance > 0, "lanes stand at different places")
        precondition(laneCount == 8 || laneCount == 16, "there are one or two groups of lanes")
        self.distance = distance
        self.laneCount = laneCount
        doublings = [1, 2, 4, 8].prefix(laneCount == 8 ? 3 : 4).map {
            JumpPolynomial(steps: $0 * UInt64(distance))
        }
    }

    /// Outputs that the narrowest spacing in use covers.
    public static let totalMin = 8 * ((1 << 8) - 8)

    /// Outputs that the lanes cover.
    public var total: Int { laneCount * distance }

    /// Gives the spacings in use, the widest first: a little less than powers of two, so that the places that
    /// are stored to do not fall on one set of the first-level cache.
    ///
    /// The widest covers just under 1 MiB, or 4 MiB with two groups, whose jump from one stretch to the next is
    /// 2 % of filling 1 MiB; the narrowest 16 KiB: below that placing the lanes costs more than they save.
    ///
    /// - Parameter isWide: whether there are registers for two groups of lanes; they are used down to
    ///   where moving twice the lanes costs more than it saves.
    /// - Returns: some spacings; the same for every call.
    public static func ladder(isWide: Bool) -> [LaneSpacing] { isWide ? pairLadder : ladder }

    private static let ladder = stride(from: 14, through: 8, by: -1).map {
        LaneSpacing(distance: (1 << $0) - 8)
    }

    private static let pairLadder =
        stride(from: 15, through: 9, by: -1).map {
            LaneSpacing(distance: (1 << $0) - 8, laneCount: 16)
        } + ladder.filter { $0.distance < 1 << 9 }
}
