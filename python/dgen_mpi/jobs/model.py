# SPDX-License-Identifier: MIT OR Apache-2.0
"""A job: one run of `dgen-mpi` with any number of ranks, and how it is launched."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dgen_mpi import DataSpec
from dgen_mpi._arguments import DEDUP_UNIT
from dgen_mpi._files import replace
from dgen_mpi.jobs import files, shell, values
from dgen_mpi.jobs.files import JobError


class Job(BaseModel):
    """One run of `dgen-mpi`: its options, and how it is launched.

    Fields are those of a job file. What is not given is left to the program, which documents its
    defaults (``dgen-mpi generate --help``). Sizes are in bytes, or texts such as ``"64KiB"``.

    Raises
    ------
    pydantic.ValidationError
        A `ValueError` that names the field, the value and what is accepted.

    Examples
    --------
    >>> job = Job(output="/scratch/me/data", size="1GiB", compress_ratio=1.5, ranks=4)
    >>> job.command()
    'mpirun -n 4 dgen-mpi generate --size=1GiB --compress-ratio=1.5 --output=/scratch/me/data'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)

    name: values.Word | None = Field(None, description="What the job is called.")
    operation: values.Operation = Field("generate", description="What the job does.")

    size: values.Size | None = Field(None, description="Length of the data set.")
    seed: values.Seed | None = Field(None, description="Seed of the stream; drawn at random.")
    dedup_ratio: values.Ratio | None = Field(
        None, description="Logical blocks per distinct block, 1 to 1000000, at most 3 decimals."
    )
    compress_ratio: values.Ratio | None = Field(
        None, description="Bytes per compressed byte, 1 to 64 for a grain of 1024."
    )
    dedup_unit: values.Size | None = Field(
        None, description="The block, the unit of deduplication: a multiple of 512 to 1 GiB."
    )
    compress_unit: values.Size | None = Field(
        None, description="The grain, the unit of compression: a multiple of 64, 512 to 65536."
    )
    fill: values.Fill | None = Field(None, description="What the compressible part is.")

    output: values.DataPath | None = Field(None, description="The file to write or verify.")
    transfer_size: values.TransferSize | None = Field(
        None, description="Bytes of one MPI-IO call, at most 1 GiB."
    )
    align: values.Alignment | None = Field(
        None, description="Shard boundaries are multiples of this; the stripe size is good."
    )
    collective: values.Flag | None = Field(None, description="Collective MPI-IO calls.")
    hint: values.Hints | None = Field(None, description="MPI-IO hints.")
    hints_file: values.FilePath | None = Field(
        None, description="A file of MPI-IO hints, KEY=VALUE or KEY VALUE a line."
    )
    stripe_count: values.StripeCount | None = Field(
        None, description="Stripes of the file, -1 for all targets."
    )
    stripe_size: values.StripeSize | None = Field(
        None, description="Bytes of a stripe, a multiple of 64KiB; also the default of align."
    )
    layout: values.FileLayout | None = Field(
        None, description="One file (shared), or one for each rank (per-rank)."
    )
    segments: values.Segments | None = Field(
        None, description="Segments that the data set is cut to before it is dealt to the ranks."
    )
    strided: values.Flag | None = Field(
        None, description="The transfers of all ranks take turns in the file."
    )
    order: values.Order | None = Field(None, description="The order of each rank's transfers.")
    sync: values.Sync | None = Field(
        None, description="When data goes to stable storage while the clock runs."
    )
    queue_depth: values.QueueDepth | None = Field(
        None, description="Buffers of each rank: bytes are made while others are moved."
    )
    overwrite: values.Flag | None = Field(None, description="Replace an existing file.")
    space_check: values.Flag | None = Field(
        None, description="Refuse when the file system has less room than the data set."
    )
    preallocate: values.Flag | None = Field(
        None, description="Have the file system reserve the room before the first byte."
    )
    io: values.Access | None = Field(None, description="MPI-IO (mpi) or system calls (posix).")
    direct: values.Flag | None = Field(
        None, description="With io posix: past the system's caches, with O_DIRECT."
    )
    phases: values.Phases | None = Field(
        None, description="What a test does, in this order: write, read, verify."
    )
    repeat: values.Repetitions | None = Field(
        None, description="How often a test goes through its phases."
    )
    warm_up: values.WarmUps | None = Field(
        None, description="How often it does so before, without being counted."
    )
    fresh_file: values.Flag | None = Field(
        None, description="Whether a test writes a new file each time, or the same one over."
    )
    keep: values.Flag | None = Field(None, description="Whether a test leaves its file there.")
    read_order: values.ReadOrder | None = Field(
        None, description="Who reads what in a test: shift, shuffle or same."
    )
    shuffle_seed: values.ShuffleSeed | None = Field(None, description="What shuffle deals by.")
    drop_cache: values.Flag | None = Field(
        None, description="Ask each node to forget the file before a test reads it."
    )
    resume: values.Flag | None = Field(
        None, description="Finish a file that an earlier run did not."
    )
    sample: values.Part | None = Field(
        None, description="Verify this part of the blocks only: 0.01 or 1%."
    )
    blocks: values.Blocks | None = Field(None, description="Verify so many blocks only.")
    sample_seed: values.ShuffleSeed | None = Field(
        None, description="What decides which blocks; drawn at random."
    )
    also_known: values.Seeds | None = Field(
        None, description="Seeds of data sets that may have been in the file before."
    )
    threads: values.Threads | None = Field(
        None, description="Threads of each rank that make bytes."
    )
    numa: values.NumaMode | None = Field(
        None, description="Keep threads and memory on memory nodes."
    )
    numa_node: values.NumaNode | None = Field(
        None, description="Keep them all on this memory node."
    )
    watchdog: values.Watchdog | None = Field(
        None, description="Seconds that one step may take; 0 for no limit."
    )
    progress: values.ProgressStyle | None = Field(None, description="Progress on stderr.")
    report: values.ReportPath | None = Field(None, description="Where the result goes, as JSON.")
    csv: values.FilePath | None = Field(None, description="Where the operations go as a table.")
    verbose: values.Flag | None = Field(None, description="Log what starts and ends.")
    quiet: values.Flag | None = Field(None, description="No table, no progress, errors only.")

    ranks: values.Ranks | None = Field(None, description="MPI ranks; nodes x ranks_per_node, or 1.")
    nodes: values.Nodes | None = Field(None, description="Nodes that the ranks are dealt to.")
    ranks_per_node: values.Nodes | None = Field(None, description="Ranks on each node, at most.")
    launcher: values.Launcher | None = Field(
        None,
        description="mpirun, srun, flux, or a command line with places for {ranks}, {nodes} and "
        "{ranks_per_node}.",
    )
    launcher_arguments: values.Lines | None = Field(
        None, description="More arguments of the launcher."
    )
    environment: values.Variables | None = Field(None, description="Variables to set.")
    modules: values.Lines | None = Field(None, description="Modules to load.")
    setup: values.Lines | None = Field(
        None, description="Lines of shell to run before, as they stand."
    )
    program: values.Line | None = Field(None, description="The program, if not dgen-mpi.")
    working_directory: values.Line | None = Field(
        None, description="Where relative paths begin; the folder that the job is started from."
    )
    time_limit: values.Duration | None = Field(
        None, description="When the run stops, and the batch job: 90s, 30m, 2h or 1:30:00."
    )
    stop_before: values.Duration | None = Field(
        None, description="How long before the limit the job is told to stop by itself."
    )
    account: values.Line | None = Field(None, description="The account that pays.")
    partition: values.Line | None = Field(None, description="The partition or queue.")
    directives: values.Lines | None = Field(
        None, description="More options of the batch system, such as --constraint=cpu."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Job:
        """Check what no field can check alone."""
        if self.operation in WRITING and self.size is not None:
            # The one check of a specification is that of the extension.
            self._data_set(self.size)
        if self.numa == "off" and self.numa_node is not None:
            raise ValueError(
                f"numa_node: '{self.numa_node}' is not accepted; give no node with numa off"
            )
        self._check_access()
        if self.nodes is not None and self.ranks is not None:
            most = max(self.nodes, (self.ranks_per_node or self.ranks) * self.nodes)
            if not self.nodes <= self.ranks <= most:
                raise ValueError(
                    f"ranks: '{self.ranks}' is not accepted; give {self.nodes} to {most} for the "
                    "nodes and ranks_per_node given"
                )
        return self

    def _check_access(self) -> None:
        self._check_layout()
        if self.sample is not None and self.blocks is not None:
            raise ValueError(f"blocks: '{self.blocks}' is not accepted; give no blocks with sample")
        if self.io != "posix":
            if self.direct:
                raise ValueError("direct: 'true' is not accepted; give it with io posix only")
            return
        if self.collective:
            raise ValueError("collective: 'true' is not accepted; give it with io mpi only")
        for name, given in (("hints_file", self.hints_file), ("hint", self.hint)):
            if given is not None:
                raise ValueError(f"{name}: '{given}' is not accepted; give hints with io mpi only")
        for name, size in (("transfer_size", self.transfer_size), ("align", self.align)):
            if self.direct and size is not None and size % values.DIRECT_UNIT:
                raise ValueError(
                    f"{name}: '{size}' is not accepted; give a multiple of {values.DIRECT_UNIT} "
                    "bytes with direct"
                )

    def _check_layout(self) -> None:
        if self.strided and (self.segments or 1) > 1:
            raise ValueError(
                f"segments: '{self.segments}' is not accepted; give no segments with strided"
            )
        if self.layout != "per-rank":
            return
        for name, given in (("collective", self.collective), ("strided", self.strided)):
            if given:
                raise ValueError(f"{name}: 'true' is not accepted; give it with layout shared only")
        if (self.segments or 1) > 1:
            raise ValueError(
                f"segments: '{self.segments}' is not accepted; give it with layout shared only"
            )

    @classmethod
    def from_mapping(cls, content: dict[str, Any], name: str = "job") -> Job:
        """Return the job that a mapping describes, with errors of one line.

        Raises
        ------
        JobError
            For an unknown key or a value that is not accepted; `name` says where.
        """
        files.refuse_unknown(content, cls.model_fields, name)
        for key, value in content.items():
            if value is None:
                raise JobError(f"{name}: {key}: give one value")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise files.one_line(error, name) from error

    @classmethod
    def from_yaml(cls, text: str, name: str = "job") -> Job:
        """Return the job that YAML describes; raises `JobError` as `from_mapping` does."""
        return cls.from_mapping(files.parse(text, name), name)

    @classmethod
    def load(cls, path: str | Path) -> Job:
        """Return the job that a file describes; raises `JobError` as `from_mapping` does."""
        return cls.from_yaml(files.read(Path(path)), str(path))

    def settings(self) -> dict[str, Any]:
        """Return the fields that were given, as they stand in job files."""
        return self.model_dump(exclude_unset=True, exclude_none=True)

    def to_yaml(self) -> str:
        """Return the job as YAML that `dgen-mpi --job` takes."""
        return files.dump(self.settings())

    def save(self, path: str | Path) -> None:
        """Write the job to a file that `dgen-mpi --job` takes."""
        replace(path, self.to_yaml())

    @property
    def rank_count(self) -> int:
        """How many ranks are started."""
        if self.ranks is not None:
            return self.ranks
        return self.nodes * (self.ranks_per_node or 1) if self.nodes is not None else 1

    @property
    def ranks_on_node(self) -> int | None:
        """The most ranks on one node; None where the launcher decides."""
        if self.ranks_per_node is not None:
            return self.ranks_per_node
        return None if self.nodes is None else -(-self.rank_count // self.nodes)

    @property
    def phase_names(self) -> list[str]:
        """What is done with the whole file, one after the other."""
        if self.operation != "test":
            return [{"generate": "write"}.get(self.operation, self.operation)]
        return self.phases or ["write", "read", "verify"]

    @property
    def writes(self) -> bool:
        """Whether the job writes its file."""
        return "write" in self.phase_names

    @property
    def rounds(self) -> int:
        """How often it does that."""
        return (self.repeat or 1) + (self.warm_up or 0) if self.operation == "test" else 1

    @property
    def expected_stored_bytes(self) -> int | None:
        """What a store that deduplicates and compresses is expected to keep; None without size."""
        if self.size is None or not self.writes:
            return None
        return self._data_set(self.size).expected_stored_bytes

    def _data_set(self, size: int) -> DataSpec:
        return DataSpec(
            size,
            self.seed if self.seed is not None else 0,
            self.dedup_ratio if self.dedup_ratio is not None else 1,
            self.compress_ratio if self.compress_ratio is not None else 1,
            self.dedup_unit if self.dedup_unit is not None else DEDUP_UNIT,
            self.compress_unit,
            self.fill or "backref",
        )

    def launch(self) -> str:
        """Return the launcher's part of the command line, as bash reads it.

        Raises
        ------
        JobError
            For a launcher whose quotes are not closed.
        """
        launcher = self.launcher or "mpirun"
        on_node = self.ranks_on_node
        if launcher == "mpirun":
            words = ["mpirun", "-n", str(self.rank_count)]
            words += [] if on_node is None else ["--map-by", f"ppr:{on_node}:node"]
        elif launcher in ("srun", "flux"):
            words = ["srun"] if launcher == "srun" else ["flux", "run"]
            words += ["-n", str(self.rank_count)]
            words += ["-N", str(self.nodes)] if self.nodes is not None else []
            if launcher == "srun" and on_node is not None:
                words.append(f"--ntasks-per-node={on_node}")
        else:
            places = {
                "ranks": self.rank_count,
                "nodes": self.nodes or 1,
                "ranks_per_node": on_node or self.rank_count,
            }
            words = shell.split(launcher, "launcher")
            for name, value in places.items():
                words = [text.replace("{" + name + "}", str(value)) for text in words]
        return shell.words([*words, *(self.launcher_arguments or [])])

    def arguments(self) -> list[str]:
        """Return the words of the program's part of the command line, the program first."""
        program = self.program or "dgen-mpi"
        # Launchers would take it for an option of theirs.
        program = f"./{program}" if program.startswith("-") else program
        words = [program, self.operation]
        settings = self.settings()
        for key in OPTIONS:
            if key not in settings or self.operation not in ONLY.get(key, values.OPERATIONS):
                continue
            value, option = settings[key], "--" + key.replace("_", "-")
            if key == "hint":
                words += [f"--hint={name}={text}" for name, text in value.items()]
            elif key in ("verbose", "quiet"):
                words += [option] if value else []
            elif isinstance(value, bool):
                words.append(option if value else "--no-" + option[2:])
            elif key == "also_known":
                words += [f"{option}={known}" for known in value]
            elif key == "phases":
                words.append(f"{option}={','.join(value)}")
            elif key == "output" and self.operation in ON_FILES:
                # An argument, which must not look like an option.
                words.append(value if not value.startswith("-") else f"./{value}")
            else:
                words.append(f"{option}={value}")
        return words

    def command(self) -> str:
        """Return the whole command line, as bash reads it; raises `JobError` as `launch` does."""
        return f"{self.launch()} {shell.words(self.arguments())}"


OPTIONS = (
    *("size", "seed", "dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit", "fill"),
    *("transfer_size", "align", "collective", "hint", "hints_file", "stripe_count", "stripe_size"),
    *("overwrite", "space_check", "preallocate", "segments", "strided", "order", "sync"),
    *("layout", "queue_depth", "csv"),
    *("io", "direct", "phases", "repeat", "warm_up", "fresh_file", "keep", "read_order"),
    *(
        "shuffle_seed",
        "drop_cache",
        "resume",
        "sample",
        "blocks",
        "sample_seed",
        "also_known",
        "threads",
        "numa",
        "numa_node",
        "time_limit",
        "watchdog",
        "progress",
    ),
    *("verbose", "quiet", "output", "report"),
)
"""The fields that are options of `dgen-mpi`, in the order of a command line."""

WRITING = ("generate", "test")
"""The operations that write a file."""

ON_FILES = ("verify", "repair")
"""Those that are told a file that is there, as an argument."""

ONLY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("collective", "hint", "hints_file", "stripe_count", "stripe_size"),
            *("overwrite", "preallocate", "segments", "strided", "order", "sync"),
        ),
        WRITING,
    ),
    "space_check": (*WRITING, "repair"),
    "resume": ("generate",),
    **dict.fromkeys(
        (
            *("phases", "repeat", "warm_up", "fresh_file", "keep", "read_order"),
            *("shuffle_seed", "drop_cache"),
        ),
        ("test",),
    ),
    **dict.fromkeys(("sample", "blocks", "sample_seed"), ("verify",)),
    "also_known": ("verify", "repair", "test"),
}
"""The options that not all operations have, and which ones have them."""


def canonical(key: str, value: Any) -> Hashable:
    """Return the same for values of a field that are the same, however they are written."""
    try:
        return True, _frozen(Job.model_validate({key: value}).model_dump()[key])
    except ValidationError:
        return False, _frozen(value)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        pairs = ((key, _frozen(element)) for key, element in value.items())
        return "mapping", tuple(sorted(pairs, key=repr))
    if isinstance(value, list | tuple):
        return "list", tuple(map(_frozen, value))
    return str(value) if isinstance(value, bool) else value


def shown(value: Any) -> str:
    """Return a value as it stands in names: ``64KiB``, ``1.5``, ``a4_b2``."""
    if isinstance(value, dict):
        return "_".join(f"{key}{shown(element)}" for key, element in value.items())
    if isinstance(value, list):
        return "_".join(map(shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(Decimal(value) if isinstance(value, Decimal) else value)
