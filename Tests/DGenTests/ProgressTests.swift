// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct ProgressTests {
    @Test func aLineSaysHowMuchHowFastAndHowLong() {
        let line = Progress.line("write", 1 << 30, of: 4 << 30, seconds: 2, bar: false)
        #expect(line == "write 25% 1 GiB of 4 GiB, 512 MiB/s, 6 s left")
        let bar = Progress.line("write", 1 << 30, of: 4 << 30, seconds: 2, bar: true)
        #expect(bar.contains("[######..................]"))
        #expect(
            Progress.line("write", 0, of: 10, seconds: 0, bar: false).contains("unknown left"))
    }

    @Test func durationsAreForPeople() {
        #expect(Progress.duration(5.2) == "6 s")
        #expect(Progress.duration(200) == "3 min 20 s")
        #expect(Progress.duration(7500) == "2 h 5 min")
        #expect(Progress.duration(.infinity) == "years")
    }
}
