"""What a model does not know, apart from what nobody can know.

Several models that learnt alike agree where they have seen the like and differ where they have
not. The entropy of their mean probability is the sum of two parts (Depeweg et al., ICML 2018),
each in bits and so, for yes or no, in 0..1:

- **doubt**, the mean entropy of each: what readers disagreed about, so that every model says 50 %;
- **unseen**, the mutual information between answer and model: what the models disagree about.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def entropy(probability: Tensor) -> Tensor:
    """Return the entropy in bits of a yes or no, 0..1."""
    yes, no = probability, 1 - probability
    return -(torch.xlogy(yes, yes) + torch.xlogy(no, no)) / math.log(2)


def split(members: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean probability, doubt and unseen of several models' probabilities.

    One at a time, so that memory does not grow with their number.
    """
    mean, doubt = torch.tensor(0.0), torch.tensor(0.0)
    for n, probability in enumerate(members, 1):
        mean = mean + (probability.double() - mean) / n
        doubt = doubt + (entropy(probability.double()) - doubt) / n
    return mean, doubt, (entropy(mean) - doubt).clamp(0, 1)
