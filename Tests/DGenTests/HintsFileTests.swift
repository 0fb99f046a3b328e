// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct HintsFileTests {
    @Test func linesAreHintsAndCommentsAreNone() {
        let text = """
            # of ROMIO
            cb_nodes 4
            romio_cb_write=enable   # and so
              striping_unit \t 1048576

            name two words
            """
        #expect(
            HintsFile.texts(text) == [
                "cb_nodes=4", "romio_cb_write=enable", "striping_unit=1048576",
                "name=two words",
            ])
        #expect(HintsFile.texts("") == [])
    }
}
