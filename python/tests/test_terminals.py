# SPDX-License-Identifier: MIT OR Apache-2.0
"""Texts of users on a terminal: shown as they are, neither markup nor commands to the terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from test_results import write_report
from test_tampered_results import make

from dgen_mpi import DataSpec, _text, report
from dgen_mpi.cli import output
from dgen_mpi.cli.display import Display, progress_of
from dgen_mpi.jobs import Campaign, CampaignFolder, Ended, Progressed, Started, State

ODD = [
    *("a[/b]", "[/]", "[bold red]x", "[link=http://x]y", ":smile:", "{task.description}", "%s"),
    *(
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x9b31m",
        "a\rb",
        "a\nb",
        "a\bb",
        "\u202ex",
        "\u2028",
        "$x_$",
    ),
]

OBEYED = re.compile("\x1b\\][^\x1b]|\x1b\\[2J|[\x9b\u202e\u2028\x07\x08]")
"""What a terminal would do because of one of them."""

SHOW = """
import sys
from dgen_mpi import cli
for command in {commands!r}:
    print("==", cli.main(command), flush=True)
"""


def on_a_terminal(folder: Path, commands: list[list[str]]) -> str:
    """Return what commands show on a terminal; one process for all, since a start takes long."""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SHOW.format(commands=commands)],
        cwd=folder,
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "400"},
    ) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                more = os.read(parent, 65536)
            except OSError:
                break
            if not more:
                break
            shown += more
        process.wait(timeout=60)
    os.close(parent)
    return shown.decode("utf-8", "replace")


def test_commands_show_odd_texts_as_they_are(tmp_path: Path) -> None:
    """Names of files and folders, reasons in reports, what programs printed."""
    name = "a[/b]\x1b]0;title\x07\x1b[2J\u202e"
    make(tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / "c").rename(tmp_path / name)
    path = tmp_path / name / "ranks1/1-generate.report.json"
    content = json.loads(path.read_text())
    content |= {"status": "failed", "exit_status": 3, "error": f"x {name} \x9b y [/b]"}
    path.write_text(json.dumps(content))
    # It is not given to anybody any more.
    (path.parent / "submission.json").unlink()
    data = bytearray(100)
    spec = DataSpec(1 << 16, 1)
    fields = ("size", "seed", "dedup_ratio", "compress_ratio", "dedup_unit", "compress_unit")
    manifest = {field: getattr(spec, field) for field in fields} | {"fill": "backref"}
    (tmp_path / f"{name}.dat").write_bytes(data)
    (tmp_path / f"{name}.dat.dgen.json").write_text(
        json.dumps({"format": "dgen/1", "status": "complete", "spec": manifest})
    )
    (tmp_path / f"{name}.yaml").write_text(
        "name: d\nsize: 1\nlauncher: \"bash -c 'echo {ranks} [/b] $0; exit 3' \"\n"
        + f"output: {json.dumps(f'{tmp_path}/{name}')}\n"
        + "working_directory: /no[/b]\n"
    )
    shown = on_a_terminal(
        tmp_path,
        [
            *(["status", name], ["report", name], ["report", name, "--csv", "-"]),
            *(["verify", f"{name}.dat"], ["analyze", f"{name}.dat", "--codecs", "zlib"]),
            *(["check", f"{name}.yaml"], ["run", f"{name}.yaml", "--dry-run"]),
            *(["run", f"{name}.yaml", "-d", f"{name}/x"], ["render", f"{name}.yaml"]),
            *(["render", f"{name}.yaml", "--single", "-"], ["cancel", name, name]),
            *(["new", f"{name}.yaml"], ["check", f"no {name}"], ["status", name, name], [name]),
        ],
    )
    assert "Traceback" not in shown
    assert "internal error" not in shown
    assert not OBEYED.search(shown), OBEYED.search(shown)
    statuses = [int(text) for text in re.findall(r"^== (\d)", shown, re.MULTILINE)]
    assert statuses == [3, 0, 0, 1, 0, 0, 0, 3, 0, 0, 2, 2, 2, 2, 2]
    assert r"x a[/b]\x1b]0;title\x07\x1b[2J\u202e \x9b y [/b]" in shown


@pytest.mark.parametrize("text", ODD)
def test_tables_and_bars_take_texts_for_texts(text: str, tmp_path: Path) -> None:
    """Also where another program prints them with a console of its own."""
    write_report(tmp_path / "c/1-generate.report.json", 1e9)
    content = json.loads((tmp_path / "c/1-generate.report.json").read_text())
    content["operations"][0]["operation"] = text
    (tmp_path / "c/1-generate.report.json").write_text(json.dumps(content))
    results = report.load(tmp_path / "c")
    for table in (results.table(), report.comparison_table(report.compare(results, results))):
        shown = io.StringIO()
        Console(file=shown, width=300, force_terminal=True).print(table)
        assert _text.plain(text) in shown.getvalue()
        assert not OBEYED.search(shown.getvalue())


def test_progress_shows_reasons_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bars, and as lines."""
    folder = CampaignFolder.create(Campaign.from_yaml("output: o\nsize: 1MiB\n"), tmp_path / "c")
    (case,) = folder.campaign.cases
    for is_terminal in (True, False):
        for text in ODD:
            stream = io.StringIO()
            monkeypatch.setattr(stream, "isatty", lambda is_terminal=is_terminal: is_terminal)
            monkeypatch.setattr(sys, "stderr", stream)
            with Display(folder) as display:
                display.show(Started(case))
                display.show(Progressed(case, text, text, 1, 2, 0.1))
                display.show(Ended(case, State.FAILED, f"because of {text}"))
            with progress_of(f"analyze {text}") as progress:
                progress(1, 2)
            assert _text.plain(f"because of {text}") in stream.getvalue().replace("\n", "\n")
            assert not OBEYED.search(stream.getvalue())


def test_pictures_take_texts_for_texts(tmp_path: Path) -> None:
    """A pair of dollars is no formula."""
    path = tmp_path / "c/1-generate.report.json"
    write_report(path, 1e9)
    for text in ("$\\frac$", "\\$x\\$ $", "\x1b[2J"):
        content = json.loads(path.read_text())
        content["operations"][0]["operation"] = text
        content["kernel"] = text
        path.write_text(json.dumps(content))
        report.draw(report.load(tmp_path / "c"), tmp_path / "p.svg", x="kernel", series="kernel")
        assert (tmp_path / "p.svg").exists()


def test_logs_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """What is logged is shown as everything else."""
    import logging

    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", ("\x1b[2J\nb",), None)
    assert output.LogFormatter("%(message)s").format(record) == r"\x1b[2J\nb"
    output.complain("\x1b]0;x\x07 [/b]", 2)
    assert capsys.readouterr().err == "dgen: error: \\x1b]0;x\\x07 [/b]\n"
