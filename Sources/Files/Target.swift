// SPDX-License-Identifier: MIT OR Apache-2.0

package import Glibc

/// What a data set is written to, or read from: a file, unless it is asked for something else.
package struct Target: Codable, Equatable, Sendable {
    package enum Kind: String, Codable, Sendable {
        case file
        /// A block device.
        case device
        /// `/dev/null`, which keeps nothing.
        case null
        /// A pipe, or standard output: bytes in order, from one process.
        case stream
    }

    package var kind = Kind.file
    /// The number and the bytes of a device.
    package var number: dev_t = 0
    package var deviceBytes = 0
    /// Whether it was said that a device is meant.
    package var isDeviceMeant = false
    /// The file that was named for the manifest.
    package var manifest: String?

    package init(isDeviceMeant: Bool = false, manifest: String? = nil) {
        (self.isDeviceMeant, self.manifest) = (isDeviceMeant, manifest)
    }

    /// A file, with its manifest beside it.
    package static let file = Target()
    /// What stands for standard output.
    package static let standardOutput = "-"

    package var isFile: Bool { kind == .file }

    /// Where the manifest of the data at `path` is; nil where none is kept.
    package func manifestPath(for path: String) -> String? {
        manifest ?? (isFile ? Manifest.path(for: path) : nil)
    }
}
