"""Which frame is due: playing at the clip's true rate, dropping frames rather than lagging."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def duration(times: Sequence[float]) -> float:
    """Return how long one round of the clip takes, in seconds; the last frame lasts a mean one."""
    if len(times) < 2:
        return 1.0
    span = times[-1] - times[0]
    return span + span / (len(times) - 1)


def frame_at(times: Sequence[float], start: int, elapsed: float) -> int:
    """Return the frame due `elapsed` seconds after frame `start` came up; the clip goes round.

    Parameters
    ----------
    times : sequence of float
        Time of each frame in seconds, rising.
    start : int
        The frame on show at ``elapsed = 0``.
    elapsed : float
        Seconds by the clock, so that a slow screen drops frames and keeps the rate.
    """
    t = (times[start] - times[0] + elapsed) % duration(times)
    # Half a nanosecond forgives the rounding of the sum: a frame is due at its own time.
    return bisect_right(times, t + times[0] + 5e-10) - 1


def rate(times: Sequence[float]) -> float:
    """Return the mean rate in frames per second."""
    return len(times) / duration(times)
