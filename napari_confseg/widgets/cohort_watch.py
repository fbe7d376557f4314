"""Looks at the open cohort every second or so, beside the window, and tells its follower."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.cohort_follow import CohortFollower
from napari_confseg.store import StoreError
from napari_confseg.store.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.cohort_follow import CohortSight
    from napari_confseg.annotate.session import Session


PAUSES: Final = 20
"""Pause after a look, in times that it took: a bucket is asked every few seconds, no more."""


class _Look(threading.Thread):
    """One look, which a share that hangs may hold up for ever without harm."""

    def __init__(self, ask: Callable[[], CohortSight]) -> None:
        super().__init__(name="confseg-watch", daemon=True)
        self._ask = ask
        self.seen: CohortSight | None = None
        self.failed = False
        self.seconds = 0.0  # that it took

    def run(self) -> None:
        begun = time.monotonic()
        try:
            self.seen = self._ask()
        except (StoreError, OSError):
            self.failed = True
        self.seconds = time.monotonic() - begun


class CohortWatch:
    """Keeps one session in step with its cohort.

    Parameters
    ----------
    session : Session
        Whose cohort is looked at.
    busy : callable
        Whether a stroke is under way.
    """

    def __init__(self, session: Session, busy: Callable[[], bool]) -> None:
        self.follower = CohortFollower(session, busy)
        self._session = session
        self._looking: _Look | None = None
        self._at: object = None
        self._closed = False
        self._next = 0.0  # when to look again

    def close(self) -> None:
        """Look no more."""
        self._closed = True

    def poll(self) -> None:
        """Take over what was seen since the last call, and look again; never waits."""
        if self._closed:
            return
        look = self._looking
        if look is not None:
            if look.is_alive():
                return
            self._looking = None
            self._next = time.monotonic() + PAUSES * look.seconds
            self._take(look)
        if time.monotonic() < self._next:
            return
        ask = self.follower.question()
        if ask is not None:
            self._at = self._session.cohort
            self._looking = _Look(ask)
            self._looking.start()

    def _take(self, look: _Look) -> None:
        if look.failed:
            self.follower.fail(self._at)  # type: ignore[arg-type]
        elif look.seen is not None:
            try:
                self.follower.take(look.seen)
            except (StoreError, OSError) as error:  # tried again in a second
                self._session.message = f"Changes made elsewhere cannot be shown: {sentence(error)}"
