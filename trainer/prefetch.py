"""Make the next batches in a thread while the network learns from this one."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")
_AHEAD = 2
"""Batches made before they are asked for: one is learnt from, the next one waits."""


class Prefetch(Generic[Made]):
    """What a function makes of each step, made before it is asked for.

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
        """Return what was made for the next step; what went wrong with it is raised here."""
        while self._next < self._end and len(self._pending) <= _AHEAD:
            self._pending.append(self._thread.submit(self._make, self._next))
            self._next += 1
        return self._pending.popleft().result()
