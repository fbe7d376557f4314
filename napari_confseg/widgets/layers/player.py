"""Playing of the clip at its true rate."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer

from napari_confseg.annotate.frames import frame_at, rate
from napari_confseg.annotate.links import links_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.session import Session


class Player(QObject):
    """Moves the session's frame by the clock while the session is set to play.

    Frames come from the time that has passed, so a screen too slow for the clip drops frames and
    keeps the rate.

    Parameters
    ----------
    session : Session
        What plays.
    parent : QObject
        Owner.
    clock : callable
        Seconds, rising.
    """

    def __init__(
        self, session: Session, parent: QObject, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._clock = clock
        self._began, self._start, self._last = 0.0, 0, 0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self._links = links_of(self, (session.events.playing, self._on_playing))

    def _on_playing(self, playing: bool) -> None:
        clip = self._session.clip
        if not playing or clip is None:
            self._timer.stop()
            return
        self._begin()
        # Twice a frame's time: a frame is never late by more than half of it.
        self._timer.start(max(int(500 / rate(clip.meta.frame_times)), 5))

    def _begin(self) -> None:
        self._began, self._start = self._clock(), self._session.frame
        self._last = self._start

    def tick(self) -> None:
        """Show the frame that is due."""
        clip = self._session.clip
        if clip is None:
            return
        if self._session.frame != self._last:  # a person moved: go on from there
            self._begin()
        due = frame_at(clip.meta.frame_times, self._start, self._clock() - self._began)
        if due != self._last:
            self._last = due
            self._session.frame = due

    def close(self) -> None:
        """Stop listening."""
        self._timer.stop()
        self._links.cut()
