"""Work on many items in a few threads, in bounded memory."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = 4
"""Enough for codecs and system calls, which let go of the interpreter lock."""
REQUESTS = 32
"""For a bucket, where each answer takes its time and little else."""


def map_bounded(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = THREADS,
    ahead: int | None = None,
) -> Iterator[Result]:
    """Yield ``work(item)`` of each item, in order, computed in a few threads.

    Other than ``Executor.map``, no more than `ahead` items are taken before their results are
    asked for, so that a generator of large arrays stays within memory.

    Parameters
    ----------
    work : callable
        Called in a thread; what it raises is raised here.
    items : iterable
        Taken in the calling thread.
    threads : int
        How many.
    ahead : int, optional
        Items under way at once; four a thread if not given.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= (ahead or 4 * threads):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
