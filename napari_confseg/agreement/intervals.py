"""Confidence intervals by resampling patients.

Frames of a clip and clips of a patient are alike, so a bootstrap over frames would promise far too
much. Patients are drawn instead, with all that is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

RESAMPLES = 1000
_KEPT = 5000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Parameters
    ----------
    value : float
        NaN if undefined.
    low, high : float
        Ends of the 95 % interval; NaN with fewer than two patients.
    n : int
        How many cases (clips, frames, ...) the value rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.value):
            return f"– (n {self.n})"
        if np.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def estimate(
    sums: NDArray[np.floating],
    patients: Sequence[str],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    n: int,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of sums and its percentile interval by patient.

    Parameters
    ----------
    sums : NDArray
        ``(cases, K)``: what each case adds.
    patients : sequence of str
        Patient of each case.
    statistic : callable
        From summed rows ``(B, K)`` to values ``(B,)``.
    n : int
        Number of cases to report.
    seed : int
        Of the resampling.
    """
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    per_patient = np.zeros((len(names), sums.shape[1]))
    np.add.at(per_patient, group, sums)
    value = float(statistic(per_patient.sum(0)[None])[0]) if len(names) else float("nan")
    if len(names) < 2:
        return Estimate(value, float("nan"), float("nan"), n)
    drawn = statistic(_weights(len(names), seed) @ per_patient)
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Estimate(value, float("nan"), float("nan"), n)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def _weights(n: int, seed: int) -> NDArray[np.float64]:
    """Return how often each of `n` patients is drawn, ``(RESAMPLES, n)``."""
    # A summary asks a hundred times for the same; not kept where it would fill the memory.
    return _drawn(n, seed) if n <= _KEPT else _drawn.__wrapped__(n, seed)


@lru_cache(maxsize=4)
def _drawn(n: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def mean_estimate(values: Sequence[float], patients: Sequence[str], *, seed: int = 0) -> Estimate:
    """Return the mean of the defined `values`, their number, and the interval by patient.

    `patients` names the patient of each value, and `seed` that of the resampling.
    """
    defined = [(v, p) for v, p in zip(values, patients, strict=True) if not np.isnan(v)]
    sums = np.array([[v, 1.0] for v, _ in defined]).reshape(-1, 2)
    return estimate(sums, [p for _, p in defined], _ratio, n=len(defined), seed=seed)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=ratio, where=sums[:, 1] > 0)
    return ratio
