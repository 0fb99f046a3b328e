# SPDX-License-Identifier: MIT OR Apache-2.0
"""Campaigns: what a file expands to, and the scripts that come of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT, missing

from dgen_mpi.jobs import (
    SCHEDULERS,
    Campaign,
    CampaignFolder,
    JobError,
    State,
    campaign_schema,
    script,
)

BASE = "output: '{name}'\nsize: 1MiB\n"


def names(text: str) -> list[str]:
    """Return the names of the cases of a campaign."""
    return [case.name for case in Campaign.from_yaml(BASE + text).cases]


def test_lists_expand_to_every_combination() -> None:
    """In the order of the file, the first list slowest."""
    assert names("ranks: [1, 2]\ncompress_ratio: [1, 1.5]") == [
        "ranks1-compress_ratio1",
        "ranks1-compress_ratio1.5",
        "ranks2-compress_ratio1",
        "ranks2-compress_ratio1.5",
    ]
    assert names("seed: 1") == ["all"]
    assert names("hint: [{a: 1}, {b: x}]") == ["hint_a1", "hint_bx"]
    assert names("launcher_arguments: [[--a, '1'], [--b]]") == [
        "launcher_arguments_a_1",
        "launcher_arguments_b",
    ]
    # Lists of a field that is one are no sweep.
    assert names("hint: [a=1, b=2]\nsetup: [x, y]") == ["all"]
    assert names("operation: verify\nalso_known: [7, 9]") == ["all"]
    assert names("operation: verify\nalso_known: [[7, 9], [8]]") == [
        "also_known7_9",
        "also_known8",
    ]
    assert names("fill: [backref, zeros]\nruns: 2") == [
        "fill_backref-run1",
        "fill_backref-run2",
        "fill_zeros-run1",
        "fill_zeros-run2",
    ]


def test_names_do_not_depend_on_what_else_is_swept() -> None:
    """Nor on the order of values, nor on what is added later."""
    few = set(names("ranks: [1, 2]"))
    more = names("ranks: [4, 2, 1, 8]")
    assert few < set(more)
    long = names("environment: [{A: " + "x" * 200 + "}, {A: " + "x" * 199 + "y}]")
    assert len(set(long)) == 2
    assert all(len(name) <= 80 for name in long)


def test_rules_leave_out_and_add() -> None:
    """Values are compared as values: 2 and 2.000 are the same."""
    text = "ranks: [1, 2]\ncompress_ratio: [1, 2]\n"
    exclude = "exclude: [{ranks: 1, compress_ratio: 2.000}]\n"
    assert names(text + exclude) == [
        "ranks1-compress_ratio1",
        "ranks2-compress_ratio1",
        "ranks2-compress_ratio2",
    ]
    include = "include: [{ranks: 64, fill: zeros}]\n"
    assert names(text + exclude + include)[-1] == "ranks64-compress_ratio1-fill_zeros"
    assert names("ranks: [1, 2]\nexclude: [{ranks: 1}, {ranks: 2}]\ninclude: [{ranks: 3}]") == [
        "ranks3"
    ]


def test_steps_have_the_fields_of_the_file_and_their_own() -> None:
    """Run one after the other; what they move and store is told."""
    text = "ranks: [4]\ncompress_ratio: 2\nsteps: [{}, {operation: verify, ranks: 3}]"
    (case,) = Campaign.from_yaml(BASE + text).cases
    assert case.step_names == ["1-generate", "2-verify"]
    assert [job.rank_count for job in case.steps] == [4, 3]
    assert {job.output for job in case.steps} == {"ranks4"}
    assert case.bytes_written == 1 << 20
    assert case.bytes_moved == 2 << 20
    assert case.expected_stored_bytes == 1 << 19


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("output: x\nsize: 1\nranks: [1, 2]", "put {name} into it"),
        (BASE + "ranks: []", "ranks: a list of values is empty"),
        (BASE + "ranks: [1, x]", "ranks: 'x' is not accepted"),
        (BASE + "ranks: [1, 1]", "ranks: '1' is there twice"),
        (BASE + "ranks: [1]\ninclude: [{ranks: 1}]", "two cases have the same values"),
        (BASE + "ranks: 1\nexclude: [{ranks: 1}]", "exclude: 'ranks' has no list of values"),
        (BASE + "ranks: [1]\nexclude: [{ranks: 1}]", "0 cases"),
        (BASE + "exclude: {ranks: 1}", "exclude: give a list of mappings"),
        (BASE + "steps: [{operation: write}]", "operation: 'write' is not accepted"),
        (BASE + "steps: [{}, {size: 1XB}]", "steps[2]: size: '1XB'"),
        (BASE + "steps: [{rank: 2}]", "did you mean 'ranks'?"),
        (BASE + "report: r", "report: a campaign keeps the reports"),
        (BASE + "runs: 0", "runs: '0' is not accepted"),
        (BASE + "runs: 1000\nranks: [1,2,3,4,5,6,7,8,9,10,11]", "11000 cases"),
        (BASE + "remove_data: perhaps", "remove_data: 'perhaps' is not accepted"),
        (BASE + "name: a/b", "name: 'a/b' is not accepted"),
        ("size: 1", "output: missing"),
        ("output: x", "size: missing"),
        (BASE + "sizes: 1", "did you mean 'size'?"),
        ("- a", "a job file is a mapping"),
    ],
)
def test_mistakes_are_told_in_one_line(text: str, said: str) -> None:
    """With the field, the value and what is accepted."""
    with pytest.raises(JobError) as caught:
        Campaign.from_yaml(text, "c.yaml")
    message = str(caught.value)
    assert said in message
    assert "\n" not in message


JOBS = ROOT / "jobs"


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.stem)
def test_ready_files_fit_their_schema(path: Path) -> None:
    """Which editors show while they are changed."""
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), campaign_schema())


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.slurm.sh")), ids=lambda path: path.name)
def test_ready_scripts_are_those_of_their_campaigns(path: Path) -> None:
    """`dgen render jobs/NAME.yaml --single jobs/NAME.slurm.sh` makes one anew."""
    campaign = Campaign.load(path.with_name(path.name.removesuffix(".slurm.sh") + ".yaml"))
    made = script(campaign.cases, campaign.name, scheduler="slurm", name=campaign.name)
    assert path.read_text(encoding="utf-8") == made


@pytest.mark.parametrize(
    "wrong", [{"ranks": {"a": 1}}, {"colour": [1]}, {"steps": [{"ranks": [1, 2]}]}, {"runs": [1]}]
)
def test_the_schema_refuses_what_campaigns_do(wrong: dict[str, Any]) -> None:
    """Fields that are not swept have the same values in all places."""
    content = {"output": "x", "size": "1MiB"}
    jsonschema.validate(content | {"ranks": [1, 2]}, campaign_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | wrong, campaign_schema())
    with pytest.raises(JobError):
        Campaign.from_yaml(json.dumps(content | wrong))


FULL = """
name: full
output: /scratch/{campaign}-{name}
size: 1GiB
nodes: 2
ranks_per_node: 4
ranks: [7, 8]
time_limit: 1h
stop_before: 90s
account: p1
partition: fast
directives: [--exclusive]
modules: [openmpi]
setup: ["ulimit -n 1024"]
environment: {OMPI_MCA_io: "rom io"}
"""


@pytest.mark.parametrize(
    ("scheduler", "lines"),
    [
        (
            "slurm",
            [
                *("--job-name=full", "--output=full.log", "--ntasks=8", "--nodes=2"),
                *("--ntasks-per-node=4", "--time=2:00:00", "--signal=B:TERM@90"),
                *("--account=p1", "--partition=fast", "--exclusive"),
            ],
        ),
        (
            "pbs",
            [
                *("-N full", "-o full.log", "-j oe", "-l select=2:ncpus=4:mpiprocs=4"),
                *("-l walltime=2:00:00", "-A p1", "-q fast", "--exclusive"),
            ],
        ),
        (
            "lsf",
            [
                *("-J full", "-o full.log", "-n 8", '-R "span[ptile=4]"', "-W 2:00"),
                *("-wt 2 -wa TERM", "-P p1", "-q fast", "--exclusive"),
            ],
        ),
        (
            "flux",
            [
                *("--job-name=full", "--output=full.log", "--ntasks=8", "--nodes=2"),
                *("--time-limit=7200s", "--signal=SIGTERM@90s", "--bank=p1", "--queue=fast"),
                "--exclusive",
            ],
        ),
    ],
)
def test_batch_scripts_ask_for_what_is_wanted(scheduler: str, lines: list[str]) -> None:
    """In the words of each batch system, and are scripts that bash and shellcheck understand."""
    campaign = Campaign.from_yaml(FULL)
    text = script(campaign.cases, "full", scheduler=scheduler, name="full")
    marks = {"slurm": "#SBATCH ", "pbs": "#PBS ", "lsf": "#BSUB ", "flux": "#flux: "}
    mark = marks[scheduler]
    found = [line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)]
    assert found == lines
    for said in (
        "module load openmpi",
        "ulimit -n 1024",
        "env 'OMPI_MCA_io=rom io'",
        "mpirun -n 7 --map-by ppr:4:node",
    ):
        assert said in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=60)
    if shutil.which("shellcheck") is None:
        missing("there is no shellcheck")
    subprocess.run(["shellcheck", "-"], input=text, text=True, check=True, timeout=60)


def test_other_schedulers_are_refused() -> None:
    """With those that are known."""
    campaign = Campaign.from_yaml(FULL)
    with pytest.raises(JobError, match="give slurm or pbs or lsf or flux"):
        script(campaign.cases, "full", scheduler="cron")
    assert SCHEDULERS == ("slurm", "pbs", "lsf", "flux")


def test_folders_keep_what_is_the_same(tmp_path: Path) -> None:
    """A case whose jobs have changed is forgotten, the others stay."""
    text = "output: '{name}'\nsize: 1MiB\nranks: [1, 2]\n"
    folder = CampaignFolder.create(Campaign.from_yaml(text), tmp_path / "c")
    for case in folder.campaign.cases:
        (step,) = folder.results(case)
        step.path.write_text('{"exit_status" : 0, "format": "dgen-report/1"}')
        assert folder.state(case) is State.DONE
    # One more case, and another seed for one of the old ones.
    changed = text.replace("[1, 2]", "[1, 2, 3]")
    folder = CampaignFolder.create(Campaign.from_yaml(changed), tmp_path / "c")
    states = [folder.state(case) for case in folder.campaign.cases]
    assert states == [State.DONE, State.DONE, State.PENDING]
    folder = CampaignFolder.create(Campaign.from_yaml(changed + "seed: 5\n"), tmp_path / "c")
    assert {folder.state(case) for case in folder.campaign.cases} == {State.PENDING}
    again = CampaignFolder.open(tmp_path / "c")
    assert again.campaign.cases == folder.campaign.cases


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder with something else in it is not taken for one of a campaign."""
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(JobError, match="not the folder of a campaign"):
        CampaignFolder.create(Campaign.from_yaml(BASE), tmp_path)
    with pytest.raises(JobError, match="not the folder of a campaign"):
        CampaignFolder.open(tmp_path)
    (tmp_path / "index.json").write_text('{"format": "other/1"}')
    with pytest.raises(JobError, match="only dgen-campaign/1"):
        CampaignFolder.open(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"
