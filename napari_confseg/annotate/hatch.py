"""Other raters' planes, drawn as hatching with an outline.

The pattern, not the colour, identifies the rater: it survives colour blindness and overlap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import AnyPlanes

PERIOD = 5
"""Distance of two hatching lines in pixels."""

OUTLINE_AT = 50
"""Confidence whose edge is outlined at first: where the class is held for likelier than not."""


def hatching(shape: tuple[int, int], direction: int) -> NDArray[np.bool_]:
    """Return where the lines of a hatching run, ``bool (Y, X)``.

    Parameters
    ----------
    shape : tuple of int
        (Y, X).
    direction : int
        0 rises to the right, 1 falls, 2 lies, 3 stands; further ones begin again.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    lines = ((y + x), (y - x), (y + 0 * x), (0 * y + x))[direction % 4]
    return np.asarray(lines % PERIOD == 0)


def outline(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of `region` that touch its outside, ``bool (Y, X)``."""
    inner = region.copy()
    inner[1:] &= region[:-1]
    inner[:-1] &= region[1:]
    inner[:, 1:] &= region[:, :-1]
    inner[:, :-1] &= region[:, 1:]
    return region & ~inner


class DrawnPlanes(ABC):
    """Array-like ``uint8 (T, Y, X)`` whose frames are drawn when they are looked at."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.ndim = len(shape)
        self.size = int(np.prod(shape))

    @abstractmethod
    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``."""

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        if not isinstance(key, tuple):
            key = (key,)
        if key and isinstance(key[0], (int, np.integer)):
            return np.asarray(self.frame(int(key[0]))[key[1:]])
        frames = range(self.shape[0])[key[0] if key else slice(None)]
        return np.asarray(np.stack([self.frame(t) for t in frames])[(slice(None), *key[1:])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


class HatchedPlanes(DrawnPlanes):
    """A plane of another rater, hatched.

    Parameters
    ----------
    planes : ndarray of uint8 (T, Y, X), or like one
        The rater's confidence.
    direction : int
        See :func:`hatching`.
    outline_at : int
        Confidence whose edge is outlined.
    """

    def __init__(
        self,
        planes: AnyPlanes | DrawnPlanes,
        direction: int = 0,
        outline_at: int = OUTLINE_AT,
    ) -> None:
        super().__init__(planes.shape)
        self._planes = planes
        self.outline_at = outline_at
        self._lines = hatching((self.shape[1], self.shape[2]), direction)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame hatched, ``uint8 (Y, X)``; the outline has full confidence."""
        plane: NDArray[np.uint8] = self._planes[index]
        # Widest where it matters: most planes are empty outside a small box.
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        out = np.zeros_like(plane)
        if rows.size == 0:
            return out
        box = np.s_[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
        part = plane[box]
        out[box] = part * self._lines[box]
        edge = outline((part >= self.outline_at) & (part != EXCLUDED))
        out[box][edge] = MAX_CONFIDENCE
        return out
