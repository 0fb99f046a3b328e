// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Options
import Testing

@testable import DGen

@Suite struct ProfileTests {
    private func settings(_ commandLine: Settings.Given, profile: String) throws -> Settings {
        var settings = Settings(commandLine: commandLine, environment: [:], jobFile: [:])
        settings.add(profile: try ProfileFile.parse(profile, name: "p").given)
        return settings
    }

    private func spec(
        _ commandLine: Settings.Given, profile: String, over base: DataSpec? = nil
    ) throws -> DataSpec {
        try settings(commandLine, profile: profile).spec(over: base, drawingSeed: { 1 })
    }

    /// Blocks that are no zeros for each content.
    private static let dedupRatios = [
        "archive": 1.0604, "high-performance": 1.1195, "kernel-sources": 2.5573,
        "personal-files": 1.1986, "vm-images": 1.5220, "virtual-desktops": 4.4506,
        "database": 1.01496,
        "daily-backups": 1.0959, "checkpoints": 1.2565,
    ]

    @Test(arguments: ReadyProfile.all.map(\.name))
    func aReadyProfileMakesItsDedupRatio(name: String) throws {
        let (given, remarks) = try ProfileFile.parse(
            try #require(ReadyProfile.text(of: name)), name: name)
        #expect(remarks["name"] == [name])
        for key in ["about", "source", "measured", "assumed"] {
            #expect(remarks[key]?.isEmpty == false, "\(key)")
        }
        var settings = Settings(commandLine: [:], environment: [:], jobFile: [:])
        settings.add(profile: given)
        let wanted = try #require(Self.dedupRatios[name])
        for (size, error) in [(1 << 30, 0.01), (1 << 40, 0.0005), (1 << 60, 0.0005)] {
            let spec = try settings.spec(over: nil, size: size, seed: 1)
            let layout = ContentLayout(spec)
            let blocks = Double(layout.blockCount - layout.zeroCount)
            let ratio = blocks / Double(layout.contentCount)
            #expect(abs(ratio / wanted - 1) < error, "\(size): \(ratio)")
        }
    }

    @Test func everyFileOfTheFolderIsThere() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Options/Profiles")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(files) == Set(ReadyProfile.all.map { "\($0.name).yaml" }))
    }

    @Test func whatIsGivenGoesBeforeAProfileAndThatBeforeAManifest() throws {
        let profile = """
            about: a text
            source: [one, two]
            dedup_unit: 8KiB
            zeros: 10%
            copies: ['2:20%']
            compress_mix: ['1:50%', '2:50%']
            change: 2%
            """
        let size: Settings.Given = [.size: ["1GiB"]]
        let alone = try spec(size, profile: profile)
        #expect(alone.dedupUnit == 8192)
        #expect(alone.composition?.zeros == Share(millionths: 100_000))
        #expect(alone.composition?.copies?.count == 1)
        #expect(alone.composition?.change?.count == 1)
        // What excludes a field of the profile takes its place.
        let plain = try spec(
            size.merging([.dedupRatio: ["3"], .compressRatio: ["2"], .zeros: ["1%"]]) { $1 },
            profile: profile)
        #expect(plain.composition?.copies == nil)
        #expect(plain.composition?.compressMix == nil)
        #expect(plain.composition?.zeros == Share(millionths: 10_000))
        #expect(plain.dedupRatio.thousandths == 3000)
        // A generation needs the changes of the profile.
        #expect(
            try spec(size.merging([.generation: ["7"]]) { $1 }, profile: profile).composition?
                .generation == 7)
        let manifest = try DataSpec(
            size: 1 << 20, seed: 5, dedupRatio: 2, compressRatio: 3, dedupUnit: 4096,
            fill: .zeros)
        let over = try spec([:], profile: profile, over: manifest)
        #expect(over.size == 1 << 20)
        #expect(over.fill == .zeros)
        #expect(over.dedupUnit == 8192)
        #expect(over.composition?.copies?.count == 1)
    }

    @Test(arguments: [
        ("zero: 5%", "p:1: unknown key 'zero'; did you mean 'zeros'?"),
        ("size: 1GiB", "p:1: unknown key 'size'"),
        ("zeros: lots", "p:1: zeros: 'lots' is not accepted; "),
        ("about: {a: b}", "p:1: 'about' is a text or a list of texts"),
        ("about: x\ncopies: ['1']", "p:2: copies: '1' is not accepted; "),
        ("about: only a text", "p: a profile gives one of these at least: dedup_unit "),
        ("", "p: a profile gives one of these at least: "),
        ("- a", "p: a profile is a mapping of options, such as 'zeros: 5%'"),
    ])
    func whatIsNoProfileIsRefused(text: String, reason: String) {
        let refused = #expect(throws: Failure.self) { try ProfileFile.parse(text, name: "p") }
        #expect(refused?.message.hasPrefix(reason) == true, "\(refused?.message ?? "")")
    }

    @Test func sharesAreCheckedTogether() throws {
        let refused = #expect(throws: Failure.self) {
            try spec([.size: ["1MiB"], .zeros: ["90%"]], profile: "copies: ['2:20%']")
        }
        #expect(
            refused?.message.contains("at most 100% together with zeros (90%)") == true,
            "\(refused?.message ?? "")")
    }

    @Test(arguments: ["archve", "", "Archive", "a b"])
    func anUnknownNameNamesTheKnownOnes(name: String) throws {
        let refused = #expect(throws: InvalidField.self) {
            try OptionRow.profile.values([name])
        }
        #expect(refused?.description.contains("give archive, high-performance, ") == true)
        for name in ["archive", "./archive", "mine.yaml", "/tmp/x"] {
            #expect(try OptionRow.profile.values([name]).count == 1)
        }
    }
}
