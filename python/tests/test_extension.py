# SPDX-License-Identifier: MIT OR Apache-2.0
"""The extension itself: how it was made, what it needs, threads, forks, memory, logging."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dgen_mpi
from dgen_mpi import BufferPool, DataSpec, Generator, _native

EXTENSION = Path(_native.__file__)
MIB = 1 << 20


def test_package_program_and_extension_have_one_version() -> None:
    """They are released together."""
    build = dgen_mpi.get_build_info()
    assert build["version"] == dgen_mpi.__version__
    assert build["build"] == "release"
    assert build["kernel"] in build["kernels"]
    assert build["processors"] >= 1


def test_one_binary_for_all_versions_of_python() -> None:
    """The name says that it keeps to the limited API."""
    assert EXTENSION.name == "_native.abi3.so"


def test_only_the_init_function_is_exported() -> None:
    """Nothing else can meet a symbol of the same name."""
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", EXTENSION], check=True, capture_output=True, text=True
    ).stdout
    exported = [line.split()[2] for line in listed.splitlines() if line.split()[1].isupper()]
    assert exported == ["PyInit__native"]


def test_neither_mpi_nor_a_swift_runtime_is_needed() -> None:
    """Only what every Linux has, and C++'s library, which a wheel has in itself."""
    needed = subprocess.run(
        ["readelf", "-d", EXTENSION], check=True, capture_output=True, text=True
    ).stdout
    names = {line.split("[")[1].split(".so")[0] for line in needed.splitlines() if "NEEDED" in line}
    assert names
    names = {name.split("-")[0] for name in names}
    assert names <= {"libc", "libdl", "libm", "libstdc++", "libgcc_s", "ld", "libpthread"}


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="there is no qemu-user")
def test_runs_on_a_processor_without_avx() -> None:
    """The kernels for newer processors stay where they are."""
    program = (
        "import dgen_mpi, hashlib; s = dgen_mpi.DataSpec(300_000, 5, 1.5, 2); "
        "b = bytearray(s.size); s.fill(b); "
        "print(s.kernel, dgen_mpi.get_build_info()['kernels'], hashlib.sha256(b).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": str(EXTENSION.parents[1])}
    command = ["qemu-x86_64", "-cpu", "Nehalem", os.path.realpath(sys.executable), "-c", program]
    shown = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=300, cwd="/", env=environment
    ).stdout
    expected = hashlib.sha256()
    buffer = bytearray(300_000)
    DataSpec(300_000, 5, 1.5, 2).fill(buffer)
    expected.update(buffer)
    assert shown == f"scalar ['scalar', 'baseline'] {expected.hexdigest()}\n"


def test_python_symbols_belong_to_the_limited_api() -> None:
    """What the extension asks of Python is what `abi3` promises; nothing private."""
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", EXTENSION], check=True, capture_output=True, text=True
    ).stdout
    asked = {line.split()[-1] for line in listed.splitlines()}
    private = {name for name in asked if name.startswith("_Py")}
    # Behind public macros of the limited API.
    assert private <= {"_Py_NoneStruct", "_PyObject_New", "_Py_Dealloc", "_Py_IncRef", "_Py_DecRef"}


@pytest.mark.parametrize("name", ["fill", "compare"])
def test_other_threads_of_python_run_meanwhile(name: str) -> None:
    """Filling and comparing release Python's lock."""
    spec = DataSpec(1 << 40, 1, compress_ratio=2, max_threads=1)
    buffer = np.zeros(256 * MIB, dtype=np.uint8)
    spec.fill(buffer)
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        getattr(spec, name)(buffer)
        ended.set()

    # A call that held the lock would have it from its begin to its end.
    worker = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        worker.start()
        begun.wait()
        assert not ended.is_set()
    finally:
        sys.setswitchinterval(interval)
    worker.join()


def test_threads_share_a_data_set() -> None:
    """Any number at once, with buffers large and small: every byte is right."""
    spec = DataSpec(64 * MIB, 3, dedup_ratio=2, compress_ratio=2.5)
    whole = bytearray(spec.size)
    spec.fill(whole)

    def check(index: int) -> bool:
        length = [100, 5000, 70_000, 3 * MIB][index % 4]
        start = (index * 7_654_321) % (spec.size - length)
        part = bytearray(length)
        spec.fill(part, start)
        return part == whole[start : start + length] and spec.compare(part, start) == []

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(400)))


def test_threads_share_a_generator() -> None:
    """Each call gets bytes of its own, and all bytes are given."""
    generator = Generator(size=4000 * 1000, seed=6)

    def take(_: int) -> bytes:
        chunk = generator.get_chunk(1000)
        assert chunk is not None
        return bytes(chunk)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(take, range(4000)))
    whole = bytearray(4000 * 1000)
    DataSpec(len(whole), 6).fill(whole)
    assert found == {bytes(whole[i : i + 1000]) for i in range(0, len(whole), 1000)}
    assert generator.is_complete()


def _digest(spec: DataSpec) -> str:
    buffer = bytearray(spec.size)
    spec.fill(buffer)
    return hashlib.sha256(buffer).hexdigest()


def test_a_forked_process_goes_on() -> None:
    """With data sets and threads that its parent used, also while another thread uses them."""
    spec = DataSpec(24 * MIB, 3, compress_ratio=2, max_threads=3)
    expected = _digest(spec)
    stop = threading.Event()

    def use() -> None:
        buffer = bytearray(24 * MIB)
        while not stop.is_set():
            spec.fill(buffer)

    busy = threading.Thread(target=use)
    busy.start()
    try:
        context = multiprocessing.get_context("fork")
        for _ in range(4):
            with context.Pool(2) as pool:
                assert pool.map_async(_digest, [spec] * 4).get(timeout=60) == [expected] * 4
                child = pool.apply_async(_digest_of_globals).get(timeout=60)
                assert child == expected
    finally:
        stop.set()
        busy.join()


_inherited = DataSpec(24 * MIB, 3, compress_ratio=2, max_threads=3)
_pool = BufferPool()


def _digest_of_globals() -> str:
    return _digest(_inherited)


def _random(_: int) -> bytes:
    time.sleep(0.05)
    return bytes(_pool.next_slice(64)) + bytes(dgen_mpi.generate_buffer(64))


def test_forked_processes_get_bytes_of_their_own() -> None:
    """Random data is not the same in two children of one parent."""
    _random(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_random, range(8), chunksize=1).get(timeout=60)
    pieces = [piece[i : i + 64] for piece in found for i in (0, 64)]
    assert len(set(pieces)) == len(pieces)


_seeded_pool = BufferPool(seed=6)


def _next_piece(_: int) -> bytes:
    return bytes(_seeded_pool.next_slice(64))


def test_a_pool_with_a_seed_goes_on_after_a_fork() -> None:
    """With the bytes that its parent would have got next."""
    _next_piece(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.map_async(_next_piece, range(2)).get(timeout=60)
    assert found == [_next_piece(0), _next_piece(0)]


_unseeded, _seeded = Generator(1 << 40), Generator(1 << 40, seed=4)


def _next_chunks(_: int) -> tuple[bytes, bytes, int]:
    time.sleep(0.05)
    chunks = [bytes(each.get_chunk(64) or b"") for each in (_unseeded, _seeded)]
    return chunks[0], chunks[1], _unseeded.seed


def test_a_generator_without_a_seed_has_another_one_after_a_fork() -> None:
    """At the place where it was; one with a given seed goes on with that."""
    mine = _next_chunks(0)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map_async(_next_chunks, range(4), chunksize=1).get(timeout=60)
    assert len({chunk for chunk, _, _ in [mine, *found]}) == 5
    expected = bytearray(64)
    # Each child may have taken several.
    following = []
    for index in range(1, 5):
        DataSpec(1 << 40, 4).fill(expected, 64 * index)
        following.append(bytes(expected))
    assert {chunk for _, chunk, _ in found} <= set(following)
    assert following[0] in {chunk for _, chunk, _ in found}
    assert mine[2] not in {seed for _, _, seed in found}
    assert _unseeded.position() == 64


def _printed(program: str) -> int:
    """Run a program in a process of its own, and return the number that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    return int(done.stdout)


@pytest.mark.parametrize(
    ("size", "count"), [(64, 100_000), (65_536, 1000), (MIB, 100), (MIB + 1, 60), (3 * MIB, 30)]
)
def test_kept_buffers_take_their_size(size: int, count: int) -> None:
    """And little more: objects and the rest of a block; in a process without spare memory."""
    program = f"""
import dgen_mpi
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
kept = [dgen_mpi.generate_buffer({size}, compress_ratio=1.5)]
before = resident()
kept += [dgen_mpi.generate_buffer({size}, compress_ratio=1.5) for _ in range({count})]
print(resident() - before)
"""
    # An object and its place in the list have less than 100 bytes.
    assert _printed(program) <= 1.05 * size * count + 100 * count + 4 * MIB


def test_kept_buffers_share_mappings() -> None:
    """The kernel lets a process have some ten thousands, and large memory has more of 1 MiB."""
    program = f"""
import dgen_mpi
def mappings():
    with open("/proc/self/maps") as file:
        return len(file.readlines())
kept = [dgen_mpi.generate_buffer({MIB}, seed=1)]
before = mappings()
kept += [dgen_mpi.generate_buffer({MIB}, seed=1) for _ in range(100)]
print(mappings() - before)
"""
    assert _printed(program) < 50


def test_memory_does_not_grow() -> None:
    """Not with uses, objects, errors or views."""

    def use() -> None:
        for _ in range(300):
            spec = DataSpec(1 << 40, 1, compress_ratio=2)
            spec.fill(bytearray(70_000), 12_345)
            spec.compare(bytes(5000), 1)
            dgen_mpi.generate_buffer(2 * MIB)
            dgen_mpi.generate_uniform(1000, seed=1)
            Generator(1000).get_chunk(100)
            pool = BufferPool()
            views = [pool.next_slice(1000) for _ in range(10)]
            del views
            for wrong in (b"", "x", -1):
                try:
                    spec.fill(wrong, -1)  # type: ignore[arg-type]
                except (TypeError, ValueError):
                    continue
            dgen_mpi.get_numa_info()
            dgen_mpi.create_bytearrays(3, 1000)

    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        use()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 8 * 1024, f"{grown} KiB more"


def test_references_are_counted_right() -> None:
    """None, exceptions and arguments keep the references that they have."""
    source = _native.source(100, 1, 1000, 1000, MIB, 0, "backref", {}, 1, "off", -1)
    buffer = bytearray(10)
    counts = [sys.getrefcount(thing) for thing in (None, buffer, TypeError, source)]
    for _ in range(1000):
        source.seek(0, 100)
        source.fill(buffer, 0, -1)
        with pytest.raises(TypeError):
            source.fill("x", 0, -1)  # type: ignore[arg-type]
    after = [sys.getrefcount(thing) for thing in (None, buffer, TypeError, source)]
    assert all(abs(a - b) < 100 for a, b in zip(counts, after, strict=True))


def test_log_records_arrive(caplog: pytest.LogCaptureFixture) -> None:
    """Under `dgen_mpi`, at the levels that Python asks for, from any thread."""
    with caplog.at_level(logging.DEBUG, logger="dgen_mpi"):
        DataSpec(1000, 77, compress_ratio=2)
    assert any(
        record.name == "dgen_mpi.generator"
        and record.levelno == logging.DEBUG
        and "seed 77" in record.getMessage()
        and "kernel" in record.getMessage()
        for record in caplog.records
    )
    caplog.clear()
    with caplog.at_level(5, logger="dgen_mpi.generator"):
        DataSpec(5 * MIB, 77, dedup_ratio=2, max_threads=2).fill(bytearray(5 * MIB))
    assert len([record for record in caplog.records if record.levelno == 5]) >= 5
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="dgen_mpi"):
        DataSpec(1000, 77)
    assert not caplog.records


def test_nothing_is_left_at_exit() -> None:
    """A process with threads that wait ends at once, without a word."""
    program = (
        "import dgen_mpi; g = dgen_mpi.Generator(1 << 40, max_threads=4); "
        "g.fill_chunk(bytearray(32 << 20)); print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert done.stdout == "done\n"
    assert done.stderr == ""


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DGEN_THREADS`, where no number is given; else what the process may use."""
    assert DataSpec(1, 1).threads == dgen_mpi.get_build_info()["processors"]
    monkeypatch.setenv("DGEN_THREADS", "3")
    assert DataSpec(1, 1).threads == 3
    assert DataSpec(1, 1, max_threads=2).threads == 2
    for text in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv("DGEN_THREADS", text)
        with pytest.raises(ValueError, match=f"DGEN_THREADS: '{text}' is not accepted"):
            DataSpec(1, 1)


def test_threads_follow_the_affinity() -> None:
    """A process that is bound to one processor has one thread from then on."""
    affinity = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(affinity)})
        assert DataSpec(1, 1).threads == 1
    finally:
        os.sched_setaffinity(0, affinity)
    assert DataSpec(1, 1).threads == dgen_mpi.get_build_info()["processors"]


@pytest.mark.parametrize("mode", ["auto", "force", "disabled"])
def test_memory_nodes_do_not_change_bytes(mode: str) -> None:
    """Threads and memory are placed, or not, for the same bytes."""
    affinity = os.sched_getaffinity(0)
    view = dgen_mpi.generate_buffer(8 * MIB, numa_mode=mode, numa_node=0, seed=1)
    expected = bytearray(8 * MIB)
    DataSpec(8 * MIB, 1).fill(expected)
    assert bytes(view) == expected
    assert os.sched_getaffinity(0) == affinity
