// swift-tools-version: 6.3
// SPDX-License-Identifier: MIT OR Apache-2.0

import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Whether it is compiled for x86-64: what `TARGET` says, see Sources/Linking/link.sh, or else what this machine is.
let isX86: Bool = {
    let target = Context.environment["TARGET"] ?? ""
    if target.hasPrefix("x86_64-") { return true }
    if target.hasPrefix("aarch64-") { return false }
    #if arch(x86_64)
        return true
    #else
        return false
    #endif
}()

/// Compiles a target for a level of x86-64.
///
/// Swift has no attribute for it, hence the flag.
func processor(_ level: String) -> [SwiftSetting] {
    isX86 ? [.unsafeFlags(["-Xcc", "-march=\(level)"])] : []
}

let package = Package(
    name: "dgen-mpi",
    products: [
        .executable(name: "dgen-mpi", targets: ["dgen-mpi"]),
        .library(name: "DataGen", targets: ["DataGen"]),
        .library(name: "DGenPython", type: .dynamic, targets: ["DGenPython"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C: what Swift cannot say itself.
        .systemLibrary(name: "CPython", pkgConfig: "python3", providers: [.apt(["python3-dev"])]),

        // MPI as a table of functions; what fills it is no part of the program, and compiled by make.
        .target(name: "CMPI", exclude: ["backend"]),
        .target(name: "CNUMA"),
        .target(name: "CVector"),
        .target(name: "CStart"),
        // Functions compiled for what they need, each by an attribute that Swift has no word for.
        .target(name: "CCarryless"),

        // Computation: no input, no output, no Foundation.
        .target(name: "Xoshiro", dependencies: ["CVector"], swiftSettings: strict),
        // The same loop for other instruction sets; on other architectures it is not used.
        .target(
            name: "XoshiroX86V3", dependencies: ["Xoshiro"],
            swiftSettings: strict + processor("x86-64-v3")),
        .target(
            name: "XoshiroX86V4", dependencies: ["Xoshiro"],
            swiftSettings: strict + processor("x86-64-v4")),
        .target(name: "Checksums", dependencies: ["CCarryless"], swiftSettings: strict),
        .target(
            name: "DataGen",
            dependencies: [
                "Checksums", "Xoshiro", "XoshiroX86V3", "XoshiroX86V4",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // The outside world.
        .target(
            name: "NUMA",
            dependencies: ["CNUMA", .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),
        .target(
            name: "MPI",
            dependencies: ["CMPI", .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),

        // The table of options: what both entry points accept, and in which words they refuse.
        .target(
            name: "Options", dependencies: ["Checksums", "DataGen", "NUMA"],
            resources: [.embedInCode("Profiles")], swiftSettings: strict),

        // Files and manifests: what may be made, replaced, and called complete, for both entry points.
        .target(name: "Files", dependencies: ["DataGen", "Options"], swiftSettings: strict),

        // The program: a library, so that tests may look at it, and an executable that calls it.
        .target(
            name: "DGen",
            dependencies: [
                "CStart", "Checksums", "DataGen", "Files", "MPI", "NUMA", "Options", "Xoshiro",
                "Yams",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "dgen-mpi", dependencies: ["DGen"], swiftSettings: strict,
            // How MPI ends a process that it does not start in, see CStart.
            linkerSettings: [
                .unsafeFlags([
                    "-Xlinker", "--export-dynamic-symbol=_exit",
                    "-Xlinker", "--export-dynamic-symbol=ompi_mpi_abort",
                ])
            ]),

        // What Python calls; no MPI, no Foundation.
        .target(
            name: "DGenPython",
            dependencies: [
                "CPython", "Checksums", "DataGen", "Files", "NUMA", "Options",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // Tests, one folder per module; what they share: the reference values, how long they are, random numbers.
        .target(
            name: "Vectors", path: "Tests/Vectors",
            resources: [.embedInCode("format-v1.json"), .embedInCode("format-v2.json")],
            swiftSettings: strict),
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),
        .testTarget(
            name: "XoshiroTests", dependencies: ["Xoshiro", "Vectors"], swiftSettings: strict),
        .testTarget(
            name: "ChecksumsTests", dependencies: ["Checksums", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "DataGenTests",
            dependencies: ["Checksums", "DataGen", "TestSupport", "Vectors"],
            swiftSettings: strict),
        .testTarget(
            name: "NUMATests", dependencies: ["NUMA"], exclude: ["Topologies"],
            swiftSettings: strict),
        .testTarget(
            name: "DGenTests",
            dependencies: ["DGen", "MPI", "Options", "TestSupport", "Vectors"],
            swiftSettings: strict),
        .executableTarget(
            name: "RankTests", dependencies: ["DataGen", "DGen", "MPI", "Options"],
            path: "Tests/RankTests",
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["dgen-mpi", "DataGen", "RankTests", "TestSupport", "Vectors"],
            exclude: ["Cluster", "Faults", "Guests", "forbid-placement.py"],
            swiftSettings: strict),
    ]
)
