"""Carry out a study: all its fits, side by side, then its page."""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Protocol

from trainer.problems import TrainError
from trainer.study.request import open_study, plan
from trainer.study.work import be_a_worker, carry_out, is_complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from trainer.study.request import StudyRequest

    Tell = Callable[[int, int, str, float | None], None]


class Workers(Protocol):
    """What carries out fits: processes here, or a dask cluster."""

    def submit(self, function: Callable[..., str], *arguments: object) -> Future[str]:
        """Start one call."""

    def completed(self, futures: Iterable[Future[str]]) -> Iterable[Future[str]]:
        """Yield futures as they finish."""

    def drop(self) -> None:
        """Begin nothing more."""


def run_study(
    folder: Path,
    asked: StudyRequest | None = None,
    *,
    jobs: int = 2,
    scheduler: str | None = None,
    tell: Tell = lambda *_: None,
) -> StudyRequest:
    """Do all fits of the study that are not complete yet.

    Parameters
    ----------
    folder : Path
        Of the study.
    asked : StudyRequest, optional
        What to begin with, or to add.
    jobs : int
        Processes on this machine, each with one thread.
    scheduler : str, optional
        Address of a dask scheduler whose workers share this folder and the cohort; `jobs` is not
        looked at then.
    tell : callable
        Told (fits done, fits in all, message, seconds left).

    Raises
    ------
    TrainError
        If the study can't be met, or a fit failed: the others are finished first.
    """
    study = open_study(folder, asked)
    fits = plan(study)
    left = [fit for fit in fits if not is_complete(folder, fit)]
    done = len(fits) - len(left)
    tell(done, len(fits), "Fitting" if left else "All fits are there", None)
    if not left:
        return study
    failures: list[TrainError] = []
    with _dask(scheduler) if scheduler else _processes(min(jobs, len(left))) as workers:
        begun = time.monotonic()
        try:
            futures = {workers.submit(carry_out, folder.absolute(), fit): fit for fit in left}
            for number, future in enumerate(workers.completed(futures), 1):
                pace = (time.monotonic() - begun) / number
                try:
                    message = future.result()
                except TrainError as error:
                    failures.append(error)
                    message = str(error)
                tell(done + number, len(fits), message, pace * (len(left) - number))
        except BrokenExecutor as error:
            raise TrainError(
                "A worker was killed, perhaps for want of memory",
                "Run the same command again with fewer --jobs.",
            ) from error
        except BaseException:
            workers.drop()
            raise
    if failures:
        raise TrainError(
            f"{len(failures)} of {len(fits)} fits failed; the first: {failures[0].error}",
            failures[0].hint or "Run the same command again once that is mended.",
        )
    return study


class _Processes:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., str], *arguments: object) -> Future[str]:
        return self._pool.submit(function, *arguments)

    def completed(self, futures: Iterable[Future[str]]) -> Iterable[Future[str]]:
        return as_completed(futures)

    def drop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _processes(jobs: int) -> Iterator[Workers]:
    # Spawned, not forked: torch's threads don't survive a fork.
    with ProcessPoolExecutor(jobs, get_context("spawn"), be_a_worker) as pool:
        yield _Processes(pool)


class _Dask:
    def __init__(self, client: object) -> None:
        self._client = client

    def submit(self, function: Callable[..., str], *arguments: object) -> Future[str]:
        # Not pure: the same call again must look at the folder again.
        future: Future[str] = self._client.submit(function, *arguments, pure=False)  # type: ignore[attr-defined]
        return future

    def completed(self, futures: Iterable[Future[str]]) -> Iterable[Future[str]]:
        from distributed import as_completed as finished

        found: Iterable[Future[str]] = finished(list(futures))
        return found

    def drop(self) -> None:
        self._client.close()  # type: ignore[attr-defined]


@contextmanager
def _dask(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client
    except ImportError as error:
        raise TrainError("A scheduler needs dask's 'distributed', which is not installed",
                         "pip install 'napari-confseg[dask]'") from error  # fmt: skip
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise TrainError(
            f"There is no dask scheduler at {address}: {error}",
            "Start one with 'dask scheduler' and workers with 'dask worker'.",
        ) from error
    with client:
        yield _Dask(client)
