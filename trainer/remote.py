"""Runs on another machine, through a dask scheduler.

The run's folder and what it reads lie on storage that all machines share. Only its path goes
through dask: request, events, state, previews and the request to stop are files in the folder, so
whoever watches sees the same as if it ran here. What holds the folder's lock works in it; a run
that is begun again, since its worker or the scheduler was lost, resumes from its saved state.
While nobody works in it, whoever follows the run speaks and acts for it: says what it waits for,
and obeys a request to stop.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_confseg.extras import needed_for
from napari_confseg.job import Cancelled, Failed, JobError, Progress, RunFolder
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.job import Event, Result

GPU = "GPU"
"""Resource of a worker with a GPU; a run goes to such a worker if there is one."""

_CONNECT = 10  # seconds to wait for a scheduler
_LOOK = 0.5  # seconds between two looks at the folder
_LOST = ("cancelled", "lost")  # states of a future whose scheduler has gone


def execute_at(
    address: str, folder: RunFolder, listen: Callable[[Event], None] = lambda _: None
) -> Result | None:
    """Execute the request in `folder` on a worker of the scheduler at `address`, and follow it.

    It goes on if this process ends; the same call then follows it again.

    Returns
    -------
    Result or None
        The result; None if it failed, which the last event explains.

    Raises
    ------
    TrainError
        If there is no scheduler at first, no run folder at that path on the worker, or workers
        that took the run were killed again and again. The last event says it too.
    JobError
        If it is no run folder.
    """
    folder.request()  # refused here if it can't be read
    run = _FollowedRun(folder, listen)
    with folder.follow():
        try:
            return _see_through(address, run)
        except TrainError as error:
            run.speak(Failed(error=error.error, hint=error.hint))
            raise


def _see_through(address: str, run: _FollowedRun) -> Result | None:
    client: Any = _connect(address)
    again = False
    while client is not None:
        with client:
            future = _submit(client, run.folder)
            while future is not None and not future.done():
                if run.stopped() or (again and run.over()):
                    future.cancel()
                    return run.folder.result()
                if not _workers(client):
                    run.wait_for("a worker")
                run.relay()
                time.sleep(_LOOK)
            run.relay()
            if future is not None and future.status not in _LOST:
                return run.folder.result() if _outcome(future, address) else None
        client, again = _connect_again(address, run), True
    return run.folder.result()


class _FollowedRun:
    """A run's events as they come, and what is to be said of it while nobody works in it."""

    def __init__(self, folder: RunFolder, listen: Callable[[Event], None]) -> None:
        self.folder = folder
        self._listen = listen
        self._offset = folder.events()[1]
        self._awaited = ""

    def relay(self) -> None:
        """Pass on what was appended since."""
        events, self._offset = self.folder.events(self._offset)
        for event in events:
            self._listen(event)

    def speak(self, event: Event) -> None:
        """Append an event, unless somebody works in the folder, who speaks for himself."""
        if not self.folder.alive():
            with suppress(OSError):  # it may be the disk that failed
                self.folder.append(event)

    def wait_for(self, what: str) -> None:
        """Say once what is waited for."""
        if self.folder.alive():
            self._awaited = ""  # a worker that the scheduler has lost may be at work still
        elif what != self._awaited:
            self._awaited = what
            self.speak(Progress(current=0, maximum=0, message=f"Waiting for {what}"))
        self.relay()

    def over(self) -> bool:
        """Whether it came to its end, or was stopped, by a worker cut off from the scheduler."""
        over = self.folder.result() is not None and not self.folder.alive()
        self.relay()
        return over

    def stopped(self) -> bool:
        """Whether it was asked to stop, and nobody works on it who could."""
        if not self.folder.cancelled():
            return False
        try:
            # The request stays: a worker that has just taken the run finds it.
            with self.folder.hold(timeout=0):
                self.folder.append(Cancelled())
        except JobError:
            return False
        self.relay()
        return True


def _submit(client: Any, folder: RunFolder) -> Any:
    """Return the future of the run; None if the connection is lost meanwhile."""
    from distributed import fire_and_forget
    from distributed.comm import CommClosedError

    path = str(folder.path.absolute())
    wanted = {GPU: 1} if any(w["resources"].get(GPU) for w in _workers(client)) else None
    try:
        # Under the same key the scheduler takes it for the same run, if it still knows of it.
        future = client.submit(work_in, path, key=f"confseg-{path}", pure=False, resources=wanted)
        fire_and_forget(future)  # whoever watches may go away
    except CommClosedError:
        return None
    return future


def _workers(client: Any) -> list[dict[str, Any]]:
    """Return what is known of the workers; nothing while the connection is lost."""
    from distributed.comm import CommClosedError

    try:
        return list(client.scheduler_info(n_workers=-1)["workers"].values())
    except CommClosedError:
        return []


def _outcome(future: Any, address: str) -> bool:
    error = future.exception()
    if error is None:
        return bool(future.result())
    if isinstance(error, TrainError):
        raise error
    if isinstance(error, JobError):
        raise TrainError(
            f"The worker at {address} found: {error}",
            "Run and cohort must lie where the workers see them under the same path as here.",
        ) from error
    raise TrainError(
        f"The run could not be carried out at {address}: {type(error).__name__}: {error}",
        "Look at the workers' output, and give the same command again: it resumes the run.",
    ) from error


def _connect(address: str) -> Any:
    with needed_for("A run elsewhere", lambda m: TrainError(m.sentence, m.install)):
        from distributed import Client
    try:
        return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise TrainError(
            f"There is no dask scheduler at {address}: {error}",
            "Start one with 'dask scheduler', and workers with 'confseg-train worker ADDRESS'.",
        ) from error


def _connect_again(address: str, run: _FollowedRun) -> Any:
    """Return a client of a scheduler that was lost; None if the run ends meanwhile."""
    while not (run.over() or run.stopped()):
        run.wait_for(f"the scheduler at {address}")
        try:
            return _connect(address)
        except TrainError:
            time.sleep(_LOOK)
    return None


def work_in(path: str) -> bool:
    """Execute the request in the folder at `path`, on a worker; return whether it succeeded.

    A run that another worker, cut off from its scheduler, still works on is waited for; what that
    one comes to is the end of it, also if it was stopped.
    """
    from trainer.run_job import execute

    folder = RunFolder(Path(path))
    waited = False
    while not (waited and folder.result() is not None):
        try:
            return execute(folder) is not None
        except JobError:
            if not folder.alive():
                raise
            waited = True
            time.sleep(_LOOK)
    return True


def serve(address: str, gpus: int, tell: Callable[[str], None]) -> None:
    """Be a worker of the scheduler at `address`, also of one that comes back, until interrupted.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tcp://host:8786``.
    gpus : int
        GPUs to offer; a run takes one.
    tell : callable
        Called with a sentence when the scheduler is found or lost.
    """
    with needed_for("A worker", lambda m: TrainError(m.sentence, m.install)):
        from distributed import Worker

    async def once() -> None:
        # One thread: a run takes the whole worker.
        async with Worker(address, nthreads=1, resources={GPU: gpus} if gpus else {}) as worker:
            tell(f"Working for {address} as {worker.address}")
            await worker.finished()

    while True:
        with suppress(OSError, TimeoutError):
            asyncio.run(once())
        tell(f"Waiting for a scheduler at {address}")
        time.sleep(1)
