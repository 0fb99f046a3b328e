// swift-tools-version: 6.1
// SPDX-License-Identifier: MIT OR Apache-2.0

import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "dgen-mpi",
    products: [
        .executable(name: "dgen-mpi", targets: ["DGenCommand"]),
        .library(name: "DataGen", targets: ["DataGen"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // C: what Swift cannot say itself.
        .systemLibrary(
            name: "CMPI", pkgConfig: "ompi-c",
            providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),

        // Computation: no input, no output, no Foundation.
        .target(name: "Xoshiro", swiftSettings: strict),
        .target(
            name: "DataGen",
            dependencies: ["Xoshiro", .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),

        // The outside world.
        .target(
            name: "MPI",
            dependencies: ["CMPI", .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),

        // Entry points.
        .executableTarget(
            name: "DGenCommand",
            dependencies: [
                "DataGen", "MPI", "Yams",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // Tests, one folder per module; `Vectors` holds the reference values that they share.
        .target(
            name: "Vectors", path: "Tests/Vectors", resources: [.embedInCode("format-v1.json")],
            swiftSettings: strict),
        .testTarget(
            name: "XoshiroTests", dependencies: ["Xoshiro", "Vectors"], swiftSettings: strict),
        .testTarget(
            name: "DataGenTests", dependencies: ["DataGen", "Vectors"], swiftSettings: strict),
        .testTarget(
            name: "DGenCommandTests", dependencies: ["DGenCommand", "Vectors"],
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests", dependencies: ["DGenCommand", "DataGen", "Vectors"],
            swiftSettings: strict),
    ]
)
