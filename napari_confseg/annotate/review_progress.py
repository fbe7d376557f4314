"""Review progress of a clip, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_confseg.store import Stroke


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


def painted(strokes: Iterable[Stroke]) -> Iterator[Stroke]:
    """Yield the strokes that changed planes and stand."""
    return (s for s in strokes if not s.undone and s.tool != "status")
