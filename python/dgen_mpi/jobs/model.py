# SPDX-License-Identifier: MIT OR Apache-2.0
"""A job: one run of `dgen-mpi` with any number of ranks, and how it is launched."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from dgen_mpi import DataSpec
from dgen_mpi.jobs import files, options, shell
from dgen_mpi.jobs.fields import OptionFields
from dgen_mpi.jobs.files import JobError


class Job(OptionFields):
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

    @model_validator(mode="before")
    @classmethod
    def _read(cls, content: Any) -> Any:
        """Have the extension read and check all options, alone and together."""
        if not isinstance(content, dict):
            return content
        known = content.keys() & options.ROWS.keys()
        given = {key: content[key] for key in known if content[key] is not None}
        return {**content, **options.read(given, str(given.get("operation", "generate")))}

    @classmethod
    def from_mapping(cls, content: dict[str, Any], name: str = "job") -> Job:
        """Return the job that a mapping describes.

        Raises `JobError` in one line for an unknown key or a value that is not accepted; `name`
        says where.
        """
        files.refuse_unknown(content, cls.model_fields, name)
        for key, value in content.items():
            if value is None:
                raise JobError(f"{name}: {key}: give one value")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise JobError(f"{name}: {reason}") from error

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
        fields = (
            *("seed", "dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit", "fill"),
            *("copies", "zeros", "compress_mix", "run", "change", "generation"),
        )
        given = {key: value for key in fields if (value := getattr(self, key)) is not None}
        return DataSpec(self.size, **{"seed": 0, **given}).expected_stored_bytes

    def launch(self) -> str:
        """Return the launcher's part of the command line, as bash reads it.

        Raises `JobError` for a launcher whose quotes are not closed.
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
            try:
                words = shlex.split(launcher)
            except ValueError as error:
                told = f"{launcher!a} is not accepted; give a command line with closed quotes"
                raise JobError(f"launcher: {told}") from error
            for name, value in places.items():
                words = [text.replace("{" + name + "}", str(value)) for text in words]
        return shell.words([*words, *(self.launcher_arguments or [])])

    def arguments(self) -> list[str]:
        """Return the words of the program's part of the command line, the program first."""
        program = self.program or "dgen-mpi"
        # Launchers would take it for an option of theirs.
        program = f"./{program}" if program.startswith("-") else program
        words = [program, self.operation]
        for key, value in self.settings().items():
            row, option = options.ROWS[key], "--" + key.replace("_", "-")
            if self.operation not in row["commands"]:
                continue
            if row["shape"] == "pairs":
                words += [f"{option}={name}={text}" for name, text in value.items()]
            elif row["shape"] == "several":
                words += [f"{option}={element}" for element in value]
            elif row["shape"] == "joined":
                words.append(f"{option}={','.join(value)}")
            elif isinstance(value, bool):
                words.append(option if value else "--no-" + option[2:])
            elif key == "output" and self.operation in ON_FILES:
                # An argument, which must not look like an option.
                words.append(value if not value.startswith("-") else f"./{value}")
            else:
                words.append(f"{option}={value}")
        return words

    def command(self) -> str:
        """Return the whole command line, as bash reads it; raises `JobError` as `launch` does."""
        return f"{self.launch()} {shell.words(self.arguments())}"


ON_FILES = ("verify", "repair", "update")
"""The operations that are told a file that is there, as an argument."""

IN_PLACE = ("repair", "update")
"""Those of them that write into it."""


def canonical(key: str, value: Any) -> tuple[bool, str]:
    """Return the same for values of a field that are the same, however they are written."""
    is_legal = True
    try:
        value = Job.model_validate({key: value}).model_dump()[key]
    except ValidationError:
        is_legal = False
    return is_legal, json.dumps(value, sort_keys=True, default=str)


def shown(value: Any) -> str:
    """Return a value as it stands in names: ``64KiB``, ``1.5``, ``a4_b2``."""
    if isinstance(value, dict):
        return "_".join(f"{key}{shown(element)}" for key, element in value.items())
    if isinstance(value, list):
        return "_".join(map(shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
