"""Aleatoric and epistemic uncertainty of an ensemble of models.

The entropy of the mean probability is the sum of two parts (Depeweg et al., ICML 2018), each in
bits and so, for a binary class, in 0..1:

- **aleatoric**, the mean entropy of the members: what readers disagreed about;
- **epistemic**, the mutual information between answer and member: what the members disagree about.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


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
