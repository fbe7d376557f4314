"""Background jobs: work beside the event loop, with progress, cancellation and results."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from napari.utils.notifications import show_error
from qtpy.QtCore import QCoreApplication, QMetaMethod, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_confseg.widgets.common.buttons import button, label

if TYPE_CHECKING:
    from collections.abc import Callable

SHUTDOWN_SECONDS: Final = 5.0
"""Longest wait for running jobs when the application quits."""

_log = logging.getLogger(__name__)


class BackgroundJob(QObject):
    """Runs a function in a thread of its own; its signals arrive in the thread that made it.

    After the end the object deletes itself.

    Parameters
    ----------
    work : callable
        Called with this job; should call :meth:`report` now and then and check `cancelled`.
    parent : QObject
        Owner; a job whose owner is deleted delivers nothing.

    Attributes
    ----------
    progressed : Signal of int, int, str
        Steps done, steps in all (0 if unknown), and a message.
    parted : Signal of object
        A part of the result, from :meth:`send`.
    done : Signal of object
        The result.
    failed : Signal of object
        The exception raised. If nothing is connected, napari shows it.
    ended : Signal
        After `done` or `failed`, or on :meth:`drop`.
    """

    # superqt's worker is not used. Two of them that overlap leave warnings.showwarning and the
    # filters replaced for good (catch_warnings in threads), and their shared pool has as many
    # threads as cores: an import and a list being read would hold up every read-out.

    progressed = Signal(int, int, str)
    parted = Signal(object)
    done = Signal(object)
    failed = Signal(object)
    ended = Signal()
    _sent = Signal(object)
    _returned = Signal(object)
    _raised = Signal(object)

    def __init__(self, work: Callable[[BackgroundJob], Any], parent: QObject) -> None:
        super().__init__(parent)
        self._work = work
        self._cancelled = threading.Event()
        self._dropped = False
        self._thread = threading.Thread(target=self._run, name="confseg-job", daemon=True)
        self._sent.connect(self._on_sent)
        self._returned.connect(self._on_returned)
        self._raised.connect(self._on_raised)

    def start(self) -> BackgroundJob:
        """Begin; return itself."""
        self._thread.start()
        _watch(self._thread, self._cancelled)
        return self

    # ---- called by the work, in its thread ------------------------------------------------

    def report(self, current: int, total: int, message: str = "") -> None:
        """Report progress."""
        _emit(self.progressed, current, total, message)

    def send(self, part: object) -> None:
        """Deliver a part of the result."""
        _emit(self._sent, part)

    def cancelled(self) -> bool:
        """Whether the work should stop."""
        return self._cancelled.is_set()

    # ---- called by the owner --------------------------------------------------------------

    def cancel(self) -> None:
        """Ask the work to stop; what it returns then is still delivered."""
        self._cancelled.set()

    def drop(self) -> None:
        """Ask the work to stop, and deliver nothing more of it."""
        if not self._dropped:
            self._dropped = True
            self.cancel()
            _emit(self.ended)

    def wait(self, seconds: float) -> bool:
        """Wait for the thread to end; return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    # ---- the thread and its way back ------------------------------------------------------

    def _run(self) -> None:
        try:
            result = self._work(self)
        # Whatever it is, the person must learn of it: nobody catches it above us in this thread.
        except Exception as error:
            if self._dropped or not _emit(self._raised, error):
                _log.warning("a job that nobody waits for failed", exc_info=error)
        else:
            _emit(self._returned, result)

    def _on_sent(self, part: object) -> None:
        if not self._dropped:
            self.parted.emit(part)

    def _on_returned(self, result: object) -> None:
        self._end(self.done, result)

    def _on_raised(self, error: BaseException) -> None:
        shown = self.isSignalConnected(QMetaMethod.fromSignal(self.failed))
        if not self._dropped and not shown:
            show_error(str(error))
        self._end(self.failed, error)

    def _end(self, signal: Any, value: object) -> None:
        try:
            if not self._dropped:
                self._dropped = True
                signal.emit(value)
                _emit(self.ended)
        finally:
            with suppress(RuntimeError):  # the owner closed in response
                self.deleteLater()


def _emit(signal: Any, *values: object) -> bool:
    """Emit unless the object has been deleted; return whether it was emitted."""
    try:
        signal.emit(*values)
    except RuntimeError:
        return False
    return True


_running: list[tuple[threading.Thread, threading.Event]] = []
"""Threads of the jobs of all windows, and how to cancel each."""


def _watch(thread: threading.Thread, cancelled: threading.Event) -> None:
    """Have the application wait for `thread` when it quits."""
    app = QCoreApplication.instance()
    if app is not None and not app.property("confseg-waits-for-jobs"):
        app.setProperty("confseg-waits-for-jobs", True)
        app.aboutToQuit.connect(stop_jobs)
    _running[:] = [pair for pair in _running if pair[0].is_alive()]
    _running.append((thread, cancelled))


def stop_jobs(seconds: float = SHUTDOWN_SECONDS) -> bool:
    """Cancel all jobs and wait for them, `seconds` at most; return whether all have ended."""
    end = time.monotonic() + seconds
    for _, cancelled in _running:
        cancelled.set()
    for thread, _ in _running:
        thread.join(max(end - time.monotonic(), 0))
    return not any(thread.is_alive() for thread, _ in _running)


class LatestJob(QObject):
    """Runs one job at a time; a new one replaces the one before, whose result is dropped.

    Parameters
    ----------
    parent : QObject
        Owner.
    delay : int
        Milliseconds for which a new job must stay the latest before it begins.
    row : ProgressRow, optional
        Shows the job.
    """

    def __init__(self, parent: QObject, *, delay: int = 0, row: ProgressRow | None = None) -> None:
        super().__init__(parent)
        self._row = row
        self._job: BackgroundJob | None = None
        self._start: Callable[[], object] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def busy(self) -> bool:
        """Whether a job runs or is about to."""
        return self._job is not None or self._start is not None

    def run(
        self,
        work: Callable[[BackgroundJob], Any],
        done: Callable[[Any], object],
        *,
        failed: Callable[[Any], object] | None = None,
        parted: Callable[[Any], object] | None = None,
        words: str = "",
        at_once: bool = False,
    ) -> None:
        """Run `work` in place of what runs now; `at_once` skips the delay."""
        self.drop()

        def start() -> None:
            job = BackgroundJob(work, self)
            self._job = job
            job.done.connect(partial(self._on_end, job, done))
            if failed is not None:
                job.failed.connect(partial(self._on_end, job, failed))
            else:
                job.ended.connect(partial(self._forget, job))
            if parted is not None:
                job.parted.connect(parted)
            if self._row is not None:
                self._row.follow(job, words)
            job.start()

        if at_once or not self._timer.interval():
            start()
        else:
            self._start = start
            self._timer.start()

    def drop(self) -> None:
        """Drop the job that runs or is about to."""
        self._timer.stop()
        job, self._job, self._start = self._job, None, None
        if job is not None:
            job.drop()

    def wait(self, seconds: float) -> bool:
        """Wait for the thread of the job to end; return whether it has."""
        return self._job is None or self._job.wait(seconds)

    def _on_timeout(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            start()

    def _on_end(self, job: BackgroundJob, then: Callable[[Any], object], value: object) -> None:
        if self._forget(job):  # before, so that it may run the next one
            then(value)

    def _forget(self, job: BackgroundJob) -> bool:
        latest = job is self._job
        if latest:
            self._job = None
        return latest


class ProgressRow(QWidget):
    """Progress of a job with a button to stop it; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[BackgroundJob] = []
        self.words = label(role="note")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stop = button("Stop", "Stop; what is finished stays")
        self.stop.clicked.connect(self._on_stop)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addWidget(self.words)
        layout.addLayout(row)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return bool(self._jobs)

    def follow(self, job: BackgroundJob, words: str) -> None:
        """Show `job` until it ends; of several, the one that began last."""
        self._jobs.append(job)
        self.words.setText(words)
        self.bar.setRange(0, 0)
        self.stop.setEnabled(True)
        job.progressed.connect(partial(self._on_progress, job))
        job.ended.connect(partial(self._on_end, job))
        self.show()

    def _on_progress(self, job: BackgroundJob, current: int, total: int, words: str) -> None:
        if not self._jobs or job is not self._jobs[-1]:
            return
        self.bar.setRange(0, total)
        self.bar.setValue(current)
        if words:
            self.words.setText(words)

    def _on_stop(self) -> None:
        if self._jobs:
            self._jobs[-1].cancel()
            self.stop.setEnabled(False)
            self.words.setText("Stopping …")

    def _on_end(self, job: BackgroundJob) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self.stop.setEnabled(True)
            self.setVisible(self.busy)
