// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct SettingsTests {
    private func settings(
        _ commandLine: Settings.Given = [:], environment: [String: String] = [:],
        job: Settings.Given = [:]
    ) -> Settings {
        Settings(commandLine: commandLine, environment: environment, jobFile: job)
    }

    @Test func commandLineGoesBeforeEnvironmentBeforeJobFile() throws {
        let job: Settings.Given = [.size: ["1k"], .seed: ["1"], .fill: ["zeros"]]
        let environment = ["DGEN_SIZE": "2k", "DGEN_SEED": "2"]
        let all = settings([.size: ["3k"]], environment: environment, job: job)
        let spec = try all.spec(over: nil, drawingSeed: nil)
        #expect(spec.size == 3072)
        #expect(spec.seed == 2)
        #expect(spec.fill == .zeros)
    }

    @Test func manifestFillsWhatNoOptionSays() throws {
        let manifest = try DataSpec(
            size: 10_000, seed: 5, dedupRatio: 2, compressRatio: 3, dedupUnit: 4096,
            compressUnit: 512, fill: .zeros)
        #expect(try settings().spec(over: manifest, drawingSeed: nil) == manifest)
        let other = try settings([.seed: ["6"]]).spec(over: manifest, drawingSeed: nil)
        #expect(other.seed == 6)
        #expect(other.compressUnit == 512)
        // A block given as an option leaves the grain as it is, or is refused.
        let unit = try settings([.dedupUnit: ["1MiB"]]).spec(over: manifest, drawingSeed: nil)
        #expect(unit.compressUnit == 512)
        let grain = try DataSpec(size: 1, seed: 1, dedupUnit: 4096, compressUnit: 4096)
        let refused = #expect(throws: Failure.self) {
            try settings([.dedupUnit: ["2KiB"]]).spec(over: grain, drawingSeed: nil)
        }
        #expect(refused?.message.hasPrefix("compress_unit: '4096' is not accepted; ") == true)
    }

    @Test func missingSizeOrSeedIsAUsageError() {
        #expect(throws: Failure.self) {
            try settings([.seed: ["1"]]).spec(over: nil, drawingSeed: nil)
        }
        #expect(throws: Failure.self) {
            try settings([.size: ["1"]]).spec(over: nil, drawingSeed: nil)
        }
    }

    @Test(arguments: ["", "-1", "+1", "0x10", "1.5", "18446744073709551616", "one"])
    func otherSeedsAreRefused(text: String) {
        #expect(throws: InvalidField.self) { try settings([.seed: [text]])[.seed] }
    }

    @Test func hintsAreJoinedAndTheLastOfAKeyCounts() throws {
        let hints = try settings([.hint: ["a=1", "b=x=y", "a=2"]]).hints()
        #expect(hints.map(\.key) == ["b", "a"])
        #expect(hints.map(\.value) == ["x=y", "2"])
        for wrong in ["a", "=1", "a=", ""] {
            #expect(throws: InvalidField.self) { try settings([.hint: [wrong]]).hints() }
        }
    }

    @Test func flagsAndNumbersAndChoicesNameTheirField() {
        let wrong = settings([
            .collective: ["maybe"], .watchdog: ["-1"], .progress: ["loud"],
            .transferSize: ["2GiB"],
        ])
        func field(_ read: () throws -> Void) -> String? {
            do { try read() } catch { return (error as? InvalidField)?.field }
            return nil
        }
        #expect(field { _ = try wrong[.collective] } == "collective")
        #expect(field { _ = try wrong[.watchdog] } == "watchdog")
        #expect(field { _ = try wrong[.progress] } == "progress")
        #expect(field { _ = try wrong[.transferSize] } == "transfer_size")
    }

}
