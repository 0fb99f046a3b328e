# SPDX-License-Identifier: MIT OR Apache-2.0
"""Damage of data sets of version 2: what is said of it, by whom ever, held against what it is."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

from conftest import Command, chance, rounds
from reference import Set
from specifications import fields_of

from dgen_mpi import Damage, DataSpec

MILLION = 1_000_000
GENERATION = 5


def content(spec: DataSpec, start: int = 0, length: int | None = None) -> bytes:
    """Return a range of a data set."""
    buffer = bytearray(spec.size - start if length is None else length)
    spec.fill(buffer, start)
    return bytes(buffer)


class History:
    """A data set, as the package has it and as the text of the format does, in all generations."""

    def __init__(self, numbers: random.Random) -> None:
        block, grain = numbers.choice([(512, 512), (4096, 512), (4096, 1024), (16384, 1024)])
        part = numbers.randrange(MILLION + 1)
        self.fields: dict[str, Any] = {
            **{"size": numbers.randrange(30 * block, 90 * block), "seed": numbers.getrandbits(64)},
            **{"block": block, "grain": grain, "fill": numbers.choice(["backref", "zeros"])},
            **{"copies": [(2, 300_000), (7, 200_000)], "zeros": numbers.randrange(200_000)},
            **{"compress": [(numbers.randrange(1000, 5000), part), (1000, MILLION - part)]},
            **{"run": numbers.choice([1, 3]), "change": [(500_000, 300_000), (300_000, 50_000)]},
        }
        self.block = block
        self.blocks = range(-(-self.fields["size"] // block))
        self.spec = self.of(GENERATION)
        self.right = content(self.spec)

    def of(self, generation: int) -> DataSpec:
        """Return the data set in a generation."""
        return DataSpec(**fields_of({**self.fields, "generation": generation}))

    def location(self, block: int, generation: int = GENERATION) -> tuple[int, int, int] | None:
        """Return content, ratio and generation of its last change, as the format says."""
        return Set(**self.fields, generation=generation).location(block)

    def holders(self, block: int) -> int:
        """Return how many blocks hold what a block does."""
        return [self.location(it) for it in self.blocks].count(self.location(block))

    def made(self, place: int, found: bytes) -> set[int]:
        """Return the generations in which a part of a block has been made as it was found."""
        first = place // self.block
        others = {
            it: self.location(first, it)
            for it in range(GENERATION + 5)
            if content(self.of(it), place, len(found)) == found
        }
        return {location[2] for location in others.values() if location}

    def pieces(self, offset: int, length: int) -> list[tuple[int, int]]:
        """Return start and length of the parts of a range that lie in one block each."""
        end = offset + length
        starts = [offset, *(it for it in range(offset + 1, end) if it % self.block == 0)]
        ends = [*starts[1:], end]
        return [(start, stop - start) for start, stop in zip(starts, ends, strict=True)]


def damaged(history: History, numbers: random.Random) -> bytes:
    """Return the data set with bytes of other generations and places, zeros and flipped bits."""
    found = bytearray(history.right)
    others = [content(history.of(it)) for it in range(GENERATION + 4)]
    for _ in range(numbers.randrange(1, 9)):
        begin = numbers.choice(history.blocks) * history.block
        count = min(history.block, len(found) - begin)
        if numbers.random() < 0.3:
            begin += numbers.randrange(count)
            count = numbers.randrange(1, len(found) - begin + 1)
        end = begin + count
        match numbers.randrange(6):
            case 0:
                found[begin:end] = bytes(count)
            case 1 | 2:
                found[begin:end] = numbers.choice(others)[begin:end]
            case 3:
                source = numbers.choice(history.blocks) * history.block
                part = history.right[source : source + count]
                found[begin : begin + len(part)] = part
            case 4:
                found[begin:end] = numbers.randbytes(count)
            case _:
                for _ in range(numbers.choice([1, 3])):
                    found[begin + numbers.randrange(count)] ^= 1 << numbers.randrange(8)
    return bytes(found)


def untruths(history: History, found: bytes, it: Damage) -> list[str]:
    """Return what is not so of what is said of a range."""
    right, false = history.right, []
    # Of a long range samples are looked at, and what is said of the rest is an estimate.
    if it.sampled:
        return false
    here = found[it.offset : it.offset + it.bytes]
    if it.kind == "zeros" and any(here):
        false.append("zeros")
    if it.kind == "stale":
        told = {it.generation} if it.generation is not None else set(it.stale_blocks)
        seen: dict[int, int] = {}
        for start, length in history.pieces(it.offset, it.bytes):
            if found[start : start + length] == right[start : start + length]:
                continue
            made = told & history.made(start, found[start : start + length])
            # Which one is not known of few bytes.
            if not made:
                false.append(f"generation of {start}")
            elif len(made) == 1:
                seen[next(iter(made))] = seen.get(next(iter(made)), 0) + 1
        if it.stale_blocks and any(seen.get(each, 0) > it.stale_blocks[each] for each in told):
            false.append(f"blocks of generations: {seen}")
    if it.kind == "misplaced":
        assert it.source_offset is not None
        if right.find(here) != it.source_offset:
            false.append(f"lowest place: {right.find(here)}")
        if history.holders(it.source_offset // history.block) != (it.source_blocks or 1):
            false.append(f"blocks: {history.holders(it.source_offset // history.block)}")
    if it.kind == "bit_flips":
        pairs = zip(here, right[it.offset : it.offset + it.bytes], strict=True)
        if it.flipped_bits != sum((one ^ other).bit_count() for one, other in pairs):
            false.append("bits")
    if it.kind == "mixed":
        for kind, offset, length in it.parts:
            part = found[offset : offset + length]
            if kind == "zeros" and any(part):
                false.append(f"zeros at {offset}")
            if kind == "stale" and not all(
                history.made(start, found[start : start + count])
                for start, count in history.pieces(offset, length)
            ):
                false.append(f"stale at {offset}")
            if kind == "misplaced" and part not in right:
                false.append(f"misplaced at {offset}")
    return false


def test_what_is_said_of_damage_is_true() -> None:
    """Of each range: its generations, its place and how many blocks hold it by right."""
    numbers = chance()
    kinds: set[str] = set()
    for number in range(rounds(40, 400)):
        history = History(numbers)
        found = damaged(history, numbers)
        damage = history.spec.compare(found)
        pairs = zip(found, history.right, strict=True)
        assert damage.wrong_bytes == sum(one != other for one, other in pairs)
        for it in damage:
            kinds.add(it.kind)
            false = untruths(history, found, it)
            assert not false, f"case {number}, {history.spec}, {false}: {it.as_dict()}"
    assert {"zeros", "stale", "misplaced", "bit_flips", "foreign"} <= kinds


def told(damage: dict[str, Any]) -> dict[str, Any]:
    """Return what a report says of a range, as `dgen verify` says it."""
    # Who has written it, and which block it is of, is of the program alone.
    said = {name: it for name, it in damage.items() if name not in ("block", "last_block", "rank")}
    for name, parts in (("bits", ("offset", "bit")), ("parts", ("kind", "offset", "bytes"))):
        if name in said:
            said[name] = [[part[it] for it in parts] for part in said[name]]
    # The program counts them where it does not list all.
    return {"part_count": len(said["parts"])} | said if "parts" in said else said


def test_package_and_program_say_the_same(dgen: Command, program: str, tmp_path: Path) -> None:
    """`DataSpec.compare`, `dgen verify` and `dgen-mpi verify`, of one file."""
    numbers = chance()
    for number in range(rounds(2, 12)):
        history = History(numbers)
        found = damaged(history, numbers)
        (tmp_path / "data").write_bytes(found)
        whole = {"format": "dgen/2", "status": "complete", "spec": history.spec.as_dict()}
        (tmp_path / "data.dgen.json").write_text(json.dumps(whole), encoding="utf-8")
        damage = history.spec.compare(found)
        said = json.loads(json.dumps([it.as_dict() for it in damage]))
        by_package = json.loads(dgen("verify", "data", "--json", status=int(bool(damage))).stdout)
        assert by_package["damage"] == said, f"case {number}: {history.spec}"
        done = subprocess.run(
            [program, "verify", "data", "--report", "report"],
            **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120},
        )
        assert done.returncode == int(bool(damage)), done.stderr
        report = json.loads((tmp_path / "report").read_text(encoding="utf-8"))
        by_program = [told(it) for it in report["damage"]]
        assert by_program == said, f"case {number}: {history.spec}"
        assert report["wrong_bytes"] == damage.wrong_bytes
