// SPDX-License-Identifier: MIT OR Apache-2.0

/// What the program that started this process says of it, before MPI is asked.
struct Launcher {
    let name: String
    let tasks: Int
    /// The number of this task, from 0.
    let task: Int
    /// Whether an MPI library learns from it who the other tasks are; Slurm's `srun` may not tell, and some libraries
    /// then end the process that starts them.
    let tellsMPI: Bool

    /// How tasks can learn of each other, in Slurm's words; nil where they are not of one of its steps.
    let slurmInterfaces: [String]?

    /// Whether it leaves with a status of its own once it got a signal, whatever its tasks leave with.
    var hasOwnStatus: Bool { name.hasPrefix("mpi") }

    /// The variables of each launcher, the innermost first: an `mpirun` inside a Slurm step counts.
    private static let known = [
        (name: "mpirun", tasks: "OMPI_COMM_WORLD_SIZE", task: "OMPI_COMM_WORLD_RANK"),
        (name: "mpiexec", tasks: "PMI_SIZE", task: "PMI_RANK"),
        (name: "flux", tasks: "FLUX_JOB_SIZE", task: "FLUX_TASK_RANK"),
        (name: "palsrun", tasks: "PALS_NRANKS", task: "PALS_RANKID"),
        (name: "srun", tasks: "SLURM_STEP_NUM_TASKS", task: "SLURM_PROCID"),
    ]

    init?(_ environment: [String: String]) {
        for launcher in Self.known {
            guard let tasks = environment[launcher.tasks].flatMap({ Int($0) }), tasks > 0 else {
                continue
            }
            // Slurm sets PMI's variables too.
            let isStep = environment["SLURM_STEP_NUM_TASKS"] == environment[launcher.tasks]
            let isOfSlurm = isStep && (launcher.name == "srun" || environment["PMI_JOBID"] != nil)
            name = isOfSlurm ? "srun" : launcher.name
            let told = [("PMIX_RANK", "pmix"), ("PMI_RANK", "pmi2")]
            slurmInterfaces =
                isOfSlurm ? told.filter { environment[$0.0] != nil }.map(\.1) : nil
            self.tasks = tasks
            task = environment[launcher.task].flatMap { Int($0) } ?? 0
            tellsMPI =
                name != "srun"
                || environment.keys.contains { ["PMIX_RANK", "PMI_RANK"].contains($0) }
            return
        }
        return nil
    }

    /// What to give `srun`, where it started this process: interfaces that the library has, in Slurm's words.
    func advice(_ interfaces: [String]) -> String {
        guard slurmInterfaces != nil else { return "" }
        return "; give srun " + interfaces.map { "--mpi=\($0)" }.joined(separator: " or ")
    }
}
