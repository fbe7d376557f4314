"""Scores of two planes against other implementations, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.agreement.overlap import (
    CURVE,
    Outlines,
    dice,
    dice_curve,
    energy_distance,
    iou,
    joint_histogram,
    soft_dice,
    survival,
)


def blob(seed: int, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A plane of confidences that fall off from a centre."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    cy, cx, r = rng.uniform(6, 18), rng.uniform(8, 24), rng.uniform(3, 8)
    fall = 1 - np.hypot(y - cy, x - cx) / r
    return (np.clip(fall, 0, 1) * rng.uniform(60, 100)).astype(np.uint8)


def two_scores(a: np.ndarray, b: np.ndarray, t: int) -> tuple[float, float]:
    s = survival(joint_histogram(a, b))
    return dice(s[t, t], s[t, 0], s[0, t]), iou(s[t, t], s[t, 0], s[0, t])


@pytest.mark.parametrize("t", [1, 30, 60])
def test_dice_and_iou_equal_scikit_learn(t: int) -> None:
    from sklearn.metrics import f1_score, jaccard_score

    for seed in range(6):
        a, b = blob(seed), blob(seed + 100)
        x, y = (a >= t).ravel(), (b >= t).ravel()
        ours = two_scores(a, b, t)
        if x.any() or y.any():
            assert ours == pytest.approx((f1_score(x, y), jaccard_score(x, y)))


def test_the_curve_is_dice_at_each_threshold() -> None:
    from sklearn.metrics import f1_score

    a, b = blob(3), blob(103)
    known = []
    for t, value in zip(CURVE, dice_curve(joint_histogram(a, b)), strict=True):
        x, y = (a >= t).ravel(), (b >= t).ravel()
        known.append(bool(x.any() or y.any()))
        assert value == pytest.approx(f1_score(x, y)) if known[-1] else np.isnan(value)
    assert True in known
    assert False in known


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy")  # MONAI's own call
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.3, 0.21)])
def test_hd95_equals_monai(spacing: tuple[float, float]) -> None:
    import torch
    from monai.metrics import compute_hausdorff_distance

    for seed in range(8):
        masks = {"a": blob(seed) >= 20, "b": blob(seed + 50) >= 20}
        theirs = compute_hausdorff_distance(
            torch.as_tensor(masks["a"])[None, None],
            torch.as_tensor(masks["b"])[None, None],
            include_background=True,
            percentile=95,
            spacing=list(spacing),
        )
        ours = Outlines(masks, spacing).hausdorff95("a", "b")
        assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_hd95_undefined_is_nan() -> None:
    empty = np.zeros((8, 8), bool)
    assert np.isnan(Outlines({"a": empty, "b": empty}).hausdorff95("a", "b"))
    assert np.isnan(Outlines({"a": empty, "b": ~empty}).hausdorff95("a", "b"))
    assert Outlines({"a": ~empty, "b": ~empty}).hausdorff95("a", "b") == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_laws(i: int, j: int) -> None:
    a, b = blob(i), blob(j)
    h = joint_histogram(a, b)
    assert h.sum() == a.size
    assert np.array_equal(joint_histogram(b, a), h.T)
    x, y = a.astype(int), b.astype(int)
    assert soft_dice(h) == pytest.approx(2 * np.minimum(x, y).sum() / (x.sum() + y.sum()))
    assert 0 <= energy_distance(h) <= 2
    assert energy_distance(h) == pytest.approx(energy_distance(h.T))
    same = joint_histogram(a, a)
    assert soft_dice(same) == 1
    assert energy_distance(same) == pytest.approx(0, abs=1e-12)


def test_energy_distance_equals_its_definition() -> None:
    a, b = blob(1), blob(2)

    def d(x: np.ndarray, y: np.ndarray) -> float:
        union = (x | y).sum()
        return 1 - (x & y).sum() / union if union else 0.0

    s = [a >= t for t in range(1, 101)]
    y = [b >= t for t in range(1, 101)]

    def mean(first: list[np.ndarray], second: list[np.ndarray]) -> float:
        return float(np.mean([[d(p, q) for q in second] for p in first]))

    expected = 2 * mean(s, y) - mean(s, s) - mean(y, y)
    assert energy_distance(joint_histogram(a, b)) == pytest.approx(expected)


def test_excluded_pixels_are_left_out() -> None:
    a, b = blob(3), blob(4)
    a[:5], b[:, :3] = 255, 255
    kept = (a != 255) & (b != 255)
    h = joint_histogram(a, b)
    assert h.sum() == kept.sum()
    assert (h == joint_histogram(a[kept][None], b[kept][None])).all()


def test_nothing_marked_is_nan() -> None:
    h = joint_histogram(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    assert np.isnan(soft_dice(h))
    assert np.isnan(energy_distance(h))
    assert all(np.isnan(two_scores(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), 1)))
