// SPDX-License-Identifier: MIT OR Apache-2.0

import Glibc

/// Files that are written whole, or not at all.
extension FileSystem {
    /// Replaces the file at `path` by one with `bytes`, which has its mode.
    ///
    /// A reader sees the old or the new file whole, and the new one survives a power cut; links are
    /// followed, but for those of other users. What is no regular file, such as a pipe, is written to, but no disk. A file that
    /// exists is overwritten where it stands if there is no room for another one beside it.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(Failure) {
        let place = try Place(path)
        let existing = try place.found
        if let existing, try place.isPlanted(existing) {
            throw Failure(
                .inputOutput, "\(path): is of another user (\(existing.st_uid)); give another file")
        }
        if let existing, !existing.isRegular {
            guard !existing.isDirectory else {
                throw Failure(.inputOutput, "\(path): is a directory; give a file")
            }
            guard !existing.isBlockDevice else {
                throw Failure(.inputOutput, "\(path): is a block device; give a file")
            }
            return try overwrite(place, with: bytes)
        }
        do {
            try put(bytes, in: place, over: existing)
        } catch {
            guard existing != nil else { throw error }
            try overwrite(place, with: bytes)
        }
    }

    /// Makes a file with `bytes` at `path`, where there must be nothing, not even a link that leads nowhere.
    package static func make(_ path: String, with bytes: [UInt8]) throws(Failure) {
        guard try !isTaken(path) else {
            throw Failure(.inputOutput, "\(path): has come to be there meanwhile")
        }
        try put(bytes, in: Place(path), over: nil, mayReplace: false)
    }

    /// Writes a file beside the place and moves it there; what is there is only replaced where it may be.
    private static func put(
        _ bytes: [UInt8], in place: Place, over existing: stat?, mayReplace: Bool = true
    ) throws(Failure) {
        let path = place.path
        // A short name, since that of the file itself may be as long as names can be.
        let number = UInt64.random(in: 0...UInt64.max)
        let temporary = ".dgen-mpi-\(String(number, radix: 36)).tmp"
        // A new file of our own: never through a link that someone else has put there. Nobody reads it who might not
        // read the one that it replaces.
        let file = try OpenFile(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
            mode: existing == nil ? 0o644 : 0o600, in: place.folder.descriptor, of: path,
            or: "cannot be written")
        do {
            try fill(file, with: bytes, like: existing, path)
            try move(temporary, to: place, mayReplace: mayReplace)
        } catch {
            unlinkat(place.folder.descriptor, temporary, 0)
            throw error
        }
        try synchronize(folder(of: path))
    }

    /// Writes a new file, and closes it.
    private static func fill(
        _ file: consuming OpenFile, with bytes: [UInt8], like existing: stat?, _ path: String
    ) throws(Failure) {
        if let existing { try adopt(existing, file, path) }
        try writeAll(bytes, to: file.descriptor, path)
        try file.synchronize().get(path, "cannot be stored")
    }

    private static func move(
        _ name: String, to place: Place, mayReplace: Bool
    ) throws(Failure) {
        let folder = place.folder.descriptor
        if !mayReplace {
            // A second name fails where there is one; some file systems have no second names, but for which nothing was
            // there a moment ago.
            let linked = System.call { linkat(folder, name, folder, place.name, 0) }
                .unless(EPERM, EOPNOTSUPP, ENOSYS, EMLINK)
            if try linked.get(place.path, "cannot be put in place") != nil {
                unlinkat(folder, name, 0)
                return
            }
        }
        try System.call { renameat(folder, name, folder, place.name) }
            .get(place.path, "cannot be put in place")
    }

    /// Gives an open file the mode of one that it will replace, and the owner and the group, where this user may.
    private static func adopt(
        _ existing: stat, _ file: borrowing OpenFile, _ path: String
    ) throws(Failure) {
        let own = try file.status().get(path, "cannot be examined")
        let number = file.descriptor
        var mode = existing.st_mode & 0o777
        if own.st_uid != existing.st_uid || own.st_gid != existing.st_gid,
            fchown(number, existing.st_uid, existing.st_gid) != 0,
            fchown(number, .max, existing.st_gid) != 0, own.st_gid != existing.st_gid
        {
            // Another group is not meant.
            mode &= ~0o070
        }
        try System.call { fchmod(number, mode) }.get(path, "its mode cannot be kept")
    }

    private static func overwrite(_ place: Place, with bytes: [UInt8]) throws(Failure) {
        let path = place.path
        let file = try OpenFile(
            place.name, O_WRONLY | (place.isMagic ? 0 : O_NOFOLLOW), in: place.folder.descriptor,
            of: path, or: "cannot be written")
        try writeAll(bytes, to: file.descriptor, path)
        // Neither means anything for a device or a pipe.
        try System.call { ftruncate(file.descriptor, off_t(bytes.count)) }.unless(EINVAL)
            .get(path, "cannot be stored")
        try file.synchronize().unless(EINVAL, EROFS).get(path, "cannot be stored")
    }
}
