"""Laws of split conformal prediction, and brute force beside it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import beta, kstest

from napari_confseg.agreement.conformal import (
    bound,
    inner_score,
    left_out,
    needed,
    outer_score,
    rank,
    share_of,
)


@pytest.mark.parametrize(
    ("level", "sides", "least"),
    [(50, 1, 1), (80, 1, 4), (90, 1, 9), (95, 1, 19), (99, 1, 99), (80, 2, 9), (90, 2, 19)],
)
def test_the_fewest_patients_are_the_first_that_give_a_finite_bound(level, sides, least):
    share = share_of(level, sides)
    assert needed(share) == least
    assert rank(least, share) <= least
    assert rank(least - 1, share) > least - 1
    assert np.isfinite(bound(np.zeros(least), share))
    assert bound(np.zeros(least - 1), share) == np.inf


def test_nine_scores_at_90_percent_take_the_largest_whatever_floats_do():
    # In floats ceil(10 x 0.9) is right and ceil(100 x (1 - 0.1 - 0.19)) is not: shares are exact.
    assert rank(9, share_of(90)) == 9
    assert rank(99, Fraction(71, 100)) == 71


def test_coverage_follows_the_beta_law():
    """Of uniform scores the bound is its own coverage: Beta(k, n + 1 - k) (Vovk 2012)."""
    rng = np.random.default_rng(0)
    for n, level in ((9, 90), (20, 80), (50, 90)):
        share = share_of(level)
        k = rank(n, share)
        covered = [bound(s, share) for s in rng.random((4000, n))]
        assert kstest(covered, beta(k, n + 1 - k).cdf).pvalue > 0.001
        assert np.mean(covered) == pytest.approx(k / (n + 1), abs=0.005)
        assert k / (n + 1) >= share


def test_the_bound_is_that_of_conformal_risk_control():
    """With the loss 1[score > x]: the least x with n/(n+1) mean + 1/(n+1) <= 1 - share."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        n, level = int(rng.integers(1, 40)), int(rng.integers(50, 100))
        scores = rng.integers(0, 12, n).astype(float)  # with ties
        risk = [(x, (Fraction(int((scores > x).sum())) + 1) / (n + 1)) for x in sorted(set(scores))]
        safe = [x for x, r in risk if r <= 1 - share_of(level)]
        assert bound(scores, share_of(level)) == (min(safe) if safe else np.inf)


def test_left_out_is_the_bound_of_the_others():
    scores = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    held = left_out(scores, share_of(80))
    for i, s in enumerate(scores):
        others = sorted(np.delete(scores, i))
        assert held[i] == (s <= others[rank(9, share_of(80)) - 1])


def test_contour_scores_are_those_of_the_pixels():
    rng = np.random.default_rng(2)
    for _ in range(15):
        percent = rng.choice([0, 1, 30, 55, 99, 100], 60)
        region = rng.random(60) < rng.random()
        region[0] = True
        allowed = int(rng.integers(0, 51)) / 100
        inside, outside = (np.bincount(percent[m], minlength=101) for m in (region, ~region))

        def missed(t, percent=percent, region=region):
            return (region & (percent < t)).sum() / region.sum()

        def false(t, percent=percent, region=region):
            marked = percent >= t
            return (marked & ~region).sum() / marked.sum() if marked.any() else 0

        outer = max(t for t in range(101) if missed(t) <= allowed + 1e-12)
        inner = min(
            t for t in range(1, 102) if all(false(s) <= allowed + 1e-12 for s in range(t, 102))
        )
        assert outer_score(inside, allowed) == outer
        assert inner_score(inside, outside, allowed) == inner
