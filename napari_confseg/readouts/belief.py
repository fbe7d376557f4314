"""What a plane of confidences says of quantities: whole distributions, not single numbers.

The model. A plane is cut into connected regions. Each region `k` has one hidden threshold `U_k`,
uniform on 1, 2, ..., 100, and what is truly there is the part of it with confidence >= `U_k`.
Different regions are independent. From this follow:

- a pixel of confidence `c` is there with probability exactly `c` / 100;
- a region painted at one confidence is there as a whole or not at all, with that probability;
- a region with a certain core and a doubtful margin is certain to exist and doubtful in extent;
- errors within a region go together, so that a large doubtful region does not average itself
  into false precision, as it would if every pixel were a coin of its own.

A state of the frame is one threshold per region. If there are few states they are enumerated
and every figure is exact; else a fixed Latin hypercube of states is taken, in which each region
on its own is still represented exactly to one part in its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ENUMERATED = 4096
"""States up to which all are gone through."""

DRAWN = 1000
"""States drawn otherwise."""

ABSENT = MAX_CONFIDENCE + 1
"""A threshold that nothing reaches."""

INTERVAL = 0.95
"""Belief that lies within the interval of a finding."""


def regions(plane: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the connected regions (8 neighbours) of a plane, ``int32 (Y, X)``: 0, 1, 2, ...

    Excluded pixels belong to none: nobody says what is there.
    """
    marked = (plane > 0) & (plane != EXCLUDED)
    return np.asarray(label(marked, connectivity=2), np.int32)


@dataclass(frozen=True, eq=False)
class Belief:
    """A distribution of a quantity over states.

    Attributes
    ----------
    values : ndarray of float (N,)
        Ascending; only states in which the quantity is defined.
    weights : ndarray of float (N,)
        Their probabilities, which sum to 1 if there are any.
    defined : float
        Probability that the quantity is defined at all, 0..1.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    defined: float

    @classmethod
    def of(cls, values: NDArray[np.floating], weights: NDArray[np.floating]) -> Belief:
        """Return the distribution of `values` (NaN where undefined) with `weights` summing to 1."""
        ok = ~np.isnan(values)
        total = float(weights[ok].sum())
        if not total:
            return cls(np.empty(0), np.empty(0), 0.0)
        kept = np.asarray(values[ok], float)
        order = np.argsort(kept, kind="stable")
        return cls(kept[order], weights[ok][order] / total, min(total, 1.0))

    def quantile(self, q: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smallest value that has at least `q` of the belief at or below it."""
        if not len(self.values):
            return np.full(np.shape(q), np.nan)
        reached = np.cumsum(self.weights)
        at = np.searchsorted(reached, np.asarray(q) - 1e-9)
        return np.asarray(self.values[np.minimum(at, len(self.values) - 1)])

    @property
    def expected(self) -> float:
        """Mean; NaN if never defined."""
        return float(self.values @ self.weights) if len(self.values) else float("nan")


def levels_of(plane: NDArray[np.uint8], labels: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    """Return the distinct confidences, ascending, of each region 1, 2, ... of `labels`."""
    pairs = np.unique(labels[labels > 0].astype(np.int64) * 256 + plane[labels > 0])
    return [pairs[pairs // 256 == k] % 256 for k in range(1, int(labels.max(initial=0)) + 1)]


def states(
    levels: Sequence[NDArray[np.int64]],
    *,
    enumerated: int = ENUMERATED,
    drawn: int = DRAWN,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the states of independent regions.

    Parameters
    ----------
    levels : sequence of ndarray
        Distinct confidences of each region, ascending.
    enumerated, drawn : int
        States up to which all are gone through, and how many are drawn where there are more.
    seed : int
        Of the draw.

    Returns
    -------
    thresholds : ndarray of int (N, K)
        What confidence each region must reach in each state; ``ABSENT`` if none does.
    weights : ndarray of float (N,)
        Probability of each state; they sum to 1.
    """
    count = 1
    for v in levels:
        count *= len(v) + int(v[-1] < MAX_CONFIDENCE)
        if count > enumerated:
            return _drawn(len(levels), drawn, seed)
    thresholds, weights = np.zeros((1, 0), np.int64), np.ones(1)
    for v in levels:
        steps = np.append(v, ABSENT) if v[-1] < MAX_CONFIDENCE else v
        chance = np.diff(np.append(v, MAX_CONFIDENCE), prepend=0)[: len(steps)] / MAX_CONFIDENCE
        n = len(thresholds)
        thresholds = np.column_stack([np.repeat(thresholds, len(steps), 0), np.tile(steps, n)])
        weights = np.repeat(weights, len(steps)) * np.tile(chance, n)
    return thresholds, weights


def _drawn(n_regions: int, n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw a Latin hypercube: every column holds each of `n` strata once."""
    rng = np.random.default_rng(seed)
    strata = np.tile(np.arange(n), (n_regions, 1))
    u = (rng.permuted(strata, axis=1).T + 0.5) / n
    return np.ceil(u * MAX_CONFIDENCE).astype(np.int64), np.full(n, 1 / n)
