# SPDX-License-Identifier: MIT OR Apache-2.0
"""Job files, manifests and results from anywhere: bounded, one judgement, one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import only_whole

from dgen_mpi import DataSpec, analyze, manifest, report
from dgen_mpi.jobs import Campaign, CampaignFolder, Job, JobError, files

BASE = "output: out\nsize: 1MiB\n"
BOM = "\ufeff"


@contextlib.contextmanager
def bounded(seconds: int = 30) -> Iterator[None]:
    """Fail what takes longer, waits for a pipe included."""

    def fail(*_: object) -> None:
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tower(levels: int) -> str:
    """Return anchors, each of twice the one before."""
    floors = [f"y{level}: &a{level} [*a{level - 1}, *a{level - 1}]\n" for level in range(1, levels)]
    return "x: &a0 [x, x]\n" + "".join(floors)


READ = [
    *(BASE, BOM + BASE, BASE.replace("\n", "\r\n"), BASE.replace("\n", "\r")),
    *(BOM + BASE.replace("\n", "\r\n"), "---\n" + BASE, BASE + "...\n", "---\n" + BASE + "...\n"),
    *("# c\n" + BASE, BASE + "  # c", "\n\n" + BASE, BASE + "seed: 5 # c", BASE + "seed: ! 5"),
    *('{"output": "o", "size": 1}', '{"output": "o",\r\n "size": 1}', "{output: o, size: 1}"),
    *(
        BASE + "? seed\n: 5",
        BASE + '"seed": 5',
        BASE + '"se\\u0065d": "\\x35"',
        BASE + "seed: |\n 5",
    ),
    *(BASE + "seed: >-\n 5", BASE + "seed: '5'", BASE + "seed: 010", BASE + "quiet: yes"),
    *(BASE + "quiet: on", BASE + "quiet: OFF", BASE + "quiet: n0", BASE + "quiet: TRUE"),
    *("size: &s 1MiB\nalign: *s\noutput: o", BASE + "hint: &h {a: b}\nenvironment: *h"),
    *(BASE + "hint: {<<: b}", BASE + 'hint: {"<<": b}', BASE + "hint: {é: 1, e\u0301: 2}"),
    *(BASE + "account: 'a\tb'", BASE + 'account: "a\\tb"', BASE + "hint: [a=\u0301b]"),
    *(BASE + "seed: " + "0" * 5000 + "5", BASE + "watchdog: +" + "0" * 300 + "5"),
    *(BASE + f"hint: {'[' * 31}a{']' * 31}", BASE + "account: \u200b", BASE + "account: 🙂"),
]
"""Texts that both read, whatever they make of them."""

NOT_READ = [
    *(BASE.replace("\n", "\x85"), BASE.replace("\n", "\u2028"), BASE + BOM, BOM + BOM + BASE),
    *(BASE + "\0", BASE + "\x01", BASE + "\x1b", BASE + "\x7f", BASE + "account: a\ufffeb"),
    *("%YAML 1.1\n---\n" + BASE, "%YAML 1.2\n---\n" + BASE, "%FOO\n---\n" + BASE),
    *("%TAG ! x:\n---\n" + BASE, BASE + "---\n" + BASE, BASE + "---\n", BASE + "...\n" + BASE),
    *(
        BASE + "seed: !!int 5",
        BASE + "seed: !!str 5",
        BASE + "seed: !<x> 5",
        BASE + "!!str seed: 5",
    ),
    *(BASE + "hint: !!set {a: b}", BASE + "hint: ! {a: b}", BASE + "<<: {seed: 5}"),
    *(BASE + "seed: 0x10", BASE + "seed: 0o10", BASE + "seed: 1_000", BASE + "seed: 1:30"),
    *(BASE + "seed: 5.", BASE + "seed: 1e1", BASE + "seed: \u0665", BASE + "seed: 5\u00a0"),
    *(BASE + "quiet: y", BASE + "quiet: ~", BASE + "seed: null", BASE + "seed: Null"),
    *(BASE + "\tseed: 1", BASE + "\t\n", BASE + "hint:\n\ta: b", BASE + "seed: *undefined"),
    *(BASE + "name: &a seed\n*a : 5", BASE + "name: &a x\naccount: &a y", BASE + "hint: &h [*h]"),
    *(
        BASE + "? [a]\n: 1",
        BASE + "? |\n seed\n: 5",
        BASE + "seed: 5\nseed: 5",
        BASE + "seed: ' 5'",
    ),
    *(BASE + "hint: {a: 1, a: 2}", BASE + 'account: "a\\0b"', BASE + 'account: "\\ud800"'),
    *(BASE + 'account: "\\U0011ffff"', BASE + 'account: "a\\Nb"', BASE + 'output: "a\\r\\nb"'),
    *("size: 1\noutput: a:\u0301b", BASE + "launcher: x", BASE + 'launcher: "{ranks}\\n"'),
    *(
        tower(20) + BASE,
        tower(9) + "? *a8\n: 1\n",
        "[" * 500,
        "[" * 100_000,
        "- " * 500,
        "? " * 500,
    ),
    *("{a: " * 500, "- a", "text", BASE + f"hint: {'[' * 40}", "{", BASE + "seed: 5\n  size: 1"),
]
"""Texts that both refuse."""

BYTES = [
    *((BASE + "account: ü").encode(code) for code in ("utf-16", "utf-16-le", "utf-32", "latin-1")),
    *(b"\xff", BASE.encode() + b"account: \xc0\x80", BASE.encode() + b"account: \xed\xa0\x80"),
    BASE.encode() + b"# " + b"x" * (1 << 20),
]
"""What is no text of that kind."""


def test_program_and_package_read_the_same_texts(program: str, tmp_path: Path) -> None:
    """Marks, line ends, tags, numbers, aliases: both take it, or both refuse it in one line."""
    texts = [text.encode() for text in [*READ, *NOT_READ]] + BYTES

    def run(number: int) -> subprocess.CompletedProcess[str]:
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(texts[number])
        return subprocess.run(
            [program, "plan", "--job", path],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )

    with ThreadPoolExecutor(4) as pool:
        all_done = list(pool.map(run, range(len(texts))))
    for number, done in enumerate(all_done):
        shown = texts[number][:80]
        try:
            Job.load(tmp_path / f"{number}.yaml")
            refusal = ""
        except JobError as error:
            refusal = str(error)
        assert done.returncode == (2 if refusal else 0), (shown, done.stderr, refusal)
        assert "\n" not in refusal
        assert len(done.stderr.splitlines()) == (1 if refusal else 0), (shown, done.stderr)
        assert number < len(READ) or refusal, shown


LOADERS = {"libyaml": getattr(yaml, "CSafeLoader", None), "python": yaml.SafeLoader}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (tower(40) + "? *a39\n: 1\n", "aliases followed"),
        (tower(9) + "? *a8\n: 1\n", "must be a word"),
        ("x: &a {k: " + "v" * 1000 + "}\n" + f"y: [{'*a, ' * 2000}]", "aliases followed"),
        ("hint: &h [*h]", "stands for nothing before it"),
        ("a: &a [*b]\nb: &b [*a]", "stands for nothing before it"),
        ("[" * 500, "nest"),
        ("{a: " * 500, "nest"),
        ("- " * 500, "nest"),
        ("? " * 500, "must be a word"),
        ("hint: [" + "a," * 110_000 + "]", "more than 100000 values"),
    ],
)
def test_reading_is_bounded(
    text: str, said: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever parser there is."""
    if LOADERS[loader] is None:
        pytest.skip("PyYAML is without libyaml")
    monkeypatch.setattr(files, "_LOADER", LOADERS[loader])
    for read in (Job.from_yaml, Campaign.from_yaml):
        with bounded(), pytest.raises(JobError, match=said) as caught:
            read(text)
        assert "\n" not in str(caught.value)


SPEC: dict[str, Any] = {
    **{"size": 4096, "seed": 5, "dedup_ratio": 1.5, "compress_ratio": 2},
    **{"dedup_unit": 4096, "compress_unit": 1024, "fill": "backref"},
}
WHOLE: dict[str, Any] = {
    **{"format": "dgen/1", "status": "complete", "spec": SPEC, "layout": "shared", "ranks": 2},
    **{"align": 1024, "segments": 1, "strided": False, "transfer_size": 1024, "earlier": [SPEC]},
    **{"run": "a1", "created_by": "somebody", "files": ["../x"]},
}
LOOSE = ("created_by", "files")
"""Fields that no reader asks for."""
OPTIONAL = ("layout", "ranks", "align", "segments", "strided", "transfer_size", "earlier", "run")
VALUES = [
    "null",
    "true",
    "-1",
    "1.5",
    "1e2",
    "1E400",
    '"1"',
    '"x"',
    "[]",
    "[1]",
    "{}",
    "0.0",
    "9" * 30,
]


def encoded(content: Any) -> str:
    """Return the JSON of something in which texts that begin with '=' are JSON already."""
    if isinstance(content, dict):
        pairs = (f"{json.dumps(key)}: {encoded(value)}" for key, value in content.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(content, str) and content.startswith("="):
        return content[1:]
    if isinstance(content, list):
        return "[" + ", ".join(map(encoded, content)) + "]"
    return json.dumps(content)


def odd_manifests() -> Iterator[tuple[str, bool]]:
    """Yield texts, and whether they are manifests."""
    right = {("dedup_ratio", "1.5"), ("compress_ratio", "1.5"), ("strided", "true")}
    right |= {("run", '"1"'), ("run", '"x"'), ("earlier", "[]"), ("earlier", "[1]")}
    text = encoded(WHOLE)
    yield text, True
    for key in WHOLE:
        rest = {name: value for name, value in WHOLE.items() if name != key}
        yield encoded(rest), key in (*OPTIONAL, *LOOSE)
        for value in VALUES:
            yield encoded({**WHOLE, key: "=" + value}), key in LOOSE or (key, value) in right
        yield encoded(WHOLE)[:-1] + f", {json.dumps(key)}: {encoded(WHOLE[key])}}}", False
    for key in SPEC:
        rest = {name: value for name, value in SPEC.items() if name != key}
        yield encoded({**WHOLE, "spec": rest}), False
        for value in VALUES:
            changed = {**WHOLE, "spec": {**SPEC, key: "=" + value}}
            yield encoded(changed), (key, value) in right
        twice = encoded(SPEC)[:-1] + f", {json.dumps(key)}: {encoded(SPEC[key])}}}"
        yield encoded({**WHOLE, "spec": "=" + twice}), False
    for cut in range(0, len(text), len(text) // 20):
        yield text[:cut], False
    for more in ("x", "{}", "}", ",", "\0", "# c", "\n---\n", "\n...\n", BOM):
        yield text + more, False
    for before in (BOM, "# c\n", "// c\n", "---\n", "%YAML 1.1\n---\n", "\0", "[", "!!map "):
        yield before + text, False
    for blank in (" ", "\n", "\r\n", "\t", "\r"):
        yield blank + text.replace(", ", "," + blank) + blank, True
    yield text.replace('"', "'"), False
    yield text.replace('"status"', "status"), False
    yield text.replace('"complete"', '&a "complete"'), False
    yield text.replace('"status"', '"st\\u0061tus"'), True
    yield text.replace('"complete"', '"compl\\u0065te"'), True
    yield text.replace('"complete"', '"complet\\ud800"'), False
    yield encoded({**WHOLE, "new": "=" + "[" * 20 + "]" * 20}), True
    yield encoded({**WHOLE, "new": "=" + "[" * 500 + "]" * 500}), False
    yield encoded({**WHOLE, "new": "=NaN"}), False
    yield encoded({**WHOLE, "layout": "per-rank"}), True
    yield encoded({**WHOLE, "layout": "per-rank", "ranks": 10**9}), False
    yield encoded({**WHOLE, "spec": {**SPEC, "seed": 2**64 - 1}}), True
    yield encoded({**WHOLE, "spec": {**SPEC, "seed": 2**64}}), False
    yield encoded({**WHOLE, "spec": {**SPEC, "size": 2**63 - 1}}), True
    yield encoded({**WHOLE, "spec": {**SPEC, "size": 2**63}}), False


def first_shard(path: Path) -> manifest.Shard:
    """Return the first file of a data set."""
    return next(manifest.read(manifest.beside(path)).shards(path))


def test_program_and_package_judge_manifests_alike(program: str, tmp_path: Path) -> None:
    """Each key missing, twice, of every wrong type; JSON and nothing else."""
    manifests = list(odd_manifests())
    assert len(manifests) > 300
    data = tmp_path / "data"
    data.write_bytes(bytes(4096))
    for text, is_right in manifests:
        Path(f"{data}.dgen.json").write_text(text, encoding="utf-8")
        read: Callable[[Path], object]
        for read in (DataSpec.from_manifest, first_shard):
            try:
                read(data)
                refusal = ""
            except ValueError as error:
                refusal = str(error)
            assert is_right == (not refusal), (text[:1000], refusal)
            assert "\n" not in refusal

    # The program would tell of variables that it does not know.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("DGEN_")}

    def run(number: int) -> subprocess.CompletedProcess[str]:
        path = tmp_path / f"file{number}"
        Path(f"{path}.dgen.json").write_text(manifests[number][0], encoding="utf-8")
        return subprocess.run(
            [program, "repair", path],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
        )

    # The program reads them with the same code: some show that it does.
    refused = [number for number, (_, is_right) in enumerate(manifests) if not is_right]
    some = refused[:: len(refused) // 12]
    with ThreadPoolExecutor(4) as pool:
        for number, done in zip(some, pool.map(run, some), strict=True):
            assert done.returncode == 2, (manifests[number][0][:1000], done.stderr)
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert not (tmp_path / f"file{number}").exists()


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "job": ("f", Job.load),
    "campaign": ("f", Campaign.load),
    "manifest": ("f.dgen.json", DataSpec.from_manifest),
    "shards": ("f.dgen.json", manifest.read),
    "report": ("1-generate.report.json", lambda path: report.load(path.parent)),
    "index": ("index.json", lambda path: CampaignFolder.open(path.parent)),
    "index of results": ("index.json", lambda path: report.load(path.parent)),
    "analysis": ("f", analyze.load),
}


@pytest.mark.parametrize("kind", ["fifo", "zeros", "huge", "folder", "terminal", "deep", "binary"])
@pytest.mark.parametrize("reader", READERS)
def test_files_are_read_within_bounds(reader: str, kind: str, tmp_path: Path) -> None:
    """Devices, pipes and huge files are refused at once, where they would be waited for or read."""
    name, read = READERS[reader]
    path = tmp_path / name
    if kind == "fifo":
        if reader in ("job", "campaign"):
            pytest.skip("pipes may be job files")
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("w") as file:
            file.truncate(1 << 40)
    elif kind == "folder":
        path.mkdir()
    elif kind == "terminal":
        path.symlink_to("/dev/tty")
    elif kind == "deep":
        path.write_text("[" * 100_000)
    else:
        path.write_bytes(b"\xff\xfe\0")
    with bounded(20), pytest.raises((OSError, ValueError)) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_pipes_may_be_job_files() -> None:
    """As a shell's `<(...)`; one that never ends is given up."""
    read, write = os.pipe()
    os.write(write, BASE.encode())
    os.close(write)
    assert Job.load(f"/dev/fd/{read}").size == 1 << 20
    os.close(read)


@only_whole
def test_pipes_that_do_not_end_are_given_up(program: str, tmp_path: Path) -> None:
    """By the package and by the program."""
    os.mkfifo(tmp_path / "pipe")
    with bounded(20), pytest.raises(JobError, match="does not end"):
        Job.load(tmp_path / "pipe")
    done = subprocess.run(
        [program, "plan", "--job", tmp_path / "pipe"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert "does not end" in done.stderr


def test_commands_say_it_in_one_line(tmp_path: Path) -> None:
    """With the statuses of the program."""
    (tmp_path / "d").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "p.dgen.json")
    for words in (["check", "/dev/zero"], ["verify", "p"], ["report", "d"], ["status", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "dgen_mpi", *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.returncode in (2, 3), (words, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr


def numbers(count: int) -> str:
    """Return a list of whole numbers from 1 on."""
    return f"[{', '.join(map(str, range(1, count + 1)))}]"


SWEEP = "output: '{name}'\nsize: 1MiB\n"


def test_sweeps_take_time_in_proportion() -> None:
    """Every case that is accepted in some seconds, and all others told before they are made."""
    with bounded(60):
        campaign = Campaign.from_yaml(SWEEP + f"seed: {numbers(10_000)}")
    assert len({case.name for case in campaign.cases}) == 10_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"seed: {numbers(10_001)}", "10001 cases"),
        (f"seed: {numbers(2000)}\nranks: {numbers(2000)}\nwatchdog: {numbers(2000)}", "8000000000"),
        (f"seed: {numbers(2000)}\nranks: {numbers(2000)}\nexclude: [{{seed: 1}}]", "4000000 cases"),
        (f"seed: {numbers(500)}\nranks: {numbers(500)}\nexclude: [{{seed: 1}}]", "more than 10000"),
        (f"seed: {numbers(10)}\nruns: 1000\nsteps: [{'{}, ' * 11}]", "10000 cases of 11 steps"),
        (f"seed: {numbers(9000)}\nruns: 2", "18000 cases"),
        (
            "include: [" + "".join(f"{{seed: {seed}}}, " for seed in range(10_001)) + "]",
            "10002 cases",
        ),
        ("x: &x [1, 2]\nhint: [*x, &y [*y]]", "stands for nothing"),
    ],
)
def test_sweeps_are_counted_before_they_are_made(text: str, said: str) -> None:
    """In one line, whatever the numbers."""
    with bounded(30), pytest.raises(JobError, match=said) as caught:
        Campaign.from_yaml(SWEEP + text)
    assert "\n" not in str(caught.value)


def test_equal_values_are_found_however_they_are_written() -> None:
    """In sweeps and in rules: by one form of each value, not by comparing every two."""
    for text in (
        "compress_ratio: [1, 2, 2.000]",
        "size: [1KiB, 2KiB, 1024]",
        "hint: [{a: b, c: d}, {c: d, a: b}]",
        "hint: [{a: b}, [a=b]]",
        "collective: [true, no, ON]",
    ):
        base = "output: '{name}'\n" if text.startswith("size") else SWEEP
        with pytest.raises(JobError, match="is there twice"):
            Campaign.from_yaml(base + text)
    text = "ranks: [1, 2, 3]\nsize: [1KiB, 2KiB]\nexclude: [{ranks: 1, size: 1024}, {ranks: +3}]"
    cases = Campaign.from_yaml("output: '{name}'\n" + text).cases
    assert [case.name for case in cases] == [
        "ranks1-size2KiB",
        "ranks2-size1KiB",
        "ranks2-size2KiB",
    ]
