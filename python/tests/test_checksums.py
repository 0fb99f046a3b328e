# SPDX-License-Identifier: MIT OR Apache-2.0
"""Checksums of data sets and of buffers, beside the libraries that others compute them with."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import awscrt.checksums
import google_crc32c
import numpy as np
import pytest
from conftest import chance, rounds
from specifications import VECTORS_1, VECTORS_2, fields_of

import dgen_mpi
from dgen_mpi import Checksum, DataSpec, checksum

OTHERS: dict[str, list[Callable[[bytes], bytes]]] = {
    "crc64nvme": [lambda it: awscrt.checksums.crc64nvme(it).to_bytes(8, "big")],
    "crc32c": [
        lambda it: google_crc32c.value(it).to_bytes(4, "big"),
        lambda it: awscrt.checksums.crc32c(it).to_bytes(4, "big"),
    ],
    "crc32": [
        lambda it: zlib.crc32(it).to_bytes(4, "big"),
        lambda it: awscrt.checksums.crc32(it).to_bytes(4, "big"),
    ],
    "md5": [lambda it: hashlib.md5(it).digest()],
    "sha256": [lambda it: hashlib.sha256(it).digest()],
}
"""What has computed them besides, by our names."""

CHECKS = [name for name in checksum.ALGORITHMS if name.startswith("crc")]

SPECS: list[dict[str, Any]] = [
    {},
    {"dedup_ratio": 7, "dedup_unit": 4096, "compress_ratio": 2},
    {"dedup_ratio": 50, "dedup_unit": 1024, "zeros": "5%"},
    {"copies": "30:60%", "dedup_unit": 512, "zeros": "5%"},
]


def content(spec: DataSpec, offset: int, length: int) -> bytes:
    """Return bytes of a data set."""
    found = bytearray(length)
    spec.fill(found, offset)
    return bytes(found)


def test_all_algorithms_are_known_to_others() -> None:
    """So that nothing here is compared with itself alone."""
    assert list(OTHERS) == list(checksum.ALGORITHMS)


@pytest.mark.parametrize("algorithm", OTHERS)
def test_buffers_have_the_checksums_that_other_libraries_find(algorithm: str) -> None:
    """Of all lengths at which another kernel goes on."""
    random = chance()
    for length in [*range(70), *(random.randrange(5000) for _ in range(rounds(60, 2000)))]:
        data = random.randbytes(length)
        found = checksum.compute(data, algorithm)
        assert (found.offset, found.length, found.algorithm) == (0, length, algorithm)
        for other in OTHERS[algorithm]:
            assert found.digest == other(data), length


@pytest.mark.parametrize("algorithm", OTHERS)
@pytest.mark.parametrize("kind", SPECS, ids=str)
def test_ranges_have_the_checksums_of_their_bytes(algorithm: str, kind: dict[str, Any]) -> None:
    """A range, and each of its parts."""
    random = chance()
    for _ in range(rounds(12, 130)):
        spec = DataSpec(random.randrange(600_000), random.randrange(1 << 64), **kind)
        offset = random.randrange(spec.size + 1)
        length = random.randrange(spec.size - offset + 1)
        data = content(spec, offset, length)
        found = spec.checksum(algorithm, offset, length)
        for other in OTHERS[algorithm]:
            assert found == Checksum(algorithm, offset, length, other(data))
        part_size = random.randrange(length // 40, length + 100) + 1
        parts = spec.checksums(part_size, algorithm, offset, length)
        starts = range(0, max(length, 1), part_size)
        for part, start in zip(parts.parts, starts, strict=True):
            piece = data[start : start + part_size]
            assert part == Checksum(
                algorithm, offset + start, len(piece), OTHERS[algorithm][0](piece)
            )
        assert parts.whole == (found if algorithm in CHECKS else None)


@pytest.mark.parametrize("vector", VECTORS_1["data_sets"] + VECTORS_2["sets"])
def test_reference_values_have_their_sha256(vector: dict[str, Any]) -> None:
    """Found by another implementation of the formats, which read the bytes."""
    spec = DataSpec(**fields_of(vector["spec"])) if "block" in vector["spec"] else None
    spec = spec or DataSpec(**vector["spec"])
    assert spec.checksum("sha256").hex == vector["sha256"]


def test_what_s3_has_for_an_upload_in_parts() -> None:
    """ETags and composites are digests of digests, and say of how many."""
    spec = DataSpec(20 << 20, seed=1)
    data = content(spec, 0, spec.size)
    pieces = [data[start : start + (8 << 20)] for start in range(0, len(data), 8 << 20)]
    md5 = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
    assert spec.checksums(8 << 20, "md5").composite == f"{md5}-3"
    sha = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).digest()
    text = base64.b64encode(sha).decode()
    assert spec.checksums(8 << 20, "sha256").composite == f"{text}-3"
    crc = zlib.crc32(b"".join(zlib.crc32(piece).to_bytes(4, "big") for piece in pieces))
    text = base64.b64encode(crc.to_bytes(4, "big")).decode()
    assert spec.checksums(8 << 20, "crc32").composite == f"{text}-3"
    full = spec.checksums(8 << 20)
    assert full.composite is None
    assert full.whole == spec.checksum()


@pytest.mark.parametrize("algorithm", CHECKS)
def test_checksums_are_joined(algorithm: str) -> None:
    """In any number of pieces, also empty ones."""
    random = chance()
    data = random.randbytes(100_000)
    for _ in range(rounds(30, 1000)):
        cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(64)))
        ends = [*cuts, len(data)]
        starts = [0, *cuts]
        parts = [
            checksum.compute(data[start:end], algorithm, offset=start)
            for start, end in zip(starts, ends, strict=True)
        ]
        assert checksum.combine(parts) == checksum.compute(data, algorithm)


def test_what_cannot_be_joined_is_refused() -> None:
    """And why is said."""
    first, second = checksum.compute(b"ab"), checksum.compute(b"c", offset=2)
    assert checksum.combine([first, second]) == checksum.compute(b"abc")
    with pytest.raises(ValueError, match="give one at least"):
        checksum.combine([])
    with pytest.raises(ValueError, match=r"offset: '2' is not accepted; give 3"):
        checksum.combine([first, second, second])
    with pytest.raises(ValueError, match=r"'md5' is not accepted; .*crc64nvme.*not joined"):
        checksum.combine([checksum.compute(b"ab", "md5")])
    with pytest.raises(ValueError, match="'crc32' is not accepted; give crc64nvme"):
        checksum.combine([first, checksum.compute(b"c", "crc32", offset=2)])
    with pytest.raises(ValueError, match="3 bytes are no checksum of crc64nvme, which has 8"):
        checksum.combine([first, Checksum("crc64nvme", 2, 1, b"abc")])
    with pytest.raises(ValueError, match="3 bytes are no checksum of crc64nvme, which has 8"):
        checksum.combine([Checksum("crc64nvme", 2, 1, b"abc")])
    with pytest.raises(OverflowError, match="length: '9223372036854775808' is not accepted"):
        checksum.combine([first, Checksum("crc64nvme", 2, 1 << 63, bytes(8))])
    for wrong in ([first, tuple(second)], first):
        with pytest.raises(TypeError, match=r"checksums: '.*' is not accepted"):
            checksum.combine(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("algorithm", "polynomial"),
    [("crc64nvme", 0x9A6C9329AC4BC9B5), ("crc32", 0xEDB88320), ("crc32c", 0x82F63B78)],
)
def test_the_longest_are_joined(algorithm: str, polynomial: int) -> None:
    """Up to 2^63 - 1 bytes each, and more together: the first times x^(8 n), and the second."""
    width = 64 if algorithm == "crc64nvme" else 32

    def product(one: int, other: int) -> int:
        # Reflected: the highest bit is that of x^0.
        result = 0
        for bit in reversed(range(width)):
            result ^= other if one >> bit & 1 else 0
            other = other >> 1 ^ (polynomial if other & 1 else 0)
        return result

    random = chance()
    for length in (0, 1, (1 << 60) - 1, 1 << 60, 1 << 61, (1 << 63) - 1, random.getrandbits(63)):
        power, square, rest = 1 << width - 1, 1 << width - 2, 8 * length
        while rest:
            power = product(power, square) if rest & 1 else power
            square, rest = product(square, square), rest >> 1
        values = [random.getrandbits(width) for _ in range(2)]
        first, second = (value.to_bytes(width // 8, "big") for value in values)
        whole = checksum.combine(
            [
                Checksum(algorithm, 0, (1 << 63) - 1, first),
                Checksum(algorithm, (1 << 63) - 1, length, second),
            ]
        )
        assert int(whole) == product(values[0], power) ^ values[1]
        assert whole.length == (1 << 63) - 1 + length


def test_what_is_not_there_is_refused() -> None:
    """Algorithms, ranges, parts, buffers."""
    spec = DataSpec(1_000_000, seed=1)
    with pytest.raises(ValueError, match=r"algorithm: 'crc16' is not accepted; give crc64nvme"):
        spec.checksum("crc16")
    with pytest.raises(ValueError, match="past the end of the data set"):
        spec.checksum(offset=5, length=1_000_000)
    with pytest.raises(ValueError, match="past the end of the data set"):
        spec.checksum(offset=1_000_001)
    with pytest.raises(ValueError, match="part_size: '99' is not accepted; give at least 100"):
        spec.checksums(99)
    with pytest.raises(ValueError, match="part_size: '0' is not accepted"):
        spec.checksums(0)
    with pytest.raises(dgen_mpi.UnsuitableBufferError):
        checksum.compute(np.zeros((4, 4), "u1")[:, 1])
    with pytest.raises(TypeError):
        checksum.compute("text")  # type: ignore[arg-type]
    assert len(spec.checksums(100).parts) == 10_000


def test_it_is_written_as_others_write_it() -> None:
    """Digits, base64, a number."""
    found = checksum.compute(b"123456789", "crc64nvme")
    assert (found.hex, int(found)) == ("ae8b14860a799888", 0xAE8B14860A799888)
    assert found.base64 == "rosUhgp5mIg="
    assert int(checksum.compute(b"123456789", "crc32")) == zlib.crc32(b"123456789")


@pytest.mark.parametrize("kernel", dgen_mpi.get_build_info()["kernels"])
def test_every_kernel_finds_the_same(kernel: str) -> None:
    """`DGEN_KERNEL` forces them."""
    code = (
        "import dgen_mpi; spec = dgen_mpi.DataSpec(300_001, 3, 4, 1.5, 4096);"
        "print(*(spec.checksum(name, 7).hex for name in dgen_mpi.checksum.ALGORITHMS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"DGEN_KERNEL": kernel},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    spec = DataSpec(300_001, 3, 4, 1.5, 4096)
    data = content(spec, 7, spec.size - 7)
    assert done.stdout.split() == [OTHERS[name][0](data).hex() for name in OTHERS]


def test_threads_do_not_change_it_and_others_run_meanwhile() -> None:
    """Python's lock is released."""
    ticks, done = 0, threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        # Where the machine is busy, the other thread may come to nothing for a while.
        for size in (1 << 30, 4 << 30, 32 << 30):
            ticks = 0
            found = DataSpec(size, seed=1, max_threads=3).checksum()
            if ticks > 2:
                break
        assert ticks > 2
    finally:
        done.set()
        thread.join()
    assert found == DataSpec(size, seed=1, max_threads=1).checksum()


def test_ctrl_c_ends_what_would_take_for_ever() -> None:
    """A whole exabyte, which nobody waits for."""
    # Whatever those have done with the signal who started this.
    code = (
        "import dgen_mpi, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print(flush=True); dgen_mpi.DataSpec(1 << 60, 1).checksum()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # Wherever it is by then.
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        process.kill()
        assert process.stderr is not None
        assert b"KeyboardInterrupt" in process.stderr.read()


def test_what_repeats_is_made_once() -> None:
    """An exabyte by what is distinct of it: blocks that come again, and contents of many copies."""
    spec = DataSpec(1 << 50, 1, dedup_ratio=1_000_000, dedup_unit=512)
    period = spec.distinct_blocks * 512
    once = spec.checksum(length=period)
    rest = spec.size % period
    found, power, left = None, once, spec.size // period
    while left:
        if left & 1:
            moved = (
                Checksum(power.algorithm, found.length, power.length, power.digest)
                if found
                else None
            )
            found = checksum.combine([found, moved]) if found and moved else power
        twice = Checksum(power.algorithm, power.length, power.length, power.digest)
        power, left = checksum.combine([power, twice]), left >> 1
    assert found is not None
    last = spec.checksum(length=rest)
    last = Checksum(last.algorithm, found.length, rest, last.digest)
    assert spec.checksum() == checksum.combine([found, last])
