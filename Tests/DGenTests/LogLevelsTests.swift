// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options
import Testing

@testable import DGen

@Suite struct LogLevelsTests {
    @Test func commonLevelAndPartsOfTheirOwn() throws {
        let levels = try LogLevels("warning,mpi=debug,generator=trace", default: .info)
        #expect(levels["command"] == .warning)
        #expect(levels["mpi"] == .debug)
        #expect(levels["generator"] == .trace)
        #expect(try LogLevels(nil, default: .info)["mpi"] == .info)
    }

    @Test(arguments: ["loud", "mpi=loud", "network=debug", "mpi=debug=info", "=debug"])
    func othersAreRefused(text: String) {
        #expect(throws: InvalidField.self) { try LogLevels(text, default: .info) }
    }
}
