# SPDX-License-Identifier: MIT OR Apache-2.0
"""Jobs: what is accepted, what is said where it is not, and that the program agrees."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT, cases, rounds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dgen_mpi.jobs import Job, JobError, campaign_schema, job_schema

TABLE = json.loads((ROOT / "Tests/JobFiles/lines.json").read_text(encoding="utf-8"))
"""Lines of job files, each accepted or not beside the base, or instead of a line of it.

The program's own tests go through the same table.
"""


def program_accepts(program: str, path: Path) -> tuple[bool, str]:
    """Return whether `dgen-mpi plan` accepts a job file, and what it says."""
    done = subprocess.run(
        [program, "plan", "--job", path],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=path.parent,
    )
    assert done.returncode in (0, 2), done.stderr
    return done.returncode == 0, done.stderr.strip()


def merged(lines: str) -> str:
    """Return a job file of the base and some lines, which go before it."""
    keys = {line.split(":")[0] for line in lines.splitlines()}
    kept = [line for line in TABLE["base"].splitlines() if line.split(":")[0] not in keys]
    return "\n".join([*kept, lines]) + "\n"


def some(lines: list[str]) -> list[Any]:
    """Return those that the program itself is started for in the gate: every fifteenth."""
    return cases(lines[::15], [line for number, line in enumerate(lines) if number % 15])


@pytest.mark.parametrize("lines", TABLE["accepted"])
def test_accepted(lines: str, tmp_path: Path) -> None:
    """By the JSON Schema too; and what is written again means the same."""
    text = merged(lines)
    job = Job.from_yaml(text)
    path = tmp_path / "job.yaml"
    path.write_text(job.to_yaml(), encoding="utf-8")
    assert Job.load(path) == job
    # Editors read YAML as YAML is: unquoted numbers are numbers.
    content = yaml.safe_load(text)
    if not isinstance(content.get("time_limit"), int) or "time_limit: 90" in text:
        jsonschema.validate(content, job_schema())


@pytest.mark.parametrize("lines", some(TABLE["accepted"]))
def test_program_accepts(lines: str, program: str, tmp_path: Path) -> None:
    """The same, and what the package writes."""
    path = tmp_path / "job.yaml"
    for version in (merged(lines), Job.from_yaml(merged(lines)).to_yaml()):
        path.write_text(version, encoding="utf-8")
        accepted, message = program_accepts(program, path)
        # A path of the test's own for the report.
        assert accepted or "report" in lines, message


def require_line(message: str, lines: str) -> None:
    """Check that a refusal is one line that names the field."""
    keys = [line.split(":")[0] for line in lines.splitlines()]
    assert message
    assert "\n" not in message
    assert "job.yaml" in message or any(key in message for key in keys)


@pytest.mark.parametrize("lines", TABLE["refused"])
def test_refused(lines: str, tmp_path: Path) -> None:
    """With one line that names the field."""
    path = tmp_path / "job.yaml"
    path.write_text(merged(lines), encoding="utf-8")
    with pytest.raises(JobError) as caught:
        Job.load(path)
    require_line(str(caught.value), lines)


@pytest.mark.parametrize("lines", some(TABLE["refused"]))
def test_program_refuses(lines: str, program: str, tmp_path: Path) -> None:
    """The same."""
    path = tmp_path / "job.yaml"
    path.write_text(merged(lines), encoding="utf-8")
    accepted, message = program_accepts(program, path)
    assert not accepted, "the program accepts it"
    require_line(message, lines)


TEXTS = st.text("0123456789.-+:kKiBmGhs abe=", max_size=8)
VALUES = st.one_of(
    TEXTS,
    st.integers(-2, 2**65).map(str),
    st.decimals(0, 100, places=2).map(str),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.none(),
)


# The program reads the hints file and a profile too, and writes the others.
FILES = {"report", "output", "hints_file", "profile"}


@settings(
    max_examples=rounds(10, 150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(field=st.sampled_from(sorted(set(Job.model_fields) - FILES)), value=VALUES)
def test_program_and_package_agree_on_anything(
    field: str, value: Any, program: str, tmp_path: Path
) -> None:
    """Whatever stands beside a field."""
    content: dict[str, Any] = {"output": "out", "size": "1MiB", field: value}
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    accepted, message = program_accepts(program, path)
    try:
        Job.load(path)
        refusal = ""
    except JobError as error:
        refusal = str(error)
    assert accepted == (not refusal), f"program: {message}, package: {refusal}"


def test_bare_program_does_what_the_file_says(program: str, tmp_path: Path) -> None:
    """The operation of the file, where the command line names none."""
    (tmp_path / "write.yaml").write_text("output: data\nsize: 100000\nseed: 3\n")
    (tmp_path / "verify.yaml").write_text("operation: verify\noutput: data\n")

    def status(*arguments: str) -> int:
        return subprocess.run(
            [program, *arguments, "--quiet"], cwd=tmp_path, timeout=60, capture_output=True
        ).returncode

    assert status("--job", "write.yaml") == 0
    assert status("--job", "verify.yaml") == 0
    content = bytearray((tmp_path / "data").read_bytes())
    content[4711] ^= 1
    (tmp_path / "data").write_bytes(content)
    assert status("--job", "verify.yaml") == 1
    # A subcommand that is named counts.
    assert status("verify", "--job", "write.yaml") == 1
    assert status("generate", "--job", "verify.yaml") == 2


def test_values_of_python_are_accepted() -> None:
    """As well as texts of job files."""
    job = Job.from_mapping(
        {"output": Path("/a/b"), "size": 2**30, "compress_ratio": 1.5, "hint": {"a": 4}, "seed": 1}
    )
    assert job.settings() == {
        "output": "/a/b",
        "size": "1GiB",
        "compress_ratio": 1.5,
        "hint": {"a": "4"},
        "seed": 1,
    }
    for wrong in (True, 1.5, None, b"1", 2**63):
        with pytest.raises(ValidationError, match="size"):
            Job.model_validate({"size": wrong} if wrong is not None else {"size": [None]})


def test_command_line_is_what_the_program_understands(program: str, tmp_path: Path) -> None:
    """Every option, and paths with blanks; run for real."""
    job = Job.from_mapping(
        {
            **{"output": str(tmp_path / "a b"), "size": "1000003", "seed": "7", "dedup_ratio": "2"},
            **{"compress_ratio": "1.5", "dedup_unit": "4KiB", "compress_unit": "512"},
            **{"fill": "zeros", "transfer_size": "64KiB", "align": "4KiB", "collective": "true"},
            **{"hint": {"cb_nodes": "1"}, "overwrite": "true", "space_check": "false"},
            **{"threads": "1", "numa": "auto", "watchdog": "60", "progress": "none"},
            **{"quiet": "true", "report": str(tmp_path / "report.json"), "ranks": "2"},
            **{"launcher_arguments": ["--oversubscribe"], "program": program},
        }
    )
    subprocess.run(["bash", "-c", job.command()], check=True, timeout=120)
    report = json.loads((tmp_path / "report.json").read_text())
    spec = report["spec"]
    assert (spec["size"], spec["seed"], spec["fill"]) == (1000003, 7, "zeros")
    assert (spec["dedup_unit"], spec["compress_unit"]) == (4096, 512)
    assert report["mpi"]["ranks"] == 2
    assert report["operations"][0]["collective"] is True
    assert report["hints"]["requested"] == {"cb_nodes": "1"}
    verify = job.model_copy(update={"operation": "verify"})
    assert "--collective" not in verify.command()
    subprocess.run(["bash", "-c", verify.command()], check=True, timeout=120)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "mpirun -n 1"),
        ({"ranks": 8}, "mpirun -n 8"),
        ({"ranks": 8, "nodes": 2}, "mpirun -n 8 --map-by ppr:4:node"),
        ({"nodes": 2, "ranks_per_node": 3}, "mpirun -n 6 --map-by ppr:3:node"),
        (
            {"launcher": "srun", "ranks": 7, "nodes": 2},
            "srun -n 7 -N 2 --ntasks-per-node=4",
        ),
        ({"launcher": "flux", "ranks": 4, "nodes": 2}, "flux run -n 4 -N 2"),
        (
            {"launcher": "aprun -n {ranks} -N {ranks_per_node}", "ranks": 8, "nodes": 2},
            "aprun -n 8 -N 4",
        ),
        ({"launcher_arguments": ["--mca", "io", "a b"]}, "mpirun -n 1 --mca io 'a b'"),
    ],
)
def test_launchers(fields: dict[str, Any], expected: str) -> None:
    """Each with its own words for ranks and nodes."""
    job = Job.from_mapping({"output": "o", "size": 1, **fields})
    assert job.launch() == expected
    assert shlex.split(job.command())[-1] == "--output=o"


@pytest.mark.parametrize("kind", ["job", "campaign"])
def test_published_schemas_are_those_of_the_model(kind: str) -> None:
    """`dgen schema KIND > jobs/KIND.schema.json` makes them anew."""
    published = json.loads((ROOT / f"jobs/{kind}.schema.json").read_text(encoding="utf-8"))
    assert published == (job_schema() if kind == "job" else campaign_schema())
    jsonschema.Draft202012Validator.check_schema(published)
