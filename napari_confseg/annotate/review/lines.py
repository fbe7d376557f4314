"""Thin contours over a clip: raters' marks and the disagreement in view.

They are drawn on a grid finer than the clip's, as wide as a person sees well at the present zoom:
a line as wide as a pixel of the clip would cover, once enlarged, the texture that is to be judged.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours
from skimage.morphology import isotropic_closing

from napari_confseg.annotate.hatch import DrawnPlanes
from napari_confseg.annotate.review.planes import FrameCache
from napari_confseg.readouts import insonated
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Event
    from napari_confseg.annotate.review.planes import StoredPlanes
    from napari_confseg.store import AnyPlanes, Band, Sector

LARGEST: Final = 2048
"""Pixels along a side of the finer grid, about: more would slow the change of frames."""

WIDTH: Final = 1.6
"""Width of a line in pixels of the screen."""

DASHES: Final[tuple[tuple[float, ...], ...]] = (
    (),  # solid
    (6, 3),
    (1.5, 2.5),
    (6, 2, 1.5, 2),
)
"""Lengths of line and gap in turn, in pixels of the clip, by a rater's direction."""

OUTER: Final = (5.0, 3.0)
"""Dashes of an outer contour, as :data:`DASHES`."""

LINE: Final = MAX_CONFIDENCE
RIM: Final = 1
"""Values of a line and of the dark rim around it."""


def fineness(shape: Sequence[int]) -> int:
    """Return how many times finer than a clip of `shape` (T, Y, X) its lines are drawn."""
    return int(np.clip(LARGEST // max(shape[1:]), 1, 4))


def fine_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape (T, Y, X) of lines over a clip of `shape`."""
    n = fineness(shape)
    return (int(shape[0]), int(shape[1]) * n, int(shape[2]) * n)


def line_width(fine: int, zoom: float) -> int:
    """Return the width of lines in pixels of the finer grid.

    Parameters
    ----------
    fine : int
        See :func:`fineness`.
    zoom : float
        Pixels of the screen for each of the clip.
    """
    return int(np.clip(round(WIDTH * fine / max(zoom, 1e-6)), 1, 4 * fine))


def points_along(mask: NDArray[np.bool_], dashes: Sequence[float] = ()) -> NDArray[np.float64]:
    """Return points (y, x) on the contours of `mask` (Y, X), a quarter of a pixel apart.

    Parameters
    ----------
    mask : ndarray of bool (Y, X)
        What is outlined; a contour runs between its pixels and the others.
    dashes : sequence of float
        Lengths of line and gap in turn, in pixels; none for a solid line.
    """
    found = [np.zeros((0, 2))]
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        steps = np.hypot(*np.diff(contour, axis=0).T)
        at = np.concatenate([[0.0], np.cumsum(steps)])
        along = np.arange(0, at[-1], 0.25)
        if dashes:
            ends = np.cumsum(dashes)
            along = along[np.searchsorted(ends, along % ends[-1], side="right") % 2 == 0]
        found.append(np.stack([np.interp(along, at, contour[:, k]) for k in (0, 1)], axis=1) - 1)
    return np.concatenate(found)


class Lines(DrawnPlanes):
    """Lines on the finer grid; :meth:`set_width` has them drawn anew.

    Parameters
    ----------
    shape : sequence of int
        (T, Y, X) of the clip.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(fine_shape(shape))
        self.fine = fineness(shape)
        self._width = self.fine
        self._drawn = FrameCache(self._draw)

    def set_width(self, width: int) -> bool:
        """Draw lines `width` pixels of the finer grid wide; return whether that is another."""
        other = width != self._width
        if other:
            self._width = width
            self._drawn = FrameCache(self._draw)
        return other

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        return self._drawn.frame(range(self.shape[0])[index])

    @abstractmethod
    def _contours(self, index: int) -> Iterator[NDArray[np.float64]]:
        """Yield points (y, x) in pixels of the clip."""

    def _draw(self, index: int) -> NDArray[np.uint8]:
        out = np.zeros(self.shape[1:], np.uint8)
        rim = max(self._width // 2, 1)
        for points in self._contours(index):
            fine = (points + 0.5) * self.fine - 0.5
            _stamp(out, fine, self._width + 2 * rim, RIM)
            _stamp(out, fine, self._width, LINE)
        return out


def _stamp(out: NDArray[np.uint8], points: NDArray[np.float64], width: int, value: int) -> None:
    first = np.rint(points - (width - 1) / 2).astype(int)
    for dy in range(width):
        for dx in range(width):
            y, x = first[:, 0] + dy, first[:, 1] + dx
            inside = (y >= 0) & (x >= 0) & (y < out.shape[0]) & (x < out.shape[1])
            out[y[inside], x[inside]] = value


class RaterContours(Lines):
    """Where a rater begins to count as marking, outlined in a line of their own style.

    Parameters
    ----------
    planes : StoredPlanes
        The rater's confidences of one class.
    direction : int
        See :data:`DASHES`.
    threshold : int
        Confidence that is outlined.
    """

    def __init__(self, planes: StoredPlanes, direction: int, threshold: int) -> None:
        super().__init__(planes.shape)
        self._planes = planes
        self._dashes = DASHES[direction % len(DASHES)]
        self._threshold = threshold

    def _contours(self, index: int) -> Iterator[NDArray[np.float64]]:
        plane = self._planes.frame(index)
        mask = (plane >= self._threshold) & (plane != EXCLUDED)
        yield _around(mask, self._dashes)


class GuaranteedContours(Lines):
    """The contours that a panel's region lies between: inner solid, outer in long dashes.

    Parameters
    ----------
    planes : ndarray of uint8 (T, Y, X), or like one
        A model's percents of one class.
    band : Band
        From which percent on inner and outer run; None draws none.
    sector : Sector or None
        Of the clip. What was measured for the guarantee lies within it, and so do the contours.
    """

    def __init__(
        self, planes: AnyPlanes | DrawnPlanes, band: Band, sector: Sector | None = None
    ) -> None:
        super().__init__(planes.shape)
        self._planes = planes
        self._band = band
        self._sector = sector
        self._inside = insonated(sector, (planes.shape[1], planes.shape[2]))

    def is_over(self, planes: AnyPlanes, sector: Sector | None) -> bool:
        """Whether this draws just these planes, within this sector."""
        return planes is self._planes and sector == self._sector

    def _contours(self, index: int) -> Iterator[NDArray[np.float64]]:
        plane: NDArray[np.uint8] = self._planes[index]
        known = (plane != EXCLUDED) & self._inside
        outer, inner = self._band.outer, self._band.inner
        if outer is not None:
            yield _around(closed((plane >= outer) & known) & self._inside, OUTER)
        if inner is not None:
            yield _around((plane >= inner) & known)


def closed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `mask` (Y, X) with gaps and holes narrower than a fiftieth of the frame closed.

    Nothing is taken away. So what is promised of an outer contour, that at most so much lies
    beyond it, holds of the smoother one as well.
    """
    return np.asarray(isotropic_closing(mask, max(mask.shape) // 100) | mask)


class EventOutline(Lines):
    """A solid line around a disagreement, on each of its frames.

    Parameters
    ----------
    event : Event or None
        The disagreement.
    shape : tuple of int
        (T, Y, X) of the clip.
    """

    def __init__(self, event: Event | None, shape: tuple[int, int, int]) -> None:
        super().__init__(shape)
        self._size = shape[1:]
        self._regions = {r.frame: r for r in event.regions} if event else {}

    def _contours(self, index: int) -> Iterator[NDArray[np.float64]]:
        region = self._regions.get(index)
        if region is None:
            return
        mask = np.zeros(self._size, np.bool_)
        y0, x0, y1, x1 = region.box
        mask[y0:y1, x0:x1] = region.mask
        # Two pixels away from it, so that the raters' contours at its edge stay in sight.
        near = np.s_[max(y0 - 3, 0) : y1 + 3, max(x0 - 3, 0) : x1 + 3]
        mask[near] = ndimage.binary_dilation(mask[near], np.ones((3, 3)), iterations=2)
        yield _around(mask)


def _around(mask: NDArray[np.bool_], dashes: Sequence[float] = ()) -> NDArray[np.float64]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return np.zeros((0, 2))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    corner = np.array([rows[0], columns[0]], np.float64)
    return np.add(points_along(box, dashes), corner)
