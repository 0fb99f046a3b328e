// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct SummaryTests {
    @Test func numbersWorkedOutByHand() {
        let summary = Report.Summary([3, 1, 2, 10])
        #expect(summary.count == 4)
        #expect(summary.minimum == 1)
        #expect(summary.median == 2.5)
        #expect(summary.mean == 4)
        #expect(summary.maximum == 10)
        #expect(abs(summary.standardDeviation - (50.0 / 3).squareRoot()) < 1e-12)
        #expect(Report.Summary([7]).standardDeviation == 0)
    }
}
