# SPDX-License-Identifier: MIT OR Apache-2.0
"""Test data in memory: the bytes that `mpirun dgen-mpi` writes, at memory speed.

`DataSpec` describes a data set, fills buffers with any range of it and compares them. `Generator`
and the functions beside it have the names and parameters of dgen-py 0.3, so that ``import dgen_mpi
as dgen_py`` is all that a program written for that needs. Log records go to loggers under
``dgen_mpi``.
"""

from importlib.metadata import version

import dgen_mpi._python  # noqa: F401  # isort: skip
from dgen_mpi import checksum
from dgen_mpi._native import BytesView, UnsuitableBufferError
from dgen_mpi.checker import DataChecker
from dgen_mpi.checksum import Checksum, PartChecksums
from dgen_mpi.damage import Damage, DamagedRanges
from dgen_mpi.dataset import DataSet
from dgen_mpi.generator import (
    BufferPool,
    Generator,
    StreamingGenerator,
    bench_rolling_pool,
    create_bytearrays,
    fill_buffer,
    generate_buffer,
    generate_data,
    generate_into_buffer,
)
from dgen_mpi.reader import DataReader
from dgen_mpi.spec import DataSpec
from dgen_mpi.system import get_build_info, get_numa_info, get_system_info
from dgen_mpi.vectors import generate_uniform, generate_uniform_vectors, normalize_rows

__all__ = [
    "BufferPool",
    "BytesView",
    "Checksum",
    "Damage",
    "DamagedRanges",
    "DataChecker",
    "DataReader",
    "DataSet",
    "DataSpec",
    "Generator",
    "PartChecksums",
    "StreamingGenerator",
    "UnsuitableBufferError",
    "__version__",
    "bench_rolling_pool",
    "checksum",
    "create_bytearrays",
    "fill_buffer",
    "generate_buffer",
    "generate_data",
    "generate_into_buffer",
    "generate_uniform",
    "generate_uniform_vectors",
    "get_build_info",
    "get_numa_info",
    "get_system_info",
    "normalize_rows",
]

__version__: str = version("dgen-mpi")
"""The version of the package, the same as that of the program `dgen-mpi`."""
