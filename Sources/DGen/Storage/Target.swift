// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc
import Options

extension Target {
    /// Why no manifest is kept, for people.
    var whyNoManifest: String {
        kind == .null ? "none: /dev/null keeps nothing" : "none without --manifest FILE"
    }

    /// What is in the place that the options name; on rank 0.
    ///
    /// Fails where `device` is said of anything else, and where stdout is what nobody means.
    static func find(_ settings: Settings) throws(Failure) -> Target {
        let (isDeviceMeant, manifest) = try Failure.reading(
            (settings[.device], settings[.manifest]))
        guard let path = try Failure.reading(settings[.output]) else { return .file }
        var target = Target(isDeviceMeant: isDeviceMeant, manifest: manifest)
        if path == standardOutput {
            target.kind = .stream
        } else if let status = (try? FileSystem.state(path)) ?? nil {
            target.kind = status.targetKind
            target.number = status.st_rdev
            if target.kind == .stream { try StandardOutput.requireApart(status, path) }
        }
        guard !isDeviceMeant || target.kind == .device else {
            throw Failure(.usage, "device: \(path) is no block device")
        }
        if target.kind == .device {
            target.deviceBytes = try BlockDevice.bytes(path)
        }
        return target
    }

    /// Fails where what is open now is not what was found.
    func require(_ status: stat, _ path: String) throws(Failure) {
        guard status.targetKind == kind, status.st_rdev == number else {
            throw Failure(.inputOutput, "output: \(path) has become another one meanwhile")
        }
    }

    /// Fails where the right to write it is not asked for as it should be.
    func requireWritable(_ path: String) throws(Failure) {
        if kind == .device, !isDeviceMeant {
            throw Failure(
                .usage,
                "output: \(path) is a block device; it is left as it is without --device")
        }
        if isFile, manifest != nil {
            throw Failure(
                .usage,
                "manifest: a file that is written has its own beside it, \(Manifest.path(for: path))"
            )
        }
    }

    /// Fails where nothing can be read from it.
    func requireReadable(_ path: String) throws(Failure) {
        switch kind {
        case .file, .device: break
        case .null: throw Failure(.usage, "\(path): keeps nothing, so nothing can be read from it")
        case .stream: throw Failure(.usage, "\(path): a stream can only be written, by generate")
        }
    }
}

extension stat {
    fileprivate var targetKind: Target.Kind {
        switch st_mode & S_IFMT {
        case S_IFBLK: .device
        case S_IFCHR where st_rdev == Self.nullDevice: .null
        case S_IFIFO: .stream
        default: .file
        }
    }
}

extension Settings {
    /// Has options say what a target that is no file needs, and refuses those that mean nothing for it.
    mutating func fit(_ target: Target) throws(InvalidField) {
        guard !target.isFile else { return }
        let name =
            switch target.kind {
            case .device: "a device"
            case .null: "/dev/null"
            default: "a stream"
            }
        supply(Access.posix.rawValue, for: .access)
        guard try self[.access] == .posix else { throw refusal(.access, "posix for \(name)") }
        guard try layout() == .shared else { throw refusal(.layout, "shared for \(name)") }
        for row in [OptionRow.stripeCount, .stripeSize] where has(row) {
            throw refusal(row, "none for \(name)")
        }
        guard try !self[.preallocate] else { throw refusal(.preallocate, "no for \(name)") }
        if target.kind == .device { return }
        guard try !self[.resume] else { throw refusal(.resume, "no for \(name)") }
        guard try !self[.direct] else { throw refusal(.direct, "no for \(name)") }
        if target.kind == .null {
            supply(Phase.write.rawValue, for: .phases)
            guard try self[.phases].allSatisfy({ $0 == .write }) else {
                throw refusal(.phases, "write for \(name), which keeps nothing")
            }
            guard !has(.manifest) else { throw refusal(.manifest, "none for \(name)") }
        } else {
            guard try self[.order] == .sequential else {
                throw refusal(.order, "sequential for \(name)")
            }
        }
    }
}
