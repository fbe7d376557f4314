"""Background reading of the work list: progress of clips, agreement of readers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QObject

from napari_confseg.annotate.worklist import Scores, may_compare, read_facts
from napari_confseg.store import StoreError
from napari_confseg.widgets.common.jobs import LatestJob

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.worklist import ClipFacts
    from napari_confseg.widgets.common.jobs import BackgroundJob

BATCH: Final = 100
"""Clips delivered at a time: a list of 2,000 fills while it is read."""

_PAUSE: Final = 0.001
"""Seconds of rest after each compared plane: who paints meanwhile goes before."""


class ListReader(QObject):
    """Fills a session's work list in the background.

    Parameters
    ----------
    session : Session
        Whose work list.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._latest = LatestJob(self)

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
                job.send(batch)
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
                    job.send(found)
                    found = {}
            job.send(found)
            scores.save(cohort)

        self._latest.run(work, lambda _: None, parted=self._on_part)

    def stop(self) -> None:
        """Read no more."""
        self._latest.drop()

    def wait(self, seconds: float) -> bool:
        """Wait until all is read; return whether it is."""
        return self._latest.wait(seconds)

    def _on_part(self, part: list[ClipFacts] | dict[str, float | None]) -> None:
        if isinstance(part, dict):
            self._session.worklist.put_alike(part)
            return
        open_ = self._session.clip.name if self._session.clip else None
        # Of the open clip the session knows more: what still waits for the store.
        self._session.worklist.put(f for f in part if f.clip != open_)
