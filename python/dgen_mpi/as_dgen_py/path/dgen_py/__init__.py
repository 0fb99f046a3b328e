# SPDX-License-Identifier: MIT OR Apache-2.0
"""The names of dgen-py 0.3, as `dgen_mpi` has them; see `dgen_mpi.as_dgen_py`."""

from dgen_mpi import (
    BufferPool,
    BytesView,
    Generator,
    StreamingGenerator,
    __version__,
    bench_rolling_pool,
    create_bytearrays,
    fill_buffer,
    generate_buffer,
    generate_data,
    generate_into_buffer,
    generate_uniform,
    generate_uniform_vectors,
    get_numa_info,
    get_system_info,
    normalize_rows,
)
from dgen_mpi.as_dgen_py import tell

__all__ = [
    "BufferPool",
    "BytesView",
    "Generator",
    "StreamingGenerator",
    "__version__",
    "bench_rolling_pool",
    "create_bytearrays",
    "fill_buffer",
    "generate_buffer",
    "generate_data",
    "generate_into_buffer",
    "generate_uniform",
    "generate_uniform_vectors",
    "get_numa_info",
    "get_system_info",
    "normalize_rows",
]

tell()
