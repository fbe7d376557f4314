"""Output scaling: from a model's probability to the percent that is written.

An uncertain model overlaps poorly when cut at 50 % of its probability: what it is unsure of, for
want of frames or because a reader left it out, stays below 50 % although most of it is there. The
cut that is best for Dice is half of the best Dice (Lipton, Elkan and Naryanaswamy, *Optimal
thresholding of classifiers to maximize F1 measure*, ECML 2014), and a model with calibrated
probabilities knows what Dice to expect. So neither truth nor marks are needed to find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

SLOPE: Final = 1.6
"""Factor on log odds: a network that averages over what looks alike avoids the extremes that
readers use. On the readers of the tuning, 1.3 to 2 gave equal scores."""

LOWEST: Final = 0.1
"""Lowest cut, so that a class that the model hardly ever expects is not made of noise."""

_BINS = 100


class OutputScaling(NamedTuple):
    """Map of each class's log odds: ``slope * log odds + shift``, each of shape (C,)."""

    slope: Tensor
    shift: Tensor


class ProbabilityCounts:
    """Histogram of a model's probabilities per class, over any number of frames.

    Parameters
    ----------
    n_classes : int
        Classes.
    """

    def __init__(self, n_classes: int) -> None:
        self._pixels = torch.zeros(n_classes, _BINS, dtype=torch.float64)
        self._expected = torch.zeros(n_classes, _BINS, dtype=torch.float64)

    def add(self, probability: Tensor) -> None:
        """Count the probabilities (N, C, H, W) of some frames."""
        flat = probability.transpose(0, 1).flatten(1).double().cpu()
        at = (flat * _BINS).long().clamp(0, _BINS - 1)
        self._pixels.scatter_add_(1, at, torch.ones_like(flat))
        self._expected.scatter_add_(1, at, flat)

    def expected_dice(self) -> Tensor:
        """Return the Dice that the model expects of its best cut, per class, float64 (C,).

        Of all pixels at or above a cut, 2 * (sum of their probability) / (their number + the sum
        of all probability): the ratio of the expectations.
        """
        pixels, expected = (part.flip(1).cumsum(1) for part in (self._pixels, self._expected))
        total = pixels + expected[:, -1:]
        return (2 * expected / total.clamp_min(1e-12)).amax(1)

    def output_scaling(self) -> OutputScaling:
        """Return the scaling that moves each class's best cut to 50 % and keeps the order."""
        cut = (self.expected_dice() / 2).clamp(LOWEST, 0.5)
        return OutputScaling(torch.full_like(cut, SLOPE), -SLOPE * torch.logit(cut))
