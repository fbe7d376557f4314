"""Differences, corrections and ranks."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.study.compare import Interval, differences, holm, ranks, two_sided
from trainer.study.pooled import Cell, Pooled, draw, seed_weights
from trainer.study.request import StudyRequest, slug

METHODS = ("threshold-50", "threshold-60", "soft")


def pooled(
    gain: dict[str, float],
    noise: float,
    groups: tuple[str, ...] = ("p", "q"),
    seeds: int = 2,
) -> Pooled:
    """A study in which patients differ a lot, and methods by `gain` on each patient."""
    rng = np.random.default_rng(2)
    weights = draw(30)
    patients = rng.normal(0.5, 0.2, 30)
    cells = []
    for group in groups:
        for method in METHODS:
            scores = patients + gain.get(method, 0) + rng.normal(0, noise, 30)
            values = (weights @ scores / weights.sum(1))[:, None]
            empty = np.zeros(1)
            both = {"threshold_dice": values, "squared_error": 1 - values}
            cells.append(Cell(group, method, (), both, *[empty] * 4))
    study = StudyRequest.model_validate(
        {
            "source": "c",
            "classes": ["b-line"],
            "groups": {p: ["reader-a"] for p in groups},
            "methods": [
                {"name": "threshold", "params": {"t": 50}},
                {"name": "threshold"},
                {"name": "soft"},
            ],
            "seeds": seeds,
        }
    )
    assert tuple(slug(m) for m in study.methods) == METHODS
    return Pooled(study, tuple(map(str, range(30))), True, tuple(cells))


def test_holm_equals_its_definition():
    p = [0.01, 0.04, 0.03, 0.005]
    # Sorted .005 .01 .03 .04 times 4 3 2 1, and never falling.
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])


def test_a_small_gain_that_all_patients_share_is_found():
    found = differences(pooled({"soft": 0.02}, noise=0.01))
    gains = {(d.group, d.method, d.baseline): d for d in found}
    for group in ("p", "q", "all groups"):
        d = gains[group, "soft", "threshold-60"]
        assert d.gain.low > 0.005
        assert d.gain.value == pytest.approx(0.02, abs=0.01)
        assert d.p <= d.corrected < 0.05
    # Two patients' spread is ten times the gain: without pairing nothing would be seen.
    assert len(found) == 3 * 2 * 2


def test_no_gain_is_no_gain():
    found = differences(pooled({}, noise=0.01))
    assert all(d.gain.low < 0 < d.gain.high or d.corrected > 0.05 for d in found)


def test_one_seed_gets_no_verdict_however_clear_the_gain():
    found = differences(pooled({"soft": 0.1}, noise=0, seeds=1))
    assert all(np.isnan([d.p, d.corrected]).all() for d in found)
    assert found[1].gain.low > 0.05


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_mean_over_seeds_varies_as_an_unbiased_estimate_says(n):
    """Of independent values the variance of their mean is s^2 / n, with s^2 over n - 1."""
    values = np.random.default_rng(n).normal(size=n)
    weights = seed_weights(n, resamples=200_000)
    assert weights[0] == pytest.approx(np.full(n, 1 / n))
    assert weights.sum(1) == pytest.approx(1)
    expected = values.var(ddof=1) / n if n > 1 else 0
    assert (weights[1:] @ values).var() == pytest.approx(expected, rel=0.02)


def test_two_sided_counts_both_sides_and_is_never_zero():
    assert two_sided(np.ones(99)) == pytest.approx(0.02)
    assert two_sided(np.array([-1.0, 1.0] * 50)) == 1.0


def test_ranks_share_ties_and_are_sure_where_the_order_is():
    order = ranks(pooled({"soft": 0.1, "threshold-60": 0.05}, noise=0))
    assert order["soft"] == Interval(1, 1, 1)
    assert order["threshold-50"] == Interval(3, 3, 3)
    tied = ranks(pooled({}, noise=0))
    assert {r.value for r in tied.values()} == {2.0}
