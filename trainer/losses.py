"""Losses: pure functions of (logits, target, weight), all float ``(N, C, H, W)``.

Laws (tested): where the weight is 0 the gradient is exactly 0; a class without any weight adds
nothing; with weight 1 and targets of 0 and 1 they are the ordinary losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from napari_confseg.methods import Method

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
_PIXELS = (0, 2, 3)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy: mean over each class's weight, then over classes.

    With soft targets its minimum is at probability = target, so it is a proper score for them.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none")
    return _mean(loss, weight)


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Mean of a weighted loss over each class's weight, then over classes that have any."""
    total = weight.sum(_PIXELS)
    known = total > 0
    per_class = loss.sum(_PIXELS) / total.clamp_min(1e-6)
    return (per_class * known).sum() / known.sum().clamp_min(1)


def dice_parts(probability: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of the soft Dice of each class, shape (C,).

    ``(|p| + |y| - |p - y|) / (|p| + |y|)`` in weighted L1 norms (Wang et al., *Dice semimetric
    losses*, MICCAI 2023, DML1). Unlike ``2 p y / (p + y)`` it is 1 exactly where p = y, for soft
    labels too; for hard labels the two are equal.
    """
    total = (weight * (probability + target)).sum(_PIXELS)
    apart = (weight * (probability - target).abs()).sum(_PIXELS)
    return total - apart, total


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Soft Dice loss over the batch, mean over the classes that the batch holds.

    A class that is nowhere in the batch has no overlap to gain: cross-entropy deals with it.
    """
    overlap, total = dice_parts(logits.sigmoid(), target, weight)
    present = (weight * target).sum(_PIXELS) > 0
    per_class = 1 - overlap / total.clamp_min(1e-6)
    return (per_class * present).sum() / present.sum().clamp_min(1)


def cross_entropy_and_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Sum of the two: calibrated pixel by pixel, and not drowned by background."""
    return cross_entropy(logits, target, weight) + dice(logits, target, weight)


def product_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice in its usual form, ``2 p y / (p + y)``, as most trainers use.

    For a soft label its best answer is an extreme: here for comparison.
    """
    probability = logits.sigmoid()
    both = (weight * probability * target).sum(_PIXELS)
    total = (weight * (probability + target)).sum(_PIXELS)
    present = (weight * target).sum(_PIXELS) > 0
    per_class = (1 - 2 * both / total.clamp_min(1e-6)) * present
    return cross_entropy(logits, target, weight) + per_class.sum() / present.sum().clamp_min(1)


OMEGA, THETA, EPSILON, ALPHA = 14.0, 0.5, 1.0, 2.1
"""Of the adaptive wing loss, as published."""


def adaptive_wing(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Adaptive wing loss of |p - y|: mean over each class's weight, then over classes.

    Wang, Bo and Fuxin, ICCV 2019; used for soft segmentation by Gros et al. (*SoftSeg*, Medical
    Image Analysis 2021), whose final activation divides by the image's maximum: there every
    image holds every class somewhere, which clips don't, so a sigmoid stands in its place.
    """
    apart = (logits.sigmoid() - target).abs()
    power = ALPHA - target
    ratio = (THETA / EPSILON) ** power
    slope = OMEGA / (1 + ratio) * power * (THETA / EPSILON) ** (power - 1) / EPSILON
    offset = THETA * slope - OMEGA * torch.log1p(ratio)
    near = OMEGA * torch.log1p((apart / EPSILON) ** power)
    loss = weight * torch.where(apart < THETA, near, slope * apart - offset)
    return _mean(loss, weight)


LOSSES: dict[str, Loss] = {
    "cross-entropy-dice": cross_entropy_and_dice,
    "cross-entropy": cross_entropy,
    "semimetric": dice,
    "product-dice": product_dice,
    "adaptive-wing": adaptive_wing,
}


def loss_of(method: Method) -> Loss:
    """Return the loss that `method` asks for, or its own."""
    return LOSSES[method.loss or method.about.loss]
