// SPDX-License-Identifier: MIT OR Apache-2.0
// How long the tests are: one switch for all of them.

import Foundation
package import Testing

/// The form in which tests run: the gate's, in minutes, or with `DGEN_TESTS=all` the whole one, for an hour.
package enum TestForm {
    /// Whether everything runs, as in `make test-all`.
    package static let isWhole = ProcessInfo.processInfo.environment["DGEN_TESTS"] == "all"

    /// Which cases a test has: those of the gate, and in the whole form the others too.
    ///
    /// What the gate leaves out is printed, and told at the end of `make test`.
    ///
    /// - Parameters:
    ///   - gate: the cases of the gate, which come first.
    ///   - more: all others.
    ///   - test: the test whose cases they are.
    /// - Returns: the cases.
    package static func cases<Case>(_ gate: [Case], more: [Case], of test: String) -> [Case] {
        guard !isWhole else { return gate + more }
        if !more.isEmpty {
            print("left out: \(more.count) of \(gate.count + more.count) cases of \(test)")
        }
        return gate
    }

    /// How often a test goes round: rarely in the gate, and where it is slow less often in a `watched` build, which is one
    /// that is not optimised.
    package static func rounds(_ gate: Int, whole: Int, watched: Int? = nil) -> Int {
        guard isWhole else { return gate }
        return _isDebugAssertConfiguration() ? watched ?? whole : whole
    }
}

extension Trait where Self == ConditionTrait {
    /// Leaves a test to the whole form; in the gate it is skipped, and says so.
    ///
    /// - Parameter reason: what the gate does without, or what covers it there.
    /// - Returns: the trait.
    package static func onlyWhole(_ reason: String) -> Self {
        .enabled(if: TestForm.isWhole, Comment(rawValue: "left out: " + reason))
    }
}
