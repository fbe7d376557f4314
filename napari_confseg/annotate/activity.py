"""How long a reader is active on each frame; idle time does not count."""

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
"""Seconds of a sitting below which it was a look in passing, and nothing is written."""


class ActivityTimer:
    """Adds up active seconds a frame.

    A moment counts for the frame on show if there was a sign of activity at most `IDLE` seconds
    before. Opening the clip is one.

    Parameters
    ----------
    n_frames : int
        Frames of the clip.
    before : mapping of int to float
        Seconds of earlier sittings.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        n_frames: int,
        before: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._seconds: NDArray[np.float64] = np.zeros(n_frames)
        for frame, seconds in (before or {}).items():
            if frame < n_frames:
                self._seconds[frame] = seconds
        self._kept = self._seconds.sum()
        self._frame = 0
        self._since = clock()
        self._until = self._since + IDLE

    def stir(self) -> None:
        """Take note of a sign of activity."""
        self._settle()
        self._until = self._since + IDLE

    def turn_to(self, frame: int) -> None:
        """Count for `frame` from now on; not by itself a sign of activity (a clip may play)."""
        self._settle()
        self._frame = min(max(frame, 0), len(self._seconds) - 1)

    def _settle(self) -> None:
        now = self._clock()
        self._seconds[self._frame] += max(min(now, self._until) - self._since, 0.0)
        self._since = now

    def seconds(self) -> dict[int, float]:
        """Return the seconds of each frame that has some, to a tenth, of all sittings."""
        self._settle()
        tenths = np.round(self._seconds, 1)
        return {int(f): float(tenths[f]) for f in np.flatnonzero(tenths)}

    def due(self) -> dict[int, float] | None:
        """Return what is to be written, None if that is not worth it; then count from there."""
        found = self.seconds()
        total = float(self._seconds.sum())
        if total - self._kept < WORTH_KEEPING:
            return None
        self._kept = total
        return found
