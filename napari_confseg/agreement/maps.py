"""Maps of agreement on one frame: votes, spread, entropy.

Each map is a pure function of the planes of those who reviewed the frame. An excluded pixel is no
answer; where fewer than two raters have one, the map is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Planes = NDArray[np.uint8]

Map = Callable[["NDArray[np.uint8]", int], "NDArray[np.uint8]"]
"""From planes ``uint8 (raters, Y, X)`` and a threshold in percent to ``uint8 (Y, X)``."""


def votes(planes: Planes, threshold: int) -> Planes:
    """Return how many raters mark the class with a confidence of at least `threshold`."""
    known = planes != EXCLUDED
    yes = ((planes >= threshold) & known).sum(axis=0)
    return _where_compared(yes, known)


def spread(planes: Planes, threshold: int = 0) -> Planes:
    """Return highest minus lowest confidence, 0..100 percent; the threshold is not used."""
    known = planes != EXCLUDED
    return _where_compared(gap(planes), known)


def entropy(planes: Planes, threshold: int = 0) -> Planes:
    """Return the entropy of the mean confidence in hundredths of a bit, 0..100.

    100 where the mean is 50 %, 0 where all are certain; the threshold is not used.
    """
    known = planes != EXCLUDED
    p = np.where(known, planes, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1) / 100
    inside = np.clip(p, 1e-9, 1 - 1e-9)
    bits = -inside * np.log2(inside) - (1 - inside) * np.log2(1 - inside)
    return _where_compared(np.rint(100 * bits), known)


def gap(planes: Planes) -> NDArray[np.int16]:
    """Return highest minus lowest confidence of those who don't exclude, ``int16 (Y, X)``."""
    known = planes != EXCLUDED
    high = np.where(known, planes, 0).max(axis=0).astype(np.int16)
    low = np.where(known, planes, EXCLUDED).min(axis=0).astype(np.int16)
    apart: NDArray[np.int16] = np.maximum(high - low, 0)
    return apart


def _where_compared(values: NDArray[np.generic], known: NDArray[np.bool_]) -> Planes:
    return np.where(known.sum(axis=0) >= 2, values, 0).astype(np.uint8)


MAPS: Final[dict[str, tuple[str, Map]]] = {
    "votes": ("Number of votes", votes),
    "spread": ("Spread of confidence", spread),
    "entropy": ("Uncertainty of the mean", entropy),
}
"""Name of each map, what people read, and the function."""
