"""Scores from sums against independent implementations on the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.metrics import DiceMetric
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score

from napari_confseg.agreement.overlap import joint_histogram, soft_dice
from napari_confseg.agreement.overlap import survival as survival_of_one
from trainer.study.scores import (
    SCORES,
    THRESHOLDS,
    cut_dice,
    dice_by_threshold,
    mean_defined,
    presence_auroc,
    survival,
)


@pytest.fixture
def planes(rng) -> tuple[np.ndarray, np.ndarray]:
    """A model's percent and a reference's confidence, alike but not the same."""
    y, x = np.mgrid[:60, :80]
    near = 100 * np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 300)
    model = (near + rng.normal(0, 8, near.shape)).clip(0, 100)
    reference = np.roll(near, 3, 1) + rng.normal(0, 8, near.shape)
    return model.astype(np.uint8), reference.clip(0, 100).astype(np.uint8)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def value(name: str, model: np.ndarray, reference: np.ndarray) -> float:
    score = SCORES[name]
    return float(score.value(score.sums(joint_histogram(model, reference))))


def test_survival_of_many_tables_is_that_of_each(planes):
    tables = np.stack([joint_histogram(*planes), joint_histogram(*planes[::-1])])
    assert np.array_equal(survival(tables)[1], survival_of_one(tables[1]))


def test_dice_over_levels_equals_monai_and_simple_itk(planes):
    model, reference = planes
    monai, itk, mask = [], [], []
    for u in THRESHOLDS:
        cut = [torch.from_numpy(p >= u)[None, None].float() for p in (model, reference)]
        monai.append(DiceMetric(include_background=True)(*cut).item())
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*(sitk.GetImageFromArray((p >= u).astype(np.uint8)) for p in planes))
        itk.append(overlap.GetDiceCoefficient())
        mask.append(f1_score((reference >= u).ravel(), (model >= 50).ravel()))
    assert value("threshold_dice", *planes) == pytest.approx(np.mean(monai))
    assert value("threshold_dice", *planes) == pytest.approx(np.mean(itk))
    assert value("mask_dice", *planes) == pytest.approx(np.mean(mask))


def test_dice_of_any_two_cuts_equals_scikit_learn(planes):
    model, reference = planes
    found = cut_dice(joint_histogram(model, reference))
    for i, s in enumerate(THRESHOLDS):
        for j, u in enumerate(THRESHOLDS):
            expected = f1_score((reference >= u).ravel(), (model >= s).ravel())
            assert found[i, j] == pytest.approx(expected)
    sums = SCORES["threshold_dice"].sums(joint_histogram(model, reference))
    assert found.diagonal() == pytest.approx(dice_by_threshold(sums))


def test_scores_against_the_truth_equal_scikit_learn(planes, rng):
    model, latent = planes
    truth = (100 * (rng.random(latent.shape) < latent / 100)).astype(np.uint8)
    yes = truth.ravel() > 0
    assert value("truth_dice", model, truth) == pytest.approx(f1_score(yes, model.ravel() >= 50))
    assert value("brier", model, truth) == pytest.approx(brier_score_loss(yes, model.ravel() / 100))
    # scikit-learn's bins are open on the left, ours on the right: keep off the borders.
    inside = model % 10 != 0
    model, truth = model[inside], truth[inside]
    share, mean = calibration_curve(truth > 0, model / 100, n_bins=10)
    sizes = np.histogram(model / 100, 10, (0, 1))[0]
    expected = (np.abs(share - mean) * sizes).sum() / sizes.sum()
    assert value("calibration_error", model, truth) == pytest.approx(expected)


def test_the_squared_error_and_soft_dice_equal_their_formulas(planes):
    model, latent = planes
    apart = (model / 100 - latent / 100) ** 2
    assert value("squared_error", *planes) == pytest.approx(apart.mean())
    assert value("soft_dice", *planes) == pytest.approx(soft_dice(joint_histogram(*planes)))


def test_a_perfect_model_is_perfect_and_nothing_is_undefined_but_nothing(planes):
    model, _ = planes
    for name, score in SCORES.items():
        if name not in ("mask_dice", "brier", "calibration_error"):
            assert value(name, model, model) == (1.0 if score.better == "higher" else 0.0)
    nothing = np.zeros((4, 4), np.uint8)
    assert np.isnan(value("threshold_dice", nothing, nothing))
    assert value("threshold_dice", model, np.zeros_like(model)) == 0.0


def test_sums_add_up(planes):
    """The score of two clips together is that of their pixels together."""
    model, reference = planes
    halves = [
        joint_histogram(m, r)
        for m, r in zip(np.split(model, 2), np.split(reference, 2), strict=True)
    ]
    for name, score in SCORES.items():
        together = score.value(score.sums(halves[0]) + score.sums(halves[1]))
        assert together == pytest.approx(value(name, *planes))


def test_undefined_levels_are_left_out_of_the_mean():
    model, reference = np.full((4, 4), 40, np.uint8), np.full((4, 4), 45, np.uint8)
    by_threshold = dice_by_threshold(
        SCORES["threshold_dice"].sums(joint_histogram(model, reference))
    )
    assert by_threshold[:4].tolist() == [1, 1, 1, 1]
    assert np.isnan(by_threshold[4:]).all()
    assert mean_defined(by_threshold) == 1


def test_presence_equals_scikit_learn_with_ties_and_weights(rng):
    score = rng.integers(0, 6, 40).astype(float)
    present = rng.random(40) < 0.4
    weights = rng.integers(0, 4, (3, 40)).astype(float)
    expected = [roc_auc_score(present, score, sample_weight=w) for w in weights]
    assert presence_auroc(score, present, weights) == pytest.approx(expected)
    assert np.isnan(presence_auroc(score, np.ones(40, bool), weights)).all()
