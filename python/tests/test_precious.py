# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files of users around, inside and in the way of campaigns: none of them changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command

from dgen_mpi.jobs import Campaign, CampaignFolder, State, run

STAND_IN = r"""#!/bin/bash
# Writes what dgen-mpi would, as far as scripts look at it.
ranks=$1 operation=$3 layout=shared status=0
for word in "${@:4}"; do
    case $word in
        --output=*) output=${word#*=} ;;
        --report=*) report=${word#*=} ;;
        --layout=*) layout=${word#*=} ;;
        --overwrite) overwrite=1 ;;
        --resume) resume=1 ;;
        --*) ;;
        *) output=$word ;;
    esac
done
spec='  "spec" : {
    "seed" : 7
  },'
say() {
    printf '{\n  "exit_status" : %d,\n%s\n  "status" : "%s"\n}\n' "$1" "$spec" "$2" > "$report"
}
say 5 interrupted
names=("$output")
[ "$layout" = shared ] || names=($(for ((r = 0; r < ranks; r++)); do
    printf '%s.%08d ' "$output" "$r"; done))
if [ "$operation" = generate ]; then
    for name in "${names[@]}" "$output.dgen.json"; do
        [ -z "$overwrite$resume" ] && [ -e "$name" ] && status=3
    done
    if [ "$status" = 0 ]; then
        manifest() {
            printf '{\n  "layout" : "%s",\n  "ranks" : %d,\n  "run" : "%s",\n' \
                "$layout" "$ranks" "$$" > "$output.dgen.json"
            printf '%s\n  "status" : "%s"\n}\n' "$spec" "$1" >> "$output.dgen.json"
        }
        manifest writing
        for name in "${names[@]}"; do echo data > "$name"; done
        [ ! -e "$CUT_OFF" ] || kill -KILL $$
        manifest complete
    fi
elif [ "$operation" = verify ]; then
    for name in "${names[@]}"; do grep -qx data "$name" || status=1; done
elif [ "$operation" = repair ]; then
    for name in "${names[@]}"; do echo data > "$name"; done
    sed -i 's/"run" : ".*"/"run" : "1"/' "$output.dgen.json"
fi
[ "$status" = 0 ] && say 0 ok || say "$status" failed
exit "$status"
"""


@pytest.fixture
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return lines of a campaign with a program that needs no MPI, and is quick."""
    path = tmp_path_factory.mktemp("bin") / "stand-in"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return f'launcher: "{path} {{ranks}}"\nsize: 1MiB\nranks: 3\n'


def contents(*folders: Path) -> dict[Path, Any]:
    """Return what is in folders: the bytes of files, what links lead to, and modes."""
    found: dict[Path, Any] = {}
    for path in [path for folder in folders for path in sorted(folder.rglob("*"))]:
        if path.is_symlink():
            found[path] = path.readlink()
        elif path.is_file():
            found[path] = (path.read_bytes(), path.stat().st_mode)
    return found


NEIGHBOURS = [
    *("data.20260101.tar.gz", "data.00000003", "data.000000000", "data.12345678", "data.0000000"),
    *("data.00000000.bak", "data.00000001~", "data.dgen.json.old", "data.", "dat"),
    *("data.dgen", "data.00000000.dgen.json", "Data.00000000", ".data.00000000", "data.x"),
    *("-rf", "*", "data.*", "data 00000000", "data.00000000 ", "data.\n00000000"),
]


def start(folder: Path, text: str) -> CampaignFolder:
    """Run the one case of a campaign, whatever comes of it."""
    text = f"{text}working_directory: '{folder}'\n"
    made = CampaignFolder.create(Campaign.from_yaml(text), folder / "campaign folder")
    for _ in run(made):
        pass
    return made


@pytest.mark.parametrize(
    "steps", ["[{}]", "[{}, {operation: verify}]", "[{}, {operation: repair}]"]
)
def test_only_files_of_the_case_are_removed(steps: str, stand_in: str, tmp_path: Path) -> None:
    """By name, not by what names begin with; however the path is spelled."""
    for name in NEIGHBOURS:
        (tmp_path / name).write_text("precious")
    before = contents(tmp_path)
    text = stand_in + f"output: ./data\nlayout: per-rank\nremove_data: true\nsteps: {steps}\n"
    folder = start(tmp_path, text)
    (case,) = folder.campaign.cases
    assert folder.state(case) is State.DONE, folder.log(case).read_text()
    after = contents(tmp_path)
    assert {path: after.get(path) for path in before} == before
    for name in ("data.00000000", "data.00000001", "data.00000002", "data.dgen.json"):
        assert not (tmp_path / name).exists()


def in_the_way(name: str) -> Callable[[Path], None]:
    """Return what puts a file where the case would write."""
    return lambda folder: (folder / name).write_text("precious") and None


def linked(folder: Path) -> None:
    """Put a link where the case writes over what is there."""
    (folder / "far").mkdir()
    (folder / "far/precious").write_text("precious")
    (folder / "data").symlink_to(folder / "far/precious")


REFUSALS = [
    (in_the_way("data"), "layout: shared"),
    (in_the_way("data.00000001"), "layout: per-rank"),
    (in_the_way("data.dgen.json"), "layout: shared"),
    (in_the_way("data.dgen.json"), "layout: per-rank"),
]


@pytest.mark.parametrize(("prepare", "lines"), REFUSALS)
def test_what_was_there_before_stays(
    prepare: Callable[[Path], None], lines: str, stand_in: str, tmp_path: Path
) -> None:
    """The write is refused, however often it is tried, and nothing is removed."""
    prepare(tmp_path)
    before = contents(tmp_path)
    for _ in range(2):
        folder = start(tmp_path, stand_in + f"output: data\nremove_data: true\n{lines}\n")
        assert folder.state(folder.campaign.cases[0]) is State.FAILED
        after = contents(tmp_path)
        assert {path: after.get(path) for path in before} == before


def data_set(folder: Path, name: str, layout: str, status: str = "complete", seed: int = 7) -> None:
    """Make a data set that is somebody else's."""
    files = [name] if layout == "shared" else [f"{name}.{rank:08}" for rank in range(3)]
    for file in files:
        (folder / file).write_text("data\n")
    (folder / f"{name}.dgen.json").write_text(
        f'{{\n  "layout" : "{layout}",\n  "ranks" : 3,\n  "run" : "77",\n'
        f'  "spec" : {{\n    "seed" : {seed}\n  }},\n  "status" : "{status}"\n}}\n'
    )


@pytest.mark.parametrize("layout", ["shared", "per-rank"])
@pytest.mark.parametrize(
    "steps",
    [
        "[{operation: verify, output: theirs}]",
        "[{}, {operation: verify, output: theirs}]",
        "[{operation: generate, output: theirs, resume: true}]",
        "[{operation: test, phases: [verify], output: theirs, seed: 7}]",
    ],
)
def test_data_that_is_only_verified_stays(
    steps: str, layout: str, stand_in: str, tmp_path: Path
) -> None:
    """And what was there before and was only finished."""
    data_set(tmp_path, "theirs", layout)
    before = set(contents(tmp_path))
    text = f"output: ours\nlayout: {layout}\nremove_data: true\nsteps: {steps}\n"
    folder = start(tmp_path, stand_in + text)
    (case,) = folder.campaign.cases
    assert folder.state(case) is State.DONE, folder.log(case).read_text()
    assert before <= set(contents(tmp_path))
    assert not list(tmp_path.glob("ours*"))


@pytest.mark.parametrize("layout", ["shared", "per-rank"])
def test_files_that_are_no_longer_those_of_the_case_stay(
    layout: str, stand_in: str, tmp_path: Path
) -> None:
    """Somebody has put one of their own in the place of one, between two steps."""
    first = "data" if layout == "shared" else "data.00000001"
    precious = tmp_path / "precious"
    for how in (f"cp {precious} {first}", f"ln -sf {precious} {first}", f"mv {precious} {first}"):
        precious.write_text("data\n")
        text = f"output: data\nlayout: {layout}\nremove_data: true\noverwrite: true\nsteps:\n"
        text += "  - {}\n  - {operation: verify, launcher: "
        text += f'"bash -c \'{how}; \\"$@\\"\' - ' + stand_in.split('"')[1] + '"}\n'
        folder = start(tmp_path, stand_in + text)
        (case,) = folder.campaign.cases
        assert folder.state(case) is State.DONE, folder.log(case).read_text()
        assert (tmp_path / first).read_text() == "data\n"
        assert "stays" in folder.log(case).read_text()
        shutil.rmtree(folder.path)
        for path in tmp_path.glob("data*"):
            path.unlink()


def test_links_and_what_they_lead_to_stay(stand_in: str, tmp_path: Path) -> None:
    """Where a case writes through them: the link was there before."""
    linked(tmp_path)
    text = "output: data\nremove_data: true\noverwrite: true\n"
    folder = start(tmp_path, stand_in + text)
    assert folder.state(folder.campaign.cases[0]) is State.DONE
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "far/precious").exists()


@pytest.mark.parametrize("status", ["writing", "complete"])
@pytest.mark.parametrize("seed", [7, 8])
def test_only_a_write_of_the_case_begins_again(
    status: str, seed: int, stand_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was refused does not, though the other one is not complete."""
    data_set(tmp_path, "data", "shared", status, seed)
    before = contents(tmp_path)
    for _ in range(2):
        start(tmp_path, stand_in + "output: data\n")
        after = contents(tmp_path)
        assert {path: after.get(path) for path in before} == before
    # Its own does, also where the script was killed in the midst of it.
    for path in before:
        path.unlink()
    cut = tmp_path / "cut"
    cut.touch()
    monkeypatch.setenv("CUT_OFF", str(cut))
    folder = start(tmp_path, stand_in + "output: data\n")
    (case,) = folder.campaign.cases
    assert folder.state(case) is not State.DONE
    cut.unlink()
    start(tmp_path, stand_in + "output: data\n")
    assert folder.state(case) is State.DONE


def test_program_and_scripts_agree_on_files_of_ranks(dgen: Command, tmp_path: Path) -> None:
    """With the program itself: what it writes is what is removed, and nothing else."""
    for name in NEIGHBOURS:
        (tmp_path / name).write_text("precious")
    before = contents(tmp_path)
    (tmp_path / "c.yaml").write_text(
        "output: data\nsize: 3MiB\nranks: 3\nlayout: per-rank\nremove_data: true\n"
        "launcher_arguments: [--oversubscribe]\nsteps: [{}, {operation: verify}]\n"
    )
    dgen("run", "c.yaml")
    after = contents(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert {path.name for path in tmp_path.iterdir()} == {*NEIGHBOURS, "c", "c.yaml"}
