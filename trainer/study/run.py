"""Execution of a study: all its fits, in parallel."""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

from napari_confseg.extras import needed_for
from trainer.errors import TrainError
from trainer.study.request import open_study, plan_fits
from trainer.study.work import attempt, is_complete, prepare_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trainer.study.request import StudyFit, StudyRequest

    OnProgress = Callable[[int, int, str, float | None], None]
    Outcomes = Iterator[str | TrainError]


def run_study(
    folder: Path,
    asked: StudyRequest | None = None,
    *,
    jobs: int = 2,
    scheduler: str | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> StudyRequest:
    """Do all fits of the study that are not complete yet.

    Parameters
    ----------
    folder : Path
        Of the study.
    asked : StudyRequest, optional
        The study to begin, or to extend.
    jobs : int
        Fits at a time: 1 in this process, more in as many worker processes of one thread each.
    scheduler : str, optional
        Address of a dask scheduler whose workers share this folder and the cohort; `jobs` is
        then ignored.
    on_progress : callable
        Called with (fits done, fits in all, message, seconds left).

    Raises
    ------
    TrainError
        If the study can't be met, or a fit failed: the others are finished first.
    """
    # Planned before it is written down: what is refused must not stand in the way afterwards.
    fits = plan_fits(asked or open_study(folder))
    study = open_study(folder, asked)
    left = [fit for fit in fits if not is_complete(folder, fit)]
    done = len(fits) - len(left)
    on_progress(done, len(fits), "Fitting" if left else "All fits are there", None)
    begun = time.monotonic()
    failures: list[TrainError] = []
    for number, outcome in enumerate(_outcomes(folder.absolute(), left, jobs, scheduler), 1):
        if isinstance(outcome, TrainError):
            failures.append(outcome)
        pace = (time.monotonic() - begun) / number
        on_progress(done + number, len(fits), str(outcome), pace * (len(left) - number))
    if failures:
        raise TrainError(
            f"{len(failures)} of {len(fits)} fits failed; the first: {failures[0].error}",
            failures[0].hint or "Run the same command again once that is fixed.",
        )
    return study


def _outcomes(folder: Path, fits: Sequence[StudyFit], jobs: int, scheduler: str | None) -> Outcomes:
    if scheduler:
        return _on_a_cluster(folder, fits, scheduler)
    if min(jobs, len(fits)) > 1:
        return _in_processes(folder, fits, min(jobs, len(fits)))
    return (attempt(folder, fit) for fit in fits)


def _in_processes(folder: Path, fits: Sequence[StudyFit], jobs: int) -> Outcomes:
    # Spawned, not forked: torch's threads don't survive a fork.
    with ProcessPoolExecutor(jobs, get_context("spawn"), prepare_worker) as pool:
        try:
            for future in as_completed([pool.submit(attempt, folder, fit) for fit in fits]):
                yield future.result()
        except BrokenExecutor as error:
            raise TrainError(
                "A worker process was killed, possibly because memory ran out",
                "Run the same command again with fewer --jobs.",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_a_cluster(folder: Path, fits: Sequence[StudyFit], address: str) -> Outcomes:
    with needed_for("A study on a cluster", lambda m: TrainError(m.sentence, m.install)):
        from distributed import Client
        from distributed import as_completed as completed
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise TrainError(
            f"There is no dask scheduler at {address}: {error}",
            "Start one with 'dask scheduler' and workers with 'dask worker'.",
        ) from error
    with client:
        # Not pure: the same call again must look at the folder again.
        futures = [client.submit(attempt, folder, fit, pure=False) for fit in fits]
        for future in completed(futures):
            yield future.result()
