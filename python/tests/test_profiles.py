# SPDX-License-Identifier: MIT OR Apache-2.0
"""Profiles: ready ones, files, and what is measured of data and makes such data again."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import reference
from conftest import ROOT, Command, cases, chance

from dgen_mpi import _classes, imitate, profiles
from dgen_mpi.jobs import JobError, options

READY = (
    "archive",
    "high-performance",
    "kernel-sources",
    "personal-files",
    "vm-images",
    "virtual-desktops",
    "database",
    "daily-backups",
    "checkpoints",
)
UNIT = 4096


def million(text: str) -> int:
    """Return a share of a profile in millionths."""
    return round(float(text.removesuffix("%")) * 10_000)


def classes_of(profile: dict[str, Any], key: str) -> list[tuple[float, int]]:
    """Return classes of a profile: a number and its share."""
    pairs = (each.split(":") for each in profile.get(key, []))
    return [(float(number), million(share)) for number, share in pairs]


def as_set(profile: dict[str, Any], size: int, seed: int, generation: int = 0) -> reference.Set:
    """Return the data set that a profile makes, of the second implementation."""
    mix = [(round(1000 * ratio), share) for ratio, share in classes_of(profile, "compress_mix")]
    rings = [(1_000_000, million(profile["change"]))] if "change" in profile else []
    return reference.Set(
        size,
        seed,
        copies=[(int(k), share) for k, share in classes_of(profile, "copies")],
        zeros=million(profile.get("zeros", "0%")),
        compress=mix or 1000,
        change=rings,
        generation=generation,
    )


def write(path: Path, parts: Sequence[bytes]) -> Path:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path


def blocks_like(numbers: dict[int, int], zeros: int, seed: int) -> list[bytes]:
    """Return blocks: so many contents with so many copies each, and zeros, in any order."""
    draw = random.Random(seed)
    found = [bytes(UNIT)] * zeros
    for copies, contents in numbers.items():
        for _ in range(contents):
            found += [draw.randbytes(UNIT)] * copies
    draw.shuffle(found)
    return found


# Ready ones


def test_ready_profiles_are_those_of_the_program(dgen: Command, program: str) -> None:
    """Program and package list and print the files of the folder."""
    assert tuple(profiles.ready()) == READY
    folder = ROOT / "Sources/Options/Profiles"
    for name, text in profiles.ready().items():
        assert text == (folder / f"{name}.yaml").read_text()
        profile = profiles.load(name)
        assert profile["name"] == name
        assert all(profiles.remarks(profile, key) for key in profiles.REMARKS)
    listed = dgen("profiles").stdout
    shown = dgen("profiles", "archive").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(READY)
    assert shown == profiles.ready()["archive"]
    said = subprocess.run([program, "profiles"], capture_output=True, text=True, check=True)
    assert said.stdout == listed
    said = subprocess.run(
        [program, "profiles", "archive"], capture_output=True, text=True, check=True
    )
    assert said.stdout == shown
    assert json.loads(dgen("profiles", "archive", "--json").stdout)["name"] == "archive"
    wrong = subprocess.run([program, "profiles", "archve"], capture_output=True, text=True)
    assert wrong.returncode == 2
    for text in (wrong.stderr, dgen("profiles", "archve", status=2).stderr):
        assert "no profile 'archve'; did you mean 'archive'? known: archive high-" in text


@pytest.mark.parametrize("name", READY)
def test_a_ready_profile_plans_a_gibibyte(program: str, name: str) -> None:
    """Each is accepted; a test in Swift has their dedup ratios."""
    plan = subprocess.run(
        [program, "plan", "-s", "1GiB", "--profile", name, "--report", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    spec = json.loads(plan.stdout)["spec"]
    assert len(spec["copies"]) == len(profiles.load(name)["copies"])


def test_a_job_is_checked_with_its_profile() -> None:
    """What a job gives goes before its profile, and is checked with it."""
    job = {"size": "1GiB", "seed": 1, "profile": "daily-backups"}
    assert options.read({**job, "generation": 3}, "generate")["generation"] == 3
    with pytest.raises(ValueError, match="generation: '3' is not accepted"):
        options.read({**job, "profile": "archive", "generation": 3}, "generate")
    assert set(options.read({**job, "dedup_ratio": 2}, "generate")) == {*job, "dedup_ratio"}
    # What a file says is known where the job runs.
    options.read({**job, "profile": "./mine", "generation": 3}, "generate")
    with pytest.raises(ValueError, match="profile: 'archve' is not accepted; give archive, "):
        options.read({**job, "profile": "archve"}, "generate")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("zero: 5%", "unknown key 'zero'; did you mean 'zeros'?"),
        ("size: 1GiB", "unknown key 'size'"),
        ("zeros: lots", "zeros: 'lots' is not accepted; "),
        ("about: {a: b}\nzeros: 1%", "'about' is a text or a list of texts"),
        ("copies: ['1']", "copies: '1' is not accepted; "),
        ("about: only a text", "a profile gives one of these at least: dedup_unit "),
        ("", "a profile gives one of these at least: "),
    ],
)
def test_what_is_no_profile_is_refused(
    tmp_path: Path, program: str, text: str, reason: str
) -> None:
    """Python and the program refuse in the same words."""
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(JobError) as refused:
        profiles.load(file)
    assert reason in str(refused.value)
    done = subprocess.run(
        [program, "plan", "-s", "1MiB", "--profile", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert reason in done.stderr


def test_an_output_is_no_profile(tmp_path: Path, program: str) -> None:
    """A report does not take the place of the profile that is read."""
    file = tmp_path / "p.yaml"
    file.write_text("zeros: 5%\n")
    command = [program, "plan", "-s", "1MiB", "--profile", str(file), "--report", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is the profile; give another file" in done.stderr
    assert file.read_text() == "zeros: 5%\n"


# Classes


def test_few_numbers_of_copies_are_kept_and_many_are_joined_with_their_totals() -> None:
    """Blocks and contents stay what they are."""
    few = {1: 500, 2: 100, 7: 10, 1000: 1}
    blocks = sum(k * n for k, n in few.items())
    shares = _classes.copy_classes(few, blocks)
    assert [k for k, _ in shares] == [2, 7, 1000]
    assert _classes.made(shares, 0, blocks) == (0, [(2, 100), (7, 10), (1000, 1), (1, 500)])
    draw = chance()
    many = {1: 1_000_000.0}
    for _ in range(2000):
        copies = int(2 * 10 ** draw.uniform(0, 5))
        many[copies] = many.get(copies, 0) + 1 + 1e6 * draw.random() / copies**2
    total = sum(k * n for k, n in many.items())
    zeros = 123_456
    blocks = round(total / (1 - zeros / 1e6))
    shares = _classes.copy_classes(many, blocks, zeros)
    assert len(shares) <= _classes.COPY_CLASSES_MAX
    blank, made = _classes.made(shares, zeros, blocks)
    assert abs(blank + sum(k * n for k, n in made) - blocks) == 0
    contents = sum(n for _, n in made)
    assert abs(contents / sum(many.values()) - 1) < 1e-3


def test_what_is_made_is_what_the_format_says() -> None:
    """It is what the second implementation makes."""
    draw = chance(1)
    for _ in range(50):
        copies = [(draw.randint(2, 40), draw.randint(0, 100_000)) for _ in range(5)]
        zeros = draw.randint(0, 300_000)
        size = draw.randint(1, 3000)
        blank, made = _classes.made(copies, zeros, size)
        known = reference.Set(size * UNIT, 1, copies=copies, zeros=zeros)
        assert blank == known.zero_blocks
        assert sum(n for _, n in made) == known.contents


# Measuring


def test_the_loop_closes(tmp_path: Path, dgen: Command) -> None:
    """What is made from a profile and measured again gives that profile."""
    profile = {
        "zeros": "5%",
        "copies": ["2:20%", "5:10%", "40:4%"],
        "compress_mix": ["1:30%", "2:50%", "4:20%"],
        "change": "10%",
    }
    size = 2000 * UNIT
    now = write(tmp_path / "now", list(as_set(profile, size, 7, 1).parts()))
    old = write(tmp_path / "old", list(as_set(profile, size, 7, 0).parts()))
    found = json.loads(
        dgen("analyze", "--profile-out", "p.yaml", "--earlier", old, "--json", now).stdout
    )
    again = profiles.load(tmp_path / "p.yaml")
    assert again["zeros"] == "5%"
    assert again["dedup_unit"] == "4KiB"
    blocks, contents = 2000, as_set(profile, size, 7).contents
    made = as_set(again, size, 8)
    known = as_set(profile, size, 7)
    # Copies and zeros exactly.
    assert made.classes == known.classes
    assert (found["copies"]["contents"], found["copies"]["part"]) == (contents, 1)
    assert found["makes"]["contents"] == contents
    assert found["zeros"]["blocks"] == blocks // 20
    # Ratios as a compressor sees them, and their shares but for whole contents.
    ratios = classes_of(again, "compress_mix")
    assert len(ratios) == 3
    for (ratio, share), (wanted, part) in zip(
        ratios, classes_of(profile, "compress_mix"), strict=True
    ):
        assert ratio == pytest.approx(wanted, rel=0.03)
        assert abs(share - part) <= 1e6 * 6 / contents
    # All copies of a tenth of the contents of each class are others, but for whole contents.
    places = filter(None, map(as_set(profile, size, 7, 1).location, range(blocks)))
    changed = sum(generation for _, _, generation in places)
    assert million(again["change"]) == round(1e6 * changed / (blocks - known.zero_blocks))
    assert million(again["change"]) == pytest.approx(100_000, abs=6000)
    assert (tmp_path / "p.yaml").read_text().startswith(imitate.MARK)


def test_the_program_makes_what_was_measured(tmp_path: Path, dgen: Command, program: str) -> None:
    """Copies and zeros are those of the files, one by one."""
    folder = tmp_path / "data"
    numbers, zeros = {1: 300, 2: 50, 3: 20, 10: 4}, 100
    parts = blocks_like(numbers, zeros, 3)
    for index in range(7):
        write(folder / str(index % 3) / f"{index}", parts[index::7])
    dgen("analyze", "--profile-out", "mine.yaml", folder)
    blocks = len(parts)
    command = [program, "-s", str(blocks * UNIT), "--profile", "mine.yaml", "--seed", "5"]
    subprocess.run([*command, "-o", "made", "--quiet"], cwd=tmp_path, check=True)
    data = (tmp_path / "made").read_bytes()
    counts = Counter(data[at : at + UNIT] for at in range(0, len(data), UNIT))
    assert counts.pop(bytes(UNIT)) == zeros
    assert Counter(counts.values()) == Counter(numbers)


def test_files_folders_and_ends_of_files(tmp_path: Path) -> None:
    """Each regular file is read once, its last block filled up."""
    folder = tmp_path / "in"
    block = random.Random(1).randbytes(UNIT)
    write(folder / "a", [block, block[:1000]])
    write(folder / "b" / "c", [block, bytes(100)])
    write(folder / "empty", [])
    (folder / "link").symlink_to(folder / "a")
    (folder / "loop").symlink_to(folder)
    os.link(folder / "a", folder / "again")
    os.mkfifo(folder / "pipe")
    found = imitate.measure([folder])
    assert (found["files"], found["blocks"], found["zeros"]["blocks"]) == (3, 4, 1)
    assert found["bytes"] == 2 * UNIT + 1100
    distribution = {each["copies"]: each["contents"] for each in found["copies"]["distribution"]}
    assert distribution == {1: 1, 2: 1}
    several = imitate.measure([folder / "a", folder / "b"])
    assert several["blocks"] == 4
    for wrong in ({"unit": 1000}, {"codec": "rot13"}, {"sample": 0}, {"contents_max": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            imitate.measure([folder], **wrong)
    with pytest.raises(ValueError, match="nothing to measure"):
        imitate.measure([folder / "empty"])
    with pytest.raises(ValueError, match="not a regular file"):
        imitate.measure(["/dev/null"])
    with pytest.raises(FileNotFoundError):
        imitate.measure([tmp_path / "none"])


def test_what_changed_is_found_by_name_and_place(tmp_path: Path) -> None:
    """New and deleted files count, zeros do not."""
    draw = random.Random(2)
    new, old = tmp_path / "new", tmp_path / "old"
    blocks = [draw.randbytes(UNIT) for _ in range(20)]
    write(old / "same", blocks[:5])
    write(new / "same", blocks[:5])
    write(old / "d" / "longer", blocks[:2])
    write(new / "d" / "longer", [blocks[0], blocks[9], blocks[10], bytes(UNIT)])
    write(old / "gone", [*blocks[11:14], bytes(2 * UNIT)])
    write(new / "fresh", blocks[14:18])
    found = imitate.measure([new], earlier=old)["change"]
    # One changed, one appended, three deleted, four new; zeros are nowhere counted.
    assert (found["changed"], found["places"]) == (9, 15)
    same = imitate.measure([new], earlier=new)
    assert same["change"]["changed"] == 0
    assert "change" not in same["profile"]
    with pytest.raises(ValueError, match="earlier: one path"):
        imitate.measure([new, old], earlier=old)
    with pytest.raises(ValueError, match="not both folders or files"):
        imitate.measure([new], earlier=old / "same")


def test_a_sample_of_contents_is_right_within_its_error() -> None:
    """Of many samples, the errors told are those found, and heavy contents are kept."""
    draw = chance(2)
    numbers = {1: 6000, 2: 1500, 3: 300, 50: 10, 2000: 2}
    blocks = sum(k * n for k, n in numbers.items())
    off: list[float] = []
    for _ in range(20):
        each = [draw.getrandbits(64) for _ in range(sum(numbers.values()))]
        stream: list[int] = []
        at = 0
        for copies, contents in numbers.items():
            for fingerprint in each[at : at + contents]:
                stream += [fingerprint] * copies
            at += contents
        draw.shuffle(stream)
        table = imitate.Contents(1000)
        for fingerprint in stream:
            table.add(fingerprint)
            table.shrink()
            assert len(table.counts) <= 1000
        found = imitate._copies(table, blocks, blocks)
        assert found["part"] <= 1 / 8
        assert sum(one["blocks"] for one in found["distribution"]) == pytest.approx(blocks)
        told = {one["copies"]: one for one in found["distribution"]}
        # The heaviest was there before anything was dropped.
        assert told[2000]["contents"] == pytest.approx(2, rel=0.2)
        off += [(told[k]["share"] - k * numbers[k] / blocks) / told[k]["error"] for k in (1, 2, 3)]
    assert abs(sum(off) / len(off)) < 0.6
    assert sum(one**2 for one in off) / len(off) < 2.5


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table takes memory as contents are allowed in it, not as data is read."""
    monkeypatch.setattr(imitate, "BATCH", 1 << 20)
    draw = random.Random(4)
    file = write(tmp_path / "data", [draw.randbytes(512) for _ in range(60_000)])
    peaks = []
    for most in (512, 60_000):
        tracemalloc.start()
        found = imitate.measure([file], unit=512, contents_max=most, sample=0.01, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found["copies"]["contents_counted"] <= most
        # There are no copies, however few are looked at.
        assert found["copies"]["dedup_ratio"] == 1
        assert "copies" not in found["profile"]
    assert peaks[0] < peaks[1] - (2 << 20)


def test_a_part_of_the_contents_is_compressed(tmp_path: Path) -> None:
    """Shares of a sample are right within the error that is told."""
    profile = {"compress_mix": ["1:30%", "2:70%"]}
    file = write(tmp_path / "data", list(as_set(profile, 2000 * UNIT, 9).parts()))
    compression = imitate.measure([file], sample=0.2)["compression"]
    assert 300 < compression["contents_compressed"] < 500
    first, second = compression["classes"]
    assert first["ratio"] == 1
    assert first["error"] == pytest.approx((0.3 * 0.7 / 400 * 0.8) ** 0.5, rel=0.2)
    assert abs(first["share"] - 0.3) < 5 * first["error"]
    assert second["share"] == pytest.approx(1 - first["share"])


def test_a_block_device_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands for the device: what is told of it differs, what is read does not."""
    file = write(tmp_path / "device", blocks_like({1: 10, 2: 3}, 4, 5))
    monkeypatch.setattr(imitate.stat, "S_ISREG", lambda mode: False)
    monkeypatch.setattr(imitate.stat, "S_ISBLK", lambda mode: True)
    found = imitate.measure([file])
    assert (found["blocks"], found["zeros"]["blocks"], found["bytes"]) == (20, 4, 20 * UNIT)


# Files that are there


def test_precious_files_stay(tmp_path: Path, dgen: Command) -> None:
    """Nothing is replaced but a profile of ours, and only where that is asked for."""
    data = write(tmp_path / "data", blocks_like({1: 5, 2: 2}, 1, 6))
    before = data.read_bytes()
    mine = tmp_path / "mine.yaml"
    mine.write_text("a: diary\n")
    for arguments in (["--profile-out", mine], ["--profile-out", mine, "--force"]):
        told = dgen("analyze", data, *arguments, status=2).stderr
        assert "profile_out: " in told
        assert mine.read_text() == "a: diary\n"
    told = dgen("analyze", data, "--profile-out", data, "--force", status=2).stderr
    assert "is what is read; give another file" in told
    dgen("analyze", data, "--profile-out", "p.yaml")
    told = dgen("analyze", data, "--profile-out", "p.yaml", status=2).stderr
    assert "is there; --force replaces a profile" in told
    dgen("analyze", data, "--profile-out", "p.yaml", "--force", "--unit", "8KiB")
    assert profiles.load(tmp_path / "p.yaml")["dedup_unit"] == "8KiB"
    told = dgen("analyze", data, "--profile-out", "q.yaml", "--plot", mine, status=2).stderr
    assert "plot: " in told
    assert not (tmp_path / "q.yaml").exists()
    assert dgen("analyze", data, "--profile-out", "-").stdout.startswith(imitate.MARK)
    assert data.read_bytes() == before
    assert "only with --profile-out" in dgen("analyze", data, "--unit", "8k", status=2).stderr


@pytest.mark.parametrize("suffix", cases(["png"], ["svg"]))
def test_a_picture_is_drawn(tmp_path: Path, dgen: Command, suffix: str) -> None:
    """There is a picture of what was measured beside what is made."""
    data = write(tmp_path / "data", blocks_like({1: 50, 2: 20, 9: 3}, 7, 8))
    dgen("analyze", data, "--profile-out", "p.yaml", "--plot", f"p.{suffix}")
    assert (tmp_path / f"p.{suffix}").stat().st_size > 10_000
