// SPDX-License-Identifier: MIT OR Apache-2.0

/// A profile that comes with the program: a file of the folder `Profiles`.
package struct ReadyProfile: Sendable {
    package let name: String
    /// YAML; `DGen` reads it.
    package let text: String

    private init(_ name: String, _ bytes: [UInt8]) {
        self.name = name
        text = String(decoding: bytes, as: UTF8.self)
    }

    /// All of them, in the order in which people are told of them.
    package static let all = [
        ReadyProfile("archive", PackageResources.archive_yaml),
        ReadyProfile("high-performance", PackageResources.high_performance_yaml),
        ReadyProfile("kernel-sources", PackageResources.kernel_sources_yaml),
        ReadyProfile("personal-files", PackageResources.personal_files_yaml),
        ReadyProfile("vm-images", PackageResources.vm_images_yaml),
        ReadyProfile("virtual-desktops", PackageResources.virtual_desktops_yaml),
        ReadyProfile("database", PackageResources.database_yaml),
        ReadyProfile("daily-backups", PackageResources.daily_backups_yaml),
        ReadyProfile("checkpoints", PackageResources.checkpoints_yaml),
    ]

    /// The text of the one with a name; nil where there is none.
    package static func text(of name: String) -> String? { all.first { $0.name == name }?.text }
}
