// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import Testing

@Suite struct VersionTests {
    @Test func thePythonPackageHasTheVersionOfTheProgram() throws {
        let project = URL(filePath: #filePath).appending(path: "../../../python/pyproject.toml")
        let text = try String(contentsOf: project.standardized, encoding: .utf8)
        let versions = text.matches(of: #/(?m)^version = "(.*)"$/#).map { String($0.1) }
        #expect(versions == [Version.current])
    }
}
