"""Finds out, beside the event loop, how far a cohort's clips are and how alike their readers."""

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
"""Clips told at a time: a list of 2,000 fills while it is read."""

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
        self._chore: BackgroundJob | None = None
        # Told from the chore's thread, heard in ours.
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

        def work(chore: BackgroundJob) -> None:
            for start in range(0, len(names), BATCH):
                batch = [read_facts(cohort, name, rater) for name in names[start : start + BATCH]]
                if chore.cancelled():
                    return
                self._tell(self._found, chore, batch)
            scores = Scores.load(cohort)

            def waits() -> bool:
                time.sleep(_PAUSE)
                return chore.cancelled()

            found: dict[str, float | None] = {}
            for name in names:
                if chore.cancelled():
                    break
                alike = None
                # A clip that cannot be read says so in the list already.
                with suppress(StoreError, OSError):
                    if may_compare(cohort, name, rater, role):
                        alike = scores.of(cohort, name, waits)
                found[name] = alike
                if len(found) == BATCH:
                    self._tell(self._compared, chore, found)
                    found = {}
            self._tell(self._compared, chore, found)
            scores.save(cohort)

        self._chore = BackgroundJob(work, self).start()

    def stop(self) -> None:
        """Read no more."""
        if self._chore is not None:
            self._chore.cancel()
            self._chore = None

    def wait(self, seconds: float) -> bool:
        """Wait until all is read; return whether it is."""
        return self._chore is None or self._chore.wait(seconds)

    @staticmethod
    def _tell(signal: Any, chore: BackgroundJob, found: object) -> None:
        with suppress(RuntimeError):  # the window has gone meanwhile
            signal.emit(chore, found)

    def _on_found(self, chore: BackgroundJob, facts: Any) -> None:
        if chore is self._chore:
            open_ = self._session.clip.name if self._session.clip else None
            # Of the open clip the session knows more: what still waits for the store.
            self._session.worklist.put(f for f in facts if f.clip != open_)

    def _on_compared(self, chore: BackgroundJob, scores: Any) -> None:
        if chore is self._chore:
            self._session.worklist.put_alike(scores)
