"""Active reading time of each frame; idle time does not count."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

IDLE: Final = 30.0
"""Seconds after the last sign of activity (pointer, key, stroke) that still count."""

WORTH_KEEPING: Final = 1.0
"""Seconds of a sitting below which nothing is written: a look in passing."""


class ActivityTimer:
    """Adds up the active seconds of each frame of the open clip.

    A moment counts for the frame on show if there was a sign of activity at most `IDLE` seconds
    before. Opening the clip is one. Without an open clip nothing is counted.

    Parameters
    ----------
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seconds: NDArray[np.float64]
        self.end()

    def begin(self, n_frames: int, before: Mapping[int, float] | None = None) -> None:
        """Begin to count for a clip.

        Parameters
        ----------
        n_frames : int
            Frames of the clip.
        before : mapping of int to float, optional
            Seconds of earlier sittings, by frame.
        """
        self._seconds = np.zeros(n_frames)
        for frame, seconds in (before or {}).items():
            if frame < n_frames:
                self._seconds[frame] = seconds
        self._kept = float(self._seconds.sum())
        self._frame = 0
        self._since = self.clock()
        self._until = self._since + IDLE

    def end(self) -> None:
        """Count no more: the clip is closed."""
        self._seconds = np.zeros(0)
        self._kept = 0.0
        self._frame = 0
        self._since = self._until = 0.0

    def note(self) -> None:
        """Take note of a sign of activity: the pointer moved, a key, a stroke."""
        self._add_up()
        self._until = self._since + IDLE

    def turn_to(self, frame: int) -> None:
        """Count for `frame` from now on; not by itself a sign of activity (a clip may play)."""
        self._add_up()
        self._frame = min(max(frame, 0), max(len(self._seconds) - 1, 0))

    def _add_up(self) -> None:
        now = self.clock()
        if len(self._seconds):
            self._seconds[self._frame] += max(min(now, self._until) - self._since, 0.0)
        self._since = now

    def seconds(self) -> dict[int, float]:
        """Return the seconds of each frame that has some, to a tenth, of all sittings."""
        self._add_up()
        tenths = np.round(self._seconds, 1)
        return {int(f): float(tenths[f]) for f in np.flatnonzero(tenths)}

    def due(self) -> dict[int, float] | None:
        """Return the seconds to be written, None if too few are new; then count from there."""
        found = self.seconds()
        total = float(self._seconds.sum())
        if total - self._kept < WORTH_KEEPING:
            return None
        self._kept = total
        return found
