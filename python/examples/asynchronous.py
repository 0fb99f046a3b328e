# SPDX-License-Identifier: MIT OR Apache-2.0
"""Make data while an event loop does other things, as an uploader would."""

from __future__ import annotations

import asyncio
import hashlib

from dgen_mpi import Generator


async def upload(name: str, generator: Generator) -> None:
    """Stand for an upload: take chunk after chunk, and tell what was sent."""
    digest = hashlib.sha256()
    async for chunk in generator:
        digest.update(chunk)
        await asyncio.sleep(0)
    print(f"{name}: {generator.position()} bytes, SHA-256 {digest.hexdigest()[:16]}")


async def main() -> None:
    """Upload four objects at once."""
    await asyncio.gather(
        *(
            upload(f"object {seed}", Generator(20 << 20, seed=seed, chunk_size=4 << 20))
            for seed in range(4)
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
