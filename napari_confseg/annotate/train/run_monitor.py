"""Runs on disk: their folders, start in a process of its own, and monitoring."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.train.runs import FolderStatus, Record, fold, resolve, sent_for_again
from napari_confseg.job import LOG, REQUEST, JobError, RunFolder
from napari_confseg.store.errors import StoreError
from napari_confseg.store.files import open_file

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    from napari_confseg.annotate.train.runs import RunState
    from napari_confseg.methods import Method

SECONDS_TO_START: Final = 60.0
"""A run nobody has heard of for longer is not about to start any more."""
_MOST_LOG = 2**40  # only its end is read


class RunMonitor:
    """Follows one run through its folder.

    Parameters
    ----------
    folder : RunFolder
        The run.

    Raises
    ------
    JobError
        If it is no run folder.

    Attributes
    ----------
    state : RunState
        As of the last :meth:`poll`.
    begun : datetime
        When the run was asked for.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._request = folder.request()
        stamp = (folder.path / REQUEST).stat().st_mtime
        self.begun = datetime.fromtimestamp(stamp, UTC)
        self._record = Record()
        self._offset = 0
        self._launched = False
        self._process: subprocess.Popen[bytes] | None = None
        self.state = self.poll()

    def poll(self) -> RunState:
        """Read what is new and return the state."""
        # FolderStatus before events: if the trainer is gone, its last event is there to be read.
        alive, cancelled = self._alive(), self.folder.cancelled()
        events, self._offset = self.folder.events(self._offset)
        if events:
            self._record = fold(self._record, events)
        result, damage = None, ""
        try:
            result = self.folder.result()
        except JobError as error:
            damage = f"{error}."
        status = FolderStatus(
            alive=alive,
            cancelled=cancelled,
            checkpoint=self.folder.has_checkpoint(),
            result=result,
            where=self.folder.where() or "",
            log="" if alive else log_tail(self.folder.path / LOG),
            damage=damage,
        )
        self.state = resolve(
            self.folder.path.name, self.folder, self._request, self._record, status
        )
        return self.state

    def launch(self, where: str = "") -> None:
        """Start or resume the run in a process of its own, which outlives this one.

        Parameters
        ----------
        where : str
            Address of a dask scheduler: the process has the run carried out there, and follows
            it. Empty to carry it out itself.

        Raises
        ------
        OSError
            If the process cannot be started.
        """
        self.folder.clear_cancel()
        self.folder.send_to(where or None)
        self.poll()
        self._launched = True
        self._record = sent_for_again(self._record)
        self._process = launch(self.folder.path, where)
        self.poll()

    def _alive(self) -> bool:
        ours = self._process is not None and self._process.poll() is None
        if ours or self.folder.alive() or self.folder.followed():
            return True
        # Sent for by another viewer a moment ago, and still importing.
        age = (datetime.now(UTC) - self.begun).total_seconds()
        return not self._offset and not self._launched and age < SECONDS_TO_START


def launch(folder: Path, where: str = "") -> subprocess.Popen[bytes]:
    """Start ``confseg-train run`` on a folder, detached, at lower priority, printing to the log.

    Raises
    ------
    OSError
        If the process cannot be started.
    """
    # -P: a folder called "trainer" where the viewer happens to stand must not be run.
    command = [sys.executable, "-P", "-m", "napari_confseg.launcher", "run", str(folder)]
    if where:
        command += ["--where", where]
    windows = sys.platform == "win32"
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=not windows,  # closing the viewer's terminal must not reach it
            creationflags=flags,
        )
    if sys.platform != "win32":
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    # Takes note of its end, so that no zombie stays however long the viewer lives.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process


def log_tail(path: Path, *, lines: int = 3) -> str:
    """Return the last lines of a log, joined; of a traceback only its last line, the error."""
    try:
        with open_file(path, _MOST_LOG) as f:
            f.seek(max(f.seek(0, os.SEEK_END) - 4096, 0))
            text = f.read(4096).decode(errors="replace")
    except (StoreError, OSError):
        return ""
    tail = [line.strip() for line in text.splitlines() if line.strip()]
    return tail[-1] if "Traceback (most recent call last):" in text else " / ".join(tail[-lines:])


def run_name(method: Method, now: datetime, taken: Container[str]) -> str:
    """Return a new run's slug: method, month and day, hour and minute.

    >>> run_name(Method(name="threshold", params={"t": 60}), datetime(2025, 11, 23, 14, 2), set())
    'threshold60-1123-1402'
    """
    numbers = "-".join(f"{v:g}".replace(".", "_") for v in method.settings.values())
    stem = f"{method.name}{numbers}-{now:%m%d-%H%M}"
    name, n = stem, 2
    while name in taken:
        name, n = f"{stem}-{n}", n + 1
    return name


def found_runs(root: Path, known: Mapping[str, RunMonitor]) -> dict[str, RunMonitor]:
    """Return a watch for each run folder in `root`, newest first; `known` ones are kept.

    Folders that hold no readable request are no runs, and are passed over.
    """
    try:
        folders = [p for p in root.iterdir() if (p / REQUEST).is_file()]
    except OSError:
        return {}
    found: dict[str, RunMonitor] = {}
    for folder in folders:
        with suppress(JobError, OSError):
            found[folder.name] = known.get(folder.name) or RunMonitor(RunFolder(folder))
    return dict(sorted(found.items(), key=lambda item: item[1].begun, reverse=True))
