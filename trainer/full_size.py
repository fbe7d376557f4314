"""Probabilities on a canvas as whole percent at a frame's size, by tables instead of arithmetic.

Scaling up millions of probabilities and taking each through logarithm, exponential and rounding
costs several times as much as a small network. The percent is a rising step function of the
probability, so a table of narrow bins gives it, but for the few bins that hold a step: pixels that
fall there are computed. The result is that of :func:`to_frame_size`, output scaling and
:func:`to_percent` one after the other, but for pixels within the last digit of a step, about one in
ten million: there torch's own result hangs on the number of its threads, and this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F  # noqa: N812

from napari_confseg.dataset.resample import Resampler
from napari_confseg.store import MAX_CONFIDENCE
from trainer.network import scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

_BINS = 2**15  # a power of two, so that scaling by it changes no digit
_MARGIN = 2e-6  # more than single precision loses in two interpolations and their order
_HOLDS_A_STEP = 255  # in a table of percents
_AT_ONCE = 40_000  # pixels of a band: what is silent in it is left out
_LANES = 64  # torch computes what does not fill its vectors by another logarithm


def to_frame_size(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Scale canvases (N, C, H, W) back to frames of `shape`: the inverse of the resampler."""
    y, x = Resampler.into(shape, (images.shape[2], images.shape[3])).inside
    return F.interpolate(images[:, :, y, x], shape, mode="bilinear", align_corners=False)


def to_percent(share: Tensor) -> NDArray[np.uint8]:
    """Return numbers of 0..1 in whole percent."""
    percent = (share * MAX_CONFIDENCE).round().clamp(0, MAX_CONFIDENCE)
    whole: NDArray[np.uint8] = percent.to(torch.uint8).cpu().numpy()
    return whole


class Taps(NamedTuple):
    """The two old pixels that each new one lies between, each (new,), and their weights."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    of_first: NDArray[np.float32]
    of_second: NDArray[np.float32]


@lru_cache(maxsize=64)
def taps(old: int, new: int) -> Taps:
    """Return torch's own taps and weights along an axis."""
    # Torch rounds positions in its own way. Signals that are 1 at every third pixel, and 0 at the
    # others, bring out the weight of each pixel alone.
    third = torch.arange(old) % 3
    signals = torch.stack([(third == r).float() for r in range(3)])
    scaled = F.interpolate(
        signals[None, :, None].expand(1, 3, 2, old), (2, new), mode="bilinear", align_corners=False
    )
    weights = scaled[0, :, 0].numpy()
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    rest = np.arange(3)[:, None]
    pixels = (np.round((place - rest) / 3).astype(np.intp) * 3 + rest).clip(0, old - 1)
    order = np.argsort(np.where(weights > 0, pixels, old), axis=0, kind="stable")[:2]
    at = np.take_along_axis(pixels, order, 0)
    of = np.take_along_axis(weights, order, 0)
    second = np.where(of[1] > 0, at[1], at[0])
    return Taps(at[0], second, of[0], np.where(of[1] > 0, of[1], np.float32(0)))


class _Band(NamedTuple):
    """New rows, the old ones that they lie between, and their weights times the number of bins."""

    new: slice
    old: slice
    weights: csr_array


@lru_cache(maxsize=64)
def _bands(old: int, new: int, width: int) -> list[_Band]:
    """Return the bands of an axis."""
    axis = taps(old, new)
    weights = np.stack([axis.of_first, axis.of_second], 1).ravel() * np.float32(_BINS)
    pixels = np.stack([axis.first, axis.second], 1).ravel()
    whole = csr_array((weights, pixels, np.arange(0, 2 * new + 1, 2)), shape=(new, old))
    step = max(1, _AT_ONCE // width)
    bands = []
    for first in range(0, new, step):
        part = slice(first, min(first + step, new))
        between = slice(int(axis.first[part].min()), int(axis.second[part].max()) + 1)
        bands.append(_Band(part, between, whole[part, between]))
    return bands


@dataclass(frozen=True)
class PercentTable:
    """The percent of a class's probability.

    Attributes
    ----------
    exact : callable
        From probabilities to percent, as the network's output is written.
    percent : ndarray of uint8, shape (bins + 1,)
        Of each bin; 255 where the bin holds a step or is close to one.
    silent : float
        Below it every percent is 0.
    """

    exact: Callable[[Tensor], NDArray[np.uint8]]
    percent: NDArray[np.uint8]
    silent: float

    @classmethod
    def of(cls, exact: Callable[[Tensor], NDArray[np.uint8]]) -> PercentTable:
        """Return the table of a rising function `exact`."""
        edges = np.arange(_BINS + 2) / _BINS
        low = exact(_probabilities(edges[:-1] - _MARGIN))
        high = exact(_probabilities(edges[1:] + _MARGIN))
        percent = np.where(low == high, low, _HOLDS_A_STEP).astype(np.uint8)
        first = int(np.argmax(percent != 0))  # 0 if no bin is silent
        return cls(exact, percent, first / _BINS - _MARGIN)

    def plane(self, image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return a class's percents ``uint8 (Y, X)`` of the probabilities under the picture."""
        plane = np.zeros(shape, np.uint8)
        loud = image >= self.silent
        x = taps(image.shape[1], shape[1])
        for band in _bands(image.shape[0], *shape):
            columns = np.flatnonzero(loud[band.old].any(0))
            if not len(columns):
                continue
            # A new pixel lies between two old ones: silent where both are.
            across = _touching(x, columns)
            if across.start == across.stop:
                continue  # in a smaller picture what is loud may lie between all taps
            rows = image[band.old]
            wide = (
                rows[:, x.first[across]] * x.of_first[across]
                + rows[:, x.second[across]] * x.of_second[across]
            )
            bins = (band.weights @ wide).astype(np.uint16)
            plane[band.new, across] = self.percent.take(bins)
        flat = plane.ravel()
        unsure = np.flatnonzero(flat == _HOLDS_A_STEP)
        if len(unsure):
            flat[unsure] = self._one_by_one(image, *np.divmod(unsure, shape[1]), shape)
        return plane

    def _one_by_one(
        self,
        image: NDArray[np.float32],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        shape: tuple[int, int],
    ) -> NDArray[np.uint8]:
        """Return the percents of some pixels, computed."""
        y, x = taps(image.shape[0], shape[0]), taps(image.shape[1], shape[1])
        above, below = (
            image[row[rows], x.first[columns]].astype(np.float64) * x.of_first[columns]
            + image[row[rows], x.second[columns]].astype(np.float64) * x.of_second[columns]
            for row in (y.first, y.second)
        )
        found = above * y.of_first[rows] + below * y.of_second[rows]
        padded = np.zeros(-(-len(found) // _LANES) * _LANES, np.float32)
        padded[: len(found)] = found
        return self.exact(torch.from_numpy(padded))[: len(found)]


@lru_cache(maxsize=64)
def percent_table(slope: float | None, shift: float | None) -> PercentTable:
    """Return the table of an output scaling of the log odds; None and None stand for none."""
    if slope is None or shift is None:
        return PercentTable.of(to_percent)
    of_odds = torch.tensor(slope), torch.tensor(shift)
    return PercentTable.of(lambda share: to_percent(scaled(share, *of_odds)))


def _probabilities(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.clip(0, 1).astype(np.float32))


def _touching(axis: Taps, old: NDArray[np.intp]) -> slice:
    """Return the new pixels from which a tap leads to `old`, or to what lies between them."""
    touched = np.flatnonzero((axis.second >= old[0]) & (axis.first <= old[-1]))
    return slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)
