"""Validation: the score that chooses the checkpoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_confseg.store import MAX_CONFIDENCE
from trainer import heads
from trainer.compute import autocast
from trainer.losses import dice_parts, loss_of
from trainer.targets import make_targets

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.network import Segmenter
    from trainer.output_scaling import HeldOutCounts
    from trainer.prepare import FitContext

_BATCH = 16


@torch.inference_mode()
def validate(
    network: Segmenter, context: FitContext, counts: HeldOutCounts | None = None
) -> dict[str, float | None]:
    """Score `network` on the held-out samples.

    The score is the soft Dice between the probability and the method's own target, over all known
    validation pixels of a class together, then the mean over classes. It needs no threshold, so a
    checkpoint is not chosen for how it happens to be calibrated at 50 %; and it asks for exactly
    what the method was asked to learn. It does not compare methods: `evaluate` does.

    Parameters
    ----------
    network : Segmenter
        In evaluation mode.
    context : FitContext
        The held-out samples.
    counts : HeldOutCounts or None
        Counts what was learnt against what was stated, without any rater's bias.

    Returns
    -------
    dict
        ``val_loss``, ``val_dice`` and ``val_dice/<class>``; None for a class that no held-out
        frame shows, and for the mean if there is none at all.
    """
    config, device = context.config, context.device
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    loss, loss_by = torch.zeros((), device=device), loss_of(config.method)
    for rows in torch.split(context.validation, _BATCH):
        drawn = context.samples.batch(rows)
        frames, planes, reviewed, rater = (t.to(device, non_blocking=True) for t in drawn)
        target, weight = make_targets(config.method, planes, reviewed)
        images = (frames.float() / 255).contiguous(memory_format=torch.channels_last)
        with autocast(device, config.precision):
            logits = network(images, rater)
            if counts is not None:
                unbiased = logits if network.log_scale is None else network(images)
                stated = reviewed[:, :, None, None] & (planes <= MAX_CONFIDENCE)
                counts.add(heads.probability(unbiased, network.n_classes), planes, stated)
        present = (target * weight).sum((0, 2, 3))
        parts.append((*dice_parts(logits.sigmoid(), target, weight), present))
        loss += loss_by(logits, target, weight) * len(rows)
    # Several thresholds of a class count together.
    overlap, total, present = (
        torch.stack(part).sum(0).view(len(config.classes), -1).sum(1)
        for part in zip(*parts, strict=True)
    )
    scores = _defined(overlap / total.clamp_min(1e-6), present)
    named = {f"val_dice/{c}": s for c, s in zip(config.classes, scores, strict=True)}
    known = [s for s in scores if s is not None]
    mean = sum(known) / len(known) if known else None
    return {"val_loss": float(loss) / len(context.validation), "val_dice": mean, **named}


def _defined(dice: Tensor, present: Tensor) -> list[float | None]:
    return [d if p > 0 else None for d, p in zip(dice.tolist(), present.tolist(), strict=True)]


def score(values: dict[str, float | None]) -> float:
    """Return one number in 0..1 to choose by: ``val_dice``, or by the loss if it is undefined."""
    dice, loss = values["val_dice"], values["val_loss"]
    if dice is not None:
        return dice
    return math.exp(-loss) if loss is not None else 0.0
