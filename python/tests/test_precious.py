# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files of users around, inside and in the way of campaigns: none of them changes."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, chance, rounds

from dgen_mpi import _files, cli
from dgen_mpi.jobs import Campaign, CampaignFolder, JobError, State, run
from dgen_mpi.jobs.folder import write_json

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
is_ours() {
    grep -qs '"run" : ' "$output.dgen.json"
}
is_there() {
    local name
    for name in "${names[@]}" "$output.dgen.json"; do [ ! -e "$name" ] || return 0; done
    return 1
}
if [ "$operation" = repair ] || { [ -n "$resume" ] && is_there; }; then
    is_ours || status=2
fi
if [ "$operation" = generate ]; then
    [ -n "$overwrite$resume" ] || ! is_there || status=3
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
elif [ "$operation" = repair ] && [ "$status" = 0 ]; then
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


@pytest.mark.parametrize("spaces", [(",", ":"), (" ,\n\n", "\t:  ")])
def test_spaces_in_json_mean_nothing(
    spaces: tuple[str, str], stand_in: str, tmp_path: Path
) -> None:
    """What is done is known as done, what was cut off begins again, every part is removed."""
    program = tmp_path / "stand-in"
    program.write_text(STAND_IN.replace('" : ', f'"{spaces[1]}'))
    program.chmod(0o755)
    steps = "steps: [{operation: generate}, {operation: verify}]\n"
    lines = f"output: data\nlayout: per-rank\n{steps}"
    folder = start(tmp_path, stand_in + lines)
    (case,) = folder.campaign.cases
    reports = [step.path for step in folder.results(case)]
    manifest = tmp_path / "data.dgen.json"

    def change(path: Path, **changes: Any) -> None:
        content = json.loads(path.read_text()) | changes
        path.write_text(json.dumps(content, separators=spaces))

    def run_script() -> list[int]:
        subprocess.run(["bash", folder.script(case)], check=True, capture_output=True)
        assert folder.state(case) is State.DONE
        return [path.stat().st_mtime_ns for path in reports]

    for path in (*reports, manifest):
        change(path, deeper={"exit_status": 3, "layout": "shared"}, error='"exit_status" : 3,')
    changed = [path.stat().st_mtime_ns for path in reports]
    assert run_script() == changed
    # As a write that is killed leaves them.
    change(reports[0], exit_status=5, status="interrupted")
    change(manifest, status="writing")
    reports[1].unlink()
    assert min(run_script()) > max(changed)
    removing = stand_in.replace(stand_in.split('"')[1].split()[0], str(program))
    other = tmp_path / "other"
    other.mkdir()
    folder = start(other, removing + lines + "remove_data: true\n")
    assert folder.state(folder.campaign.cases[0]) is State.DONE
    assert [path.name for path in other.iterdir()] == ["campaign folder"]


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


CAMPAIGN = "name: c\noutput: data\nsize: 1MiB\n"
REPORT = '{"format": "dgen-report/1", "exit_status": 0, "operations": []}'


def spellings(folder: Path, name: str) -> list[str]:
    """Return ways to name a file of a folder that is the working directory."""
    with contextlib.suppress(FileExistsError):
        (folder / "sub").mkdir()
        (folder / "link").symlink_to(name)
        (folder / "sub/link").symlink_to(folder / "link")
        (folder / "hard").hardlink_to(folder / name)
        (folder / "again").symlink_to(folder)
    ways = [name, f"./{name}", str(folder / name), f"sub/../{name}", f"{folder}//{name}"]
    return [*ways, "link", "sub/link", "hard", f"again/{name}"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["render", "z.yaml", "--single"], "z.yaml"),
        (["render", "z.yaml", "--single"], "hints"),
        (["report", "r.json", "--csv"], "r.json"),
        (["report", "r.json", "--plot"], "r.json"),
        (["report", "r.json", "--compare", "s.json", "--csv"], "s.json"),
        (["report", "r.json", "--plot-ratios"], "r.json"),
        (["report", "r.json", "--map"], "r.json"),
        (["analyze", "data", "--plot"], "data"),
        (["analyze", "data", "--plot"], "data.dgen.json"),
        # Not read, but nothing of the kind.
        (["render", "z.yaml", "--single"], "precious"),
        (["report", "r.json", "--csv"], "precious"),
        (["report", "r.json", "--plot"], "precious"),
        (["report", "r.json", "--map"], "precious"),
        (["analyze", "data", "--plot"], "precious"),
        (["new", "size=1", "output=x"], "precious"),
    ],
)
def test_outputs_are_no_inputs(
    command: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of all commands, by whatever spelling and link; nor anything else that is there."""
    (tmp_path / "z.yaml").write_text(CAMPAIGN + "hints_file: hints\n")
    for other in ("hints", "precious", "data", "data.dgen.json"):
        (tmp_path / other).write_text("a=1\n")
    for other in ("r.json", "s.json"):
        (tmp_path / other).write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    ways = spellings(tmp_path, name)
    before = contents(tmp_path)
    for way in ways:
        assert cli.main([*command, way]) == 2, way
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert way in said
    assert contents(tmp_path) == before


def test_outputs_are_no_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of one command are two files; what a command has written it writes again."""
    (tmp_path / "z.yaml").write_text(CAMPAIGN)
    (tmp_path / "r.json").write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "r.json", "--csv", "x", "--plot", "./x"]) == 2
    assert cli.main(["report", "r.json", "--plot", "x", "--map", "./x"]) == 2
    assert cli.main(["render", "z.yaml", "--single", "sub/../data"]) == 2
    assert cli.main(["render", "z.yaml", "--single", "data.dgen.json"]) == 2
    (tmp_path / "ranks.yaml").write_text(CAMPAIGN + "layout: per-rank\n")
    assert cli.main(["render", "ranks.yaml", "--single", "data.00000000"]) == 2
    assert not (tmp_path / "data.00000000").exists()
    for _ in range(2):
        assert cli.main(["report", "r.json", "--csv", "x.csv"]) == 0
        assert cli.main(["render", "z.yaml", "--single", "x.sh"]) == 0
        assert cli.main(["render", "z.yaml", "--single", "/dev/null"]) == 0
    (tmp_path / "dangling").symlink_to("elsewhere")
    assert cli.main(["new", "dangling", "size=1", "output=x"]) == 2
    assert not (tmp_path / "elsewhere").exists()
    capsys.readouterr()


SWEEP = "name: c\noutput: '{name}'\nsize: 1MiB\nranks: [1, 2]\n"


@pytest.mark.parametrize("bytes_max", [0, 100, 2500, 7000])
def test_full_disk_leaves_what_can_be_finished(
    bytes_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was full: one line, and the next run goes on."""
    (tmp_path / "z.yaml").write_text(SWEEP + "# " + "x" * 5000 + "\n")
    limit = (bytes_max, resource.RLIM_INFINITY)
    full = subprocess.run(
        [sys.executable, "-m", "dgen_mpi", "render", "z.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if bytes_max < 7000:
        assert full.returncode == 3
        assert full.stderr.count("\n") == 1
        assert str(tmp_path / "c") in full.stderr
    assert [path for path in (tmp_path / "c").rglob(".*") if path.name != ".lock"] == []
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", "z.yaml"]) == 0
    folder = CampaignFolder.open(tmp_path / "c")
    assert [folder.state(case) for case in folder.campaign.cases] == [State.PENDING] * 2


def test_failure_anywhere_keeps_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each file that is written; results stay those of the jobs that made them."""
    old, new = Campaign.from_yaml(SWEEP), Campaign.from_yaml(SWEEP + "seed: 5\n")
    working = _files.replace
    for number in range(12):
        place = tmp_path / str(number)
        folder = CampaignFolder.create(old, place)
        (step,) = folder.results(folder.campaign.cases[0])
        step.path.write_text('{"exit_status" : 0, "format": "dgen-report/1"}')
        left = number

        def failing(*arguments: Any, **more: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "No space left on device", str(arguments[0]))
            working(*arguments, **more)

        monkeypatch.setattr(_files, "replace", failing)
        with contextlib.suppress(OSError):
            CampaignFolder.create(new, place)
        monkeypatch.setattr(_files, "replace", working)
        assert step.path.exists()
        folder = CampaignFolder.create(new, place)
        assert folder.state(folder.campaign.cases[0]) is State.PENDING
        folder = CampaignFolder.create(old, place)
        assert folder.state(folder.campaign.cases[0]) is State.DONE


OTHERS = [
    SWEEP + "seed: 5\n",
    SWEEP.replace("[1, 2]", "[3]"),
    SWEEP.replace("'{name}'", "other/{name}"),
    SWEEP + "steps: [{}, {operation: verify}]\n",
    SWEEP + "remove_data: true\n",
]


def results(folder: CampaignFolder) -> dict[Path, bytes]:
    """Make what a run of all cases leaves."""
    for case in folder.campaign.cases:
        folder.results(case)[0].path.write_text('{"exit_status" : 3, "format": "dgen-report/1"}')
        (folder.place(case) / "exit_status").write_text("3\n")
        (folder.place(case) / "precious").write_text("mine")
        folder.log(case).write_text(f"log of {case.name}")
    names = ("*.report.json", "log.txt", "exit_status", "precious")
    found = [path for name in names for path in folder.path.rglob(name)]
    return {path: path.read_bytes() for path in found}


@pytest.mark.parametrize("text", OTHERS)
def test_rendering_removes_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for an edited campaign, nor for another one of its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "z.yaml").write_text(SWEEP)
    assert cli.main(["render", "z.yaml"]) == 0
    before = results(CampaignFolder.open(tmp_path / "c"))
    scripts = {path.read_bytes() for path in (tmp_path / "c").rglob("*.sh")}
    (tmp_path / "other.yaml").write_text(text)
    for _ in range(2):
        assert cli.main(["render", "other.yaml"]) == 0
        assert {path: path.read_bytes() for path in before} == before
    # Scripts that somebody may have edited are kept too.
    kept = {path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert scripts <= kept
    folder = CampaignFolder.open(tmp_path / "c")
    is_same = "remove_data" in text
    expected = State.FAILED if is_same else State.PENDING
    assert {folder.state(case) for case in folder.campaign.cases} == {expected}
    # As they were again, they are of the campaign.
    assert cli.main(["render", "z.yaml"]) == 0
    folder = CampaignFolder.open(tmp_path / "c")
    assert {folder.state(case) for case in folder.campaign.cases} == {State.FAILED}


@pytest.mark.parametrize("how", ["run", "bash"])
def test_results_of_other_jobs_are_kept_aside(how: str, stand_in: str, tmp_path: Path) -> None:
    """When the case is run again, by this package or by its script alone."""
    text = stand_in + f"output: data\noverwrite: true\nworking_directory: {tmp_path}\n"
    folder = CampaignFolder.create(Campaign.from_yaml(text), tmp_path / "c")
    (case,) = folder.campaign.cases
    for _ in run(folder):
        pass
    assert folder.state(case) is State.DONE
    report = folder.results(case)[0].path
    report.write_text(report.read_text() + "\n\n")
    before = report.read_bytes()
    changed = CampaignFolder.create(Campaign.from_yaml(text + "seed: 5\n"), tmp_path / "c")
    (case,) = changed.campaign.cases
    assert changed.state(case) is State.PENDING
    for _ in range(2):
        if how == "run":
            for _ in run(changed):
                pass
        else:
            subprocess.run(["bash", changed.script(case)], check=True, timeout=60)
        assert changed.state(case) is State.DONE
        assert report.with_name(f"{report.name}.~1~").read_bytes() == before
        assert not report.with_name(f"{report.name}.~2~").exists()
    assert report.read_bytes() != before


def test_cases_that_run_are_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither their scripts, logs, nor results: whoever changes the campaign is refused."""
    folder = CampaignFolder.create(Campaign.from_yaml(SWEEP), tmp_path / "c")
    results(folder)
    changed = Campaign.from_yaml(OTHERS[0])
    before = contents(folder.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CampaignFolder.locked.__wrapped__, "__defaults__", (0.3,))
    with folder.locked():
        (tmp_path / "z.yaml").write_text(OTHERS[0])
        for command in ("render", "run", "submit"):
            assert cli.main([command, "z.yaml"]) == 2
            assert "is being run already" in capsys.readouterr().err
        assert contents(folder.path) == before
    inode = folder.script(folder.campaign.cases[0]).stat().st_ino
    made = CampaignFolder.create(changed, folder.path)
    # A shell that reads the old one goes on with the old one.
    assert made.script(made.campaign.cases[0]).stat().st_ino != inode


@pytest.mark.parametrize("text", [*OTHERS, SWEEP])
def test_cases_that_are_submitted_are_not_changed(text: str, tmp_path: Path) -> None:
    """A batch system reads their scripts when it likes to."""
    folder = CampaignFolder.create(Campaign.from_yaml(SWEEP), tmp_path / "c")
    results(folder)
    case = folder.campaign.cases[0]
    (folder.place(case) / "exit_status").unlink()
    write_json(folder.place(case) / "submission.json", {"executor": "slurm", "native_id": "4711"})
    before = contents(folder.path)
    if text == SWEEP:
        CampaignFolder.create(Campaign.from_yaml(text), folder.path)
    else:
        with pytest.raises(JobError, match=r"slurm job 4711 has it.*dgen cancel") as caught:
            CampaignFolder.create(Campaign.from_yaml(text), folder.path)
        assert "\n" not in str(caught.value)
    assert contents(folder.path) == before


def test_changed_meanwhile_is_not_run(tmp_path: Path) -> None:
    """Between making the folder and running it."""
    folder = CampaignFolder.create(Campaign.from_yaml(SWEEP), tmp_path / "c")
    CampaignFolder.create(Campaign.from_yaml(OTHERS[0]), tmp_path / "c")
    with pytest.raises(JobError, match="somebody has changed"):
        next(iter(run(folder)))


def test_lock_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Files that are called as ours are, in folders that are not."""
    for name in (".lock", ".index.json.1"):
        (tmp_path / name).write_text("")
    CampaignFolder.create(Campaign.from_yaml(SWEEP), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".lock").write_text("precious")
    with pytest.raises(JobError, match="not the folder of a campaign"):
        CampaignFolder.create(Campaign.from_yaml(SWEEP), other)
    assert contents(other)[other / ".lock"][0] == b"precious"


def test_status_writes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever may only read a folder may ask; nor is a lock made where there was none."""
    base = tmp_path_factory.mktemp("read-only")
    folder = CampaignFolder.create(Campaign.from_yaml(SWEEP), base / "c")
    results(folder)
    (folder.path / ".lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in [base, *base.rglob("*")]}
    for path in (base / "c").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (base / "c").chmod(0o555)
    for path in [base, *base.parents]:
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    child = os.fork()
    if child == 0:
        status = 99
        with contextlib.suppress(BaseException):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            status = cli.main(["status", str(base / "c"), "--json"])
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert {path: path.stat().st_mtime_ns for path in [base, *base.rglob("*")]} == before
    (base / "c").chmod(0o755)
    for path in (base / "c").rglob("*"):
        path.chmod(0o755)
    assert not folder.is_running()
    with folder.locked():
        assert folder.is_running()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o400])
def test_files_keep_their_modes(mode: int, tmp_path: Path) -> None:
    """What is written again is as open as it was; a new one as the process wants it."""
    path = tmp_path / "x.json"
    old = os.umask(0o027)
    try:
        write_json(path, 1)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == 0o640
    path.chmod(mode)
    (tmp_path / "link").symlink_to("x.json")
    for number, name in enumerate(("x.json", "link")):
        write_json(tmp_path / name, number)
        assert json.loads(path.read_text()) == number
        assert path.stat().st_mode & 0o7777 == mode
    assert (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="makes links of another user")
def test_links_of_other_users_are_not_followed(tmp_path: Path) -> None:
    """In a folder that all may write to; one's own are."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    os.chown(shared, 65533, 65533)
    (tmp_path / "precious").write_text("mine")
    (shared / "x.json").symlink_to(tmp_path / "precious")
    os.lchown(shared / "x.json", 65534, 65534)
    with pytest.raises(OSError, match="link of another user"):
        write_json(shared / "x.json", 1)
    assert (tmp_path / "precious").read_text() == "mine"
    os.lchown(shared / "x.json", 0, 0)
    write_json(shared / "x.json", 1)
    assert (tmp_path / "precious").read_text() == "1\n"


MEASURED = """#!/bin/bash
for word; do case $word in --output=*) output=${word#*=} ;; esac; done
touch "$output".0000000{0,1,2} "$output" "$output.dgen.json" "$output.lock"
[ -z "$STOPS" ] || { touch "$STOPS"; exec sleep 60; }
echo '{"operations": [{"bytes_per_second": 1000}]}'
"""


@pytest.mark.parametrize("is_stopped", [False, True])
def test_measuring_leaves_nothing(is_stopped: bool, tmp_path: Path) -> None:
    """Not of files of ranks, nor where it is interrupted; and nothing else is missing."""
    (tmp_path / "launch").write_text(MEASURED)
    (tmp_path / "launch").chmod(0o755)
    for name in (".data.dgen-measure.1", ".data.dgen-measure.1.00000000", "data.00000000"):
        (tmp_path / name).write_text("precious")
    (tmp_path / "z.yaml").write_text(
        f"output: data\nsize: 1GiB\nlayout: per-rank\nlauncher: '{tmp_path}/launch {{ranks}}'\n"
    )
    before = contents(tmp_path)
    started = tmp_path / "started"
    process = subprocess.Popen(
        [sys.executable, "-m", "dgen_mpi", "run", "z.yaml", "--dry-run", "--measure"],
        cwd=tmp_path,
        env={**os.environ, "STOPS": str(started) if is_stopped else ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if is_stopped:
        deadline = time.monotonic() + 60
        while not started.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (5 if is_stopped else 0), errors
    started.unlink(missing_ok=True)
    assert contents(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in before}


AWKWARD = [
    *("data", "data.dgen.json", "data.00000000", "data.00000002", "data.00000003", "c.sh"),
    *("data.20260101.tar.gz", "out.csv", "out.svg", "c/index.json", "c/.lock", "c/case.sh"),
    *("c/all/log.txt", "c/all/1-generate.report.json", "c/all/exit_status", "c/campaign.yaml"),
    *("c/all/slurm.sh", "c/all/jobs", "c/all/data-1.record", "c/all/1-generate.new", "c"),
    *("c/all", "c/all/submission.json", ".data.dgen-measure.1", "data.lock", "data.~1~", "-n"),
    *("c/all/log.txt.~1~", "new.yaml", "a b", "$(touch x)", "{name}", "data*", "data.00000001/x"),
]
OWN = {"exit_status", "submission.json", "jobs", "1-generate.report.json", "log.txt", "index.json"}
OWN |= {"1-generate.new", "data-1.record"}
ROUNDS = rounds(15, 500)


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_precious_files_stay_whatever_is_run(
    round_number: int,
    stand_in: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Around, inside and in the place of all that random commands write and remove."""
    numbers = chance(round_number)
    monkeypatch.chdir(tmp_path)
    text = stand_in + "name: c\n"
    output = numbers.choice(["data", "./data", str(tmp_path / "data"), "c/all/data", "c/data"])
    text += f"output: '{output}'\nremove_data: {numbers.choice(['true', 'false'])}\n"
    text += f"layout: {numbers.choice(['shared', 'per-rank'])}\n"
    steps = ["{}", "{operation: verify}", "{operation: repair}"]
    steps += ["{operation: generate, resume: true, output: data}", "{operation: verify, output: x}"]
    text += f"steps: [{', '.join(numbers.choices(steps, k=numbers.randint(1, 3)))}]\n"
    (tmp_path / "z.yaml").write_text(text)
    (tmp_path / "edited.yaml").write_text(text + "seed: 5\n")
    (tmp_path / "r.json").write_text(REPORT)
    precious: dict[Path, bytes] = {}

    def put(name: str) -> None:
        path = tmp_path / name
        # In a folder that is a campaign's, what is called as its results are is its own.
        is_own = path.name in OWN and (tmp_path / "c/index.json").exists()
        if not os.path.lexists(path) and not is_own:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(numbers.randbytes(20))
                precious[path] = path.read_bytes()

    for name in numbers.sample(AWKWARD, numbers.randint(0, 8)):
        put(name)
    some = ["z.yaml", "edited.yaml"]
    for _ in range(6):
        file, name = numbers.choice(some), numbers.choice(AWKWARD)
        command = numbers.choice(
            [
                *(["run", file], ["run", file], ["render", file], ["run", file, "-d", name]),
                *(["render", file, "--single", name], ["render", file, "-d", name]),
                *(["report", "r.json", "--csv", name], ["new", name, "size=1", "output=x"]),
                *(["status", "c"], ["cancel", "c"], ["report", "c", "--csv", name]),
                ["bash", "c/all/case.sh"],
            ]
        )
        if numbers.random() < 0.3:
            put(name)
        if command[0] == "bash":
            subprocess.run(command, check=False, timeout=60, capture_output=True)
        else:
            with contextlib.suppress(SystemExit):
                cli.main(command)
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or path.stat().st_size < 1 << 20, f"{command}: {path}"
        kept = {path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        lost = [path for path, content in precious.items() if content not in kept]
        assert not lost, f"{command}: {lost}\n{capsys.readouterr().err}"
        moved = [
            path for path in precious if not path.is_file() or path.read_bytes() != precious[path]
        ]
        # Only what is called as results of the case are is kept aside.
        assert all(path.parent.name in ("all", "c") for path in moved), f"{command}: {moved}"


@pytest.mark.parametrize("name", ["all/case.sh", "all/jobs", "campaign.yaml", "all/slurm.sh"])
@pytest.mark.parametrize("kind", ["zero", "pipe", "link", "folder"])
def test_odd_files_in_the_folder_are_kept_aside(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no end, or nobody writes to, is not read; what a link leads to stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "z.yaml").write_text(CAMPAIGN)
    assert cli.main(["render", "z.yaml"]) == 0
    path = tmp_path / "c" / name
    path.unlink()
    (tmp_path / "precious").write_text("")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else tmp_path / "precious")
    assert cli.main(["render", "z.yaml"]) == 0
    assert (tmp_path / "precious").read_text() == ""
    for script in (tmp_path / "c/all").glob("*.sh"):
        assert script.is_file()
        assert not script.is_symlink()
