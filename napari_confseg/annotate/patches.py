"""The smallest patch between pixels before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Patch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def patch_between(
    class_index: int,
    frame: int,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    *,
    y: int = 0,
    x: int = 0,
) -> Patch | None:
    """Return the smallest patch that turns `before` into `after`, or None if they are equal.

    Parameters
    ----------
    class_index, frame : int
        The plane.
    before, after : ndarray of uint8 (h, w)
        The same box of it, before and after.
    y, x : int
        Top-left of that box in the plane.
    """
    changed = before != after
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if rows.size == 0:
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    top, left = y + int(rows[0]), x + int(columns[0])
    return Patch(class_index, frame, top, left, before[box].copy(), after[box].copy())
