"""Paired comparison of methods: differences with corrected p-values, and ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trainer.study.pooled import HIGHER
from trainer.study.scores import PRIMARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.study.pooled import Cell, Pooled
    from trainer.study.scores import Floats

BASELINES = ("threshold-50", "threshold-60")
"""The naive threshold, and the one that the paper's abstract recommends."""
EVERYBODY = "all groups"


@dataclass(frozen=True)
class Interval:
    """A value with the middle 95 % of its resamplings."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> Interval:
        """Sum up (1 + resamplings,) values, of which the first is that of all patients."""
        drawn = values[1:][~np.isnan(values[1:])]
        if not drawn.size:
            return cls(float(values[0]), np.nan, np.nan)
        low, high = np.percentile(drawn, [2.5, 97.5])
        return cls(float(values[0]), float(low), float(high))

    def times(self, factor: float) -> Interval:
        """Return it in another unit, of which there are `factor`, above 0, to one of this."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Difference:
    """A method against a baseline, on the same patients.

    Attributes
    ----------
    group, method, baseline : str
        What is compared; `group` may be all together, each counting the same.
    gain : Interval
        How much better (positive) the method is, in the score's own unit.
    p : float
        Two-sided, from the resamplings: at least one over their number plus one. NaN of a study of
        one seed, whose resamplings don't know how much training varies.
    corrected : float
        After Holm, over all differences of the study; NaN as `p`.
    """

    group: str
    method: str
    baseline: str
    gain: Interval
    p: float
    corrected: float


def differences(pooled: Pooled, score: str = PRIMARY) -> list[Difference]:
    """Return all methods against both baselines, for each group and for all together."""
    sign = 1 if score in HIGHER else -1
    groups = list(pooled.study.groups)
    means_of = {group: _means(pooled.of(group), score) for group in groups}
    if len(groups) > 1:
        means_of[EVERYBODY] = {
            m: np.mean([means_of[p][m] for p in groups], 0) for m in means_of[groups[0]]
        }
    found = []
    judged = pooled.study.seeds > 1
    for group, means in means_of.items():
        for baseline in (b for b in BASELINES if b in means):
            for method in (m for m in means if m != baseline):
                gain = sign * (means[method] - means[baseline])
                p = two_sided(gain[1:]) if judged else np.nan
                found.append(Difference(group, method, baseline, Interval.of(gain), p, np.nan))
    corrected = holm([d.p for d in found]) if judged else [np.nan] * len(found)
    return [replace(d, corrected=float(p)) for d, p in zip(found, corrected, strict=True)]


def _means(cells: Sequence[Cell], score: str) -> dict[str, Floats]:
    return {c.method: c.mean(score) for c in cells}


def two_sided(drawn: Floats) -> float:
    """Return the two-sided p-value of a difference of 0 among the resamplings."""
    n = len(drawn)
    return float(min(1.0, 2 * (min((drawn <= 0).sum(), (drawn >= 0).sum()) + 1) / (n + 1)))


def holm(p: Sequence[float]) -> Floats:
    """Return p-values corrected for their number (Holm, Scand. J. Stat. 6:65, 1979)."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected


def ranks(pooled: Pooled, score: str = PRIMARY) -> dict[str, Interval]:
    """Return each method's rank, mean over groups, 1 the best; ties share theirs.

    The interval is that of the rank over resamplings: how certain the order is.
    """
    sign = -1 if score in HIGHER else 1
    totals = None
    methods: list[str] = []
    for group in pooled.study.groups:
        means = _means(pooled.of(group), score)
        methods = list(means)
        values = sign * np.stack([means[m] for m in methods], 1)  # (1 + B, methods)
        placed = 1 + (values[:, :, None] > values[:, None]).sum(2)
        placed = placed + ((values[:, :, None] == values[:, None]).sum(2) - 1) / 2
        totals = placed if totals is None else totals + placed
    assert totals is not None
    mean = totals / len(pooled.study.groups)
    return {m: Interval.of(mean[:, i]) for i, m in enumerate(methods)}
