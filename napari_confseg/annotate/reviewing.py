"""Which frames are done, and which comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_confseg.store import Cohort, Stroke


def reviewed_frames(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each frame whether every class is reviewed, ``bool (T,)``, from ``(T, C)``."""
    done: NDArray[np.bool_] = (status == Status.REVIEWED).all(axis=1)
    return done


def next_unreviewed(status: NDArray[np.uint8], frame: int, step: int = 1) -> int | None:
    """Return the nearest frame after `frame` (before it for ``step=-1``) with work left.

    The search goes round the end of the clip and comes to `frame` itself last; None when all
    frames are reviewed in all classes.
    """
    n = len(status)
    order = (frame + step * np.arange(1, n + 1)) % n
    open_frames = order[~reviewed_frames(status)[order]]
    return int(open_frames[0]) if open_frames.size else None


@dataclass(frozen=True)
class ClipProgress:
    """How far one reader is with one clip.

    Attributes
    ----------
    clip : str
        Its name.
    reviewed : float
        Share of (frame, class) pairs that are reviewed, 0..1.
    strokes : int
        Strokes that stand; changes of status alone do not count.
    """

    clip: str
    reviewed: float
    strokes: int


def progress_of(clip: str, status: NDArray[np.uint8], strokes: Iterable[Stroke]) -> ClipProgress:
    """Return the progress that `status` ``(T, C)`` and `strokes` amount to."""
    reviewed = float((status == Status.REVIEWED).mean()) if status.size else 0.0
    return ClipProgress(clip, reviewed, sum(1 for _ in painted(strokes)))


def painted(strokes: Iterable[Stroke]) -> Iterator[Stroke]:
    """Yield the strokes that changed planes and stand."""
    return (s for s in strokes if not s.undone and s.tool != "status")


def read_progress(cohort: Cohort, clip: str, rater: str) -> ClipProgress:
    """Return the progress of `rater` on `clip` as it is in the store; zero where there is none.

    What waits in a journal is not in it.
    """
    found = cohort.clip(clip)
    if rater not in found.raters():
        return ClipProgress(clip, 0.0, 0)
    read = found.rater(rater)
    return progress_of(clip, read.read_status(), read.read_strokes())
