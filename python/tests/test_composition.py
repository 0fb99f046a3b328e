# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets of version 2: their bytes, what they may be given as, manifests, jobs and sweeps."""

from __future__ import annotations

import decimal
import hashlib
import json
import pickle
import random
import subprocess
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import IS_WHOLE, MPIRUN, Command, cases, chance, rounds
from reference import Set
from specifications import VECTORS_2 as VECTORS
from specifications import fields_of

from dgen_mpi import Damage, DataReader, DataSpec
from dgen_mpi.cli import new
from dgen_mpi.jobs import Campaign, Job, JobError

MILLION = 1_000_000


def content(spec: DataSpec, start: int = 0, stop: int | None = None) -> bytes:
    """Return a range of a data set."""
    buffer = bytearray((spec.size if stop is None else stop) - start)
    spec.fill(buffer, start)
    return bytes(buffer)


@pytest.mark.parametrize("vector", VECTORS["sets"])
def test_equals_the_vector(vector: dict[str, Any]) -> None:
    """Every reference data set has the bytes, blocks and contents that it should."""
    spec = DataSpec(**fields_of(vector["spec"]))
    assert spec.blocks == vector["blocks"]
    assert spec.zero_blocks == vector["zero_blocks"]
    assert spec.distinct_blocks == vector["contents"] + (1 if vector["zero_blocks"] else 0)
    made = content(spec)
    assert hashlib.sha256(made).hexdigest() == vector["sha256"]
    assert made[:32].hex() == vector["first_32"]
    assert made[-32:].hex() == vector["last_32"]
    with DataReader(spec) as reader:
        assert hashlib.sha256(reader.read()).hexdigest() == vector["sha256"]


def test_the_largest_data_set_equals_the_vector() -> None:
    """Any block of a data set of 2**63 - 1 bytes."""
    vector = VECTORS["huge"]
    spec = DataSpec(**fields_of(vector["spec"]))
    assert spec.distinct_blocks == int(vector["contents"]) + 1
    for block in vector["blocks"]:
        start = int(block["block"]) * spec.dedup_unit
        assert content(spec, start, start + 16).hex() == block["first_16"]


def random_set(numbers: random.Random) -> tuple[dict[str, Any], Set]:
    """Return a small data set, as fields in millionths and as the reference has it."""
    block, grain = numbers.choice([(512, 512), (1024, 1024), (4096, 512), (4608, 576)])
    fields: dict[str, Any] = {
        **{"size": numbers.randrange(1, 24 * block), "seed": numbers.getrandbits(64)},
        **{"block": block, "grain": grain, "fill": numbers.choice(["backref", "zeros"])},
    }
    if numbers.random() < 0.5:
        several = range(numbers.randrange(4))
        fields["copies"] = [(numbers.randrange(2, 9), numbers.randrange(200_000)) for _ in several]
    elif numbers.random() < 0.5:
        fields["dedup"] = numbers.randrange(1000, 4000)
    if numbers.random() < 0.5:
        fields["zeros"] = numbers.randrange(400_001)
    if numbers.random() < 0.5:
        part = numbers.randrange(MILLION + 1)
        fields["compress"] = [(numbers.randrange(1000, 9000), part), (1000, MILLION - part)]
    if numbers.random() < 0.7:
        fields["run"] = numbers.randrange(1, 6)
    if numbers.random() < 0.7 or fields.keys().isdisjoint({"copies", "zeros", "compress", "run"}):
        fields["change"] = [
            (numbers.randrange(300_001), numbers.randrange(1, MILLION + 1))
            for _ in range(numbers.randrange(1, 4))
        ]
        fields["generation"] = numbers.choice([0, 1, 2, 7, 40, 10**6])
    return fields, Set(**fields)


def test_any_specification_equals_plain_python() -> None:
    """Whole and from any place on, against the text of the format in plain Python."""
    numbers = chance()
    for number in range(rounds(200, 1000)):
        fields, reference = random_set(numbers)
        truth = b"".join(reference.parts())
        spec = DataSpec(**fields_of(fields))
        assert content(spec) == truth, f"case {number}: {fields}"
        counts = (reference.blocks, reference.zero_blocks, reference.contents)
        distinct = counts[2] + (1 if counts[1] else 0)
        assert (spec.blocks, spec.zero_blocks, spec.distinct_blocks) == (*counts[:2], distinct)
        start = numbers.randrange(spec.size)
        found = bytearray(content(spec, start, numbers.randrange(start, spec.size + 1)))
        assert found == truth[start : start + len(found)], f"case {number}: {fields}, {start}"
        assert spec.compare(found, start) == []
        if found:
            wrong = numbers.randrange(len(found))
            found[wrong] ^= 1 << numbers.randrange(8)
            assert spec.compare(found, start) == [Damage(start + wrong, 1, 1)], f"case {number}"
        again = DataSpec(**spec.as_dict())
        assert again == spec
        assert content(again) == truth


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_same_bytes_for_every_thread_count(threads: int) -> None:
    """Threads share the work of a large buffer, and change nothing."""
    vector = VECTORS["sets"][7]
    spec = DataSpec(**fields_of(vector["spec"]), max_threads=threads)
    assert hashlib.sha256(content(spec)).hexdigest() == vector["sha256"]


SAME: list[tuple[str, list[Any]]] = [
    (
        "copies",
        [
            *("2:29.27%,3:1.95%", "2:0.2927,3:0.0195", ["2:29.27%", "3:0.0195"]),
            *([(2, 0.2927), [3, "1.95%"]], ((2, Decimal("0.29270")), ("3", "0.0195"))),
            *({2: 0.2927, 3: Fraction(195, 10_000)}, {"2": "29.27%", "3": np.float64(0.0195)}),
            [(np.int64(2), 0.2927), "3:1.95%"],
        ],
    ),
    ("zeros", [0.05, "5%", "0.05", Decimal("0.050000000"), Fraction(1, 20), np.float64(0.05)]),
    ("zeros", [1, 1.0, "1", "100%", Decimal("1E0"), Fraction(1)]),
    ("zeros", [1e-06, "0.0001%", Fraction(1, MILLION), Decimal("1E-6")]),
    ("compress_mix", ["1:30%,2.5:70%", {1: 0.3, 2.5: 0.7}, [(Decimal("1.000"), 0.3), "2.5:0.7"]]),
    ("run", [16, "16", np.int32(16)]),
    ("change", [0.02, "2%", ["2%"], [(1, 0.02)], {"100%": "2%"}, [Decimal("0.02")]]),
    ("change", ["10%:15%,90%:0.5%", {0.1: 0.15, 0.9: 0.005}, [(0.1, 0.15), (0.9, "0.5%")]]),
]


@pytest.mark.parametrize(("name", "forms"), SAME)
def test_all_forms_are_the_same(name: str, forms: list[Any]) -> None:
    """Texts, lists of them, pairs, mappings; shares as numbers of any kind."""
    specs = {DataSpec(1 << 20, 1, **{name: form}) for form in forms}
    assert len(specs) == 1
    assert content(specs.pop(), 0, 4096) == content(
        DataSpec(1 << 20, 1, **{name: forms[0]}), 0, 4096
    )


def test_what_is_given_is_told() -> None:
    """As attributes and as manifests have it; nothing of what was not given."""
    spec = DataSpec(
        1 << 24,
        7,
        dedup_unit=4096,
        copies="2:29.27%,3:0.0099%",
        zeros="0.005%",
        compress_mix={1: 0.3, 2.5: 0.7},
        run=4,
        change="10%:15%,90%:0.5%",
        generation=3,
    )
    assert spec.copies == ((2, 0.2927), (3, 0.000099))
    assert spec.zeros == 0.00005
    assert spec.compress_mix == ((1.0, 0.3), (2.5, 0.7))
    assert spec.change == ((0.1, 0.15), (0.9, 0.005))
    assert (spec.run, spec.generation) == (4, 3)
    assert (spec.dedup_ratio, spec.compress_ratio) == (None, None)
    assert spec.as_dict() == {
        **{"size": 1 << 24, "seed": 7, "dedup_unit": 4096, "compress_unit": 1024},
        **{"fill": "backref", "copies": [[2, 0.2927], [3, "0.0099%"]], "zeros": "0.005%"},
        **{"compress_mix": [[1.0, 0.3], [2.5, 0.7]], "run": 4},
        **{"change": [[0.1, 0.15], [0.9, 0.005]], "generation": 3},
    }
    assert (spec.blocks, spec.zero_blocks) == (4096, 0)
    assert 0 < spec.expected_stored_bytes < 4096 * 3000
    first = DataSpec(1000, 7)
    assert (first.copies, first.zeros, first.compress_mix) == (None, None, None)
    assert (first.run, first.change, first.generation, first.zero_blocks) == (None, None, None, 0)
    assert "copies" not in first.as_dict()
    assert (first.dedup_ratio, first.compress_ratio) == (1, 1)
    # A list may be empty: nothing is there twice, and blocks are scattered all the same.
    empty = DataSpec(1 << 20, 7, dedup_unit=4096, copies=[])
    assert empty.copies == ()
    assert empty.as_dict()["copies"] == []
    assert DataSpec(**empty.as_dict()) == empty
    assert content(empty) != content(DataSpec(1 << 20, 7, dedup_unit=4096))


def test_equal_specs_are_equal() -> None:
    """As values: comparing, hashing, pickling, showing."""
    spec = DataSpec(1 << 20, 7, copies={2: 0.5}, zeros=0.00001, change="2%", generation=5)
    same = pickle.loads(pickle.dumps(spec))
    assert same == spec
    assert hash(same) == hash(spec)
    assert eval(repr(spec), {"DataSpec": DataSpec}) == spec
    assert content(same) == content(spec)
    others = [{"generation": 4}, {"copies": {2: 0.4}}, {"zeros": 0}, {"change": "1%"}]
    for other in others:
        assert DataSpec(**{**spec.as_dict(), **other}) != spec


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"copies": [(1, 0.5)]}, "copies: '1' is not accepted; give 2 to 2^40 copies"),
    ({"copies": {1 << 41: 0.1}}, f"copies: '{1 << 41}' is not accepted; give 2 to 2^40 copies"),
    ({"copies": "2"}, "copies: '2' is not accepted; give COPIES:SHARE"),
    ({"copies": [(2, 0.1, 3)]}, "copies: '2:0.1:3' is not accepted; give COPIES:SHARE"),
    ({"copies": [(2, 1.5)]}, "copies: '1.5' is not accepted; give 0 to 1 with at most 6"),
    ({"copies": [(2, 0.1234567)]}, "copies: '0.1234567' is not accepted; give 0 to 1 with"),
    ({"copies": [(2, -0.1)]}, "copies: '-0.1' is not accepted; give 0 to 1"),
    ({"copies": [(2, 0.01)] * 33}, "copies: '33 values' is not accepted; give 32 values at most"),
    ({"copies": "2:60%,3:50%"}, "copies: '2:60%,3:50%' is not accepted; give shares that are at"),
    ({"copies": "2:60%", "zeros": 0.5}, "at most 100% together with zeros (50%)"),
    ({"copies": "2:5%", "dedup_ratio": 2}, "dedup_ratio: '2' is not accepted; give none with"),
    ({"copies": "2:5%", "dedup_ratio": 1}, "dedup_ratio: '1' is not accepted; give none with"),
    ({"zeros": 1.1}, "zeros: '1.1' is not accepted; give 0 to 1"),
    ({"zeros": "100.1%"}, "zeros: '100.1%' is not accepted; give 0 to 1"),
    ({"zeros": 1e-07}, "zeros: '0.0000001' is not accepted; give 0 to 1"),
    ({"zeros": -1}, "zeros: '-1' is not accepted; give 0 to 1"),
    ({"zeros": "5 %"}, "zeros: '5 %' is not accepted"),
    ({"compress_mix": "1:30%,2:50%"}, "compress_mix: '1:30%,2:50%' is not accepted; give shares"),
    ({"compress_mix": "65:1"}, "compress_mix: '65' is not accepted; give 1 to 64"),
    ({"compress_mix": "0.5:1"}, "compress_mix: '0.5' is not accepted; give 1 to 64"),
    ({"compress_mix": "1.0005:1"}, "compress_mix: '1.0005' is not accepted; give a number from"),
    ({"compress_mix": ["1:1%"] * 33}, "compress_mix: '33 values' is not accepted; give 32"),
    ({"compress_mix": "2:1", "compress_ratio": 2}, "compress_ratio: '2' is not accepted; give"),
    ({"compress_mix": "2:1", "compress_ratio": 1}, "compress_ratio: '1' is not accepted; give"),
    ({"run": 0}, "run: '0' is not accepted; give a whole number from 1 to 1099511627776"),
    ({"run": (1 << 40) + 1}, "run: '1099511627777' is not accepted; give a whole number from 1"),
    ({"change": 0}, "change: '0%' is not accepted; give rates above 0 and at most 100%"),
    ({"change": 1.01}, "change: '1.01' is not accepted; give 0 to 1"),
    ({"change": "50%:1%,60%:1%"}, "change: '50%:1%,60%:1%' is not accepted; give shares that are"),
    ({"change": ["1%:1%"] * 9}, "change: '9 values' is not accepted; give 8 values at most"),
    ({"change": "2%", "generation": -1}, "generation: '-1' is not accepted; give a whole number"),
    ({"change": "2%", "generation": 1 << 32}, "generation: '4294967296' is not accepted"),
    ({"generation": 1}, "generation: '1' is not accepted; give 0 without change"),
    ({"zeros": 0.1, "generation": 1}, "generation: '1' is not accepted; give 0 without change"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_is_refused_is_refused_in_one_voice(fields: dict[str, Any], message: str) -> None:
    """By `DataSpec` and by jobs in the same words, which name field, value and what is accepted."""
    with pytest.raises(ValueError, match="is not accepted; give ") as caught:
        DataSpec(1 << 20, 1, **fields)
    assert message in str(caught.value)
    text = {name: _written(value) for name, value in fields.items()}
    lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in text.items())
    with pytest.raises(JobError) as other:
        Job.from_yaml(f"output: o\nsize: 1MiB\nseed: 1\n{lines}")
    assert str(other.value) == f"job: {caught.value}"


def _written(value: Any) -> Any:
    """Return a value as job files have it: classes as texts."""
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list):
        return [it if isinstance(it, str) else ":".join(map(str, it)) for it in value]
    return "0.0000001" if value == 1e-07 else value


@pytest.mark.parametrize(
    "fields",
    [
        {"zeros": Fraction(1, 3)},
        {"zeros": Fraction(10**40 + 1, 10**46)},
        {"zeros": np.float32(0.05)},
        {"zeros": float("nan")},
        {"zeros": Decimal("Infinity")},
        {"zeros": Decimal("1E-1000000")},
        {"zeros": Decimal("1E+1000000")},
        {"zeros": True},
        {"zeros": ""},
        {"zeros": "5%\n"},
        {"copies": ""},
        {"copies": ["2:5%", ""]},
        {"copies": (2, 0.5)},
        {"compress_mix": []},
        {"change": (0.1, 0.15, 0.9)},
        {"change": {0.5: 0}},
        {"run": "1.5"},
        {"generation": "x"},
    ],
)
def test_nothing_is_rounded_or_guessed(fields: dict[str, Any]) -> None:
    """What is not exactly a legal value is refused, whatever the decimal context is."""
    with decimal.localcontext(decimal.Context(prec=2)), pytest.raises(ValueError, match="accepted"):
        DataSpec(1 << 20, 1, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"zeros": object()},
        {"zeros": [0.5]},
        {"copies": [None]},
        {"copies": [{2: 0.5}]},
        {"copies": object()},
        {"run": 1.5},
        {"generation": None, "run": []},
        {"change": [(0.1, None)]},
    ],
)
def test_wrong_types_are_refused(fields: dict[str, Any]) -> None:
    """As Python has it for numbers and texts."""
    with pytest.raises(TypeError):
        DataSpec(1 << 20, 1, **fields)


def test_exact_shares_do_not_depend_on_the_decimal_context() -> None:
    """Nor are they rounded by it."""
    with decimal.localcontext(decimal.Context(prec=2)):
        spec = DataSpec(1 << 20, 1, zeros=0.123456, copies={2: Decimal("0.234567")})
        same = DataSpec(1 << 20, 1, zeros=Fraction(123_456, MILLION), copies="2:23.4567%")
    assert spec == same
    assert spec.zeros == 0.123456


def test_manifests_are_read(tmp_path: Path) -> None:
    """What `as_dict` returns is what they have, also shares that would get an exponent."""
    specs = [DataSpec(**fields_of(vector["spec"])) for vector in VECTORS["sets"]]
    specs += [DataSpec(5, 1, zeros=1e-06, copies=[(2, 0.00002)], change=[(0.00001, 0.000001)])]
    for spec in specs:
        whole = {"format": "dgen/2", "status": "complete", "spec": spec.as_dict()}
        (tmp_path / "data.dgen.json").write_text(json.dumps(whole), encoding="utf-8")
        assert DataSpec.from_manifest(tmp_path / "data") == spec
    spec = specs[5]
    for changes, message in [
        ({"copies": [[1, 0.5]]}, "spec: copies: '1' is not accepted; give 2 to 2\\^40 copies"),
        ({"copies": "2:5%"}, "spec: copies: '2:5%' is not accepted; give a list of pairs"),
        ({"zeros": 2}, "spec: zeros: '2' is not accepted"),
        ({"generation": 1 << 32}, "spec: generation: "),
        ({"change": [[1, 0]]}, "spec: change: "),
    ]:
        whole = {"format": "dgen/2", "status": "complete", "spec": {**spec.as_dict(), **changes}}
        (tmp_path / "data.dgen.json").write_text(json.dumps(whole), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            DataSpec.from_manifest(tmp_path / "data")


def counts_of(index: int) -> tuple[int, ...]:
    """Return the numbers of ranks that write a reference data set; one in the gate."""
    several = (1, 2, 3, 5)
    return several if IS_WHOLE else several[index % 4 :][:1]


def words(spec: DataSpec) -> list[str]:
    """Return the options of the program for a data set."""
    job = Job(**{"output": "x", **{name: _given(it) for name, it in spec.as_dict().items()}})
    return [word for word in job.arguments()[2:] if not word.startswith("--output")]


def _given(value: Any) -> Any:
    if isinstance(value, list):
        return [":".join(map(str, pair)) for pair in value]
    return value


@pytest.mark.parametrize("index", cases([7, 10], [it for it in range(12) if it not in (7, 10)]))
def test_the_program_makes_the_same(index: int, program: str, tmp_path: Path) -> None:
    """Its files and manifests are those of `DataSpec`, and it verifies what that has made."""
    spec = DataSpec(**fields_of(VECTORS["sets"][index]["spec"]))
    for ranks in counts_of(index):
        done = subprocess.run(
            [*MPIRUN, "-n", str(ranks), program, "-o", "written", "--overwrite", *words(spec)],
            **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120},
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "written").read_bytes() == content(spec)
        assert DataSpec.from_manifest(tmp_path / "written") == spec
        stored = json.loads((tmp_path / "written.dgen.json").read_text(encoding="utf-8"))
        assert stored["format"] == "dgen/2"
        assert stored["spec"] == spec.as_dict()
    (tmp_path / "made").write_bytes(content(spec))
    whole = {"format": "dgen/2", "status": "complete", "spec": spec.as_dict()}
    (tmp_path / "made.dgen.json").write_text(json.dumps(whole), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "made"],
        **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120},
    )
    assert done.returncode == 0, done.stderr


def test_the_package_tells_of_other_generations(dgen: Command, tmp_path: Path) -> None:
    """`dgen verify` finds blocks of an earlier generation where the manifest says a later one."""
    fields = {"size": 1 << 20, "seed": 3, "dedup_unit": 4096, "copies": {2: 0.5}, "change": "5%"}
    old, now = (DataSpec(**fields, generation=it) for it in (1, 4))
    made = bytearray(content(now))
    place = next(it for it in range(256) if made[it << 12] != content(old)[it << 12]) << 12
    made[place : place + 4096] = content(old)[place : place + 4096]
    (tmp_path / "data").write_bytes(made)
    whole = {"format": "dgen/2", "status": "complete", "spec": now.as_dict()}
    (tmp_path / "data.dgen.json").write_text(json.dumps(whole), encoding="utf-8")
    done = dgen("verify", "data", "--json", status=1)
    (found,) = json.loads(done.stdout)["damage"]
    assert (found["kind"], found["offset"], found["bytes"]) == ("stale", place, 4096)
    (damage,) = now.compare(made)
    assert damage.kind == "stale"
    assert damage.generation in (0, 1)
    assert damage.generation == found["generation"]


BASE = "output: '{name}'\nsize: 1MiB\nseed: 1\n"


def test_sweeps() -> None:
    """Shares by their values, classes as lists of lists; values are compared as values."""
    two = Campaign.from_yaml(BASE + "zeros: [0, 5%, 0.25]\nchange: 2%\ngeneration: [0, 7]")
    assert [case.name for case in two.cases] == [
        *("zeros0-generation0", "zeros0-generation7", "zeros5-generation0"),
        *("zeros5-generation7", "zeros0.25-generation0", "zeros0.25-generation7"),
    ]
    assert two.cases[3].steps[0].zeros == "5%"
    assert "--zeros=5% --change=2% --generation=7" in two.cases[3].steps[0].command()
    lists = Campaign.from_yaml(BASE + "copies: [['2:20%', 3:0.05], [2:0.2927]]")
    assert [case.name for case in lists.cases] == ["copies2_20_3_0.05", "copies2_0.2927"]
    assert [case.steps[0].copies for case in lists.cases] == [["2:20%", "3:5%"], ["2:29.27%"]]
    one = Campaign.from_yaml(BASE + "copies: ['2:20%', '3:5%']")
    assert [case.name for case in one.cases] == ["all"]
    for text, said in [
        ("zeros: [5%, 0.05]", "zeros: '0.05' is there twice"),
        ("copies: [['2:20%'], [2:0.2]]", "copies: '2:0.2' is there twice"),
        ("generation: [0, 1]", "generation: '1' is not accepted; give 0 without change"),
        ("copies: [[2, 0.2927]]", "copies: '2' is not accepted; give COPIES:SHARE"),
    ]:
        with pytest.raises(JobError, match=said):
            Campaign.from_yaml(BASE + text)


def test_the_option_run_is_not_the_number_of_a_run() -> None:
    """Both may be there: blocks that stay together, and how often a case is run."""
    found = Campaign.from_yaml(BASE + "run: [1, 16]\nruns: 2")
    assert [case.name for case in found.cases] == [
        "run1-run1",
        "run1-run2",
        "run16-run1",
        "run16-run2",
    ]
    assert [case.steps[0].run for case in found.cases] == [1, 1, 16, 16]
    assert found.cases[3].values == {"run": "16", "runs": 2}


@pytest.mark.parametrize("text", ["2:0.2927", "'2:0.2927'", "2:29.27%", "[2:0.2927]", "[2:29.27%]"])
def test_a_class_is_no_number_to_the_base_of_60(text: str, program: str, tmp_path: Path) -> None:
    """YAML 1.1 would have it be one; it is a class, here and in the program."""
    job = Job.from_yaml(f"output: o\nsize: 1GiB\nseed: 1\ncopies: {text}\n")
    assert job.copies == ["2:29.27%"]
    assert Job.from_yaml(job.to_yaml()) == job
    assert (
        job.expected_stored_bytes == DataSpec(1 << 30, 1, copies="2:0.2927").expected_stored_bytes
    )
    for number, written in enumerate([f"size: 1GiB\nseed: 1\ncopies: {text}\n", job.to_yaml()]):
        (tmp_path / f"{number}.yaml").write_text(written)
        done = subprocess.run(
            [program, "plan", "--job", f"{number}.yaml"],
            **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60},
        )
        assert done.returncode == 0, done.stderr
        assert "300 blocks, 150 contents" in done.stdout


def test_new_job_files_have_them(dgen: Command, tmp_path: Path) -> None:
    """Given as on the command line, and all others as comments."""
    dgen("new", "a.yaml", "output=d", "size=1MiB", "copies=2:29.27%,3:0.0195", "zeros=0.05")
    job = Job.load(tmp_path / "a.yaml")
    assert (job.copies, job.zeros) == (["2:29.27%", "3:1.95%"], "5%")
    text = (tmp_path / "a.yaml").read_text()
    assert "# compress_mix: ['1:30%', '2:70%']  # " in text
    assert "# dedup_ratio: " in text
    dgen("new", "b.yaml", "output={name}", "size=1MiB", "change=2%", "generation=[0,7]")
    assert len(Campaign.load(tmp_path / "b.yaml").cases) == 2
    assert new._INSTEAD.keys() <= {key for key, *_ in new._QUESTIONS}
