"""The calibrated consensus: laws, known panels, and who is nearest to a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.agreement.calibrated import estimate_calibrated, isotonic
from napari_confseg.agreement.consensus import estimate, merge, threshold_codes
from napari_confseg.agreement.methods import METHODS
from napari_confseg.agreement.patterns import CODES, MISSING, Collector, Patterns
from tests.agreement.opinions import ambiguous_frames

NAMES = ("a", "b", "c")
Frames = list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]


def count(frames: Frames, codes: np.ndarray = CODES) -> Patterns:
    collector = Collector(NAMES, codes)
    for _, _, planes in frames:
        collector.add(planes)
    return collector.patterns()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1e-9, 1e6)), min_size=1, max_size=25))
def test_isotonic_equals_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    from sklearn.isotonic import isotonic_regression

    values, weights = (np.array(v) for v in zip(*pairs, strict=True))
    ours = isotonic(values, weights)
    assert (np.diff(ours) >= 0).all()
    assert ours == pytest.approx(isotonic_regression(values, sample_weight=weights), abs=1e-9)


def test_patterns_count_the_answers() -> None:
    a = np.array([[0, 5, 10, 11, 100, 0, 255, 30]], np.uint8)
    b = np.array([[0, 0, 95, 20, 100, 0, 100, 30]], np.uint8)
    collector = Collector(NAMES)
    collector.add({"a": a, "b": b})
    patterns = collector.patterns()
    counted = {tuple(c): n for c, n in zip(patterns.codes.tolist(), patterns.counts, strict=True)}
    assert counted == {
        (0, 0, MISSING): 2,
        (1, 0, MISSING): 1,
        (1, 10, MISSING): 1,
        (2, 2, MISSING): 1,
        (10, 10, MISSING): 1,
        (MISSING, 10, MISSING): 1,
        (3, 3, MISSING): 1,
    }
    assert patterns.stated[0, 1] == pytest.approx((5 + 10) / 2 / 100)
    assert patterns.stated[0, 3] == 0.3  # who says 30 means 30, whatever the bin's middle
    assert patterns.stated[0, 5] == 0.455


def test_curves_rise_and_tell_the_scales_apart() -> None:
    fitted = estimate_calibrated(count(ambiguous_frames(0)))
    assert (np.diff(fitted.probability) >= 0).all()
    assert fitted.answers.sum(2) == pytest.approx(1)
    survival = fitted.answers[:, :, ::-1].cumsum(2)[:, :, ::-1]
    assert (np.diff(survival, axis=1) > -1e-5).all()  # higher state, more confident answers
    curves = {n: fitted.curve(n) for n in NAMES}
    assert all((np.diff(c) >= 0).all() for c in curves.values())
    # The same stated 40 % is worth most from the cautious b and least from the bold c.
    assert curves["b"][4] > curves["a"][4] + 0.1 > curves["c"][4] + 0.2
    overlooked = [fitted.overlooked(n) for n in NAMES]
    assert overlooked[0] < 0.05 > overlooked[2] - 0.25
    assert overlooked[0] < min(overlooked[1:])


def test_one_rater_keeps_what_they_said_and_nobody_is_no_nan() -> None:
    frames = [(t, p, {"a": planes["a"]}) for t, p, planes in ambiguous_frames(0, 10)]
    rule, _ = estimate("calibrated", count(frames))
    for _, _, planes in frames:
        merged = merge(NAMES, planes, rule)
        assert np.abs(merged.astype(int) - planes["a"]).max() <= 5
    blank = {n: np.zeros((4, 4), np.uint8) for n in NAMES}
    nobody = estimate_calibrated(count([(None, None, blank)]))  # type: ignore[list-item]
    assert np.isfinite(nobody.combine(np.zeros((1, 3), np.uint8))).all()


def test_order_of_raters_does_not_matter() -> None:
    frames = ambiguous_frames(3, 10)
    turned = [(t, p, dict(reversed(planes.items()))) for t, p, planes in frames]
    rule, _ = estimate("calibrated", count(frames))
    collector = Collector(NAMES[::-1])
    for _, _, planes in turned:
        collector.add(planes)
    other, _ = estimate("calibrated", collector.patterns())
    for _, _, planes in frames:
        first, second = merge(NAMES, planes, rule), merge(NAMES[::-1], planes, other)
        assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_calibrated_is_nearest_to_the_known_truth(seed: int) -> None:
    frames = ambiguous_frames(seed)
    to_latent, to_truth = {}, {}
    for method in METHODS:
        codes = threshold_codes(50) if method == "staple" else CODES
        rule, _ = estimate(method, count(frames, codes))
        errors: list[list[float]] = []
        for truth, latent, planes in frames:
            made = merge(NAMES, planes, rule) / 100
            errors.append([((made - latent) ** 2).sum(), ((made - truth) ** 2).sum()])
        to_latent[method], to_truth[method] = np.sum(errors, 0)
    others = [m for m in METHODS if m != "calibrated"]
    assert to_latent["calibrated"] < 0.9 * min(to_latent[m] for m in others)
    assert to_truth["calibrated"] < min(to_truth[m] for m in others)


def test_why_not_two_states() -> None:
    """Blur that all share looks to a yes-or-no model like certainty; states in between mend it."""
    frames = ambiguous_frames(0)
    patterns = count(frames)

    # Where all three mark something, and all weakly, nobody should be sure.
    weak = ((patterns.codes > 0) & (patterns.codes < 5)).all(1)
    two, many = (estimate_calibrated(patterns, states=n, rounds=50) for n in (2, 11))
    low, high = two.probability
    certain = (two.combine(patterns.codes[weak]) - low) / (high - low)  # weight of its upper state
    assert np.average(certain, weights=patterns.counts[weak]) > 0.95
    graded = many.combine(patterns.codes[weak])
    assert 0.1 < np.average(graded, weights=patterns.counts[weak]) < 0.5
    assert many.log_likelihood > two.log_likelihood + 0.5
