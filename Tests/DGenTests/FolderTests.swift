// SPDX-License-Identifier: MIT OR Apache-2.0

import Foundation
import Testing

@Suite struct FolderTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources/DGen")
    /// What each folder may use beside itself: commands use all, and options are read from files that storage knows.
    private static let below = [
        "Patterns": [], "Run": [], "Storage": ["Patterns", "Run"], "Options": ["Run", "Storage"],
        "Transfers": ["Options", "Patterns", "Run", "Storage"],
        "Verification": ["Options", "Patterns", "Run", "Storage", "Transfers"],
        "Report": ["Patterns", "Run", "Storage", "Transfers", "Verification"],
    ]

    /// The text of each file of a folder without comments and strings.
    private func texts(_ folder: String) throws -> [(file: String, text: String)] {
        let place = Self.root.appending(path: folder)
        let names =
            FileManager.default.enumerator(atPath: place.path)?
            .compactMap { $0 as? String } ?? []
        return try names.filter { $0.hasSuffix(".swift") }.map { name in
            let text = try String(contentsOf: place.appending(path: name), encoding: .utf8)
            let bare = text.replacing(#/"(\\.|[^"\\\n])*"/#, with: "").replacing(
                #/\/\/.*/#, with: "")
            return (folder + "/" + name, bare)
        }
    }

    /// The types that others may use, by their names.
    private func types(_ folder: String) throws -> Set<String> {
        let declaration =
            #/(?m)^(package |final |indirect )*(class|struct|enum|protocol) (?<name>\w+)/#
        return Set(
            try texts(folder).flatMap { $0.text.matches(of: declaration).map { String($0.name) } })
    }

    @Test func foldersUseOnlyThoseBelowThem() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.root.path)
            .filter { !$0.contains(".") }
        #expect(Set(folders) == Set(Self.below.keys).union(["Commands"]))
        let owners = try folders.map { (folder: $0, types: try types($0)) }
        #expect(owners.allSatisfy { !$0.types.isEmpty })
        for (folder, allowed) in Self.below {
            for (file, text) in try texts(folder) {
                let words = Set(
                    text.matches(of: #/(?<before>[.\w]?)\b(?<word>[A-Z]\w*)/#)
                        .filter { $0.before != "." }.map { String($0.word) })
                for owner in owners where owner.folder != folder && !allowed.contains(owner.folder)
                {
                    let used = words.intersection(owner.types).sorted()
                    #expect(used.isEmpty, "\(file) uses \(used) of \(owner.folder)")
                }
            }
        }
    }
}
