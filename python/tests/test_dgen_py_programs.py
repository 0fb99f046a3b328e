# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs as they are written for dgen-py 0.3, with the import changed and nothing else."""

from __future__ import annotations

import inspect
import io
from pathlib import Path

import numpy as np
import pytest

import dgen_mpi as dgen_py

MIB = 1 << 20

# Names and parameters of dgen-py 0.3.0, in order.
SIGNATURES = {
    "generate_buffer": "size dedup_ratio compress_ratio numa_mode max_threads numa_node method",
    "generate_data": "size dedup_ratio compress_ratio numa_mode max_threads",
    "generate_into_buffer": (
        "buffer dedup_ratio compress_ratio numa_mode max_threads numa_node method"
    ),
    "fill_buffer": "buffer dedup_ratio compress_ratio numa_mode max_threads",
    "create_bytearrays": "count size",
    "bench_rolling_pool": "obj_size total_bytes",
    "generate_uniform": "count low high max_threads numa_mode seed",
    "normalize_rows": "buffer dim max_threads",
    "generate_uniform_vectors": "rows dim low high normalize max_threads numa_mode seed",
    "Generator": (
        "size dedup_ratio compress_ratio numa_mode max_threads numa_node chunk_size block_size seed"
        " method"
    ),
    "BufferPool": "dedup_ratio compress_ratio",
    "get_numa_info": "",
    "get_system_info": "",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_have_their_names_and_places(name: str) -> None:
    """Whatever was added comes after, and has a default."""
    wanted = SIGNATURES[name].split()
    parameters = inspect.signature(getattr(dgen_py, name)).parameters
    assert list(parameters)[: len(wanted)] == wanted
    for added in list(parameters)[len(wanted) :]:
        assert parameters[added].default is not inspect.Parameter.empty


def test_generator_has_its_methods() -> None:
    """Methods that are called, and one attribute that is not."""
    generator = dgen_py.StreamingGenerator(size=10)
    for name in ("fill_chunk", "get_chunk", "reset", "position", "total_size", "is_complete"):
        assert callable(getattr(generator, name))
    assert isinstance(generator.chunk_size, int)
    assert dgen_py.StreamingGenerator is dgen_py.Generator


@pytest.mark.parametrize("threads", [None, 0, 1, 8])
@pytest.mark.parametrize("mode", ["auto", "AUTO", "force", "disabled"])
def test_streaming_to_an_output(threads: int | None, mode: str) -> None:
    """A loop over chunks until the generator is complete."""
    total = 10 * MIB + 5
    generator = dgen_py.Generator(
        size=total,
        dedup_ratio=1.0,
        compress_ratio=1.0,
        numa_mode=mode,
        max_threads=threads,
        chunk_size=4 * MIB,
        block_size=2 * MIB,
    )
    buffer = bytearray(generator.chunk_size)
    output = io.BytesIO()
    while not generator.is_complete():
        count = generator.fill_chunk(buffer)
        if count == 0:
            break
        output.write(memoryview(buffer)[:count])
    assert len(output.getvalue()) == generator.total_size() == total


def test_small_objects_from_a_pool() -> None:
    """Slices in a tight loop, of other ratios later."""
    pool = dgen_py.BufferPool(dedup_ratio=1.0, compress_ratio=1.0)
    assert len({bytes(pool.next_slice(64 * 1024)) for _ in range(100)}) == 100
    pool.reconfigure(compress_ratio=4.0)
    assert 0 <= pool.remaining <= MIB
    assert pool.compress_ratio == 4
    assert len(dgen_py.generate_buffer(256 * 1024)) == 256 * 1024


def test_many_buffers_are_filled_in_turn() -> None:
    """Allocated at once, filled by one generator."""
    buffers = dgen_py.create_bytearrays(count=6, size=MIB)
    generator = dgen_py.Generator(size=6 * MIB, max_threads=None)
    for buffer in buffers:
        assert generator.fill_chunk(buffer) == MIB
    assert generator.is_complete()
    assert len({bytes(buffer) for buffer in buffers}) == 6


def test_seeds_alternate() -> None:
    """Stripes of two seeds; the same seed goes back to the start of its stream."""
    generator = dgen_py.Generator(size=1 << 40, seed=1111)
    buffer = bytearray(MIB)
    stripes = []
    for seed in (1111, 2222, 1111, 2222):
        generator.set_seed(seed)
        generator.fill_chunk(buffer)
        stripes.append(bytes(buffer))
    assert stripes[0] == stripes[2] != stripes[1] == stripes[3]
    assert bytes(dgen_py.Generator(size=MIB, seed=1111).get_chunk(MIB) or b"") == stripes[0]


def test_vectors_for_a_database() -> None:
    """Generated, normalised in place, and both in one call."""
    view = dgen_py.generate_uniform(1000 * 128, low=0.0, high=1.0, seed=5)
    buffer = bytearray(view)
    dgen_py.normalize_rows(buffer, dim=128)
    matrix = np.frombuffer(buffer, dtype=np.float32).reshape(1000, 128)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    fused = dgen_py.generate_uniform_vectors(rows=1000, dim=128, seed=5)
    assert bytes(fused) == bytes(buffer)


def test_seeds_share_no_blocks() -> None:
    """What dgen-py does wrong: seeds that follow each other share all blocks but one."""
    blocks = set()
    for seed in range(4):
        data = bytes(dgen_py.generate_buffer(4 * MIB, seed=seed))
        blocks |= {data[i : i + MIB] for i in range(0, 4 * MIB, MIB)}
    assert len(blocks) == 16


def test_the_system_is_told() -> None:
    """Under the keys that programs ask for, as Linux has it."""
    info = dgen_py.get_system_info()
    assert info is not None
    online = Path("/sys/devices/system/cpu/online").read_text()
    parts = [part.split("-") for part in online.strip().split(",")]
    processors = sum(int(part[-1]) - int(part[0]) + 1 for part in parts)
    assert 1 <= info["physical_cores"] <= info["logical_cpus"] == processors
    folders = list(Path("/sys/devices/system/node").glob("node[0-9]*"))
    assert info["num_nodes"] == max(len(folders), 1)
    assert ("NUMA (" in info["deployment_type"]) == (info["num_nodes"] > 1)
