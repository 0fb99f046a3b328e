# SPDX-License-Identifier: MIT OR Apache-2.0
"""Folders of campaigns that somebody changed: told in one line, never with a traceback.

Status 1 means that data differs, and nothing else.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import IS_WHOLE, chance, rounds

from dgen_mpi import DataSpec, cli
from dgen_mpi.cli import campaigns
from dgen_mpi.jobs import Campaign, CampaignFolder

ROUNDS = int(os.environ.get("DGEN_FUZZ_ROUNDS", rounds(100, 3000)))

VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -0.0, 0.5),
    *("", "1", "0", "a\nb", "\x1b[2J", "[/b]", "{0}", "%s", "../../x", "\ud800", "x" * 5000),
    *([], [[]], [None], {}, {"": {}}, {"a": [{"b": {}}]}, [1, "a", None]),
]
TEXTS = [
    *(b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"\0" * 10, b"NaN", b"[" * 100_000),
    *(b'{"a":' * 5000, b'{"exit_status": NaN}', b'{"exit_status": 1e999}', b"1\n", b"x\n"),
    *(b"0", b"9" * 5000, b"-1", "\uff11".encode(), b'{"format": "dgen-report/1"}'),
    b'{"format": "dgen-campaign/1", "name": "c", "cases": []}',
]


def make(place: Path) -> Path:
    """Make a campaign of two cases that have ended, with everything that may lie in its folder."""
    (place / "c.yaml").write_text(
        f"output: {place}/{{name}}.dat\nsize: 64KiB\nseed: 1\nranks: [1, 2]\n"
        "launcher: 'false {ranks}'\n"
    )
    folder = CampaignFolder.create(Campaign.load(place / "c.yaml"), place / "c")
    for case in folder.campaign.cases:
        data = bytearray(1 << 16)
        DataSpec(1 << 16, 1).fill(data)
        Path(case.outputs[0]).write_bytes(data)
        report = {
            **{"format": "dgen-report/1", "status": "ok", "exit_status": 0, "error": None},
            **{"mpi": {"ranks": 2, "nodes": 1}, "kernel": "scalar", "path": "/x"},
            **{"started": "2026-01-01T00:00:00Z", "file_system": "ext4", "damage": []},
            "spec": {"size": 1 << 16, "dedup_ratio": 1, "compress_ratio": 1.5},
            "operations": [
                {
                    **{"operation": "write", "iteration": 0, "bytes": 1 << 16, "seconds": 0.1},
                    **{"bytes_per_second": 655360.0, "transfer_size": 1 << 20, "collective": False},
                }
            ],
        }
        for step in folder.results(case):
            step.path.write_text(json.dumps(report))
        (folder.place(case) / "exit_status").write_text("0\n")
        folder.log(case).write_text("nothing\n")
        (folder.place(case) / "submission.json").write_text(
            json.dumps({"executor": "local", "native_id": "1", "submitted": "2026"})
        )
        analysis = {
            **{"format": "dgen-analysis/1", "path": "/x", "file_bytes": 1, "sampled_bytes": 1},
            "dedup": [{"kind": "fixed", "unit": 4096, "blocks": 16, "ratio": 1.0}],
            "compression": [{"codec": "lz4", "unit": 4096, "ratio": 1.5}],
            "spec": {"dedup_ratio": 1, "compress_ratio": 1.5, "dedup_unit": 4096},
        }
        (folder.place(case) / "analysis.json").write_text(json.dumps(analysis))
    return folder.path


COMMANDS = [
    *(["status", "c"], ["status", "c", "--json"], ["report", "c"], ["report", "c", "--json"]),
    *(["report", "c", "--csv", "-"], ["report", "c", "--compare", "c"], ["cancel", "c", "--json"]),
    *(["cancel", "c", "ranks1"], ["run", "c.yaml", "--dry-run"], ["report", "c/ranks1"]),
]
SLOW = [
    *(
        ["analyze", "c", "--codecs", "zlib"],
        ["report", "c", "--plot", "p.svg", "--series", "ranks"],
    ),
    *(["report", "c", "--plot-ratios", "p.svg"], ["run", "c.yaml"], ["render", "c.yaml"]),
    *(["submit", "c.yaml", "--executor", "local", "--wait"], ["run", "c.yaml", "--json"]),
    *(["submit", "c.yaml", "--executor", "no"], ["report", "c", "-x", "case", "--plot", "p.svg"]),
]


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in a JSON value."""
    if at:
        yield at
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from places(content[key], (*at, key))


def tamper(path: Path, chance: random.Random) -> str:
    """Change a file in one of many ways; return how."""
    kind = chance.choice(["value", "value", "value", "delete", "text", "cut", "bytes", "else"])
    if kind in ("value", "delete") and path.suffix == ".json":
        content = json.loads(path.read_text())
        *way, last = chance.choice(list(places(content)))
        inner = content
        for key in way:
            inner = inner[key]
        if kind == "delete":
            del inner[last]
        else:
            inner[last] = chance.choice(VALUES)
        path.write_text(json.dumps(content))
        return f"{kind} {way} {last}"
    data = path.read_bytes()
    if kind == "cut":
        path.write_bytes(data[: chance.randrange(len(data) + 1)])
    elif kind == "bytes":
        changed = bytearray(data or b"x")
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        path.write_bytes(changed)
    elif kind == "text":
        path.write_bytes(chance.choice(TEXTS))
    else:
        path.unlink()
        kind = chance.choice(["gone", "folder", "loop", "nowhere", "pipe", "endless", "closed"])
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "closed":
            path.write_bytes(data)
            path.chmod(0)
        elif kind != "gone":
            targets = {"loop": path, "nowhere": "/no/such", "endless": "/dev/zero"}
            path.symlink_to(targets[kind])
    return kind


def test_no_tampering_gives_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any value, cut, byte, or thing in place of a file: one line, never status 1."""
    numbers = chance()
    monkeypatch.chdir(tmp_path)
    folder = make(tmp_path)
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    for number in range(ROUNDS):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        path = numbers.choice(files)
        how = tamper(path, numbers)
        slow = SLOW if IS_WHOLE and number % 40 == 0 else []
        if slow and numbers.random() < 0.5:
            # Something is to be done.
            (folder / "ranks1/1-generate.report.json").unlink(missing_ok=True)
        for command in [numbers.choice(COMMANDS), numbers.choice(COMMANDS), *slow]:
            status = cli.main(command)
            said = capsys.readouterr()
            where = f"round {number}: {how} in {path}, then {command}: {said.err}"
            assert "Traceback" not in said.err, where
            assert "internal error" not in said.err, where
            assert status in (0, 2, 3, 5), where
            assert status == 0 or command[0] in ("run", "submit") or len(said.err.splitlines()) <= 1
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)


@pytest.mark.parametrize("command", ["run", "submit"])
@pytest.mark.parametrize("name", ["ranks1/log.txt", "ranks1/.lock", ".lock"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_no_file_of_others_is_written_to(
    kind: str,
    name: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A link in the place of a file of the folder is not followed, a pipe not waited for."""
    monkeypatch.chdir(tmp_path)
    folder = make(tmp_path)
    (folder / "ranks1/1-generate.report.json").unlink()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / name).unlink(missing_ok=True)
    if kind == "link":
        (folder / name).symlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    more = ["--executor", "local", "--wait"] if command == "submit" else []
    assert cli.main([command, "c.yaml", *more]) == 3
    assert "internal error" not in capsys.readouterr().err
    assert precious.read_text() == "mine"


def test_numbers_of_jobs_are_no_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They become arguments of commands that cancel."""
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path) / "ranks1/submission.json"
    for number in ("--user=me", "-u", "1 2", "", "1\n2", "x" * 300):
        path.write_text(json.dumps({"executor": "slurm", "native_id": number}))
        assert cli.main(["cancel", "c"]) == 2
        assert "native_id" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"status": "mismatch", "exit_status": 1}, 1),
        ({"status": "ok", "exit_status": 1}, 3),
        ({"status": "mismatch", "exit_status": True}, 3),
        ({"status": "mismatch", "exit_status": 1.0}, 3),
        ({"status": "mismatch", "exit_status": 0}, 3),
        ({"status": "mismatch", "exit_status": "1"}, 3),
        ({"status": "interrupted", "exit_status": 5}, 5),
    ],
)
def test_status_1_is_of_data_that_differs(
    change: dict[str, Any], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a report says that is whole; whatever else stands there is a failure."""
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path) / "ranks1/1-generate.report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert cli.main(["status", "c"]) == status


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("output={name}", "output", "{name}"),
        ("output={campaign}-{name}", "output", "{campaign}-{name}"),
        ("hint={a: 1}", "hint", {"a": "1"}),
        ("ranks=[1, 2]", "ranks", ["1", "2"]),
    ],
)
def test_new_takes_names_in_braces(
    setting: str, field: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the output they stand for the case; hints and variables are mappings."""
    from dgen_mpi.jobs import files

    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "x.yaml", setting]) == 0
    assert files.parse((tmp_path / "x.yaml").read_text(), "x")[field] == value


@pytest.mark.parametrize(
    "settings",
    [
        *(["output={a: b}"], ["output={"], ["output=}"], ["=x"], ["=", "size=~"], ["size={}"]),
        *(["hint={a: {b: ~}}"], ["hint={a: ~}"], ["ranks=[~]"], ["ranks=[[]]"], ["steps={a: b}"]),
        *(["steps=[~]"], ["environment={1: [a]}"], ["output=\udcff"], ["a\nb=c"], ["size=\x1b"]),
        *(["exclude=[{}]"], ["include=[~]"], ["name={name}"], ["*=&a"], ["output=[[a]]"]),
    ],
)
def test_new_refuses_in_one_line(
    settings: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever is given, or it takes it."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "x.yaml", *settings]) in (0, 2)
    said = capsys.readouterr().err
    assert len(said.splitlines()) <= 1
    assert "internal error" not in said


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `dgen` as a line of shell says."""
    return subprocess.run(
        ["bash", "-c", line.replace("dgen", f"{sys.executable} -m dgen_mpi", 1)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FULL = "dgen: error: input or output: No space left on device\n"


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("dgen schema > /dev/full", 3, FULL),
        ("dgen --help > /dev/full", 3, FULL),
        ("dgen schema >&-", 3, "dgen: error: stdout: closed; give it a place\n"),
        ("dgen check no.yaml 2>&-", 2, ""),
        ("dgen check no.yaml 2> /dev/full", 2, ""),
        ("dgen new x.yaml <&-", 0, ""),
        ("dgen check $'\\xff.yaml'", 2, "dgen: error: \\udcff.yaml: not readable: No such file"),
        ("dgen status c > /dev/full", 3, FULL),
        (
            "dgen new $'\\xff.yaml'",
            2,
            "dgen: error: '\\udcff.yaml' is not accepted; give text in UTF-8",
        ),
    ],
)
def test_streams_that_take_nothing(line: str, status: int, said: str, tmp_path: Path) -> None:
    """What cannot be delivered failed; in one line where there is a place for it."""
    make(tmp_path)
    done = shell(line, tmp_path)
    assert done.returncode == status, done.stderr
    # The first of the two where Python keeps what is printed for a while.
    assert done.stderr.replace("stdout: No", "input or output: No").startswith(said)
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("odd\nthing"), 3, "internal error: RuntimeError: odd thing; DGEN_DEBUG=1"),
        (RecursionError("too deep"), 3, "internal error: RecursionError"),
        (MemoryError(), 3, "not enough memory"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), 2, "'utf-8' codec"),
        (KeyboardInterrupt(), 5, "interrupted"),
        (BrokenPipeError(), 3, ""),
        (OSError("no number"), 3, "no number"),
        (OSError(5, "Input/output error", b"a\xff"), 3, "Input/output error"),
        (KeyError("key"), 3, "internal error: KeyError"),
        (AssertionError(), 3, "internal error: AssertionError"),
    ],
)
def test_whatever_is_raised_is_one_line(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And no status 1; who looks for the place is told it."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(campaigns, "schema", fail)
    monkeypatch.delenv("DGEN_DEBUG", raising=False)
    assert cli.main(["schema"]) == status
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == bool(said)
    monkeypatch.setenv("DGEN_DEBUG", "1")
    assert cli.main(["schema"]) == status
    is_shown = isinstance(error, Exception) and not isinstance(error, BrokenPipeError)
    assert ("Traceback" in capsys.readouterr().err) == is_shown
