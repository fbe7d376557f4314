"""Confidence read without colour: contours by level, and hatching that grows denser with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.hatch import outline
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Anchor

FINEST = 2
"""Distance of hatching lines in pixels at the highest level; it doubles with each level below."""


def level_index(plane: NDArray[np.uint8], anchors: Sequence[Anchor]) -> NDArray[np.uint8]:
    """Return the level of every pixel, ``uint8 (Y, X)``.

    0 not marked or excluded, 1 below the lowest anchor, 2 from it on, and so on: a pixel has
    the word of anchor ``level - 2``.
    """
    steps = np.array([1, *(a.value for a in anchors)])
    index = np.searchsorted(steps, plane, side="right").astype(np.uint8)
    index[plane == EXCLUDED] = 0
    return index


def contour_levels(
    plane: NDArray[np.uint8], anchors: Sequence[Anchor]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return for each anchor that is reached its value and the edge of where it is.

    As on a map: the more lines one crosses going in, the surer it is.

    Returns
    -------
    list of (int, ndarray of bool (Y, X))
        Ascending; edges are one pixel wide and lie within the region they bound.
    """
    sure = np.where(plane == EXCLUDED, np.uint8(0), plane)
    values = [1, *(a.value for a in anchors if a.value > 1)]
    return [(v, outline(sure >= v)) for v in values if (sure >= v).any()]


def hatched_by_level(
    plane: NDArray[np.uint8], anchors: Sequence[Anchor], *, rising: bool = True
) -> NDArray[np.bool_]:
    """Return where the ink of a hatching lies that is the denser the higher the confidence.

    Lines at a level run where those of the levels below run too, so that a region with a sure
    core shows as lines that multiply towards it.

    Parameters
    ----------
    plane : ndarray of uint8 (Y, X)
        Confidences.
    anchors : sequence of Anchor
        Of the cohort.
    rising : bool
        Which way the lines lean, to tell two planes apart.

    Returns
    -------
    ndarray of bool (Y, X)
        None outside of what is marked.
    """
    level = level_index(plane, anchors)
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    along = (y + x) if rising else (y - x)
    top = len(anchors) + 1
    period = FINEST * 2 ** (top - level.astype(int))
    # 1-pixel lines at the finest level would be a half-tone: there every second pixel is ink.
    return np.asarray((level > 0) & (along % np.maximum(period, 1) == 0))
