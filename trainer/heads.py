"""Heads: pure functions from raw outputs to logits.

A head turns ``K`` outputs per class, ``(N, C * K, H, W)``, into the logits that the loss sees,
``(N, C * L, H, W)`` in the order of the target. The model's probability of a class is the mean of
its ``L`` sigmoids, whatever the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Head:
    """A function from raw outputs to logits, and its number of outputs.

    Attributes
    ----------
    logits : callable
        ``(raw, K) -> logits``.
    outputs : int
        Outputs per class; 0 if the method's parameter ``n`` is the number.
    """

    logits: Callable[[Tensor, int], Tensor]
    outputs: int = 1


def plain(raw: Tensor, _: int) -> Tensor:
    """Take the outputs for the logits."""
    return raw


def cumulative(raw: Tensor, n: int) -> Tensor:
    """Return logits of P(confidence >= t) for `n` rising t, falling by construction.

    The first output is the logit at the lowest t; each further one is, through a softplus and so
    never below zero, the fall of the logit to the next t. So no threshold can contradict a
    lower one, whatever the weights.
    """
    # Contiguous, for a network's channels-last outputs are slow to add up over the thresholds.
    outputs = raw.contiguous().reshape(raw.shape[0], -1, n, *raw.shape[2:])
    first = outputs[:, :, :1]
    falls = F.softplus(outputs[:, :, 1:]).cumsum(2)
    return torch.cat([first, first - falls], 2).flatten(1, 2)


def noisy(raw: Tensor, _: int) -> Tensor:
    """Return the logit of the mean probability under Gaussian noise on the logit.

    Kendall and Gal (*What uncertainties do we need*, NeurIPS 2017, eq. 12): per class and pixel
    the network gives a mean logit and the log variance of its noise, and the likelihood is averaged
    over the noise. They draw samples; here MacKay's closed form takes their place (Neural
    Computation 4, 1992), ``mean / sqrt(1 + pi / 8 * variance)``, which is within 2 % of
    probability, needs no chance and costs a tenth of drawing. Without noise it is the mean itself.
    """
    mean, log_variance = raw.reshape(raw.shape[0], -1, 2, *raw.shape[2:]).unbind(2)
    variance = log_variance.clamp(-20, 6).exp()
    return mean * torch.rsqrt(1 + math.pi / 8 * variance)


PLAIN, ORDINAL, NOISY = Head(plain), Head(cumulative, 0), Head(noisy, 2)


def probability(logits: Tensor, n_classes: int) -> Tensor:
    """Return each class's probability (N, C, H, W) from logits (N, C * L, H, W)."""
    return logits.sigmoid().reshape(logits.shape[0], n_classes, -1, *logits.shape[2:]).mean(2)
