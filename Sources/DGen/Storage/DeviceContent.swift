// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Glibc

/// What lies on a block device, as samples of its bytes show.
///
/// What is not zero is somebody's, be it known or not; the formats that have names here are known for the sake of the
/// message alone. So no list has to be complete, and no library that knows more formats is needed.
enum DeviceContent {
    /// A mark that a format has at an offset; below zero, from the end of the device on.
    private struct Mark {
        let name: String
        let offset: Int
        let bytes: [UInt8]

        init(_ name: String, _ offset: Int, _ bytes: [UInt8]) {
            (self.name, self.offset, self.bytes) = (name, offset, bytes)
        }

        init(_ name: String, _ offset: Int, _ text: String) {
            self.init(name, offset, Array(text.utf8))
        }

        /// Where it is on a device of so many bytes.
        func place(_ bytes: Int) -> Int { offset < 0 ? bytes + offset : offset }
    }

    /// Marks of formats, as their documents have them; those that say more first.
    private static let marks: [Mark] = {
        let raid: [UInt8] = [0xFC, 0x4E, 0x2B, 0xA9]
        let pool: [UInt8] = [0x0C, 0xB1, 0xBA, 0x00]
        var marks = [
            Mark("a LUKS volume", 0, "LUKS\u{BA}\u{BE}".unicodeScalars.map { UInt8($0.value) }),
            Mark("a BitLocker volume", 3, "-FVE-FS-"),
            Mark("an XFS file system", 0, "XFSB"),
            Mark("a btrfs file system", 65_600, "_BHRfS_M"),
            Mark("a bcache or bcachefs device", 4120, [0xC6, 0x85, 0x73, 0xF6]),
            Mark("an F2FS file system", 1024, [0x10, 0x20, 0xF5, 0xF2]),
            Mark("a GFS2 file system", 65_536, [0x01, 0x16, 0x19, 0x70]),
            Mark("a JFS file system", 32_768, "JFS1"),
            Mark("a ReiserFS file system", 65_588, "ReIsEr"),
            Mark("a squashfs file system", 0, "hsqs"),
            Mark("an ISO 9660 file system", 32_769, "CD001"),
            Mark("a UDF file system", 32_769, "BEA01"),
            Mark("a Ceph BlueStore", 0, "bluestore block device"),
            Mark("a disk of Oracle ASM", 32, "ORCLDISK"),
            Mark("a VMFS volume", 1 << 20, [0x0D, 0xD0, 0x01, 0xC0]),
            Mark("an NTFS file system", 3, "NTFS    "),
            Mark("an exFAT file system", 3, "EXFAT   "),
            Mark("a FAT file system", 54, "FAT1"),
            Mark("a FAT file system", 82, "FAT32   "),
            Mark("a member of a RAID (md)", 0, raid),
            Mark("a member of a RAID (md)", 4096, raid),
            Mark("a member of a RAID (md)", -8192, raid),
            Mark("a member of a RAID (md)", -65_536, raid),
            Mark("an ext2, ext3 or ext4 file system", 1080, [0x53, 0xEF]),
        ]
        for sector in 0..<4 {
            marks.append(Mark("a physical volume of LVM", 512 * sector, "LABELONE"))
        }
        for page in [4096, 8192, 16_384, 32_768, 65_536] {
            for word in ["SWAPSPACE2", "SWAP-SPACE"] {
                marks.append(Mark("a swap area", page - 10, word))
            }
            marks.append(Mark("a hibernated system", page - 10, "S1SUSPEND"))
        }
        for uberblock in 0..<128 {
            let offset = 128 << 10 | uberblock << 10
            marks.append(Mark("a member of a pool of ZFS", offset, pool))
            marks.append(Mark("a member of a pool of ZFS", offset + 4, pool.reversed()))
        }
        for sector in [512, 4096] {
            marks.append(Mark("a GPT partition table", sector, "EFI PART"))
            marks.append(Mark("a GPT partition table", -sector, "EFI PART"))
        }
        marks.append(Mark("a partition table or a boot sector", 510, [0x55, 0xAA]))
        return marks
    }()

    /// How much is looked at in full at the start and at the end, where all formats have something.
    private static let edgeBytes = 4 << 20
    /// In how many other places, and how much of each.
    private static let placesMax = 256
    private static let placeBytes = 4096
    private static let pieceBytes = 1 << 20

    /// What a device of so many bytes holds, in words; nil where all that is looked at is zero.
    ///
    /// `read` reads into a buffer from an offset on, and tells how many bytes it got.
    ///
    /// - Complexity: 9 MiB at most are read, in 264 places.
    static func find<Problem: Error>(
        bytes: Int,
        read: (UnsafeMutableRawBufferPointer, Int) throws(Problem) -> Int
    ) throws(Problem) -> String? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { buffer.deallocate() }
        func part(_ offset: Int, _ count: Int) throws(Problem) -> UnsafeRawBufferPointer {
            try Self.part(offset, count, of: bytes, in: buffer, read)
        }
        guard let first = try firstByte(bytes, part) else { return nil }
        return try format(bytes, part) { _, _ in true }
            ?? "its byte at offset \(first) is not zero"
    }

    /// The format that a device of so many bytes was given after data sets of `size` bytes were written to it, by a mark
    /// within these; nil where there is none.
    ///
    /// `isOurs` says whether such bytes are at an offset of one of the data sets anyway, as chance may have it.
    ///
    /// - Complexity: some hundred places are read.
    static func newFormat<Problem: Error>(
        bytes: Int, over size: Int, isOurs: (_ offset: Int, _ mark: [UInt8]) -> Bool,
        read: (UnsafeMutableRawBufferPointer, Int) throws(Problem) -> Int
    ) throws(Problem) -> String? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { buffer.deallocate() }
        func part(_ offset: Int, _ count: Int) throws(Problem) -> UnsafeRawBufferPointer {
            try Self.part(offset, count, of: bytes, in: buffer, read)
        }
        return try format(bytes, part) { offset, mark in
            offset <= size - mark.count && !isOurs(offset, mark)
        }
    }

    /// Bytes that are there, of those that are asked for, on a device of so many bytes.
    private static func part<Problem: Error>(
        _ offset: Int, _ count: Int, of bytes: Int, in buffer: UnsafeMutableRawBufferPointer,
        _ read: (UnsafeMutableRawBufferPointer, Int) throws(Problem) -> Int
    ) throws(Problem) -> UnsafeRawBufferPointer {
        var done = 0
        let wanted = min(count, bytes - offset)
        while done < wanted {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<wanted])
            let count = try read(rest, offset + done)
            if count == 0 { break }
            done += count
        }
        return UnsafeRawBufferPointer(rebasing: buffer[..<done])
    }

    /// The format whose mark is there, and counts.
    private static func format<Problem: Error>(
        _ bytes: Int, _ part: (Int, Int) throws(Problem) -> UnsafeRawBufferPointer,
        counts: (_ offset: Int, _ mark: [UInt8]) -> Bool
    ) throws(Problem) -> String? {
        for mark in marks where mark.place(bytes) >= 0 {
            let place = mark.place(bytes)
            // Whole sectors, as some devices want.
            let start = place & ~4095
            let found = try part(start, 8192)
            if found.dropFirst(place - start).starts(with: mark.bytes), counts(place, mark.bytes) {
                return mark.name
            }
        }
        return nil
    }

    /// The first byte that is not zero, of those that are looked at.
    private static func firstByte<Problem: Error>(
        _ bytes: Int, _ part: (Int, Int) throws(Problem) -> UnsafeRawBufferPointer
    ) throws(Problem) -> Int? {
        let edge = min(edgeBytes, bytes)
        let pages = bytes / placeBytes
        var places: [(offset: Int, count: Int)] = stride(from: 0, to: edge, by: pieceBytes)
            .map { ($0, min(pieceBytes, edge - $0)) }
        places += stride(from: max(edge, (bytes - edge) & ~4095), to: bytes, by: pieceBytes)
            .map { ($0, pieceBytes) }
        if bytes > 2 * edge {
            for number in 1..<placesMax {
                // The quotient first, so that it does not grow too large.
                let (each, rest) = pages.quotientAndRemainder(dividingBy: placesMax)
                let page = number * each + number * rest / placesMax
                places.append((page * placeBytes, placeBytes))
            }
            // Copies that a file system has far behind its start.
            for copy in [64 << 20, 256 << 30] where copy < bytes {
                places.append((copy, 65_536 + placeBytes))
            }
        }
        for (offset, count) in places {
            let found = try part(offset, count)
            guard let start = found.baseAddress, let first = found.first else { continue }
            // All are like their neighbours: the C library is quick at that.
            if first == 0, memcmp(start, start + 1, found.count - 1) == 0 { continue }
            if let index = found.firstIndex(where: { $0 != 0 }) { return offset + index }
        }
        return nil
    }
}
