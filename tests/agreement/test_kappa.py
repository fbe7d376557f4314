"""Kappa and alpha against published examples and, where installed, another implementation."""

from __future__ import annotations

import numpy as np
import pytest

from napari_confseg.agreement.kappa import alpha_from_sums, interval_distance, presence_kappa
from tests.agreement.chance import coincidences, fleiss_kappa, krippendorff_alpha, value_counts

# Fleiss (1971) as in the standard worked example: 10 units, 14 raters, 5 categories, kappa 0.210.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
# Krippendorff (2011), section C: 4 observers, 12 units, 0 is a missing answer.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def test_fleiss_worked_example() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


def test_presence_kappa_is_fleiss_of_the_same_votes() -> None:
    rng = np.random.default_rng(0)
    votes = rng.binomial(4, 0.6, 50)
    tally = np.bincount(votes, minlength=5)
    assert presence_kappa(tally[None])[0] == pytest.approx(
        fleiss_kappa(np.stack([votes, 4 - votes], 1))
    )


DISTANCES = {"nominal": 1 - np.eye(7), "interval": interval_distance(7)}


def alpha(answers: np.ndarray, metric: str) -> float:
    return krippendorff_alpha(coincidences(value_counts(answers, 7)), DISTANCES[metric])


@pytest.mark.parametrize(("metric", "expected"), [("nominal", 0.743), ("interval", 0.849)])
def test_krippendorff_worked_example(metric: str, expected: float) -> None:
    assert alpha(OBSERVERS - 1, metric) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("metric", DISTANCES)
@pytest.mark.parametrize("seed", range(4))
def test_alpha_equals_the_reference_package(metric: str, seed: int) -> None:
    import krippendorff

    rng = np.random.default_rng(seed)
    latent = rng.integers(0, 6, 40)
    answers = np.clip(latent + rng.integers(-1, 2, (3, 40)), 0, 6)
    answers[rng.random(answers.shape) < 0.2] = -1
    with_nan = np.where(answers < 0, np.nan, answers)
    theirs = krippendorff.alpha(
        reliability_data=with_nan, level_of_measurement=metric, value_domain=list(range(7))
    )
    assert alpha(answers, metric) == pytest.approx(theirs, abs=1e-10)


def test_undefined_is_nan() -> None:
    assert np.isnan(presence_kappa(np.array([[0, 0, 7]]))[0])  # everybody always votes the same
    assert np.isnan(presence_kappa(np.array([[0, 0, 0]]))[0])
    assert np.isnan(alpha_from_sums(np.array(0.0), np.zeros(2), 1 - np.eye(2)))
