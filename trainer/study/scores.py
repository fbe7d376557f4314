"""Scores as functions of sums over pixels.

Of each clip and class there is one table: how often each percentage of the model meets each
confidence of the reference. A score takes a few sums from a table; sums of clips add up to those
of patients and of any resampling of patients, and the score's value is a function of the sum. Over
all patients together, no clip is left out for want of anything to find, and marks where
there is nothing to find cost what they should.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_confseg.agreement.overlap import N_VALUES as VALUES
from trainer.evaluate import BINS, DECISION

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]

THRESHOLDS = tuple(range(10, 100, 10))
"""Test thresholds, percent: the ten of QUBIQ but for 0, at which everything is marked."""

_P = np.arange(VALUES) / 100
_BIN = np.minimum(np.arange(VALUES) * BINS // 100, BINS - 1)


Output = Literal["contour", "probability"]


@dataclass(frozen=True)
class Score:
    """A score.

    Attributes
    ----------
    title : str
        What people read.
    reference : {"latent", "truth"}
        What it compares with, where that is known.
    better : {"higher", "lower"}
        Which is better.
    output : {"contour", "probability"}
        Which of the model's outputs it is of.
    sums : callable
        From tables int64 (..., 101, 101) to float (..., K).
    value : callable
        From sums (..., K) to values (...); NaN where undefined.
    """

    title: str
    reference: Literal["latent", "truth"]
    better: Literal["higher", "lower"]
    output: Output
    sums: Callable[[NDArray[np.int64]], Floats]
    value: Callable[[Floats], Floats]


def _ratio(part: Floats, whole: Floats) -> Floats:
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def survival(tables: NDArray[np.int64]) -> Floats:
    """Return S with ``S[..., s, t]`` = pixels where the model has at least s, the reference t."""
    return tables[..., ::-1, ::-1].cumsum(-2).cumsum(-1)[..., ::-1, ::-1].astype(float)


def threshold_sums(tables: NDArray[np.int64]) -> Floats:
    """Pixels marked by both, and by each, at each of :data:`THRESHOLDS` on both sides."""
    s, at = survival(tables), np.array(THRESHOLDS)
    return np.concatenate([s[..., at, at], s[..., at, 0] + s[..., 0, at]], -1)


def threshold_dice(sums: Floats) -> Floats:
    """Mean over the thresholds u of Dice(model >= u, reference >= u), as in QUBIQ (2020, 2021)."""
    return mean_defined(dice_by_threshold(sums))


def dice_by_threshold(sums: Floats) -> Floats:
    """Dice at each threshold, from :func:`threshold_sums` or :func:`mask_sums`, (..., U)."""
    n = len(THRESHOLDS)
    return _ratio(2 * sums[..., :n], sums[..., n:])


def mask_sums(tables: NDArray[np.int64], cut: int = DECISION) -> Floats:
    """As :func:`threshold_sums`, but with the model cut at one value throughout."""
    s, at = survival(tables), np.array(THRESHOLDS)
    model = s[..., cut, :1]
    return np.concatenate([s[..., cut, at], model + s[..., 0, at]], -1)


def cut_dice(tables: NDArray[np.int64]) -> Floats:
    """Dice of the model cut at s with the reference cut at u, both of ``THRESHOLDS``, (..., S, U).

    On the diagonal stands :func:`dice_by_threshold`.
    """
    s, at = survival(tables), np.array(THRESHOLDS)
    both = s[..., at[:, None], at[None, :]]
    return _ratio(2 * both, s[..., at, 0][..., :, None] + s[..., 0, at][..., None, :])


def soft_dice_sums(tables: NDArray[np.int64]) -> Floats:
    """Sum of the smaller confidence, and of both."""
    s, diagonal = survival(tables), np.arange(1, VALUES)
    smaller = s[..., diagonal, diagonal].sum(-1)
    return np.stack([smaller, s[..., 1:, 0].sum(-1) + s[..., 0, 1:].sum(-1)], -1)


def truth_sums(tables: NDArray[np.int64]) -> Floats:
    """Pixels marked by both, and by each, at the decision."""
    s = survival(tables)
    return np.stack([s[..., DECISION, DECISION], s[..., DECISION, 0] + s[..., 0, DECISION]], -1)


def _dice(sums: Floats) -> Floats:
    return _ratio(2 * sums[..., 0], sums[..., 1])


def square_sums(tables: NDArray[np.int64]) -> Floats:
    """Squared difference of the probabilities, and the number of pixels."""
    apart = (_P[:, None] - _P[None]) ** 2
    return np.stack([(tables * apart).sum((-2, -1)), tables.sum((-2, -1))], -1)


def _share(sums: Floats) -> Floats:
    return _ratio(sums[..., 0], sums[..., 1])


def calibration_sums(tables: NDArray[np.int64]) -> Floats:
    """By tenths of the model's probability: its sum, the reference's sum, and pixels (3 * 10)."""
    pixels = tables.sum(-1)
    inside = np.eye(BINS)[_BIN]  # (101, bins)
    return np.concatenate([(_P * pixels) @ inside, (tables @ _P) @ inside, pixels @ inside], -1)


def calibration_error(sums: Floats) -> Floats:
    """Return the expected calibration error: mean over tenths, by pixels, of |stated - found|."""
    model, reference, pixels = np.split(sums, 3, axis=-1)
    return _ratio(np.abs(model - reference).sum(-1), pixels.sum(-1))


def mean_defined(values: Floats) -> Floats:
    """Return the mean over the last axis of what is defined; NaN if nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1).astype(float))


SCORES: dict[str, Score] = {
    "threshold_dice": Score(
        "Dice over thresholds", "latent", "higher", "contour", threshold_sums, threshold_dice
    ),
    "mask_dice": Score(
        "Dice over thresholds, one mask", "latent", "higher", "contour", mask_sums, threshold_dice
    ),
    "soft_dice": Score("Soft Dice", "latent", "higher", "contour", soft_dice_sums, _dice),
    "truth_dice": Score("Dice against truth", "truth", "higher", "contour", truth_sums, _dice),
    "squared_error": Score("Squared error", "latent", "lower", "probability", square_sums, _share),
    "brier": Score("Brier score", "truth", "lower", "probability", square_sums, _share),
    "calibration_error": Score(
        "Calibration error", "truth", "lower", "probability", calibration_sums, calibration_error
    ),
}
"""Scores that follow from tables. HD95 and presence (AUROC) are measured apart."""

PRIMARY = "threshold_dice"


def presence_auroc(score: Floats, present: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the chance that a case with the lesion scores above one without, for each weighting.

    Mann and Whitney's form: a tie counts half.

    Parameters
    ----------
    score : float (n,)
    present : bool (n,)
    weights : float (B, n)
        How often each case counts.

    Returns
    -------
    float (B,)
        NaN where one of the two kinds is missing.
    """
    above = np.sign(score[present][:, None] - score[~present][None]) / 2 + 0.5
    w_yes, w_no = weights[:, present], weights[:, ~present]
    won = ((w_yes @ above) * w_no).sum(1)
    return _ratio(won, w_yes.sum(1) * w_no.sum(1))
