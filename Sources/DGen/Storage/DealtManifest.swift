// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Options

extension Manifest {
    /// Which rank wrote what; nil where the manifest does not say.
    var pattern: DealtPattern? {
        guard ranks >= 1, align >= 1 else { return nil }
        return DealtPattern(
            Shards(size: spec.size, ranks: ranks, alignment: align),
            transferSize: transferSize ?? OptionLimits.transferBytesDefault, cut: cut)
    }
}
