"""Losses: pure functions of (logits, target, weight), all float ``(N, C, H, W)``.

Laws (tested): where the weight is 0 the gradient is exactly 0; a class without any weight adds
nothing; with weight 1 and targets of 0 and 1 they are the ordinary losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from torch import Tensor

_PIXELS = (0, 2, 3)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy: mean over each class's weight, then over classes.

    With soft targets its minimum is at probability = target, so it is a proper score for them.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none")
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
