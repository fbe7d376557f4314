"""Copy, paste, and clipping to the sector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import EXCLUDED, NOT_MARKED

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Snippet:
    """Marks that were copied: the smallest box that holds them."""

    y: int  # top of the box where it was copied
    x: int  # its left
    values: NDArray[np.uint8]  # confidences, uint8 (h, w); 0 where nothing was marked


def copied(plane: NDArray[np.uint8], region: NDArray[np.bool_] | None = None) -> Snippet | None:
    """Return the marks of `plane` ``(Y, X)``, or None if there are none.

    Parameters
    ----------
    plane : ndarray of uint8 (Y, X)
        Excluded pixels are no marks and are not copied.
    region : ndarray of bool (Y, X), optional
        Copy only from here, e.g. from the region that was clicked on.
    """
    marked = (plane != NOT_MARKED) & (plane != EXCLUDED)
    if region is not None:
        marked &= region
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if rows.size == 0:
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Snippet(int(rows[0]), int(columns[0]), np.where(marked[box], plane[box], np.uint8(0)))


def pasted(
    snippet: Snippet, shape: tuple[int, int], *, dy: int = 0, dx: int = 0
) -> NDArray[np.uint8]:
    """Return the proposal ``uint8 (Y, X)`` of `snippet` moved by `dy`, `dx` pixels.

    What comes to lie beyond the frame is cut off.
    """
    out = np.zeros(shape, np.uint8)
    h, w = snippet.values.shape
    top, left = snippet.y + dy, snippet.x + dx
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + h, shape[0]), min(left + w, shape[1])
    if y1 > y0 and x1 > x0:
        out[y0:y1, x0:x1] = snippet.values[y0 - top : y1 - top, x0 - left : x1 - left]
    return out


def clipped(plane: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `plane` without its marks outside the sector; what is excluded there stays so."""
    return np.where(inside | (plane == EXCLUDED), plane, np.uint8(NOT_MARKED))
