// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro

#if arch(x86_64)
    internal import XoshiroX86V3
    internal import XoshiroX86V4
#endif

/// The instruction set that the stream is made with; all make the same bytes.
public enum Kernel: String, Sendable, CaseIterable {
    /// One output at a time: the definition.
    case scalar
    /// Eight lanes, with what every processor of the architecture has.
    case baseline
    /// Eight lanes with AVX2.
    case x86V3 = "x86-v3"
    /// Eight lanes with AVX-512.
    case x86V4 = "x86-v4"

    /// Whether this processor and operating system can run it.
    public var isSupported: Bool {
        switch self {
        case .scalar, .baseline: true
        case .x86V3: processorLevel >= 3
        case .x86V4: processorLevel >= 4
        }
    }

    /// The kernels that this machine can run, the plainest first.
    public static var supported: [Kernel] { allCases.filter(\.isSupported) }

    /// The fastest kernel of this machine.
    ///
    /// With only the registers of the x86-64 baseline eight lanes are no faster than one.
    public static let fastest: Kernel = {
        #if arch(x86_64)
            supported.last { $0 != .baseline } ?? .scalar
        #else
            .baseline
        #endif
    }()

    /// Writes `spacing.total` outputs in a row to `target`.
    ///
    /// Not for ``scalar``, which has no lanes.
    func write(_ lanes: inout Lanes, to target: UnsafeMutableRawPointer, _ spacing: LaneSpacing) {
        switch self {
        #if arch(x86_64)
            case .x86V3: writeLanesX86V3(&lanes, to: target, distance: spacing.distance)
            case .x86V4: writeLanesX86V4(&lanes, to: target, distance: spacing.distance)
        #endif
        default: lanes.writeBaseline(to: target, distance: spacing.distance)
        }
    }

    /// Moves all lanes on by the distance of `polynomial`.
    func jump(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
        switch self {
        #if arch(x86_64)
            case .x86V3: jumpLanesX86V3(&lanes, polynomial)
            case .x86V4: jumpLanesX86V4(&lanes, polynomial)
        #endif
        default: lanes.jumpBaseline(polynomial)
        }
    }

    /// Writes 8 `countPerLane` grains; see ``Lanes``.
    func writeGrains(
        _ lanes: inout Lanes, to target: UnsafeMutableRawPointer, first: Int, countPerLane: Int,
        shape: GrainShape, scratch: UnsafeMutableRawPointer
    ) -> Int {
        switch self {
        #if arch(x86_64)
            case .x86V3:
                writeGrainLanesX86V3(
                    &lanes, to: target, first: first, countPerLane: countPerLane, shape: shape,
                    scratch: scratch)
            case .x86V4:
                writeGrainLanesX86V4(
                    &lanes, to: target, first: first, countPerLane: countPerLane, shape: shape,
                    scratch: scratch)
        #endif
        default:
            lanes.writeGrainsBaseline(
                to: target, first: first, countPerLane: countPerLane, shape: shape,
                scratch: scratch)
        }
    }
}
