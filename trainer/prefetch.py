"""Prefetching of the next batches in a thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")
_AHEAD = 2
"""Results computed ahead: one is in use, the next one waits."""


class Prefetch(Generic[Made]):
    """Results of a function of the step, computed before they are needed.

    Use as a context manager, which ends the thread.

    Parameters
    ----------
    make : callable
        Called in the thread, step by step. Its result must be a function of the step alone.
    first, end : int
        The first step, and the one behind the last.
    """

    def __init__(self, make: Callable[[int], Made], first: int, end: int) -> None:
        self._make, self._next, self._end = make, first, end
        self._pending: deque[Future[Made]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self) -> Made:
        """Return the result of the next step; its exception is raised here."""
        while self._next < self._end and len(self._pending) <= _AHEAD:
            self._pending.append(self._thread.submit(self._make, self._next))
            self._next += 1
        return self._pending.popleft().result()
