// SPDX-License-Identifier: MIT OR Apache-2.0

package import Logging

/// Puts threads and memory where a placement wants them, as far as the system lets it.
///
/// Where it does not, as in containers that forbid the system calls, everything works without, and one
/// line says so.
package struct Placer: Sendable {
    private let placement: Placement
    private let logger: Logger
    private let isOn: Bool

    package init(_ placement: Placement, logger: Logger) {
        self.placement = placement
        self.logger = logger
        let obstacle = placement.isOn ? MemoryPolicy.obstacle : nil
        isOn = placement.isOn && obstacle == nil
        if let obstacle { logger.info("memory nodes are not used: \(obstacle)") }
    }

    /// Lets the calling thread, thread `index` of those that make bytes, run on its node only.
    package func pin(thread index: Int) {
        guard isOn else { return }
        attempt { () throws(PlacementError) in
            try MemoryPolicy.pin(to: placement.threads[index].cpus)
        }
    }

    /// Puts the part of `memory` that each thread fills on the node of that thread.
    ///
    /// - Parameters:
    ///   - memory: whole pages; the rest is left where it is.
    ///   - parts: the bytes of each thread, in the order of the threads.
    package func place(_ memory: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) {
        guard isOn else { return }
        for (index, part) in parts.enumerated() {
            attempt { () throws(PlacementError) in
                try MemoryPolicy.place(
                    UnsafeMutableRawBufferPointer(rebasing: memory[part]),
                    on: placement.threads[index].node)
            }
        }
    }

    private func attempt(_ body: () throws(PlacementError) -> Void) {
        do {
            try body()
        } catch {
            logger.info("a memory node is not used: \(error)")
        }
    }
}
