# SPDX-License-Identifier: MIT OR Apache-2.0
"""Maps of data sets: which generation, and which damage, is where; in reports and in pictures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MPIRUN, Command, rounds
from matplotlib import colors, image

from dgen_mpi import plots, report

UNIT = 4096
SIZE = 1024 * UNIT
HISTORY = ("--seed=3", f"--dedup-unit={UNIT}", "--change=100%:50%")


def rgb(colour: Any) -> np.ndarray:
    """Return a colour as a picture has it."""
    return np.round(np.array(colors.to_rgb(colour)) * 255).astype(int)


def pixels(path: Path) -> np.ndarray:
    """Return the colours of a picture."""
    return np.round(image.imread(path)[..., :3] * 255).astype(int)


def drawn(picture: np.ndarray, colour: Any) -> np.ndarray:
    """Return which pixels are of a colour, as far as it is rounded."""
    return np.abs(picture - rgb(colour)).max(axis=2) <= 1


class Strip:
    """The strip of damage of a picture: where on it which stretches are."""

    def __init__(self, path: Path, kinds: Iterable[str]) -> None:
        picture = pixels(path)
        top = picture[: len(picture) // 2]
        ground = drawn(top, plots.PLAIN["right"])
        row = int(ground.sum(axis=1).argmax())
        of_kinds = {kind: drawn(top, plots.DAMAGE[kind])[row] for kind in kinds}
        inside = np.flatnonzero(np.logical_or.reduce([ground[row], *of_kinds.values()]))
        # What is behind it is the legend.
        white = np.flatnonzero(drawn(top, "white")[row])
        inside = inside[inside < white[white > inside[0]][0]]
        self._left, self._right = inside[0], inside[-1] + 1
        found = {kind: np.flatnonzero(there) for kind, there in of_kinds.items()}
        self.found = {kind: there[there < self._right] for kind, there in found.items()}

    def expect(self, kind: str, stretches: Iterable[int]) -> None:
        """Require a kind where it is, and nowhere else."""
        width = (self._right - self._left) / 1024
        middles = [self._left + (stretch + 0.5) * width for stretch in stretches]
        there = self.found[kind]
        for middle in middles:
            assert (abs(there - middle) <= width + 1).any(), f"no {kind} at {middle}: {there}"
        for place in there:
            assert min(abs(place - middle) for middle in middles) <= width + 1, (kind, place)


def verified(program: str, folder: Path, ranks: int, *words: str) -> dict[str, Any]:
    """Return the report of a data set that differs."""
    done = subprocess.run(
        [*MPIRUN, "-n", str(ranks), program, "verify", "data", *words, "--report=r.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    content: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return content


def generate(program: str, folder: Path, name: str, *words: str) -> np.ndarray:
    """Return the bytes of a data set that the program has written."""
    subprocess.run(
        [program, f"--output={name}", f"--size={SIZE}", "--overwrite", "--quiet", *words],
        cwd=folder,
        check=True,
        timeout=120,
    )
    return np.fromfile(folder / name, dtype=np.uint8)


def test_damage_is_where_it_was_planted(dgen: Command, program: str, tmp_path: Path) -> None:
    """Bytes of each kind in each stretch, whoever reads it, and the picture of it."""
    numbers = np.random.default_rng(5)
    for ranks in range(rounds(2, 1), 1 + rounds(2, 4)):
        found = generate(program, tmp_path, "data", "--seed=2", f"--dedup-unit={UNIT}")
        found[100 * UNIT + 1 : 101 * UNIT + 1000] = 0
        # A part of a mebibyte, over many stretches of several transfers.
        found[512 * UNIT : 640 * UNIT] = numbers.integers(0, 256, 128 * UNIT, dtype=np.uint8)
        found[900 * UNIT + 77] ^= 4
        found.tofile(tmp_path / "data")
        with (tmp_path / "data").open("r+b") as file:
            file.truncate(1020 * UNIT + 100)
        content = verified(program, tmp_path, ranks)
        planted: dict[tuple[str, int], int] = {}
        for damage in content["damage"]:
            for place in range(damage["offset"], damage["offset"] + damage["bytes"]):
                key = (damage["kind"], place // UNIT)
                planted[key] = planted.get(key, 0) + 1
        held = {
            (kind, stretch["offset"] // UNIT): count
            for stretch in content["map"]["stretches"]
            for kind, count in stretch["damage"].items()
        }
        assert content["map"]["stretch_bytes"] == UNIT
        assert held == planted
        kinds = {
            **{"zeros": [100, 101], "foreign": range(512, 640), "bit_flips": [900]},
            "truncated": [1020, 1021, 1022, 1023],
        }
        assert held.keys() == {(kind, it) for kind, several in kinds.items() for it in several}
        assert held["zeros", 100] in range(UNIT - 5, UNIT)
        assert held["bit_flips", 900] == 1
        assert held["truncated", 1020] == UNIT - 100
        for name in ("m.png", "m.svg"):
            dgen("report", "r.json", "--map", name)
            # What was drawn here before is drawn anew.
            dgen("report", "r.json", "--map", name)
        strip = Strip(tmp_path / "m.png", ["zeros", "bit_flips", "truncated"])
        for kind in strip.found:
            strip.expect(kind, kinds[kind])
        text = (tmp_path / "m.svg").read_text()
        assert all(plots.DAMAGE[kind] in text for kind in kinds)


def test_more_damage_than_is_listed_is_in_the_map(program: str, tmp_path: Path) -> None:
    """What was not looked at for its kind is called so; no byte of it is missing."""
    found = generate(program, tmp_path, "data", "--seed=2", f"--dedup-unit={UNIT}")
    # More than are listed, a grain apart at least.
    places = [UNIT * 300 + 1536 * n for n in range(1400)]
    places += [UNIT * 900 + 2048 * n for n in range(200)]
    for place in places:
        found[place] ^= 1
    found.tofile(tmp_path / "data")
    for ranks in (1, 3):
        content = verified(program, tmp_path, ranks)
        assert content["damage_ranges"] > len(content["damage"]) == 1000
        whole = [0] * 1024
        for stretch in content["map"]["stretches"]:
            whole[stretch["offset"] // UNIT] = sum(stretch["damage"].values())
        listed = {damage["offset"] // UNIT for damage in content["damage"]}
        wanted = {place // UNIT for place in places}
        assert {n for n, count in enumerate(whole) if count} == wanted
        unexamined = {
            stretch["offset"] // UNIT
            for stretch in content["map"]["stretches"]
            if "unexamined" in stretch["damage"]
        }
        assert unexamined
        assert unexamined >= wanted - listed
        assert sum(whole) == content["damage_bytes"]


def test_generations_are_where_they_are(dgen: Command, program: str, tmp_path: Path) -> None:
    """Of data in the midst of an update, of which the picture shows the generations, too."""
    old = generate(program, tmp_path, "old", *HISTORY, "--generation=3")
    new = generate(program, tmp_path, "data", *HISTORY, "--generation=4")
    changed = [n for n in range(1024) if (old[n * UNIT :][:UNIT] != new[n * UNIT :][:UNIT]).any()]
    found = new.copy()
    found[: SIZE // 2] = old[: SIZE // 2]
    torn = next(n for n in changed if n >= 300)
    found[torn * UNIT : torn * UNIT + 1024] = new[torn * UNIT : torn * UNIT + 1024]
    foreign = next(n for n in changed if n >= 700)
    found[foreign * UNIT + 50] ^= 255
    found.tofile(tmp_path / "data")
    for ranks in (1, 3):
        content = verified(program, tmp_path, ranks, "--from=3")
        assert content["map"]["stretch_bytes"] == UNIT
        stretches = content["map"]["stretches"]
        assert [it["offset"] for it in stretches] == list(range(0, SIZE, UNIT))
        sums: dict[str, int] = {}
        for number, stretch in enumerate(stretches):
            held = stretch["generations"]
            if number in (torn, foreign):
                kind = "torn" if number == torn else "foreign"
                assert stretch["damage"] == {kind: UNIT}
            elif number not in changed:
                assert stretch["unchanged"] == UNIT
            elif number >= 512:
                assert held == {"4": UNIT}
            else:
                assert sum(held.values()) == UNIT
                assert "4" not in held
            for generation, count in held.items():
                sums[generation] = sums.get(generation, 0) + count
        accepted = content["history"]["accepted"]
        assert sums == {generation: count * UNIT for generation, count in accepted.items()}
        assert content["history"]["foreign_unsearched"] == 0
    dgen("report", "r.json", "--map", "m.png")
    Strip(tmp_path / "m.png", ["torn"]).expect("torn", [torn])


def test_the_colours_are_those_of_the_generations(tmp_path: Path) -> None:
    """From left to right as in the file, and of a stretch as much as it holds."""
    stretches = [
        {
            **{"offset": n * UNIT, "bytes": UNIT, "unchanged": 0, "earlier": 0},
            "generations": {"3": UNIT} if n < 512 else {"5": UNIT // 2, "9": UNIT // 2},
        }
        for n in range(1024)
    ]
    found = {"stretch_bytes": UNIT, "stretches": stretches}
    plots.draw_map(found, SIZE, "data", tmp_path / "m.png")
    picture = pixels(tmp_path / "m.png")
    third, fifth, ninth = (drawn(picture, plots.generation_colour(place, 3)) for place in range(3))
    # Without the legend, which is to the right.
    plot = np.flatnonzero(third.sum(axis=0) > 100)
    other = np.flatnonzero(fifth.sum(axis=0) > 50)
    assert abs(len(plot) - len(other)) <= 2
    assert 0 <= other[0] - plot[-1] <= 2
    assert (np.diff(plot) == 1).all()
    column = (other[0] + other[-1]) // 2
    low, high = np.flatnonzero(fifth[:, column]), np.flatnonzero(ninth[:, column])
    assert high[-1] < low[0]
    assert abs(len(low) - len(high)) <= 2


@pytest.mark.parametrize(
    "found",
    [
        {"stretch_bytes": 0, "stretches": [{"offset": 0, "bytes": 0}]},
        {"stretch_bytes": 1, "stretches": [{"offset": 2**62, "bytes": 2**62}] * 3},
        {"stretch_bytes": 1, "stretches": [{"offset": 0, "bytes": 9, "damage": {"x": 2**62}}] * 9},
        {"stretch_bytes": 1, "stretches": [{"offset": 7, "bytes": 1, "generations": {}}]},
        {"stretch_bytes": -1, "stretches": []},
        {"stretch_bytes": 1, "stretches": [{"offset": 0, "bytes": 1}] * 1025},
        {"stretch_bytes": 1, "stretches": [{"offset": 0, "bytes": 1, "generations": {"x": 1}}]},
        {"stretch_bytes": 1, "stretches": [{"offset": 0, "bytes": 1, "damage": {"$^": 1}}]},
        {"stretch_bytes": 1, "stretches": None},
        [],
        7,
    ],
)
def test_a_map_that_is_none_is_told_or_drawn(found: Any, tmp_path: Path) -> None:
    """Whatever stands in a report of somebody else."""
    content = {"format": "dgen-report/1", "path": "$a_b", "spec": {"size": 100}, "map": found}
    (tmp_path / "r.json").write_text(json.dumps(content))
    said = ""
    try:
        report.draw_map([tmp_path / "r.json"], tmp_path / "m.png")
    except report.ReportError as error:
        said = str(error)
    assert (tmp_path / "m.png").exists() == (not said)
    assert not said or ("r.json" in said and "\n" not in said)


def test_one_map_is_drawn_at_a_time(dgen: Command, tmp_path: Path) -> None:
    """None, and several, are told in one line."""
    stretch = {"offset": 0, "bytes": 9, "damage": {"zeros": 9}}
    content: dict[str, Any] = {"format": "dgen-report/1", "spec": {"size": 100}, "operations": []}
    for name in ("a.report.json", "b.report.json"):
        (tmp_path / name).write_text(json.dumps(content))
    said = dgen("report", ".", "--map", "m.png", status=2).stderr
    assert "no report has a map" in said
    content["map"] = {"stretch_bytes": 9, "stretches": [stretch]}
    (tmp_path / "b.report.json").write_text(json.dumps(content))
    dgen("report", ".", "--map", "m.png")
    (tmp_path / "a.report.json").write_text(json.dumps(content))
    assert "2 reports have a map" in dgen("report", ".", "--map", "n.png", status=2).stderr
    assert not (tmp_path / "n.png").exists()
