// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

@testable import DGen

@Suite struct BlockDeviceTests {
    /// What a kernel shows of two disks: one with two parts, of which the second belongs to a RAID, and one as it is.
    private final class Kernel {
        let root = "/tmp/dgen-mpi-test-sys-\(UUID().uuidString)"

        init() throws {
            for (path, text) in [
                ("devices/sda/dev", "8:0"), ("devices/sda/ro", "0"),
                ("devices/sda/wwid", "naa.5000"), ("devices/sda/holders/.keep", ""),
                ("devices/sda/sda1/dev", "8:1"), ("devices/sda/sda1/partition", "1"),
                ("devices/sda/sda2/dev", "8:2"), ("devices/sda/sda2/partition", "2"),
                ("devices/sda/sda2/holders/md0/dev", "9:0"),
                ("devices/sdb/dev", "8:16"), ("devices/sdb/ro", "1"),
                ("devices/dm-0/dev", "253:0"), ("devices/dm-0/dm/uuid", "mpath-3600"),
                ("devices/dm-1/dev", "253:1"), ("devices/dm-1/dm/uuid", "LVM-abc"),
                ("devices/loop0/dev", "7:0"),
                ("devices/loop0/loop/backing_file", "/somewhere/a file (deleted)"),
            ] {
                let file = URL(filePath: "\(root)/\(path)")
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data("\(text)\n".utf8).write(to: file)
            }
            for (link, target) in [
                ("dev/block/8:0", "sda"), ("dev/block/8:1", "sda/sda1"),
                ("dev/block/8:2", "sda/sda2"), ("dev/block/8:16", "sdb"),
                ("dev/block/253:0", "dm-0"), ("dev/block/253:1", "dm-1"),
                ("dev/block/7:0", "loop0"), ("block/loop0", "loop0"),
            ] {
                let file = URL(filePath: "\(root)/\(link)")
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try FileManager.default.createSymbolicLink(
                    atPath: file.path, withDestinationPath: "\(root)/devices/\(target)")
            }
            try FileManager.default.removeItem(atPath: "\(root)/devices/sda/holders/.keep")
        }

        deinit { try? FileManager.default.removeItem(atPath: root) }

        func device(_ number: String) -> BlockDevice { BlockDevice(number, sys: root) }
    }

    @Test func whoeverUsesADiskOrAPartOfItIsNamed() throws {
        let kernel = try Kernel()
        let mounts = "30 22 8:1 / /mnt/my\\040disk rw - ext4 /dev/sda1 rw\n"
        #expect(
            kernel.device("8:0").user(mounts: mounts, swaps: "")
                == "sda1 is mounted at /mnt/my disk")
        #expect(
            kernel.device("8:1").user(mounts: mounts, swaps: "") == "it is mounted at /mnt/my disk")
        // What belongs to a RAID, by itself and as a part.
        #expect(kernel.device("8:2").user(mounts: mounts, swaps: "") == "it is a part of md0")
        #expect(kernel.device("8:0").user(mounts: "", swaps: "") == "sda2 is a part of md0")
        // A part is free where only another one is in use, but not where the whole disk is.
        #expect(kernel.device("8:1").user(mounts: "", swaps: "") == nil)
        let whole = "30 22 8:0 / /mnt rw - ext4 /dev/sda rw\n"
        #expect(kernel.device("8:1").user(mounts: whole, swaps: "") == "sda is mounted at /mnt")
        #expect(kernel.device("8:16").user(mounts: mounts + whole, swaps: "") == nil)
    }

    @Test func whatTheKernelSaysOfADeviceIsRead() throws {
        let kernel = try Kernel()
        #expect(kernel.device("8:16").isReadOnly)
        #expect(!kernel.device("8:0").isReadOnly)
        #expect(!kernel.device("99:0").isReadOnly)
        #expect(kernel.device("8:1").name == "sda1")
        #expect(kernel.device("8:0").worldwideName == "naa.5000")
        #expect(kernel.device("8:2").worldwideName == "naa.5000-2")
        #expect(kernel.device("8:16").worldwideName == nil)
        #expect(kernel.device("253:0").worldwideName == "mpath-3600")
        #expect(kernel.device("253:1").worldwideName == nil)
        #expect(BlockDevice(0x803).number == "8:3")
        #expect(BlockDevice(0x103).number == "1:3")
        // More than eight bits of the minor number stand above the major one.
        #expect(BlockDevice(0x10_0801).number == "8:257")
        #expect(BlockDevice(0x1000_0000_0801).number == "4104:1")
    }

    /// What is found on a device that has some bytes at an offset and zeros elsewhere.
    private func content(_ offset: Int, _ bytes: [UInt8], of size: Int) throws -> String? {
        let start = offset < 0 ? size + offset : offset
        return try DeviceContent.find(bytes: size) { (buffer, place) throws(Failure) in
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            for (index, byte) in bytes.enumerated()
            where (place..<place + buffer.count).contains(start + index) {
                buffer[start + index - place] = byte
            }
            return buffer.count
        }
    }

    @Test(arguments: [1 << 20, 9 << 20, 1 << 30, 100 << 40, 1_000_003 * 512])
    func whatIsNotZeroIsSomebodys(size: Int) throws {
        #expect(try content(0, [0], of: size) == nil)
        for place in [0, 511, 65_535, -1, -512, -65_536, -700_000] {
            #expect(try content(place, [1], of: size)?.contains("not zero") == true, "\(place)")
        }
        #expect(try content(-512, Array("EFI PART".utf8), of: size) == "a GPT partition table")
        #expect(try content(0, Array("XFSB".utf8), of: size) == "an XFS file system")
        #expect(try content(1080, [0x53, 0xEF], of: size)?.contains("ext4") == true)
        #expect(try content(510, [0x55, 0xAA], of: size)?.contains("partition table") == true)
        let uberblock: [UInt8] = [0, 0, 0, 0, 0, 0xBA, 0xB1, 0x0C]
        #expect(try content(140 << 10, uberblock, of: size) == "a member of a pool of ZFS")
    }

    @Test func aFormatThatWasPutOverDataIsFound() throws {
        let size = 9 << 20
        // Bytes that are nowhere zero, of which two look like a mark and are the data's own.
        func format(_ offset: Int, _ bytes: [UInt8], over data: Int) throws -> String? {
            try DeviceContent.newFormat(bytes: size, over: data) { offset, mark in
                offset == 510 && mark == [0x55, 0xAA]
            } read: { (buffer, place) throws(Failure) in
                buffer.initializeMemory(as: UInt8.self, repeating: 1)
                for (index, byte) in bytes.enumerated()
                where (place..<place + buffer.count).contains(offset + index) {
                    buffer[offset + index - place] = byte
                }
                return buffer.count
            }
        }
        #expect(try format(0, [], over: size) == nil)
        #expect(try format(510, [0x55, 0xAA], over: size) == nil)
        let table = Array("EFI PART".utf8)
        #expect(try format(512, table, over: size) == "a GPT partition table")
        #expect(try format(size - 512, table, over: size) == "a GPT partition table")
        // Nothing is written behind the data.
        #expect(try format(size - 512, table, over: size - 512) == nil)
        #expect(try format(512, table, over: 519) == nil)
        #expect(try format(512, table, over: 520) != nil)
    }

    @Test func smallDevicesAreLookedAtWhole() throws {
        for size in [512, 4096, 5120, 65_536] {
            #expect(try content(0, [0], of: size) == nil)
            for place in [0, 100, size - 1] {
                #expect(try content(place, [1], of: size) != nil, "\(place) of \(size)")
            }
        }
    }
}
