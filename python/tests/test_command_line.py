# SPDX-License-Identifier: MIT OR Apache-2.0
"""`dgen` as a new user meets it: from its page, with mistakes, and without a terminal."""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import MPIRUN, ROOT, Command
from numpy.typing import NDArray

from dgen_mpi import DataSpec
from dgen_mpi.cli import files
from dgen_mpi.jobs import Campaign, Job

CAMPAIGNS = (ROOT / "python" / "docs" / "campaigns.md").read_text(encoding="utf-8")


def test_the_path_of_the_page(dgen: Command, tmp_path: Path) -> None:
    """Its commands as they stand: new, check, run, report, one picture."""
    section = CAMPAIGNS.split("## A first campaign", 1)[1].split("\n## ", 1)[0]
    commands = re.findall(r"^    dgen (.*?)(?:  +#.*)?$", section, re.MULTILINE)
    assert [command.split()[0] for command in commands[:5]] == [
        *("new", "check", "run", "report", "report")
    ]
    for command in commands[:5]:
        dgen(*shlex.split(command), stdin=subprocess.DEVNULL)
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_new_asks_on_a_terminal(tmp_path: Path) -> None:
    """What it was not told, with defaults; the file it writes is a campaign."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dgen_mpi", "new", "asked.yaml", "size=2MiB"],
        cwd=tmp_path,
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    os.write(parent, b"here.dat\n3\n\n1.5\n")
    assert process.wait(timeout=60) == 0
    os.close(parent)
    (case,) = Campaign.load(tmp_path / "asked.yaml").cases
    (job,) = case.steps
    assert (job.output, job.size, job.rank_count) == ("here.dat", 2 << 20, 3)
    assert float(job.compress_ratio or 0) == 1.5


def test_new_comments_every_field_and_suggestions_are_accepted(
    dgen: Command, tmp_path: Path
) -> None:
    """Each line that is commented out may be used, and no field is forgotten."""
    dgen("new", "job.yaml", stdin=subprocess.DEVNULL)
    text = (tmp_path / "job.yaml").read_text()
    suggested = re.findall(r"^# (\w+: .*?)  # ", text, re.MULTILINE)
    mentioned = set(re.findall(r"(?m)^(?:# )?(\w+): ", text))
    assert mentioned >= Job.model_fields.keys() - {"report", "csv"}
    # What means something together with others only.
    together = ("collective", "direct", "nodes", "ranks_per_node", "numa_node", "generation")
    for line in suggested:
        if not line.startswith(together):
            Campaign.from_yaml(f"{line}\n" + re.sub(rf"(?m)^{line.split(':')[0]}:.*\n", "", text))
    assert "exists; give --force" in dgen("new", "job.yaml", status=2).stderr
    dgen("new", "job.yaml", "--force", "ranks=[1,2]", "hint={a: 1}", "--json")
    assert len(Campaign.load(tmp_path / "job.yaml").cases) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "missing.yaml"], "missing.yaml: not readable: No such file"),
        (["check", "bad.yaml"], "bad.yaml: unknown key 'sizes'; did you mean 'size'?"),
        (["run", "bad.yaml"], "did you mean 'size'?"),
        (["status", "nowhere"], "not the folder of a campaign"),
        (["report", "nowhere"], "nowhere: no such file"),
        (["new", "x.yaml", "size"], "'size' is not accepted; give FIELD=VALUE"),
        (["new", "x.yaml", "size=1XB"], "size: '1XB' is not accepted"),
        (["verify", "nowhere"], "nowhere.dgen.json"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, dgen: Command, tmp_path: Path
) -> None:
    """That names what is wrong; nothing is left behind."""
    (tmp_path / "bad.yaml").write_text("sizes: 1\n")
    status = 3 if arguments[0] == "verify" else 2
    done = dgen(*arguments, status=status)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_verify_finds_what_is_wrong(dgen: Command, tmp_path: Path) -> None:
    """Without MPI: every byte, across the pieces that are read, short files and long ones."""
    spec = DataSpec(20_000_003, 9, 2, 1.5)
    data = bytearray(spec.size)
    spec.fill(data)
    fields = (
        "size",
        "seed",
        "dedup_ratio",
        "compress_ratio",
        "dedup_unit",
        "compress_unit",
        "fill_kind",
    )
    manifest = {name.removesuffix("_kind"): getattr(spec, name) for name in fields}
    (tmp_path / "data.dgen.json").write_text(
        json.dumps({"format": "dgen/1", "status": "complete", "spec": manifest})
    )
    (tmp_path / "data").write_bytes(data)
    assert "every byte is right" in dgen("verify", "data").stdout
    # Over the edge of what is read at once, and far away.
    for place in (8_388_607, 8_388_608, 19_999_999):
        data[place] ^= 255
    (tmp_path / "data").write_bytes(data)
    found = json.loads(dgen("verify", "data", "--json", status=1).stdout)
    assert found["wrong_bytes"] == 3
    assert [(it["offset"], it["bytes"]) for it in found["damage"]] == [
        (8_388_607, 2),
        (19_999_999, 1),
    ]
    (tmp_path / "data").write_bytes(data[:-100])
    short = dgen("verify", "data", status=1).stdout
    assert "the file has 19999903 bytes instead of 20000003" in short
    (tmp_path / "data").write_bytes(data + b"more")
    assert "20000007 bytes instead" in dgen("verify", "data", status=1).stdout


@pytest.mark.parametrize("layout", ["shared", "per-rank"])
def test_verify_says_of_damage_what_the_program_says(
    layout: str, dgen: Command, program: str, tmp_path: Path
) -> None:
    """Where it is, how much, and what has become of it, over the edges of pieces and of files."""
    size = "25000003"
    shape = ["-s", size, "--seed", "3", "--compress-ratio", "1.5", "--layout", layout]
    ranks = [*MPIRUN, "-n", "3"]
    subprocess.run([*ranks, program, "-o", "data", *shape, "--quiet"], cwd=tmp_path, check=True)
    paths = sorted(path for path in tmp_path.iterdir() if path.suffix != ".json")
    data = bytearray(b"".join(path.read_bytes() for path in paths))
    lengths = [path.stat().st_size for path in paths]
    edge = 16 << 20
    # Zeros, flipped bits, bytes from elsewhere, unknown bytes; a long range that is sampled.
    data[8_388_000:8_389_000] = bytes(1000)
    data[edge - 3 : edge + 3] = bytes(each ^ 1 for each in data[edge - 3 : edge + 3])
    data[12_000_000:12_005_000] = data[100_000:105_000]
    data[15_000_000:15_000_100] = b"odd" * 33 + b"!"
    data[18_000_000:18_500_000] = bytes(500_000)
    for path, length in zip(paths, lengths, strict=True):
        path.write_bytes(data[:length])
        del data[:length]
    os.truncate(paths[-1], lengths[-1] - 5000)
    ours = json.loads(dgen("verify", "data", "--json", status=1).stdout)
    command = [program, "verify", "data", "--report", "report.json", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=False)
    theirs = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert ours["damage_ranges"] == theirs["damage_ranges"] == 6
    told = ("offset", "bytes", "wrong_bytes", "kind", "source_offset", "flipped_bits", "expected")
    for one, other in zip(ours["damage"], theirs["damage"], strict=True):
        assert [one.get(name) for name in told] == [other.get(name) for name in told]
    kinds = [damaged["kind"] for damaged in ours["damage"]]
    assert kinds == ["zeros", "misplaced", "foreign", "bit_flips", "zeros", "truncated"]


def _ranges(wrong: NDArray[np.bool_], gap: int) -> list[tuple[int, int, int]]:
    """Return offset, length and wrong bytes of all ranges with less than `gap` right bytes."""
    places = np.flatnonzero(wrong)
    starts = np.concatenate([[True], np.diff(places) > gap])
    firsts = places[starts]
    lasts = places[np.concatenate([starts[1:], [True]])]
    counts = np.diff(np.concatenate([np.flatnonzero(starts), [len(places)]]))
    return [
        (int(first), int(last - first + 1), int(count))
        for first, last, count in zip(firsts, lasts, counts, strict=True)
    ]


@pytest.mark.parametrize("unit", [512, 1024])
@pytest.mark.parametrize(
    ("step", "width", "start", "stop"),
    [
        # Many in each piece that is read, in some, at their edges, and as many as are listed.
        (None, 1, 0, None),
        (None, 200, 100, 9_000_000),
        (2048, 4, 0, 4096 * 2048),
        (1 << 23, 3, (1 << 23) - 1, None),
        (1 << 23, 3, (1 << 23) - 300, None),
        (8389, 700, 0, 8389 * 999 + 1),
        (8389, 700, 1000, 8389 * 1003),
        (3, 1, 5_000_000, 12_000_000),
    ],
)
def test_verify_counts_all(
    unit: int,
    step: int | None,
    width: int,
    start: int,
    stop: int | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ranges and wrong bytes, however many more there are than are listed."""
    spec = DataSpec(20_000_003, 9, compress_ratio=1.5, compress_unit=unit)
    (tmp_path / "data.dgen.json").write_text(
        json.dumps({"format": "dgen/1", "status": "complete", "spec": spec.as_dict()})
    )
    data = np.zeros(spec.size, np.uint8)
    spec.fill(data)
    wrong = np.zeros(spec.size, bool)
    firsts = np.arange(start, spec.size if stop is None else stop, step or unit + width)
    places = (firsts[:, None] + np.arange(width)).ravel()
    wrong[places[places < spec.size]] = True
    data[wrong] ^= 0xFF
    data.tofile(tmp_path / "data")
    expected = _ranges(wrong, unit)
    options = argparse.Namespace(file=tmp_path / "data", threads=None, json=True)
    assert files.verify(options) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["damage_ranges"] == len(expected)
    assert found["wrong_bytes"] == wrong.sum()
    listed = [(it["offset"], it["bytes"], it["wrong_bytes"]) for it in found["damage"]]
    assert listed == expected[:1000]
    options.json = False
    assert files.verify(options) == 1
    shown = capsys.readouterr().out
    assert f"{wrong.sum()} bytes wrong or missing" in shown
    assert (f"and {len(expected) - 20} more ranges" in shown) == (len(expected) > 20)


def test_json_everywhere_a_program_may_read(dgen: Command, tmp_path: Path) -> None:
    """Nothing but JSON on stdout, nothing on stderr."""
    (tmp_path / "c.yaml").write_text(
        'name: c\noutput: "{name}.dat"\nsize: 1MiB\nranks: [1, 2]\n'
        "launcher_arguments: [--oversubscribe]\n"
    )
    for arguments in (
        ["check", "c.yaml"],
        ["render", "c.yaml"],
        ["run", "c.yaml"],
        ["run", "c.yaml", "--dry-run"],
        ["status", "c"],
        ["cancel", "c"],
        ["report", "c"],
        ["report", "c", "--compare", "c"],
        ["analyze", "ranks1.dat"],
        ["analyze", "c"],
        ["verify", "ranks2.dat"],
        ["schema", "job"],
        ["new", "d.yaml", "output=x"],
    ):
        done = dgen(*arguments, "--json")
        json.loads(done.stdout)
        assert done.stderr == ""


def test_a_reader_that_goes_away_is_no_crash(program: str, tmp_path: Path) -> None:
    """As with `dgen schema | head -1`."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m dgen_mpi schema job | head -1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == "{\n"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """The package alone needs nothing; the command line says what it wants."""
    (tmp_path / "pydantic.py").write_text("raise ImportError('no', name='pydantic')")
    (tmp_path / "rich.py").write_text("raise ImportError('no', name='rich')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    alone = subprocess.run(
        [sys.executable, "-c", "import dgen_mpi; print(len(dgen_mpi.generate_buffer(10)))"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert alone.stdout == "10\n"
    for name in ("pydantic", "rich"):
        done = subprocess.run(
            [sys.executable, "-m", "dgen_mpi", "check", "x"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert done.stderr == f"dgen: error: {name} is missing: pip install 'dgen-mpi[jobs]'\n"
        (tmp_path / f"{name}.py").unlink()
