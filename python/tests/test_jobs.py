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
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dgen_mpi.jobs import Job, JobError, campaign_schema, job_schema

BASE = "output: out\nsize: 1MiB\n"

# Lines of job files, each accepted or not beside the base, or instead of a line of it.
ACCEPTED = [
    *(
        "size: 1",
        "size: 0",
        "size: 1.5GiB",
        "size: 10GB",
        "size: 4k",
        "size: '64KiB'",
        "size: 7EiB",
    ),
    *("seed: 0", "seed: 18446744073709551615", "seed: '7'", "seed: 007"),
    *("dedup_ratio: 1", "dedup_ratio: 2.5", "dedup_ratio: 1000000", "dedup_ratio: '1.333'"),
    *("compress_ratio: 64", "compress_ratio: 1.001", "compress_ratio: 2.000"),
    *("dedup_unit: 4KiB", "dedup_unit: 1GiB", "compress_unit: 512", "compress_unit: 64KiB"),
    *("fill: zeros", "fill: backref", "transfer_size: 1", "transfer_size: 1GiB", "align: 1TiB"),
    *("collective: true", "collective: no", "overwrite: ON", "space_check: 0", "quiet: 'yes'"),
    *("hint: {cb_nodes: 4, romio_cb_write: enable}", "hint: [a=1, b=2=3]", "hint: a=1"),
    *("hint: {}", "hint: []", "hint: {a: ~}", f"hint: {{{'k' * 35}: {'v' * 255}}}"),
    *("threads: 1", "threads: 4096", "threads: +4", "numa: off", "numa: force", "numa_node: 0"),
    *("watchdog: 0", "watchdog: 1000000", "progress: json", "progress: none", "report: '-'"),
    *("verbose: false", "output: 5", "output: /a b/ü", "report: r.json"),
    *("ranks: 1", "ranks: 1000000000", "nodes: 2", "ranks_per_node: 64", "name: a.b-c_D9"),
    *("operation: test\nrepeat: 3\nwarm_up: 1", "phases: [write, verify]", "phases: 'read,read'"),
    *("fresh_file: false", "keep: true", "read_order: shuffle", "shuffle_seed: 7"),
    *("io: mpi\nhint: {a: b}\ncollective: true", "io: posix\ndirect: true\nalign: 8KiB"),
    *("io: posix\ncollective: false", "io: posix\ntransfer_size: 1000", "direct: false"),
    *("layout: per-rank", "layout: shared\ncollective: true", "segments: 7", "strided: true"),
    *("strided: true\nsegments: 1", "order: random", "sync: none", "sync: each", "csv: o.csv"),
    *("stripe_count: -1", "stripe_count: 2000", "stripe_size: 64KiB", "queue_depth: 64"),
    *("hints_file: /dev/null", "io: posix\nstripe_count: 2", "stripe_size: 4294901760"),
    *("drop_cache: yes", "preallocate: true", "repeat: 1000000"),
    *("resume: true", "sample: 0.01", "sample: 1%", "sample: '100%'", "sample: 1", "sample: .5"),
    *("blocks: 1", "blocks: 9223372036854775807", "sample_seed: 0", "operation: repair"),
    *("also_known: 7", "also_known: [1, 18446744073709551615]", "also_known: ['3']"),
    *("operation: generate", "launcher: srun", "launcher: mpirun", "launcher: flux"),
    *("launcher: 'aprun -n {ranks} -N {ranks_per_node}'", "launcher_arguments: [--oversubscribe]"),
    *("launcher_arguments: []", "environment: {A_1: x y, b: 2}", "environment: {}"),
    *("modules: [openmpi/4.1]", "setup: ['ulimit -n 4096', 'source env.sh']"),
    *("program: /opt/bin/dgen-mpi", "working_directory: /scratch", "account: p123"),
    *("partition: batch", "directives: [--constraint=cpu]", "time_limit: 90"),
    *("time_limit: 90s", "time_limit: 30m", "time_limit: 10000h", "time_limit: 1:30:00"),
    *("time_limit: 05:00", "stop_before: 60s", "ranks: 4\nnodes: 2\nranks_per_node: 2"),
    *("ranks: 3\nnodes: 2", "nodes: 2\nranks_per_node: 3", "numa: force\nnuma_node: 1"),
    *("# only a comment", "size: &s 1MiB\nalign: *s"),
]
REFUSED = [
    *("size: -1", "size: 1.0000001", "size: 1XB", "size: 1 GiB", "size: 9EiB", "size:", "size: ~"),
    *("size: [1, 2]", "size: {a: 1}", "size: 1e6", "size: ''"),
    *("seed: -1", "seed: +1", "seed: 1.5", "seed: 18446744073709551616", "seed: one", "seed: 0x10"),
    *("dedup_ratio: 0.5", "dedup_ratio: 1.2345", "dedup_ratio: 1000001", "dedup_ratio: nan"),
    *("dedup_ratio: -2", "dedup_ratio: 1e2", "compress_ratio: 65", "compress_ratio: inf"),
    *("dedup_unit: 1000", "dedup_unit: 2GiB", "compress_unit: 100", "compress_unit: 128KiB"),
    *("fill: random", "fill: Zeros", "transfer_size: 0", "transfer_size: 2GiB", "align: 0"),
    *("collective: maybe", "overwrite: 2", "hint: {a: }", "hint: {a: ''}", "hint: =1", "hint: [a]"),
    *("hint: {a: [1]}", "hint: [[a=1]]", f"hint: {'k' * 36}=1", f"hint: k={'v' * 256}"),
    *("threads: 0", "threads: 4097", "threads: 1.5", "threads: two", "numa: on", "numa_node: -1"),
    *("numa: off\nnuma_node: 0", "watchdog: -1", "progress: loud", "report: ''", "output: ''"),
    *("output: a:b", "ranks: 0", "ranks: 1000000001", "nodes: 0", "ranks_per_node: 1000001"),
    *("name: ''", "name: -a", "name: a b", "name: a/b", f"name: {'a' * 101}", "name: ü"),
    *("operation: write", "phases: []", "phases: ''", "phases: [write, erase]"),
    *("phases: write,", "phases: {a: b}", "repeat: 0", "repeat: 1000001", "warm_up: -1"),
    *("direct: true", "io: mpi\ndirect: true", "io: posix\ncollective: true", "io: hdfs"),
    *("io: posix\nhint: {}", "io: posix\ndirect: true\ntransfer_size: 1000"),
    *("io: posix\ndirect: true\nalign: 2KiB", "direct: perhaps"),
    *("warm_up: 1001", "keep: maybe", "read_order: other", "shuffle_seed: -1", "drop_cache: 2"),
    *("layout: perrank", "layout: per-rank\ncollective: true", "layout: per-rank\nsegments: 2"),
    *("layout: per-rank\nstrided: true", "strided: true\nsegments: 2", "segments: 0", "csv: ''"),
    *("strided: 2", "order: sorted", "sync: all", "stripe_count: -2", "stripe_count: 2001"),
    *("stripe_size: 0", "stripe_size: 100KiB", "stripe_size: 4GiB", "queue_depth: 0"),
    *("queue_depth: 65", "hints_file: ''", "io: posix\nhints_file: /dev/null"),
    *("resume: 2", "sample: 0", "sample: 1.1", "sample: 101%", "sample: '%'", "sample: 1e-3"),
    *("sample: -1", "sample: 1.2.3", "blocks: 0", "blocks: -1", "sample: 1%\nblocks: 2"),
    *("sample_seed: -1", "also_known: -1", "also_known: [one]", "also_known: {a: 1}"),
    *("launcher: aprun", "launcher: ''"),
    *("launcher_arguments: --oversubscribe", "launcher_arguments: ['']", "launcher_arguments: {}"),
    *("environment: [A=1]", "environment: {1A: x}", "environment: {A-B: x}", "environment: {A: ~}"),
    *("modules: openmpi", "setup: ['a', ~]", 'setup: ["a\\nb"]', "program: ''"),
    *('account: "a\\nb"', "partition: [a]", "directives: {a: b}", "time_limit: 0"),
    *("time_limit: 1:60:00", "time_limit: 1d", "time_limit: 10001h", "time_limit: -5"),
    *("stop_before: soon", "ranks: 5\nnodes: 2\nranks_per_node: 2", "ranks: 1\nnodes: 2"),
    *("unknown: 1", "dedup-ratio: 2", "Size: 1", "seed: 1\nseed: 2", "? [a]\n: 1", "{", "- a"),
]


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
    kept = [line for line in BASE.splitlines() if line.split(":")[0] not in keys]
    return "\n".join([*kept, lines]) + "\n"


@pytest.mark.parametrize("lines", ACCEPTED)
def test_program_and_package_accept(lines: str, program: str, tmp_path: Path) -> None:
    """The same, the JSON Schema too; and what is written again means the same."""
    text = merged(lines)
    job = Job.from_yaml(text)
    path = tmp_path / "job.yaml"
    for version in (text, job.to_yaml()):
        path.write_text(version, encoding="utf-8")
        accepted, message = program_accepts(program, path)
        # A path of the test's own for the report.
        assert accepted or "report" in lines, message
    assert Job.load(path) == job
    # Editors read YAML as YAML is: unquoted numbers are numbers.
    content = yaml.safe_load(text)
    if not isinstance(content.get("time_limit"), int) or "time_limit: 90" in text:
        jsonschema.validate(content, job_schema())


@pytest.mark.parametrize("lines", REFUSED)
def test_program_and_package_refuse(lines: str, program: str, tmp_path: Path) -> None:
    """The same, each with one line that names the field."""
    text = merged(lines)
    path = tmp_path / "job.yaml"
    path.write_text(text, encoding="utf-8")
    accepted, message = program_accepts(program, path)
    assert not accepted, "the program accepts it"
    with pytest.raises(JobError) as caught:
        Job.load(path)
    for said in (message, str(caught.value)):
        assert "\n" not in said
        keys = [line.split(":")[0] for line in lines.splitlines()]
        assert "job.yaml" in said or any(key in said for key in keys)


TEXTS = st.text("0123456789.-+:kKiBmGhs abe=", max_size=8)
VALUES = st.one_of(
    TEXTS,
    st.integers(-2, 2**65).map(str),
    st.decimals(0, 100, places=2).map(str),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.none(),
)


# The program reads the hints file too, and writes the others.
FILES = {"report", "output", "hints_file"}


@settings(
    max_examples=150,
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
