// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import FoundationEssentials
import Glibc

/// A block device, and what the kernel tells of those who use it.
///
/// That nobody else has it is what an exclusive open proves, also of mounts in other namespaces; what the kernel lists says
/// who it is, and knows of some that open devices like anybody else.
struct BlockDevice {
    /// Its number, as the kernel writes it: `8:1`.
    let number: String
    private let sys: String

    /// Knows a device by its number; `sys` is where the kernel shows what it has.
    init(_ number: String, sys: String = "/sys") {
        (self.number, self.sys) = (number, sys)
    }

    init(_ number: dev_t) {
        let (major, minor) = (
            number >> 8 & 0xFFF | number >> 32 & 0xFFFF_F000,
            number & 0xFF | number >> 12 & 0xFFFF_FF00
        )
        self.init("\(major):\(minor)")
    }

    /// The device at a path; nil for what is none.
    private static func at(_ path: String) -> String? {
        guard path.hasPrefix("/"), let status = try? System.status(path).get(),
            status.st_mode & S_IFMT == S_IFBLK
        else { return nil }
        return BlockDevice(status.st_rdev).number
    }

    /// The bytes of the device at `path`.
    static func bytes(_ path: String) throws(Failure) -> Int {
        try bytes(OpenFile(path, O_RDONLY | O_NONBLOCK, or: "cannot be opened"), path)
    }

    /// The bytes of an open device.
    ///
    /// The corresponding C function is `lseek`.
    static func bytes(_ device: borrowing OpenFile, _ path: String) throws(Failure) -> Int {
        let descriptor = device.descriptor
        return Int(
            try System.call { lseek(descriptor, 0, SEEK_END) }.get(path, "its size is not known"))
    }

    private var folder: String { "\(sys)/dev/block/\(number)" }

    private func text(_ name: String) -> String? {
        Self.line("\(folder)/\(name)")
    }

    /// What a file of the kernel says in its one line; nil for nothing.
    private static func line(_ path: String) -> String? {
        let text = try? FileSystem.readText(path, bytesMax: 1 << 16, what: "state of a device")
        return text?.split(whereSeparator: \.isNewline).first.map(String.init)
    }

    private func names(_ name: String = "") -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(name)").sorted()) ?? []
    }

    /// What people call it: `sda1`.
    var name: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: folder))
            .map(FileSystem.name) ?? number
    }

    var isReadOnly: Bool { text("ro") == "1" }

    /// The devices that are made of this one: of RAID, LVM, encryption.
    private var holders: [String] { names("holders") }

    /// The parts of a disk.
    private var parts: [BlockDevice] {
        names().filter { FileManager.default.fileExists(atPath: "\(folder)/\($0)/partition") }
            .compactMap { part in text("\(part)/dev").map { BlockDevice($0, sys: sys) } }
    }

    /// The disk that it is a part of.
    private var disk: BlockDevice? {
        // Through the link: the disk is the folder that holds that of its part.
        guard text("partition") != nil else { return nil }
        return text("../dev").map { BlockDevice($0, sys: sys) }
    }

    /// What is the same on every node that has the device; nil where nothing is.
    var worldwideName: String? {
        if let disk {
            return disk.worldwideName.flatMap { name in text("partition").map { "\(name)-\($0)" } }
        }
        if let uuid = text("dm/uuid"), uuid.hasPrefix("mpath-") { return uuid }
        return text("wwid") ?? text("device/wwid")
    }

    /// Who uses it, or a part of it, or all of the disk that it is a part of; nil for nobody that the kernel lists.
    func user(
        mounts: String = FileSystem.mounts, swaps: String = Self.swaps
    ) -> String? {
        for device in [self] + parts + (disk.map { [$0] } ?? []) {
            let (number, what) = (
                device.number, device.number == self.number ? "it" : device.name
            )
            for mount in FileSystem.parsed(mounts)
            where mount.number == number || Self.at(mount.source) == number {
                return "\(what) is mounted at \(mount.point)"
            }
            for line in swaps.split(separator: "\n") {
                let path = line.prefix { !$0.isWhitespace }
                guard Self.at(FileSystem.unescaped(path)) == number else { continue }
                return "\(what) is used as swap"
            }
            if let holder = device.holders.first { return "\(what) is a part of \(holder)" }
            if let loop = device.loopAbove { return "\(what) is a part of \(loop)" }
        }
        return nil
    }

    /// The swap areas as the kernel lists them.
    static var swaps: String {
        (try? FileSystem.readText("/proc/swaps", bytesMax: 1 << 20, what: "swap areas")) ?? ""
    }

    /// A loop device that has this one for its file, which is no holder.
    private var loopAbove: String? {
        let loops = (try? FileManager.default.contentsOfDirectory(atPath: "\(sys)/block")) ?? []
        return loops.sorted().first { loop in
            guard loop.hasPrefix("loop"),
                let file = Self.line("\(sys)/block/\(loop)/loop/backing_file")
            else { return false }
            // Its name may be one of another root, or gone.
            return Self.at(file) == number || Self.below("/dev/\(loop)") == number
        }
    }

    /// Linux's `LOOP_GET_STATUS64`, what it fills in, and which of these words is the number of the device that is used.
    private static let loopStatus: (request: UInt, words: Int, device: Int) = (0x4C05, 29, 2)

    /// The device that the loop device at `path` uses; nil where it uses a file, or does not tell.
    ///
    /// The corresponding C function is `ioctl`.
    private static func below(_ path: String) -> String? {
        guard at(path) != nil, let loop = try? OpenFile(path, O_RDONLY | O_NONBLOCK) else {
            return nil
        }
        var words = [UInt64](repeating: 0, count: loopStatus.words)
        let descriptor = loop.descriptor
        let answer = words.withUnsafeMutableBytes { words in
            words.baseAddress.map { ioctl(descriptor, loopStatus.request, $0) } ?? -1
        }
        let number = dev_t(words[loopStatus.device])
        return answer == 0 && number != 0 ? BlockDevice(number).number : nil
    }
}

/// A block device that nobody else on this node has as long as this lives: no mount, no RAID, nobody who asks as well.
final class DeviceClaim {
    private let file: OpenFile

    /// Linux's `F_OFD_GETLK`, which the C library's headers hide from Swift.
    private static let getLock: Int32 = 36

    /// Takes the device that was found at `path`; `bytes` of it will be written.
    init(_ path: String, _ target: Target, bytes: Int) throws(Failure) {
        _ = try Place(path)
        let device = BlockDevice(target.number)
        guard !device.isReadOnly else {
            throw Failure(.inputOutput, "output: \(path) is read-only")
        }
        if let user = device.user() { throw Self.inUse(path, user) }
        do {
            file = try OpenFile(path, O_RDWR | O_EXCL | O_NONBLOCK)
        } catch {
            guard error.code == EBUSY else {
                throw FileSystem.failure(path, "cannot be opened", error)
            }
            throw Self.inUse(path, "somebody has it who shares it with nobody")
        }
        try target.require(file.status().get(path, "cannot be examined"), path)
        let found = try BlockDevice.bytes(file, path)
        guard found >= bytes else {
            throw Failure(
                .inputOutput,
                "output: \(path) has \(ByteSize.format(found)) but \(ByteSize.format(bytes)) are needed"
            )
        }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        let descriptor = file.descriptor
        let answer = System.call { fcntl(descriptor, Self.getLock, &lock) }
        // Where there are no locks, nobody has one.
        if case .success = answer, lock.l_type != Int16(F_UNLCK) {
            throw Self.inUse(path, "somebody has locked it, as virtual machines do")
        }
        // Shared, as udev has it for a moment when it looks at a disk; tools that change one lock it for themselves.
        if case .failure(Errno(EWOULDBLOCK)) = file.lock(shared: true) {
            throw Self.inUse(path, "somebody has locked it, as tools that change disks do")
        }
    }

    private static func inUse(_ path: String, _ who: String) -> Failure {
        Failure(
            .usage, "output: \(path) is in use: \(who); it is left as it is, whatever is said")
    }

    /// What may be on a device that is taken.
    enum Content {
        /// Whatever it is.
        case anything
        /// Nothing.
        case nothing
        /// Data sets, the one that is written first, and whatever became of them; but no format that was put over them.
        case dataSets([DataSpec], Kernel)
    }

    /// Fails where something else is on the device at `path`, as samples show.
    func require(_ content: Content, _ path: String) throws(Failure) {
        switch content {
        case .anything: break
        case .nothing: try requireEmpty(path)
        case .dataSets(let specs, let kernel): try requireUnformatted(path, specs, kernel)
        }
    }

    /// Fails where a known format has come to be in the place of data sets.
    private func requireUnformatted(
        _ path: String, _ specs: [DataSpec], _ kernel: Kernel
    ) throws(Failure) {
        let bytes = try BlockDevice.bytes(file, path)
        posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
        var generators = specs.map { Generator($0, kernel: kernel) }
        let found = try DeviceContent.newFormat(
            bytes: bytes, over: specs.first?.size ?? 0
        ) { offset, mark in
            generators.indices.contains { index in
                guard offset <= generators[index].spec.size - mark.count else { return false }
                var made = [UInt8](repeating: 0, count: mark.count)
                made.withUnsafeMutableBytes { generators[index].fill($0, at: offset) }
                return made == mark
            }
        } read: { (part, offset) throws(Failure) in
            try file.read(into: part, at: offset).get(path, "cannot be read at offset \(offset)")
        }
        guard let found else { return }
        throw Failure(
            .usage,
            "output: \(path) holds \(found), where the data set was; it is left as it is (generate "
                + "--overwrite replaces it)")
    }

    /// Fails unless all that is looked at is zero.
    private func requireEmpty(_ path: String) throws(Failure) {
        let bytes = try BlockDevice.bytes(file, path)
        // What another node has written meanwhile is not what this one remembers.
        posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
        let found = try DeviceContent.find(bytes: bytes) { (part, offset) throws(Failure) in
            try file.read(into: part, at: offset).get(path, "cannot be read at offset \(offset)")
        }
        guard let found else { return }
        throw Failure(
            .usage,
            "output: \(path) is not empty: \(found); it is left as it is without --overwrite")
    }
}
