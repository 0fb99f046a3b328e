// SPDX-License-Identifier: MIT OR Apache-2.0

internal import Xoshiro
internal import XoshiroX86V3
internal import XoshiroX86V4

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

    /// The kernel that the variable `DGEN_KERNEL` names, or the fastest where it is nil.
    ///
    /// - Throws: ``InvalidField`` for a name that is not known, or a kernel that this machine cannot run.
    package static func chosen(by name: String?) throws(InvalidField) -> Kernel {
        guard let name else { return .fastest }
        guard let kernel = Kernel(rawValue: name), kernel.isSupported else {
            throw InvalidField(
                field: "DGEN_KERNEL", value: name,
                accepted: "one that this processor can run: "
                    + supported.map(\.rawValue).joined(separator: " "))
        }
        return kernel
    }

    /// Whether it is used as processors with many wide registers like it best.
    ///
    /// The state of sixteen lanes stays in registers there, and one instruction chooses words of two
    /// vectors.
    var isWide: Bool { self == .x86V4 }

    /// Uses `spacing.total` outputs in a row with eight lanes.
    ///
    /// Not for ``scalar``, which has no lanes.
    func run(
        _ lanes: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer, _ spacing: LaneSpacing
    ) -> Bool {
        loop(runLanesBaseline, runLanesX86V3, runLanesX86V4)(
            &lanes, use, memory, spacing.distance)
    }

    /// Uses `spacing.total` outputs in a row with sixteen lanes.
    func run(
        _ first: inout Lanes, _ second: inout Lanes, _ use: Use, at memory: UnsafeMutableRawPointer,
        _ spacing: LaneSpacing
    ) -> Bool {
        loop(runLanePairBaseline, runLanePairX86V3, runLanePairX86V4)(
            &first, &second, use, memory, spacing.distance)
    }

    /// Uses `count` outputs of each of eight lanes, each at a place of its own.
    func run(
        _ lanes: inout Lanes, _ use: Use, at places: UnsafePointer<UnsafeMutableRawPointer>,
        count: Int
    ) -> Bool {
        loop(runScatteredLanesBaseline, runScatteredLanesX86V3, runScatteredLanesX86V4)(
            &lanes, use, places, count)
    }

    /// Uses `count` outputs of each of sixteen lanes, each at a place of its own.
    func run(
        _ first: inout Lanes, _ second: inout Lanes, _ use: Use,
        at places: UnsafePointer<UnsafeMutableRawPointer>, count: Int
    ) -> Bool {
        loop(
            runScatteredLanePairBaseline, runScatteredLanePairX86V3, runScatteredLanePairX86V4)(
                &first, &second, use, places, count)
    }

    /// Uses a run of grains with eight lanes; see ``Lanes``.
    func run(
        _ lanes: UnsafeMutablePointer<Lanes>, _ use: Use,
        at places: UnsafePointer<UnsafeMutableRawPointer>,
        _ run: GrainRun, scratch: UnsafeMutableRawPointer, words: inout Int
    ) -> Bool {
        loop(runGrainLanesBaseline, runGrainLanesX86V3, runGrainLanesX86V4)(
            lanes, use, places, run, scratch, &words)
    }

    /// Moves all lanes on by the distance of `polynomial`.
    func jump(_ lanes: inout Lanes, _ polynomial: JumpPolynomial) {
        loop(jumpLanesBaseline, jumpLanesX86V3, jumpLanesX86V4)(&lanes, polynomial)
    }

    /// Moves sixteen lanes on by the distance of `polynomial`.
    func jump(_ first: inout Lanes, _ second: inout Lanes, _ polynomial: JumpPolynomial) {
        loop(jumpLanePairBaseline, jumpLanePairX86V3, jumpLanePairX86V4)(
            &first, &second, polynomial)
    }

    /// Puts lanes at the beginnings of the streams of contents; see ``Lanes``.
    func begin(
        _ lanes: UnsafeMutablePointer<Lanes>, _ count: Int, _ streams: ContentStreams,
        _ numbers: UnsafePointer<UInt64>, generations: UnsafePointer<UInt64>?
    ) {
        // A call for each: a chosen function would be wrapped anew in each call.
        switch self {
        case .scalar, .baseline:
            beginLanesBaseline(lanes, count, streams, numbers, generations: generations)
        case .x86V3: beginLanesX86V3(lanes, count, streams, numbers, generations: generations)
        case .x86V4: beginLanesX86V4(lanes, count, streams, numbers, generations: generations)
        }
    }

    /// Permutes many numbers; see ``Scatter``.
    func permute(_ scatter: Scatter, _ numbers: UnsafeMutablePointer<UInt64>, _ total: Int) {
        switch self {
        case .scalar, .baseline: permuteLanesBaseline(scatter, numbers, total)
        case .x86V3: permuteLanesX86V3(scatter, numbers, total)
        case .x86V4: permuteLanesX86V4(scatter, numbers, total)
        }
    }

    /// That of the same loops which is compiled for this kernel.
    @inline(__always)
    private func loop<Loop>(_ baseline: Loop, _ x86V3: Loop, _ x86V4: Loop) -> Loop {
        switch self {
        case .scalar, .baseline: baseline
        case .x86V3: x86V3
        case .x86V4: x86V4
        }
    }
}
