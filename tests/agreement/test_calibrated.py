"""The calibrated consensus: laws, known panels, and who is nearest to a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.agreement.calibrated import fit_calibrated, pava
from napari_confseg.agreement.consensus import METHODS, fit, merge, yes_or_no
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
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=12))
def test_pava_equals_scikit_learn(pairs: list[tuple[float, int]]) -> None:
    from sklearn.isotonic import isotonic_regression

    values = np.array([p[0] for p in pairs])
    weights = np.array([p[1] for p in pairs], float)
    ours = pava(values, weights)
    assert (np.diff(ours) >= -1e-12).all()
    if (weights > 0).all():
        assert ours == pytest.approx(isotonic_regression(values, sample_weight=weights), abs=1e-9)


def test_patterns_say_what_was_said() -> None:
    a = np.array([[0, 5, 10, 11, 100, 0, 255, 30]], np.uint8)
    b = np.array([[0, 0, 95, 20, 100, 0, 100, 30]], np.uint8)
    collector = Collector(NAMES)
    collector.add({"a": a, "b": b})
    patterns = collector.patterns()
    said = {tuple(c): n for c, n in zip(patterns.codes.tolist(), patterns.counts, strict=True)}
    assert said == {
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
    fitted = fit_calibrated(count(ambiguous_frames(0)))
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
    rule, _ = fit("calibrated", count(frames))
    for _, _, planes in frames:
        merged = merge(NAMES, planes, rule)
        assert np.abs(merged.astype(int) - planes["a"]).max() <= 5
    blank = {n: np.zeros((4, 4), np.uint8) for n in NAMES}
    nobody = fit_calibrated(count([(None, None, blank)]))  # type: ignore[list-item]
    assert np.isfinite(nobody.combine(np.zeros((1, 3), np.uint8))).all()


def test_order_of_raters_does_not_matter() -> None:
    frames = ambiguous_frames(3, 10)
    turned = [(t, p, dict(reversed(planes.items()))) for t, p, planes in frames]
    rule, _ = fit("calibrated", count(frames))
    collector = Collector(NAMES[::-1])
    for _, _, planes in turned:
        collector.add(planes)
    other, _ = fit("calibrated", collector.patterns())
    for _, _, planes in frames:
        first, second = merge(NAMES, planes, rule), merge(NAMES[::-1], planes, other)
        assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_calibrated_is_nearest_to_the_known_truth(seed: int) -> None:
    frames = ambiguous_frames(seed)
    to_latent, to_truth = {}, {}
    for method in METHODS:
        codes = yes_or_no(50) if method == "staple" else CODES
        rule, _ = fit(method, count(frames, codes))
        errors: list[list[float]] = []
        for truth, latent, planes in frames:
            said = merge(NAMES, planes, rule) / 100
            errors.append([((said - latent) ** 2).sum(), ((said - truth) ** 2).sum()])
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
    two, many = (fit_calibrated(patterns, states=n, rounds=50) for n in (2, 11))
    low, high = two.probability
    certain = (two.combine(patterns.codes[weak]) - low) / (high - low)  # weight of its upper state
    assert np.average(certain, weights=patterns.counts[weak]) > 0.95
    graded = many.combine(patterns.codes[weak])
    assert 0.1 < np.average(graded, weights=patterns.counts[weak]) < 0.5
    assert many.log_likelihood > two.log_likelihood + 0.5
