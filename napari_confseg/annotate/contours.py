"""Confidence drawn without colour, as contours or hatching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_erosion

from napari_confseg.annotate.hatch import DrawnPlanes, outline
from napari_confseg.annotate.view import Style
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Anchor, AnyPlanes


FINEST = 2
"""Distance of hatching lines in pixels for the highest anchor; it doubles with each below."""


APART = 2
"""Pixels from one contour to the next where both would fall together."""


def anchor_index(plane: NDArray[np.uint8], anchors: Sequence[Anchor]) -> NDArray[np.uint8]:
    """Return the anchor that every pixel reaches, ``uint8 (Y, X)``.

    0 not marked or excluded, 1 below the lowest anchor, 2 from it on, and so on: a pixel has
    the word of anchor ``index - 2``.
    """
    steps = np.array([1, *(a.value for a in anchors)])
    index = np.searchsorted(steps, plane, side="right").astype(np.uint8)
    index[plane == EXCLUDED] = 0
    return index


def contoured(plane: NDArray[np.uint8], anchors: Sequence[Anchor]) -> NDArray[np.bool_]:
    """Return where contours lie, ``bool (Y, X)``: as on a map, the more lines the surer.

    From the lowest anchor on there is a line for each that is reached. Where two would fall
    together, as around a mark of one confidence, the surer one runs ``APART`` pixels further in,
    so that lines can be counted from outside. Below the lowest anchor the line is dotted.
    """
    sure = np.where(plane == EXCLUDED, np.uint8(0), plane)
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    ink = outline(sure > 0) & ((y + x) % 4 < 2)
    room = np.ones(plane.shape, np.bool_)
    for anchor in anchors:
        region = (sure >= anchor.value) & room
        if not region.any():
            break
        ink |= outline(region)
        room = binary_erosion(region, np.ones((3, 3)), iterations=APART)
    return np.asarray(ink)


def hatched(
    plane: NDArray[np.uint8], anchors: Sequence[Anchor], *, rising: bool = True
) -> NDArray[np.bool_]:
    """Return where the ink of a hatching lies that is the denser the higher the confidence.

    Lines of an anchor run where those of the anchors below run too, so that a region with a sure
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
    index = anchor_index(plane, anchors)
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    along = (y + x) if rising else (y - x)
    top = len(anchors) + 1
    period = FINEST * 2 ** (top - index.astype(int))
    # 1-pixel lines of the finest hatching would be a half-tone: there every second pixel is ink.
    return np.asarray((index > 0) & (along % np.maximum(period, 1) == 0))


class ContourPlanes(DrawnPlanes):
    """The ink of all classes: value ``i + 1`` where a line of class `i` lies, 0 elsewhere.

    Parameters
    ----------
    planes : sequence of ndarray of uint8 (T, Y, X)
        The confidences, one a class, shared with who paints in them.
    anchors : sequence of Anchor
        Of the cohort.

    Attributes
    ----------
    style : Style
        Contours or hatching.
    shown : frozenset of int
        Classes to draw.
    threshold : int
        Marks below this confidence are left out.
    """

    def __init__(self, planes: Sequence[AnyPlanes], anchors: Sequence[Anchor]) -> None:
        super().__init__(planes[0].shape)
        self._planes = tuple(planes)
        self._anchors = tuple(anchors)
        self.style = Style.CONTOURS
        self.shown: frozenset[int] = frozenset()
        self.threshold = 1

    def is_over(self, planes: Sequence[AnyPlanes]) -> bool:
        """Whether this draws just these planes."""
        return len(planes) == len(self._planes) and all(
            a is b for a, b in zip(planes, self._planes, strict=True)
        )

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return the ink of one frame, ``uint8 (Y, X)``."""
        out = np.zeros(self.shape[1:], np.uint8)
        for i in sorted(self.shown):
            plane = self._planes[i][index]
            rows = np.flatnonzero(plane.any(axis=1))
            if rows.size == 0:
                continue
            columns = np.flatnonzero(plane.any(axis=0))
            # A rim of nothing around it: a contour runs inside its region.
            box = np.s_[
                max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2
            ]
            part = np.where(plane[box] >= self.threshold, plane[box], np.uint8(0))
            out[box][self._ink(part, rising=i % 2 == 0)] = i + 1
        return out

    def _ink(self, part: NDArray[np.uint8], *, rising: bool) -> NDArray[np.bool_]:
        if self.style is Style.CONTOURS:
            return contoured(part, self._anchors)
        lines = hatched(part, self._anchors, rising=rising)
        return lines | outline((part > 0) & (part != EXCLUDED))
