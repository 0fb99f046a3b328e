# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fill numpy arrays: in one call, as a stream, at any place of a data set."""

from __future__ import annotations

import numpy as np

import dgen_mpi


def main() -> None:
    """Show three ways to get test data into an array."""
    # New memory; numpy shares it.
    view = dgen_mpi.generate_buffer(16 << 20, dedup_ratio=2, compress_ratio=1.5, seed=42)
    once = np.frombuffer(memoryview(view), dtype=np.uint8)

    # An array that is there already, of any type and shape, chunk by chunk.
    generator = dgen_mpi.Generator(16 << 20, dedup_ratio=2, compress_ratio=1.5, seed=42)
    chunk = np.empty((512, 512), dtype=np.float32)
    parts = []
    while (count := generator.fill_chunk(chunk)) > 0:
        parts.append(chunk.view(np.uint8).reshape(-1)[:count].copy())
    print("stream equals one call:", np.array_equal(np.concatenate(parts), once))

    # Any range of the same data set, without what is before it.
    spec = dgen_mpi.DataSpec(16 << 20, 42, dedup_ratio=2, compress_ratio=1.5)
    middle = np.empty(1001, dtype=np.uint8)
    spec.fill(middle, offset=5_000_003)
    print("range equals one call:", np.array_equal(middle, once[5_000_003:5_001_004]))

    # Numbers rather than bytes: rows of length 1.
    rows = dgen_mpi.generate_uniform_vectors(1000, 384, low=-1, seed=7)
    vectors = np.frombuffer(memoryview(rows), dtype=np.float32).reshape(1000, 384)
    lengths = np.linalg.norm(vectors, axis=1)
    print(f"{len(vectors)} vectors of length {lengths.min():.6f} to {lengths.max():.6f}")


if __name__ == "__main__":
    main()
