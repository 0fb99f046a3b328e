# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two that would write one file are refused, however it is spelled; different files are not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dgen_mpi.jobs import Campaign, CampaignFolder, JobError, places


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with folders, links and a file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "there").write_text("there")
    (tmp_path / "hard").hardlink_to("there")
    (tmp_path / "soft").symlink_to("there")
    (tmp_path / "dangling").symlink_to("a/x")
    (tmp_path / "p.00000001").symlink_to("a/x")
    (tmp_path / "l.dgen.json").symlink_to("a/x")
    return tmp_path


SAME = [
    *("a/x | a//x", "a/x | ./a/x", "a/x | a/./x", "a/x | a/b/../x", "a/x | {here}/a/x"),
    *("a/x | link/x", "a/x | a/up/a/x", "a/x | dangling", "a/x | {here}//link/../a/x"),
    *("there | hard", "there | soft", "new/x | new//x", "new/deep/x | ./new/deep//x"),
    *("new/x | new/y/../x", "d per-rank | d.00000000", "d.00000000 | d per-rank"),
    *("d per-rank | ./d.00000007", "a/d per-rank | link/d.123456789", "d per-rank | d"),
    *("d | d.dgen.json", "d.dgen.json | d", "d per-rank | d.dgen.json"),
    *("a/x | p per-rank", "p per-rank | a/x", "a/x | l", "l per-rank | a/x", "x in a | a/x"),
    *("x in a | x in link", "../x in a | x", "{here}/x in a | x in ."),
]


def mappings(pair: str, here: Path) -> str:
    """Return two outputs as a list of mappings."""
    found = []
    for text in pair.format(here=here).split(" | "):
        output, _, work = text.removesuffix(" per-rank").partition(" in ")
        layout = "per-rank" if text.endswith(" per-rank") else "shared"
        place = work or "."
        found.append(f"{{output: '{output}', layout: {layout}, working_directory: '{place}'}}")
    return f"[{', '.join(found)}]"


def cases(pair: str, here: Path) -> str:
    """Return a campaign with two outputs as those of two cases."""
    more = f"include: {mappings(pair, here)}"
    return f"size: 1\noutput: [o]\nexclude: [{{output: o}}]\n{more}\n"


@pytest.mark.parametrize("pair", SAME)
def test_one_file_is_refused(pair: str, here: Path) -> None:
    """As an output of two cases, in one line, and nothing is written for it."""
    before = sorted(here.rglob("*"))
    with pytest.raises(JobError, match=r"output: '.*' is written by") as caught:
        Campaign.from_yaml(cases(pair, here))
    assert "\n" not in str(caught.value)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "pair", ["d | d.dgen.json", "d per-rank | d.00000000", "d.00000001 | d per-rank", "l | a/x"]
)
def test_steps_have_data_sets_that_do_not_hit_each_other(pair: str, here: Path) -> None:
    """One may be written by several steps, one after the other."""
    with pytest.raises(JobError, match="belongs to two outputs of all"):
        Campaign.from_yaml(f"size: 1\noutput: o\nsteps: {mappings(pair, here)}\n")
    for same in ("a/x | a//x", "a/x | link/x", "d per-rank | d", "d | d"):
        Campaign.from_yaml(f"size: 1\noutput: o\nsteps: {mappings(same, here)}\n")


DIFFERENT = [
    *("x in a | x in other", "x in a | x", "../x in a | x in a", "a/x | other/x", "d | D"),
    *("d | d.00000000", "d per-rank | d.0000000", "d per-rank | d.00000000x", "d | d.dgen.jso"),
    *("d per-rank | D.00000000", "d per-rank | d.00000000.tar", "d per-rank | dd per-rank"),
    *("d per-rank | d.00000000.1", "d per-rank | other/d.00000000", "a/x | a/X", "new/x | New/x"),
    *("d per-rank | d.0000000a", "there | dangling", "a/up/x | a/x"),
]


@pytest.mark.parametrize("pair", DIFFERENT)
def test_different_files_are_not_refused(pair: str, here: Path) -> None:
    """Where only texts are alike."""
    campaign = Campaign.from_yaml(cases(pair, here))
    assert len(campaign.cases) == 2
    CampaignFolder.create(campaign, here / "folder")


def test_working_directories_are_swept(here: Path) -> None:
    """One text of an output in different folders is different files."""
    text = "size: 1\noutput: x\nworking_directory: [a, other]\n"
    assert len(Campaign.from_yaml(text).cases) == 2
    with pytest.raises(JobError, match=r"put \{name\} into it"):
        Campaign.from_yaml(text.replace("other", "link"))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("c.yaml", "the campaign file"),
        ("./a/up/c.yaml", "the campaign file"),
        ("copy.yaml", "the campaign file"),
        ("hints", "the hints file"),
        ("a/../hints", "the hints file"),
        ("prog", "the program"),
        ("c\nlayout: per-rank", ""),
    ],
)
def test_inputs_are_no_outputs(output: str, said: str, here: Path) -> None:
    """Neither the campaign file nor the hints of any case."""
    (here / "c.yaml").write_text(
        f"size: 1\noverwrite: true\nhints_file: hints\nprogram: ./prog\noutput: {output}\n"
    )
    (here / "copy.yaml").symlink_to("c.yaml")
    (here / "hints").write_text("a=1\n")
    if said:
        with pytest.raises(JobError, match=said):
            Campaign.load("c.yaml")
    else:
        Campaign.load("c.yaml")


@pytest.mark.parametrize(
    "output",
    [
        *("folder", "folder/index.json", "folder/campaign.yaml", "folder/.lock", "folder/all"),
        *("folder/all/case.sh", "folder/all/log.txt", "folder/all/1-generate.report.json"),
        *("./folder/all/exit_status", "folder/all/slurm.sh", "a/up/folder//all/jobs"),
    ],
)
def test_files_of_the_folder_are_no_outputs(output: str, here: Path) -> None:
    """Before anything is made."""
    campaign = Campaign.from_yaml(f"size: 1\noutput: {output}\n")
    with pytest.raises(JobError, match="is a file of the campaign's folder"):
        CampaignFolder.create(campaign, "folder")
    assert not (here / "folder").exists()


def test_folders_that_ignore_case(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as one can tell: by what the folder says, or by what is in it."""
    assert not places.ignores_case(here)
    assert not places.ignores_case(here / "a/b")
    assert not places.ignores_case(here / "none")
    text = "size: 1\noutput: [x, X]\n"
    assert len(Campaign.from_yaml(text).cases) == 2
    monkeypatch.setattr(places, "ignores_case", lambda folder: True)
    for several in ("[x, X]", "[new/x, New/x]", "[a/x, a/X]"):
        with pytest.raises(JobError, match="is written by"):
            Campaign.from_yaml(f"size: 1\noutput: {several}\n")
    with pytest.raises(JobError, match="is written by"):
        Campaign.from_yaml(
            "size: 1\noutput: [o]\nexclude: [{output: o}]\n"
            "include: [{output: d, layout: per-rank}, {output: D.00000003}]\n"
        )


def test_repairs_write_too(here: Path) -> None:
    """Of two cases that mend one file at the same time each would undo what the other does."""
    with pytest.raises(JobError, match="is written by"):
        Campaign.from_yaml("operation: repair\noutput: x\nranks: [1, 2]\n")
    assert len(Campaign.from_yaml("operation: verify\noutput: x\nranks: [1, 2]\n").cases) == 2


def test_many_outputs_are_compared_quickly(here: Path) -> None:
    """The work grows with the outputs, not with their square."""
    (case,) = Campaign.from_yaml("size: 1\noutput: x\n").cases
    job = case.steps[0]
    listed = [
        (str(number), [job.model_copy(update={"output": f"a/{number}"})]) for number in range(2000)
    ]
    started = time.process_time()
    places.refuse_clashes(listed, "c")
    assert time.process_time() - started < 5
