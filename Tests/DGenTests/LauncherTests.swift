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

    /// Slurm sets PMI's variables as MPICH's own launcher does; and that one may be in a step of its own.
    @Test func aSlurmStepIsKnown() {
        let step = ["SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"]
        let pmi2 = step.merging(["PMI_SIZE": "4", "PMI_RANK": "2", "PMI_JOBID": "7.0"]) { $1 }
        let pmix = step.merging(["PMIX_RANK": "2"]) { $1 }
        let hydra = step.merging(["PMI_SIZE": "64", "PMI_RANK": "9"]) { $1 }
        #expect(Launcher(step)?.slurmInterfaces == [])
        #expect(Launcher(pmix)?.slurmInterfaces == ["pmix"])
        #expect(Launcher(pmi2)?.slurmInterfaces == ["pmi2"])
        #expect(Launcher(pmi2)?.name == "srun" && Launcher(pmi2)?.task == 2)
        #expect(Launcher(pmi2)?.advice(["pmi2", "pmix"]) == "; give srun --mpi=pmi2 or --mpi=pmix")
        #expect(Launcher(hydra)?.name == "mpiexec" && Launcher(hydra)?.slurmInterfaces == nil)
        #expect(Launcher(hydra)?.advice(["pmi2"]) == "")
    }
}
