"""Levels: which percent is written for a model's probability.

A model that doubts is cut at 50 % of its probability too high to overlap well: what a network is
unsure of, for want of pictures or because a reader left it out, stays below 50 % although most of
it is there. The cut that is best for Dice is half of the best Dice (Lipton, Elkan and Naryanaswamy,
*Optimal thresholding of classifiers to maximize F1 measure*, ECML 2014), and a model that means
its probabilities knows what Dice to expect. So it needs neither truth nor marks to find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

SLOPE: Final = 1.6
"""What log odds are multiplied by: a network that averages over what it can't tell apart says
less of the extremes than readers do. On the readers of the tuning 1.3 to 2 came out alike."""

LOWEST: Final = 0.1
"""No cut is below: what a model hardly ever expects shall not be made out of noise."""

_BINS = 100


class Stretch(NamedTuple):
    """Per class, what log odds become: ``slope * log odds + shift``, each of shape (C,)."""

    slope: Tensor
    shift: Tensor


class Seen:
    """How often a model says what, counted over as many pixels as there are.

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
        said = probability.transpose(0, 1).flatten(1).double().cpu()
        at = (said * _BINS).long().clamp(0, _BINS - 1)
        self._pixels.scatter_add_(1, at, torch.ones_like(said))
        self._expected.scatter_add_(1, at, said)

    def expected_dice(self) -> Tensor:
        """Return the Dice that the model expects of its best cut, per class, float64 (C,).

        Of all pixels at or above a cut, 2 * (sum of their probability) / (their number + the sum
        of all probability): the ratio of the expectations.
        """
        pixels, expected = (part.flip(1).cumsum(1) for part in (self._pixels, self._expected))
        total = pixels + expected[:, -1:]
        return (2 * expected / total.clamp_min(1e-12)).amax(1)

    def stretch(self) -> Stretch:
        """Return what makes 50 % of each class's best cut, and leaves the order as it is."""
        cut = (self.expected_dice() / 2).clamp(LOWEST, 0.5)
        return Stretch(torch.full_like(cut, SLOPE), -SLOPE * torch.logit(cut))
