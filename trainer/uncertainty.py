"""Uncertainty of an ensemble of models, and how much of it is their own disagreement.

The entropy of the mean probability is the sum of two parts (Depeweg et al., ICML 2018), each in
bits and so, for a binary class, in 0..1:

- **aleatoric**, the mean entropy of the members: what each of them can't tell, be it that readers
  differ, be it that none of them has learnt to;
- **epistemic**, the mutual information between answer and member: what the members disagree about.

No map is written of the first: see ``docs/explanation/methods.md``, *Uncertainty of the model*.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


DOUBT_FROM: Final = 0.286
"""Entropy in bits, that of a probability of 5 %, from which on there is doubt to have a share in:
below it, where all members see nothing, the ratio is one of two noises."""


def entropy(probability: Tensor) -> Tensor:
    """Return the entropy in bits of a binary class, 0..1."""
    yes, no = probability, 1 - probability
    return -(torch.xlogy(yes, yes) + torch.xlogy(no, no)) / math.log(2)


def decompose(members: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean probability, aleatoric and epistemic uncertainty of several models."""
    # One member at a time: memory does not grow with their number.
    mean, aleatoric = torch.tensor(0.0), torch.tensor(0.0)
    for n, probability in enumerate(members, 1):
        mean = mean + (probability.double() - mean) / n
        aleatoric = aleatoric + (entropy(probability.double()) - aleatoric) / n
    return mean, aleatoric, (entropy(mean) - aleatoric).clamp(0, 1)


def epistemic_map(members: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean probability, and the epistemic share of its entropy in 0..1, of several models.

    The share is 0 where the entropy is below :data:`DOUBT_FROM`.
    """
    mean, _, epistemic = decompose(members)
    total = entropy(mean)
    share = (epistemic / total.clamp_min(DOUBT_FROM)).clamp(0, 1)
    return mean, share * (total >= DOUBT_FROM)
