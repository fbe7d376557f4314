"""Counts of the combinations of answers that raters give pixels.

Estimators that take each pixel by itself need only this table: a few thousand rows stand for
billions of pixels, so a cohort of any size fits and an iteration takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.rater_view import planes_of, rater_views
from napari_confseg.store import EXCLUDED, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip

MISSING = 15
"""Code of a rater who did not review the frame or excluded the pixel."""
N_CODES = 11
"""Codes of answers: 0 not marked, 1 for 1..10 %, 2 for 11..20 %, ... 10 for 91..100 %."""
MAX_RATERS = 16  # four bits each in one 64-bit word

CODES = np.zeros(256, np.uint8)
"""Plane value -> code."""
CODES[1:101] = (np.arange(1, 101) + 9) // 10
CODES[101:] = MISSING


@dataclass(frozen=True)
class Patterns:
    """Combinations of answers and how often each occurs.

    Parameters
    ----------
    raters : tuple of str
        In the order of the columns.
    codes : NDArray
        ``uint8 (patterns, raters)``: 0..10, or 15 for no answer.
    counts : NDArray
        ``int64 (patterns)``: pixels.
    stated : NDArray
        ``float (raters, 11)``: mean confidence, 0..1, that a rater meant by each code; the middle
        of the code's range where a rater never used it.
    """

    raters: tuple[str, ...]
    codes: NDArray[np.uint8]
    counts: NDArray[np.int64]
    stated: NDArray[np.float64]


class Collector:
    """Counts patterns frame by frame.

    Parameters
    ----------
    raters : sequence of str
        At most 16.
    codes : NDArray
        ``uint8 (256)``, from a plane's value to the code that is counted.
    """

    def __init__(self, raters: Sequence[str], codes: NDArray[np.uint8] = CODES) -> None:
        if len(raters) > MAX_RATERS:
            raise StoreError(
                Problem.mismatch(
                    "too-many-raters",
                    "",
                    f"at most {MAX_RATERS} raters",
                    str(len(raters)),
                    "Name fewer raters.",
                )
            )
        self._raters = tuple(raters)
        self._codes = codes
        self._counts: dict[int, int] = {}
        self._values = np.zeros((len(self._raters), 256), np.int64)

    def add_clip(self, clip: Clip, class_index: int, *, least: int = 1) -> None:
        """Add the frames of a clip that at least `least` of the raters reviewed."""
        views = rater_views(clip, self._raters)
        for frame in range(clip.shape[0]):
            planes = planes_of(views, frame, class_index, clip.shape[1:])
            if len(planes) >= least:
                self.add(planes)

    def merge(self, other: Collector) -> None:
        """Add what another one of the same raters and codes has counted."""
        self._values += other._values
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count

    def add(self, planes: dict[str, NDArray[np.uint8]]) -> None:
        """Add the planes of one frame, name -> ``uint8 (Y, X)``; a rater may be missing."""
        size = next(iter(planes.values())).size
        marked = np.logical_or.reduce([p > 0 for p in planes.values()])
        word = np.zeros(int(marked.sum()), np.uint64)
        blank = 0
        for i, name in enumerate(self._raters):
            if name in planes:
                values = planes[name][marked]
                self._values[i] += np.bincount(values, minlength=256)
                word |= self._codes[values].astype(np.uint64) << np.uint64(4 * i)
            else:
                word |= np.uint64(MISSING << 4 * i)
                blank |= MISSING << 4 * i
        found, counts = np.unique(word, return_counts=True)
        for key, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._counts[key] = self._counts.get(key, 0) + count
        self._counts[blank] = self._counts.get(blank, 0) + size - word.size

    def patterns(self) -> Patterns:
        """Return what was counted, sorted, so that the same frames give the same table."""
        keys = np.array(sorted(self._counts), np.uint64)
        shifts = np.arange(len(self._raters), dtype=np.uint64) * np.uint64(4)
        codes = ((keys[:, None] >> shifts) & np.uint64(15)).astype(np.uint8)
        counts = np.array([self._counts[k] for k in keys.tolist()], np.int64)
        shaped = codes.reshape(len(keys), len(self._raters))
        return Patterns(self._raters, shaped, counts, self._stated())

    def _stated(self) -> NDArray[np.float64]:
        used = self._values[:, 1:101].reshape(len(self._raters), N_CODES - 1, 10)
        sums = (used * np.arange(1, 101).reshape(N_CODES - 1, 10)).sum(2)
        middle = np.broadcast_to(np.arange(5.5, 100, 10), sums.shape).copy()
        means = np.divide(sums, used.sum(2), out=middle, where=used.sum(2) > 0)
        return np.column_stack([np.zeros(len(self._raters)), means / 100])


def excluded(planes: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Return where at least half of those who reviewed exclude the pixel, ``bool (Y, X)``."""
    votes = np.sum([p == EXCLUDED for p in planes], axis=0)
    out: NDArray[np.bool_] = 2 * votes >= max(len(planes), 1)
    return out
