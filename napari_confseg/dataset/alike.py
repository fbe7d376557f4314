"""How alike a clip's readers are, in one number a class: quick enough for a list of clips."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.overlap import LEVELS, joint_histogram, soft_dice
from napari_confseg.dataset.reading import readings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_confseg.dataset.reading import Reading
    from napari_confseg.store import Clip


def soft_dice_by_class(
    clip: Clip, raters: Sequence[str], *, cancelled: Callable[[], bool] | None = None
) -> dict[int, float] | None:
    """Return the mean soft Dice of all pairs of `raters`, by class index; None if cancelled.

    Only frames that both of a pair have reviewed for a class are compared, the clip's as one. A
    class that one of them marks there and the other nowhere has 0; one that nobody marks is left
    out.

    Parameters
    ----------
    clip : Clip
        Read only.
    raters : sequence of str
        Who; whoever is not on the clip is left out.
    cancelled : callable, optional
        Asked for each plane compared; a program with better things to do may pause in it.
    """
    panel = readings(clip, raters)
    found: dict[int, list[float]] = {}
    for a, b in combinations(panel, 2):
        for c in range(a.reviewed.shape[1]):
            score = _pair(a, b, c, cancelled)
            if score is None:
                return None
            if not np.isnan(score):
                found.setdefault(c, []).append(score)
    return {c: float(np.mean(scores)) for c, scores in sorted(found.items())}


def _pair(
    a: Reading, b: Reading, class_index: int, cancelled: Callable[[], bool] | None
) -> float | None:
    """Return the soft Dice of two readers over the frames both reviewed; NaN if none is marked."""
    table = np.zeros((LEVELS, LEVELS), np.int64)
    for frame in np.flatnonzero(a.reviewed[:, class_index] & b.reviewed[:, class_index]).tolist():
        one, other = a.plane(frame, class_index), b.plane(frame, class_index)
        if one is None and other is None:
            continue  # background alone changes no overlap
        if cancelled and cancelled():
            return None
        blank = np.zeros(a.rater.shape[2:], np.uint8)
        table += joint_histogram(blank if one is None else one, blank if other is None else other)
    return soft_dice(table)
