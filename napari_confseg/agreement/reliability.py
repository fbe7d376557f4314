"""Reliability of stated confidence against the votes of the other raters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.intervals import Estimate, estimate
from napari_confseg.agreement.overlap import N_VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.agreement.agreement import Agreement

BIN = 10
"""Width of a bin of the reliability curve in percent: 1..10, 11..20, ..."""


@dataclass(frozen=True)
class Reliability:
    """Reliability of one rater in one class, by the votes of the others.

    Parameters
    ----------
    stated, agreed : tuple of float
        Per bin of 10 %: mean stated confidence and the share of the others' votes that were yes,
        both 0..1; NaN for an empty bin.
    votes : tuple of int
        Votes per bin (a pixel with two other raters has two).
    error : Estimate
        Calibration error: mean of abs(stated - agreed) weighted by votes, over what was marked.
    correlation : Estimate
        Pearson's, over the marked pixels, of confidence and share of the others who voted yes.
    """

    rater: str
    class_name: str
    stated: tuple[float, ...]
    agreed: tuple[float, ...]
    votes: tuple[int, ...]
    error: Estimate
    correlation: Estimate


def reliability(agreement: Agreement) -> list[Reliability]:
    """Return the curve of each class and rater of `agreement` who marked any of it."""
    summaries = []
    for class_name in agreement.classes:
        for rater in agreement.group:
            clips = [c for c in agreement.clips if (class_name, rater) in c.stated]
            mine = [c.stated[class_name, rater] for c in clips]
            if not sum(int(s.votes[1:].sum()) for s in mine):
                continue
            patients = [c.patient for c in clips]
            curves = np.array([np.concatenate([s.votes, s.agreed]) for s in mine], float)
            error = estimate(curves, patients, calibration_error, n=len(clips))
            moments = np.array([s.moments for s in mine])
            correlation = estimate(moments, patients, _pearson, n=int(moments[:, 0].sum()))
            votes, stated, agreed = (v[0] for v in binned(curves.sum(0)[None]))
            summaries.append(
                Reliability(
                    rater,
                    class_name,
                    tuple(stated.tolist()),
                    tuple(agreed.tolist()),
                    tuple(int(v) for v in votes),
                    error,
                    correlation,
                )
            )
    return summaries


def binned(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return votes, mean stated confidence and share of yes per bin, each (B, 10).

    `sums` is ``(B, 202)``: for each confidence 0..100 the votes, then those that were yes.
    """
    confidence = np.arange(N_VALUES) / 100
    every, agreed = sums[:, :N_VALUES], sums[:, N_VALUES:]

    def bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
        binned: NDArray[np.float64] = values[:, 1:].reshape(len(values), -1, BIN).sum(2)
        return binned

    votes = bins(every)
    with np.errstate(invalid="ignore", divide="ignore"):
        return votes, bins(every * confidence) / votes, bins(agreed) / votes


def calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mean abs(stated - agreed) over what was marked, weighted by votes, ``(B,)``."""
    votes, stated, agreed = binned(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap: NDArray[np.float64] = np.nansum(np.abs(stated - agreed) * votes, 1) / votes.sum(1)
    return gap


def _pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    n, x, y, xx, yy, xy = sums.T
    spread = (n * xx - x**2) * (n * yy - y**2)
    # Rounding of a constant's variance must not pass for a correlation.
    defined = spread > 1e-9 * np.maximum(n, 1) ** 4
    r: NDArray[np.float64] = np.full(len(sums), np.nan)
    r[defined] = (n * xy - x * y)[defined] / np.sqrt(spread[defined])
    return r
