// SPDX-License-Identifier: MIT OR Apache-2.0

/// The version of the program.
enum Version {
    static let current = "0.1.0"
}
