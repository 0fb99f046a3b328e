# SPDX-License-Identifier: MIT OR Apache-2.0
"""Results: read, tabulated, compared, drawn; and what the contents of files are measured to be."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import zlib
from pathlib import Path
from typing import Any

import lz4.block
import pytest
import zstandard
from conftest import Command, cases

from dgen_mpi import DataSpec, analyze, report


def write_report(path: Path, rate: float, ranks: int = 2, **more: Any) -> None:
    """Write a report as the program does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": "dgen-report/1",
        "status": "ok",
        "exit_status": 0,
        "mpi": {"ranks": ranks, "nodes": 1},
        "spec": {"size": 1 << 30, "dedup_ratio": 1, "compress_ratio": 1.5},
        "operations": [
            {
                "operation": "write",
                "bytes": 1 << 30,
                "seconds": (1 << 30) / rate,
                "bytes_per_second": rate,
                "transfer_size": 1 << 20,
            }
        ],
        **more,
    }
    path.write_text(json.dumps(content))


def campaign(folder: Path, rates: dict[int, list[float]]) -> Path:
    """Make the folder of a campaign with repeats of several numbers of ranks."""
    cases = []
    for ranks, several in rates.items():
        for number, rate in enumerate(several, 1):
            name = f"ranks{ranks}-run{number}"
            cases.append(
                {
                    "name": name,
                    "values": {"ranks": str(ranks), "runs": number},
                    "remove_data": False,
                    "steps": [{"output": "o", "size": 1 << 30, "ranks": ranks}],
                }
            )
            write_report(folder / name / "1-generate.report.json", rate, ranks)
    index = {"format": "dgen-campaign/1", "name": folder.name, "cases": cases}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_repeats_are_one_row_with_their_spread(tmp_path: Path) -> None:
    """Least, median, mean, most, standard deviation: against numbers worked out by hand."""
    path = campaign(tmp_path / "a", {1: [1e9, 3e9, 2e9], 2: [4e9]})
    one, two = report.load(path).summaries()
    assert (one.case, one.count, two.case, two.count) == ("ranks1", 3, "ranks2", 1)
    assert (one.minimum, one.median, one.mean, one.maximum) == (1e9, 2e9, 2e9, 3e9)
    assert abs(one.standard_deviation - 1e9) < 1
    assert one.spread_percent == 100
    assert (two.standard_deviation, two.spread_percent) == (0, 0)


def test_campaigns_are_compared(tmp_path: Path) -> None:
    """In percent, and whether that is more than their spread."""
    before = report.load(campaign(tmp_path / "a", {1: [1e9, 1.1e9, 1.2e9], 2: [2e9, 2.2e9]}))
    after = report.load(campaign(tmp_path / "b", {1: [2.2e9, 2.3e9, 2.1e9], 2: [2.1e9, 2e9]}))
    one, two = report.compare(before, after)
    assert abs(one.percent - 100) < 1e-9
    assert one.stands_out
    assert not two.stands_out
    with pytest.raises(report.ReportError, match="no case and step in common"):
        report.compare(before, report.load(campaign(tmp_path / "c", {4: [1e9]})))


def test_tables_for_programs(tmp_path: Path) -> None:
    """CSV, JSON and pandas have a line for each operation, with what was swept."""
    results = report.load(campaign(tmp_path / "a", {1: [1e9, 2e9], 2: [3e9]}))
    file = io.StringIO()
    results.to_csv(file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["swept_ranks"] for row in rows] == ["1", "1", "2"]
    assert [float(row["bytes_per_second"]) for row in rows] == [1e9, 2e9, 3e9]
    content = json.loads(json.dumps(results.to_json()))
    assert content["summaries"][0]["median"] == 1.5e9
    pandas = pytest.importorskip("pandas")
    assert list(pandas.DataFrame(results.to_pandas())["ranks"]) == [1, 1, 2]


def test_pictures_show_what_is_asked(tmp_path: Path) -> None:
    """PNG and SVG, for numbers, sizes and names; a field that is not there is told."""
    results = report.load(campaign(tmp_path / "a", {1: [1e9, 2e9], 16: [3e9]}))
    report.draw(results, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for field in ("transfer_size", "case", "compress_ratio", "runs"):
        report.draw(results, tmp_path / "a.svg", x=field, series="ranks")
        assert "<svg" in (tmp_path / "a.svg").read_text()
    with pytest.raises(report.ReportError, match="no result has 'colour'"):
        report.draw(results, tmp_path / "b.png", x="colour")
    with pytest.raises(report.ReportError, match="gif"):
        report.draw(results, tmp_path / "b.gif2")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not readable"), ("[]", "not a report"), ('{"format": "other/1"}', "not a report")],
)
def test_other_files_are_refused(content: str, said: str, tmp_path: Path) -> None:
    """In one line that names the file."""
    (tmp_path / "x.report.json").write_text(content)
    with pytest.raises(report.ReportError, match=said):
        report.load(tmp_path / "x.report.json")
    with pytest.raises(report.ReportError, match="no such file"):
        report.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(report.ReportError, match="no reports"):
        report.load(tmp_path / "empty")


def ratios(found: dict[str, Any]) -> dict[tuple[str, int], float]:
    """Return the ratios of an analysis by kind and unit."""
    dedup = {(part["kind"], part["unit"]): part["ratio"] for part in found["dedup"]}
    compression = {(part["codec"], part["unit"]): part["ratio"] for part in found["compression"]}
    return dedup | compression


def test_ratios_are_those_of_a_plain_calculation(tmp_path: Path) -> None:
    """Of a file of somebody else's: blocks in a set, units through each compressor."""
    numbers = random.Random(3)
    blocks = [numbers.randbytes(4096) for _ in range(50)] + [b"a" * 4096, b"ab" * 2048]
    data = b"".join(numbers.choices(blocks, k=9000)) + b"tail"
    path = tmp_path / "any"
    path.write_bytes(data)
    found = ratios(
        analyze.analyze(path, dedup_units=[4096, 65536], compress_units=[4096, 65536], threads=2)
    )
    for unit in (4096, 65536):
        parts = [data[place : place + unit] for place in range(0, len(data), unit)]
        distinct = {hashlib.sha256(part).digest(): len(part) for part in parts}
        assert abs(found["fixed", unit] - len(data) / sum(distinct.values())) < 1e-9
        compressors: dict[str, Any] = {
            "lz4": lambda part: lz4.block.compress(part, store_size=False),
            "zstd": zstandard.ZstdCompressor(level=3).compress,
            "zlib": lambda part: zlib.compress(part, 6),
        }
        for codec, compress in compressors.items():
            stored = sum(min(len(compress(part)), len(part)) for part in parts)
            assert abs(found[codec, unit] - len(data) / stored) < 1e-9


def test_chunks_by_content_find_what_has_moved(tmp_path: Path) -> None:
    """The same bytes again, one further on: fixed blocks see nothing, chunks see nearly all."""
    half = random.Random(4).randbytes(6 << 20)
    (tmp_path / "moved").write_bytes(half + b"x" + half)
    found = ratios(analyze.analyze(tmp_path / "moved", codecs=["lz4"]))
    assert found["fixed", 4096] < 1.001
    assert 1.9 < found["content-defined", 8192] <= 2


@pytest.mark.parametrize(("dedup", "compress"), cases([(2, 1.5)], [(1, 1), (3.5, 4)]))
def test_our_files_have_the_ratios_asked_for(dedup: float, compress: float, tmp_path: Path) -> None:
    """At their own block exactly as FORMAT.md says, and near by compressors."""
    spec = DataSpec(40 << 20, 5, dedup, compress, dedup_unit=128 << 10)
    data = bytearray(spec.size)
    spec.fill(data)
    path = tmp_path / "ours"
    path.write_bytes(data)
    manifest = {
        "size": spec.size,
        "seed": 5,
        "dedup_ratio": dedup,
        "compress_ratio": compress,
        "dedup_unit": 128 << 10,
        "compress_unit": 1024,
        "fill": "backref",
    }
    (tmp_path / "ours.dgen.json").write_text(
        json.dumps({"format": "dgen/1", "status": "complete", "spec": manifest})
    )
    analysis = analyze.analyze(path)
    found = ratios(analysis)
    assert analysis["spec"]["dedup_ratio"] == dedup
    assert abs(found["fixed", 128 << 10] - spec.blocks / spec.distinct_blocks) < 1e-9
    for codec in ("lz4", "zstd"):
        assert abs(found[codec, 64 << 10] / compress - 1) < 0.03
    analyze.draw(analysis, tmp_path / "ours.png")
    report.draw_ratios([analysis], tmp_path / "ratios.svg")
    assert (tmp_path / "ours.png").read_bytes().startswith(b"\x89PNG")


def test_memory_for_blocks_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With room for few digests, a part of them stands for all, and the ratio is near."""
    monkeypatch.setattr(analyze, "DIGESTS_MAX", 2000)
    spec = DataSpec(64 << 20, 5, 2, 1, dedup_unit=4096)
    data = bytearray(spec.size)
    spec.fill(data)
    (tmp_path / "many").write_bytes(data)
    found = analyze.analyze(
        tmp_path / "many", dedup_units=[4096], chunk_units=[], compress_units=[], codecs=[]
    )
    assert abs(found["dedup"][0]["ratio"] - 2) < 0.1
    assert found["dedup"][0]["blocks"] == 16384


def test_samples_read_a_part(tmp_path: Path) -> None:
    """The same part for the same seed, and say so."""
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(80 << 20))
    found = analyze.analyze(tmp_path / "large", sample_bytes=32 << 20, codecs=["lz4"])
    assert (found["sampled_bytes"], found["file_bytes"]) == (32 << 20, 80 << 20)
    assert found == analyze.analyze(tmp_path / "large", sample_bytes=32 << 20, codecs=["lz4"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "missing: No such file"),
        (["empty"], "empty, nothing to analyze"),
        (["."], "not the folder of a campaign"),
        (["data", "--codecs", "rar"], "codecs: 'rar' is not accepted; give lz4 or zstd or zlib"),
        (["data", "--dedup-units", "1"], "dedup_units: '1' is not accepted; give 512 B to 16 MiB"),
        (["data", "--sample", "much"], "sample: 'much' is not accepted"),
        (["data", "data", "--plot", "x.png"], "one file at a time"),
    ],
)
def test_mistakes_are_told(arguments: list[str], said: str, dgen: Command, tmp_path: Path) -> None:
    """In one line, with a status that says whose mistake it is."""
    (tmp_path / "empty").touch()
    (tmp_path / "data").write_bytes(b"x" * 10000)
    status = 3 if arguments == ["missing"] else 2
    done = dgen("analyze", *arguments, status=status)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
