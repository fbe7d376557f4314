"""One's own marks drawn so that confidence reads without colour: contours or hatching by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.hatch import DrawnPlanes, outline
from napari_confseg.annotate.tools.reading import contoured_by_level, hatched_by_level
from napari_confseg.annotate.view import Style
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Anchor


class LevelPlanes(DrawnPlanes):
    """The ink of all classes: value ``i + 1`` where a line of class `i` lies, 0 elsewhere.

    Parameters
    ----------
    planes : sequence of ndarray of uint8 (T, Y, X)
        The confidences, one a class, shared with who paints in them.
    anchors : sequence of Anchor
        The levels.

    Attributes
    ----------
    style : Style
        Contours or hatching.
    shown : frozenset of int
        Classes to draw.
    threshold : int
        Marks below this confidence are left out.
    """

    def __init__(self, planes: Sequence[NDArray[np.uint8]], anchors: Sequence[Anchor]) -> None:
        super().__init__(planes[0].shape)
        self._planes = tuple(planes)
        self._anchors = tuple(anchors)
        self.style = Style.CONTOURS
        self.shown: frozenset[int] = frozenset()
        self.threshold = 1

    def is_over(self, planes: Sequence[NDArray[np.uint8]]) -> bool:
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
            return contoured_by_level(part, self._anchors)
        lines = hatched_by_level(part, self._anchors, rising=rising)
        return lines | outline((part > 0) & (part != EXCLUDED))
