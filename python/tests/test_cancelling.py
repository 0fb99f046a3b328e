# SPDX-License-Identifier: MIT OR Apache-2.0
"""Asynchronous calls that are cancelled: the buffer is the caller's again when they have ended."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import chance, rounds

from dgen_mpi import BytesView, DataSpec, Generator

MIB = 1 << 20
SIZE = 80 * MIB
ROUNDS = rounds(6, 200)
"""How often each way to be cancelled is tried."""


class Watched:
    """A buffer whose first bytes are zeros as long as nobody writes there after a call ended."""

    def __init__(self) -> None:
        self.array = np.zeros(SIZE, dtype=np.uint8)

    def hand_back(self) -> None:
        """Take it back, as a caller does when a call has ended."""
        self.array[:] = 0

    def require_untouched(self) -> None:
        """Check that nothing was written since."""
        time.sleep(0.02)
        assert not self.array.any()


async def _cancelled(task: asyncio.Task[int]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _cancelled_often(task: asyncio.Task[int]) -> None:
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def _cancelled_again_later(task: asyncio.Task[int]) -> None:
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.001)
    await asyncio.wait([task])


async def _waited_for(task: asyncio.Task[int]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0)


async def _in_a_group(task: asyncio.Task[int]) -> None:
    async def fail() -> None:
        raise RuntimeError("another task of the group")

    async def wait() -> None:
        await task

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            await asyncio.sleep(0)
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await together()


async def _with_a_gathering(task: asyncio.Task[int]) -> None:
    gathered = asyncio.gather(task, asyncio.sleep(10))
    await asyncio.sleep(0)
    gathered.cancel()
    await asyncio.wait([task])


WAYS: list[Callable[[asyncio.Task[int]], Awaitable[None]]] = [
    *(_cancelled, _cancelled_often, _cancelled_again_later, _waited_for, _in_a_group),
    _with_a_gathering,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_written_after_the_end(way: Callable[..., Any], threads: int) -> None:
    """However a call is cancelled, and whatever it was doing."""
    watched = Watched()
    numbers = chance()

    async def main() -> None:
        generator = Generator(1 << 50, seed=1, max_threads=threads)
        for _ in range(ROUNDS):
            task = asyncio.create_task(generator.fill_chunk_async(watched.array))
            await asyncio.sleep(numbers.choice([0, 0, 0.001, 0.003, 0.01]))
            if not task.done():
                await way(task)
            watched.hand_back()
            watched.require_untouched()
        # What comes then is what it should be.
        offset = generator.position()
        buffer = bytearray(1000)
        assert await generator.fill_chunk_async(buffer) == 1000
        assert DataSpec(1 << 50, 1).compare(buffer, offset) == []

    asyncio.run(main())


def test_a_call_that_has_not_begun_ends_at_once() -> None:
    """All threads of the executor are busy: it waits for none of them, and never begins."""
    watched = Watched()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, time.sleep, 0.5)
        generator = Generator(1 << 50, seed=1)
        task = asyncio.create_task(generator.fill_chunk_async(watched.array))
        await asyncio.sleep(0.01)
        started = time.monotonic()
        await _cancelled(task)
        assert time.monotonic() - started < 0.4
        await busy
        watched.require_untouched()

    asyncio.run(main())


def test_the_end_of_the_loop_waits() -> None:
    """`asyncio.run` cancels what still runs."""
    watched = Watched()

    async def main() -> None:
        generator = Generator(1 << 50, seed=1, max_threads=1)
        asyncio.create_task(generator.fill_chunk_async(watched.array))  # noqa: RUF006
        await asyncio.sleep(0.002)

    asyncio.run(main())
    watched.hand_back()
    watched.require_untouched()


@pytest.mark.parametrize("way", ["close", "forget", "throw"])
def test_a_coroutine_that_is_closed_waits(way: str) -> None:
    """One that can await nothing any more, as where its loop was stopped."""
    watched = Watched()
    loop = asyncio.new_event_loop()

    async def begin(call: Any) -> None:
        call.send(None)
        await asyncio.sleep(0.003)

    generator = Generator(1 << 50, seed=1, max_threads=1)
    call = generator.fill_chunk_async(watched.array)
    loop.run_until_complete(begin(call))
    if way == "close":
        call.close()
    elif way == "throw":
        with pytest.raises(RuntimeError, match="thrown"):
            call.throw(RuntimeError("thrown"))
    del call
    gc.collect()
    watched.hand_back()
    watched.require_untouched()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_iterations_may_be_cancelled() -> None:
    """In the midst of a chunk of new memory, which nobody else gets meanwhile."""

    async def take(generator: Generator, taken: list[BytesView]) -> None:
        async for chunk in generator:
            taken.append(chunk)

    async def main() -> None:
        for number in range(ROUNDS):
            generator = Generator(1 << 50, seed=number, chunk_size=8 * MIB)
            taken: list[BytesView] = []
            task = asyncio.create_task(take(generator, taken))
            await asyncio.sleep(0.003 * (number % 5))
            await asyncio.wait([task], timeout=0)
            task.cancel()
            await asyncio.wait([task])
            later = await generator.get_chunk_async(8 * MIB)
            assert later is not None
            spec = DataSpec(1 << 50, number)
            assert spec.compare(later, generator.position() - 8 * MIB) == []
            for index, chunk in enumerate(taken):
                assert spec.compare(chunk, index * 8 * MIB) == []

    asyncio.run(main())


def test_a_signal_ends_a_call() -> None:
    """Ctrl-C of a program that waits for gigabytes ends it soon, without a word of ours."""
    program = (
        "import asyncio, os, signal, threading, dgen_mpi\n"
        # Ignored in what a script starts in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "async def main():\n"
        "    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    generator = dgen_mpi.Generator(1 << 50, seed=1, max_threads=1)\n"
        "    array = bytearray(256 << 20)\n"
        "    while True:\n"
        "        await generator.fill_chunk_async(array)\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
