# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks for objects that threads share and that forked processes inherit."""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """A lock that its holder may take again, and that a forked process finds free.

    A copy, as of an object that is pickled, is another lock.
    """

    def __init__(self) -> None:
        self.free()
        _locks.add(self)

    def free(self) -> None:
        """Forget who holds it."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        """Wait for the lock and take it."""
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        """Give it back."""
        self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        """Pickle nothing but that there is one."""
        return (Lock, ())


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _free_locks() -> None:
    # Whoever held one is no thread of this process.
    for lock in list(_locks):
        lock.free()


os.register_at_fork(after_in_child=_free_locks)
