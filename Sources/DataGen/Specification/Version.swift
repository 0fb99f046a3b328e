// SPDX-License-Identifier: MIT OR Apache-2.0

/// The version of the program and of the Python package.
package enum Version {
    package static let current = "0.1.0"
}
