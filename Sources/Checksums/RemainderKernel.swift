// SPDX-License-Identifier: MIT OR Apache-2.0

internal import CCarryless

/// How the remainders of cyclic redundancy checks are computed; all come to the same.
public enum RemainderKernel: String, Sendable, CaseIterable {
    /// A byte at a time: the definition.
    case scalar
    /// Eight bytes at a time, with tables of 16 KiB.
    case tables
    /// With carry-less multiplication of blocks of 128 bits: PCLMULQDQ, PMULL.
    case folding
    /// With carry-less multiplication of vectors of 512 bits: VPCLMULQDQ with AVX-512.
    case wideFolding = "wide-folding"

    /// The bits that an instruction of this processor multiplies.
    private static let width = ccarryless_width()

    /// Whether this processor and operating system can run it.
    public var isSupported: Bool {
        switch self {
        case .scalar, .tables: true
        case .folding: Self.width >= 128
        case .wideFolding: Self.width >= 512
        }
    }

    /// Whether words are multiplied by an instruction.
    var isFolding: Bool { self == .folding || self == .wideFolding }

    /// The kernels that this machine can run, the plainest first.
    public static var supported: [RemainderKernel] { allCases.filter(\.isSupported) }

    /// The fastest kernel of this machine.
    public static let fastest: RemainderKernel = supported.last ?? .scalar

    /// This kernel, or where this machine cannot run it the next one that it can.
    package var orNext: RemainderKernel {
        isSupported ? self : self == .wideFolding ? RemainderKernel.folding.orNext : .tables
    }
}
