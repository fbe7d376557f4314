"""Crumbs in what is proposed: pieces so small that nobody would mark them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

CRUMB: Final = 0.0002
"""Share of a frame's pixels below which a piece is a crumb.

Of what the starter model marks on real clips from 50 % on, a quarter of the pieces are.
"""

_AROUND: Final = np.ones((3, 3), np.bool_)


def without_crumbs(percent: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """Return percents of a class in which no piece of those from `least` on is a crumb.

    A crumb is lowered to just below `least`, so that a lower threshold finds no hole there.

    Parameters
    ----------
    percent : ndarray of uint8 (Y, X)
        What is proposed.
    least : int
        The percentage from which on it shows, 1 to 100.
    """
    shown = percent >= least
    if not shown.any():
        return percent
    pieces, n = ndimage.label(shown, _AROUND)
    crumb = np.bincount(pieces.reshape(-1), minlength=n + 1) < CRUMB * percent.size
    crumb[0] = False
    return np.where(crumb[pieces], np.uint8(least - 1), percent)
