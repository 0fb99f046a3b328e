// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Testing

@Suite struct ByteSizeTests {
    @Test(arguments: [
        ("0", 0), ("4096", 4096), ("64KiB", 65536), ("1.5GiB", 1_610_612_736),
        ("10GB", 10_000_000_000), ("4k", 4096), ("4K", 4096), ("2m", 2 << 20), ("1g", 1 << 30),
        ("1t", 1 << 40), ("1TiB", 1 << 40), ("3kb", 3000), ("0.5k", 512), ("12B", 12),
        ("9223372036854775807", Int.max), ("7EiB", 7 << 60), ("1.5KB", 1500),
        ("0.0009765625MiB", 1024),
    ])
    func readsExactly(text: String, bytes: Int) throws {
        #expect(try ByteSize.parse(text, field: "size") == bytes)
    }

    @Test(arguments: [
        "", "12XB", "-1", "1.5", "0.3KiB", "8EiB", "9223372036854775808", "1 GiB", "KiB", "1..5k",
        ".5k", "5.k", "1e3", "0x10", "99999999999999999999999999999999999999999k", "1kk", "٣k",
        "12345678901234567890.12345678901E",
    ])
    func refusesTheRest(text: String) {
        #expect(throws: InvalidField.self) { try ByteSize.parse(text, field: "size") }
    }

    @Test func printsBinaryUnits() {
        #expect(ByteSize.format(512) == "512 B")
        #expect(ByteSize.format(1024) == "1 KiB")
        #expect(ByteSize.format(1536) == "1.50 KiB")
        #expect(ByteSize.format(1 << 30) == "1 GiB")
        #expect(ByteSize.format((1 << 30) + 1) == "1.00 GiB")
        #expect(ByteSize.format(.max) == "7.99 EiB")
    }
}
