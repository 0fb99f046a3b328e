# SPDX-License-Identifier: MIT OR Apache-2.0
"""Ratios that real stores keep: btrfs, ZFS in user space, a backup program that cuts by content."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import cases, missing, only_whole

MIB = 1 << 20


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder on a disk, since some stores do not lie on tmpfs."""
    folder = Path(f"/var/tmp/dgen-mpi-store-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def needs(*tools: str) -> None:
    """Skip, or fail where nothing may be skipped, without root or one of some programs."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [tool for tool in tools if shutil.which(tool, path=path) is None]
    if os.geteuid() != 0:
        missing("root")
    if lacking:
        missing(" ".join(lacking))


def bash(script: str, *words: str, seconds: int = 120) -> str:
    """Run a script, with mounts of its own that end with it, and return what it printed."""
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-euc", script, "bash", *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


BTRFS = r"""
program=$1 place=$2 codec=$3; shift 3
truncate -s 512M "$place/disk"
mkfs.btrfs -q "$place/disk"
mkdir "$place/mount"
mount -o loop,compress-force="$codec" "$place/disk" "$place/mount"
mpirun --oversubscribe -n 2 "$program" -o "$place/mount/f" --quiet "$@"
sync
compsize -b "$place/mount/f"
umount "$place/mount"
"""


def btrfs(program: str, place: Path, codec: str, *words: str) -> tuple[int, int]:
    """Return the bytes of a data set on a file system with compression: on disk, and all."""
    needs("mkfs.btrfs", "compsize", "mpirun")
    text = bash(BTRFS, program, str(place), codec, *words)
    found = re.search(r"^TOTAL\s+\S+\s+(\d+)\s+(\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(
    ("codec", "ratio", "least", "most"),
    cases(
        [("zstd", 2, 2, 2)],
        [
            ("zstd", 4, 4, 4),
            # Otherwise to the sector of 4 KiB, of which 128 KiB have 32.
            ("zstd", 1.5, 1.5 * 0.95, 1.5 * 1.03),
            ("zstd", 3, 3 * 0.90, 3 * 1.03),
            # Cut to pages of 4 KiB each (lzo); a little above half takes a sector more (zlib).
            ("lzo", 2, 1.6, 2.1),
            ("zlib", 2, 1.8, 2.1),
        ],
    ),
)
def test_btrfs_stores_what_was_requested(
    codec: str, ratio: float, least: float, most: float, program: str, place: Path
) -> None:
    """As `compsize` counts the extents on a loop device."""
    disk, whole = btrfs(program, place, codec, "-s", "64MiB", "--compress-ratio", str(ratio))
    assert least <= whole / disk <= most, f"{disk} of {whole}"


COMPOSED = [
    *("-s", "64MiB", "--seed", "1", "--copies", "2:30%,8:25%", "--zeros", "10%"),
    *("--compress-mix", "1:30%,2:50%,4:20%", "--change", "20%:50%", "--generation", "3"),
]
"""Ratios that leave whole sectors of the 128 KiB that both stores compress at a time."""


def plan(program: str, place: Path, *words: str) -> dict[str, Any]:
    """Return what the program says of a data set."""
    report = place / "plan"
    command = [program, "plan", *words, "--report", str(report)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def test_btrfs_stores_what_is_planned_of_a_mix(program: str, place: Path) -> None:
    """To the byte; 128 KiB of zeros take a sector of 4 KiB."""
    # What follows 128 KiB that do not compress is not compressed either, up to 512 KiB in all.
    words = [*COMPOSED, "--dedup-unit", "512KiB"]
    planned = plan(program, place, *words)["composition"]
    disk, whole = btrfs(program, place, "zstd", *words)
    assert whole == 64 * MIB
    assert disk == planned["compressed_bytes"] + 4 * 4096 * planned["zero_blocks"]


ZFS = r"""
program=$1 place=$2 compression=$3; shift 3
mount --make-rprivate /
mount -t tmpfs tmpfs /etc/zfs 2> /dev/null || { mkdir -p /etc/zfs; mount -t tmpfs tmpfs /etc/zfs; }
truncate -s 512M "$place/disk"
zfs-fuse --no-daemon --pidfile "$place/pid" > "$place/log" 2>&1 &
daemon=$!
trap 'set +e; zpool destroy -f dgenpool > /dev/null 2>&1; kill $daemon; wait $daemon' EXIT
for _ in {1..100}; do zpool list > /dev/null 2>&1 && break; sleep 0.1; done
zpool create -m "$place/mount" -O dedup=on -O compression="$compression" dgenpool "$place/disk"
mpirun --oversubscribe -n 2 "$program" -o "$place/mount/f" --quiet "$@"
# A block of its own, which is no part of the data.
rm "$place/mount/f.dgen.json"
# Counts are right once they have been written and read back.
zpool export dgenpool
zpool import -d "$place" dgenpool
zpool list -H -o dedupratio dgenpool
zfs get -H -o value compressratio dgenpool
"""


def zfs(program: str, place: Path, compression: str, *words: str) -> tuple[float, float]:
    """Return the dedup and the compression ratio of a pool that holds one data set."""
    needs("zfs-fuse", "zpool", "mpirun")
    dedup, compress = bash(ZFS, program, str(place), compression, *words).split()
    return float(dedup.rstrip("x")), float(compress.rstrip("x"))


@only_whole
@pytest.mark.parametrize("ratio", [2, 4])
def test_zfs_finds_the_duplicates_that_were_requested(
    ratio: int, program: str, place: Path
) -> None:
    """Exactly, as `zpool list` has it, at the block that ZFS deduplicates by."""
    words = ["-s", "64MiB", "--dedup-ratio", str(ratio), "--dedup-unit", "128KiB"]
    dedup, compress = zfs(program, place, "off", *words)
    assert dedup == ratio
    assert compress == 1


@only_whole
@pytest.mark.parametrize("ratio", [2, 3])
def test_zfs_compresses_as_much_as_was_requested(ratio: int, program: str, place: Path) -> None:
    """Within 2 percent with gzip."""
    words = ["-s", "64MiB", "--compress-ratio", str(ratio)]
    dedup, compress = zfs(program, place, "gzip", *words)
    assert dedup == 1
    assert abs(compress / ratio - 1) <= 0.02


@only_whole
@pytest.mark.parametrize("compression", ["off", "gzip"])
def test_zfs_keeps_what_is_planned_of_copies_zeros_and_a_mix(
    compression: str, program: str, place: Path
) -> None:
    """Blocks of zeros are holes where it compresses, and one content where it does not."""
    words = [*COMPOSED, "--dedup-unit", "128KiB"]
    planned = plan(program, place, *words)
    composition = planned["composition"]
    dedup, compress = zfs(program, place, compression, *words)
    if compression == "off":
        # The second decimal is rounded down.
        assert dedup == int(composition["dedup_ratio"] * 100) / 100
        assert compress == 1
        return
    compressed = composition["compressed_bytes"]
    assert dedup == pytest.approx(compressed / planned["expected_stored_bytes"], rel=0.01)
    data = planned["logical_bytes"] - (composition["zero_blocks"] << 17)
    assert compress == pytest.approx(data / compressed, rel=0.02)


@only_whole
def test_a_backup_that_cuts_by_content_finds_the_duplicates(program: str, place: Path) -> None:
    """Within 10 percent: a chunk at each border of a block is its own."""
    needs("borg", "mpirun")
    script = r"""
    program=$1 place=$2
    export BORG_BASE_DIR="$place/base" BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
    mpirun --oversubscribe -n 2 "$program" -o "$place/f" --quiet \
        -s 64MiB --dedup-ratio 2 --dedup-unit 8MiB
    borg init --encryption none "$place/repository"
    borg create --compression none --chunker-params 12,18,15,4095 "$place/repository::a" "$place/f"
    borg info --json "$place/repository::a"
    """
    found = json.loads(bash(script, program, str(place)))
    sizes = found["archives"][0]["stats"]
    measured = sizes["original_size"] / sizes["deduplicated_size"]
    assert measured == pytest.approx(2, rel=0.1)
