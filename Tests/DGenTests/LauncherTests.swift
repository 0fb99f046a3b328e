// SPDX-License-Identifier: MIT OR Apache-2.0

import Testing

@testable import DGen

@Suite struct LauncherTests {
    @Test func theInnermostLauncherCounts() {
        let both = [
            "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "OMPI_COMM_WORLD_SIZE": "1",
            "OMPI_COMM_WORLD_RANK": "0",
        ]
        #expect(Launcher(both)?.tasks == 1)
        #expect(Launcher(both)?.name == "mpirun")
        let slurm = both.filter { $0.key.hasPrefix("SLURM") }
        #expect(Launcher(slurm)?.tasks == 4)
        #expect(Launcher(slurm)?.task == 2)
        // Slurm may have been asked not to tell.
        #expect(Launcher(both)?.tellsMPI == true)
        #expect(Launcher(slurm)?.tellsMPI == false)
        let told = slurm.merging(["PMIX_RANK": "2"]) { $1 }
        #expect(Launcher(told)?.tellsMPI == true)
        #expect(Launcher([:]) == nil)
        // A batch script is no step: what it runs was started once.
        #expect(Launcher(["SLURM_NTASKS": "64", "SLURM_PROCID": "0"]) == nil)
    }
}
