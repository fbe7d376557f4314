"""Overlap and distance of two planes, from their joint histogram.

The joint histogram of two planes, 101 by 101 counts of (confidence here, confidence there), holds
every overlap at every threshold: the table of frames is the sum of theirs, so a clip of any length
costs 80 kB.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.rater_view import rater_views
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Clip


N_VALUES = MAX_CONFIDENCE + 1
"""Values a plane can hold, exclusion apart: 0..100."""


CURVE = tuple(range(5, MAX_CONFIDENCE + 1, 5))
"""Thresholds in percent of the curve "Dice against threshold"."""


def joint_histogram(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how often each pair of confidences meets.

    Parameters
    ----------
    a, b : ndarray of uint8, of one shape (..., Y, X)
        Confidence in percent, 0..100, or 255; a pixel that either excludes is left out.

    Returns
    -------
    NDArray
        ``int64 (101, 101)``; row is the value in `a`, column in `b`.
    """
    marked = (a > 0) | (b > 0)  # most pixels are background: only the others are looked at
    x, y = a[marked].astype(np.int32), b[marked].astype(np.int32)
    background = a.size - x.size
    kept = (x != EXCLUDED) & (y != EXCLUDED)
    if not kept.all():
        x, y = x[kept], y[kept]
    table = np.bincount(x * N_VALUES + y, minlength=N_VALUES**2).reshape(N_VALUES, N_VALUES)
    table[0, 0] += background
    return table


def survival(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return S with ``S[s, t]`` = pixels where `a` is at least s and `b` at least t."""
    return histogram[::-1, ::-1].cumsum(0).cumsum(1)[::-1, ::-1]


def dice(both: float, a: float, b: float) -> float:
    """Return 2 |A and B| / (|A| + |B|); NaN if both are empty."""
    return 2 * both / (a + b) if a + b else float("nan")


def iou(both: float, a: float, b: float) -> float:
    """Return |A and B| / |A or B|; NaN if both are empty."""
    return both / (a + b - both) if a + b else float("nan")


def soft_dice(histogram: NDArray[np.int64]) -> float:
    """Return 2 sum min(a, b) / (sum a + sum b) of the confidences; NaN if nothing is marked.

    The form with the minimum is 1 for equal planes, soft ones too, which the product form isn't
    (Wang et al., "Dice semimetric losses", MICCAI 2023, whose score this is for soft labels).

    Parameters
    ----------
    histogram : ndarray of int64, shape (101, 101)
        As :func:`joint_histogram` returns it.
    """
    s = survival(histogram)
    diagonal = np.arange(1, N_VALUES)
    return dice(float(s[diagonal, diagonal].sum()), float(s[1:, 0].sum()), float(s[0, 1:].sum()))


def dice_curve(histogram: NDArray[np.int64]) -> tuple[float, ...]:
    """Return Dice at each of :data:`CURVE`; NaN where neither plane reaches the threshold.

    Parameters
    ----------
    histogram : ndarray of int64, shape (101, 101)
        As :func:`joint_histogram` returns it.
    """
    s = survival(histogram)
    return tuple(dice(float(s[t, t]), float(s[t, 0]), float(s[0, t])) for t in CURVE)


def energy_distance(histogram: NDArray[np.int64]) -> float:
    """Return the squared generalised energy distance of the two planes' level sets.

    A plane of confidences is read as a distribution of outlines: {confidence >= t} for t drawn
    evenly from 1..100. With d = 1 - IoU (0 for two empty sets) the value is
    ``2 E d(S, Y) - E d(S, S') - E d(Y, Y')`` (Kohl et al., NeurIPS 2018): 0 for equal planes,
    at most 2. NaN if nothing is marked in either.

    Parameters
    ----------
    histogram : ndarray of int64, shape (101, 101)
        As :func:`joint_histogram` returns it.
    """
    s = survival(histogram).astype(float)
    a, b, both = s[1:, 0], s[0, 1:], s[1:, 1:]
    if a[0] == 0 and b[0] == 0:
        return float("nan")
    across = _iou_table(both, a[:, None], b[None, :])
    within_a = _iou_table(np.minimum.outer(a, a), a[:, None], a[None, :])  # level sets are nested
    within_b = _iou_table(np.minimum.outer(b, b), b[:, None], b[None, :])
    return max(0.0, float(within_a.mean() + within_b.mean() - 2 * across.mean()))


def _iou_table(
    both: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    union = a + b - both
    return np.divide(both, union, out=np.ones_like(both), where=union > 0)


class Outlines:
    """Masks of one frame, and the distances between their outlines.

    The distance transform of each mask is made once and used for all its pairs, inside the box
    around all masks: no distance is needed outside it.

    Parameters
    ----------
    masks : dict
        Name -> ``bool (Y, X)``; empty ones have no outline.
    spacing : tuple of float
        Size of a pixel (y, x).
    """

    def __init__(
        self, masks: dict[str, NDArray[np.bool_]], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        # Here, for what is remembered of a cohort needs none, and the import takes a while.
        from scipy import ndimage

        self._spacing = spacing
        self._edges: dict[str, NDArray[np.bool_]] = {}
        self._distances: dict[str, NDArray[np.float64]] = {}
        union = np.logical_or.reduce(list(masks.values())) if masks else np.zeros((1, 1), bool)
        rows, columns = np.flatnonzero(union.any(1)), np.flatnonzero(union.any(0))
        if not rows.size:
            return
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for name, mask in masks.items():
            cut = mask[box]
            if cut.any():
                # An edge pixel has a neighbour outside (4-neighbourhood), as in MONAI.
                self._edges[name] = cut ^ ndimage.binary_erosion(cut)

    def hausdorff95(self, a: str, b: str) -> float:
        """Return the larger of the two directed 95th percentiles; NaN if either is empty."""
        if a not in self._edges or b not in self._edges:
            return float("nan")
        return max(
            float(np.percentile(self._distance(b)[self._edges[a]], 95)),
            float(np.percentile(self._distance(a)[self._edges[b]], 95)),
        )

    def _distance(self, name: str) -> NDArray[np.float64]:
        from scipy import ndimage

        if name not in self._distances:
            self._distances[name] = ndimage.distance_transform_edt(
                ~self._edges[name], sampling=self._spacing
            )
        return self._distances[name]


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
        Raters; those not on the clip are left out.
    cancelled : callable, optional
        Checked before each plane; it may pause, to let other work go first.
    """
    views = rater_views(clip, raters)
    found: dict[int, list[float]] = {}
    for a, b in combinations(views, 2):
        for c in range(a.reviewed.shape[1]):
            score = _pair(a, b, c, cancelled)
            if score is None:
                return None
            if not np.isnan(score):
                found.setdefault(c, []).append(score)
    return {c: float(np.mean(scores)) for c, scores in sorted(found.items())}


def _pair(
    a: RaterView, b: RaterView, class_index: int, cancelled: Callable[[], bool] | None
) -> float | None:
    """Return the soft Dice of two readers over the frames both reviewed; NaN if none is marked."""
    table = np.zeros((N_VALUES, N_VALUES), np.int64)
    for frame in np.flatnonzero(a.reviewed[:, class_index] & b.reviewed[:, class_index]).tolist():
        one, other = a.plane(frame, class_index), b.plane(frame, class_index)
        if one is None and other is None:
            continue  # background alone changes no overlap
        if cancelled and cancelled():
            return None
        blank = np.zeros(a.rater.shape[2:], np.uint8)
        table += joint_histogram(blank if one is None else one, blank if other is None else other)
    return soft_dice(table)
