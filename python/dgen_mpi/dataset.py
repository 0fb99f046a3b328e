# SPDX-License-Identifier: MIT OR Apache-2.0
"""Data sets that a program writes itself, as `mpirun dgen-mpi verify` and `repair` know them."""

from __future__ import annotations

import contextlib
import operator
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, SupportsIndex, TypeVar

from dgen_mpi import _native
from dgen_mpi._arguments import DEFAULT_ALIGN, SizeLike, count_of, dealing_of, refusal, size_of
from dgen_mpi._sharing import Lock
from dgen_mpi.manifest import Shard
from dgen_mpi.reader import require_spec

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from dgen_mpi.spec import DataSpec

PATIENCE = 8.0
"""For how many seconds a rank looks for what the first one has made."""

_Result = TypeVar("_Result")


class DataSet:
    """A data set that is being written, by whatever means, and the manifest beside it.

    Made by `create`. As long as it is open, nobody else may write the data set, and its manifest
    says that it is being written. `close` says that it is complete; so does the end of a ``with``
    block, unless an exception ends it. What was left unfinished is finished by ``mpirun dgen-mpi
    repair PATH``.

    Attributes
    ----------
    path
        The file, or with a file for each rank what their names begin with.
    spec
        What is written.
    layout, ranks, align
        As they were given to `create`.
    rank
        The rank of this process, 0 without a communicator.

    Examples
    --------
    >>> from dgen_mpi import DataReader, DataSet, DataSpec
    >>> import shutil, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/data"
    >>> spec = DataSpec(100_000, seed=42)
    >>> with DataSet.create(path, spec) as data, open(path, "wb") as file:
    ...     shutil.copyfileobj(DataReader(spec), file)
    >>> DataSpec.from_manifest(path) == spec
    True
    """

    path: Path
    spec: DataSpec
    layout: str
    ranks: int
    align: int
    rank: int
    _comm: Any
    _native: _native.WrittenDataSet | None
    _lock: Lock
    _is_open: bool
    _process: int

    def __init__(self) -> None:
        raise TypeError("a data set is made by DataSet.create")

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        spec: DataSpec,
        *,
        layout: str = "shared",
        ranks: SupportsIndex | None = None,
        align: SizeLike = DEFAULT_ALIGN,
        transfer_size: SizeLike | None = None,
        overwrite: bool = False,
        space_check: bool = True,
        comm: Any = None,  # noqa: ANN401 - of mpi4py, which may not be there
    ) -> Self:
        """Make the files, empty, and a manifest that says that they are being written.

        By the rules of ``dgen-mpi generate``: what is there stays, be it a file, a link, or a
        manifest of data or of something else. All is as it was where this fails.

        Parameters
        ----------
        path
            The file to write; its manifest is ``PATH.dgen.json``.
        spec
            What will be written, 1 byte at least.
        layout
            ``"shared"`` for one file, ``"per-rank"`` for one for each rank.
        ranks
            How many write; as many as the communicator has, or one.
        align
            What the part of each rank begins at a multiple of, in bytes, see `part`. Those who
            write one file may share it otherwise: then only damage is explained less well.
        transfer_size
            The bytes of one write at most, by which damage is explained too.
        overwrite
            Replace data that is there, and a manifest of it.
        space_check
            Ask for enough free space first.
        comm
            A communicator of mpi4py, all of whose ranks call this, `close`, and the methods that
            say so: what fails on one of them raises on all. The first does the work. All have to
            mean the same data set: a seed that is not given is another one on each rank.

        Raises
        ------
        FileExistsError
            For what is in the way.
        OSError
            For what the system refuses, where there is too little space, and where the ranks of the
            communicator do not mean the same file.
        ValueError
            For an argument that is not accepted, or that is not the same on all ranks.
        """
        self = object.__new__(cls)
        self._comm, self._lock = comm, Lock()
        self._is_open, self._process = True, os.getpid()
        self.rank = 0 if comm is None else comm.Get_rank()
        shape, error = None, None
        try:
            shape = self._take(path, spec, layout, ranks, align, transfer_size)
        except (TypeError, ValueError, OverflowError) as raised:
            error = raised
        dealt = self._require_alike(error, shape)
        self._require_shared()
        self._native = self._on_root(
            lambda: spec._source.create(
                os.fspath(path), *dealt, 1 if overwrite else 0, 1 if space_check else 0
            )
        )
        return self

    def _take(
        self,
        path: str | os.PathLike[str],
        spec: DataSpec,
        layout: str,
        ranks: SupportsIndex | None,
        align: SizeLike,
        transfer_size: SizeLike | None,
    ) -> tuple[str, int, int, int]:
        """Take the arguments of `create`, and return how the data set is dealt."""
        least = 1 if self._comm is None else self._comm.Get_size()
        self.path, self.spec, self.layout = Path(path), require_spec(spec), layout
        self.ranks = least if ranks is None else count_of(ranks, "ranks", least=1)
        self.align = size_of(align, "align", least=1)
        if self.ranks < least:
            raise refusal("ranks", self.ranks, f"{least} or more with this communicator")
        return dealing_of(layout, self.ranks, self.align, transfer_size)

    def _require_alike(
        self, error: Exception | None, shape: tuple[str, int, int, int] | None
    ) -> tuple[str, int, int, int]:
        """Raise on all ranks what one of them has raised, or where they were not told the same."""
        if self._comm is not None:
            asked: dict[str, Any] = {}
            if shape is not None:
                names = ("layout", "ranks", "align", "transfer_size")
                asked = {**self.spec.as_dict(), **dict(zip(names, shape))}
            first = self._comm.bcast(asked, root=0)
            if error is None:
                for name in {**first, **asked}:
                    if (mine := asked.get(name)) != (wanted := first.get(name)):
                        error = refusal(name, mine, f"{wanted}, as rank 0 has")
                        break
            error = next(filter(None, self._comm.allgather(error)), None)
        if error is not None:
            raise error
        assert shape is not None
        return shape

    def _require_shared(self) -> None:
        """Fail where ranks do not see what the first one makes in the folder of the data."""
        if self._comm is None or self._comm.Get_size() == 1:
            return
        place = os.path.realpath(self.path) if self.layout == "shared" else self.path
        folder = Path(place).parent
        token = None
        if self.rank == 0:
            # Where none can be made, nothing else can, and that is told later.
            with contextlib.suppress(OSError):
                file, token = tempfile.mkstemp(".token", ".dgen-mpi-", folder)
                os.close(file)
        try:
            name = self._comm.bcast(None if token is None else Path(token).name, root=0)
            is_seen = name is None or _is_seen(folder, name)
            all_see = self._comm.allgather(is_seen)
        finally:
            if token is not None:
                Path(token).unlink()
        strangers = [rank for rank, sees in enumerate(all_see) if not sees]
        if strangers:
            more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
            raise OSError(
                f"{self.path}: the ranks do not share it: what rank 0 makes in its folder is not "
                f"seen by rank {strangers[0]}{more}; give a path that leads all ranks of all nodes "
                "to the same file"
            )

    def _on_root(self, work: Callable[[], _Result]) -> _Result | None:
        """Do something on the first rank; what it raises, all do."""
        result, error = None, None
        if self.rank == 0:
            try:
                result = work()
            except Exception as raised:
                error = raised
        if self._comm is not None:
            error = self._comm.bcast(error, root=0)
        if error is not None:
            raise error
        return result

    def part(self, rank: SupportsIndex | None = None) -> Shard:
        """Return what a rank writes by the program's own rule: its file, and from where to where.

        `start` and `stop` are offsets in the data set. Where each rank has a file, that begins with
        `start`. This rank's for None.
        """
        number = self.rank if rank is None else operator.index(rank)
        if not 0 <= number < self.ranks:
            raise refusal("rank", number, f"0 to {self.ranks - 1}")
        path, start, stop = _native.part(
            os.fspath(self.path), self.layout, self.ranks, self.align, self.spec.size, number
        )
        return Shard(Path(path), start, stop)

    def close(self) -> None:
        """Say that the data is complete; all ranks of a communicator together.

        Every rank brings what it wrote to stable storage, as far as its node has it in memory;
        files that are still open must have been flushed before. Fails with `OSError` where a file
        is not as long as it should be, or where another program has taken the data set meanwhile;
        the manifest then says what it said before. Closing again does nothing.
        """
        self._end(is_complete=True)

    def abandon(self) -> None:
        """Leave the data set as it is, and its manifest, which says that it is being written."""
        self._end(is_complete=False)

    def _end(self, *, is_complete: bool) -> None:
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            if self._process != os.getpid():
                # That of the process it was forked from.
                return
            try:
                if self._all(is_complete):
                    self._synchronize()
                    self._on_root(self._complete)
                elif is_complete:
                    raise OSError(f"{self.path}: another rank has not come to its end with it")
            finally:
                if self._native is not None:
                    self._native.release()

    def _complete(self) -> None:
        assert self._native is not None
        self._native.complete()

    def _all(self, is_so: bool) -> bool:
        """Tell whether it is so on all ranks."""
        return is_so if self._comm is None else all(self._comm.allgather(is_so))

    def _synchronize(self) -> None:
        """Have this node store what it holds of this rank's file."""
        if self._comm is None:
            return
        error = None
        try:
            file = os.open(self.part().path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as raised:
            error = raised
        errors = [error for error in self._comm.allgather(error) if error is not None]
        if errors:
            raise errors[0]

    def __enter__(self) -> Self:
        """Return the data set."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the data set, or abandon it where an exception ends the block on any rank."""
        self._end(is_complete=kind is None)

    def __repr__(self) -> str:
        """Tell where it is, and how far."""
        state = "open" if self._is_open else "closed"
        return f"DataSet({str(self.path)!r}, {self.spec!r}, layout={self.layout!r}, {state})"


def _is_seen(folder: Path, name: str) -> bool:
    """Tell whether a file is seen; file systems may show a new one late."""
    end = time.monotonic() + PATIENCE
    while not (folder / name).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
        # NFS asks its server anew when a folder is read.
        with contextlib.suppress(OSError):
            os.listdir(folder)  # noqa: PTH208 - as cheap as that goes
    return True
