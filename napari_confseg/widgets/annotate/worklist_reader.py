"""Reading of a work list's facts in the background."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, Signal

from napari_confseg.annotate.worklist import Scores, may_compare, read_facts
from napari_confseg.store import StoreError
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session

BATCH: Final = 100
"""Clips emitted at a time: a list of 2,000 fills while it is read."""

_PAUSE: Final = 0.001
"""Seconds of rest after each compared plane: who paints meanwhile goes before."""


class ListReader(QObject):  # type: ignore[misc]
    """Fills a session's work list.

    Parameters
    ----------
    session : Session
        Whose work list.
    parent : QObject
        Owner.
    """

    _found = Signal(object, object)
    _compared = Signal(object, object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job: BackgroundJob | None = None
        # Emitted in the job's thread, received in ours.
        self._found.connect(self._on_found)
        self._compared.connect(self._on_compared)

    def read(self) -> None:
        """Read everything anew; what is being read is dropped."""
        self.stop()
        session = self._session
        cohort, rater, role = session.cohort, session.rater, session.access.role
        if cohort is None or not rater:
            return
        names = session.worklist.names() + tuple(session.worklist.facts)
        names = tuple(dict.fromkeys(names))  # what is in sight first

        def work(job: BackgroundJob) -> None:
            for start in range(0, len(names), BATCH):
                batch = [read_facts(cohort, name, rater) for name in names[start : start + BATCH]]
                if job.cancelled():
                    return
                self._emit(self._found, job, batch)
            scores = Scores.load(cohort)

            def waits() -> bool:
                time.sleep(_PAUSE)
                return job.cancelled()

            found: dict[str, float | None] = {}
            for name in names:
                if job.cancelled():
                    break
                alike = None
                # A clip that cannot be read shows that in the list already.
                with suppress(StoreError, OSError):
                    if may_compare(cohort, name, rater, role):
                        alike = scores.of(cohort, name, waits)
                found[name] = alike
                if len(found) == BATCH:
                    self._emit(self._compared, job, found)
                    found = {}
            self._emit(self._compared, job, found)
            scores.save(cohort)

        self._job = BackgroundJob(work, self).start()

    def stop(self) -> None:
        """Read no more."""
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def wait(self, seconds: float) -> bool:
        """Wait until all is read; return whether it is."""
        return self._job is None or self._job.wait(seconds)

    @staticmethod
    def _emit(signal: Any, job: BackgroundJob, found: object) -> None:
        with suppress(RuntimeError):  # the window has gone meanwhile
            signal.emit(job, found)

    def _on_found(self, job: BackgroundJob, facts: Any) -> None:
        if job is self._job:
            open_ = self._session.clip.name if self._session.clip else None
            # Of the open clip the session knows more: what still waits for the store.
            self._session.worklist.put(f for f in facts if f.clip != open_)

    def _on_compared(self, job: BackgroundJob, scores: Any) -> None:
        if job is self._job:
            self._session.worklist.put_alike(scores)
