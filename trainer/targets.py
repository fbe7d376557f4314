"""Methods: how confidence reaches the model.

A method is a pure function ``(confidence, known) -> (target, weight)`` and one line in
:data:`METHODS`. `confidence` is float in 0..1, `known` is 1 where something is to be learnt and
0 where not (not reviewed, excluded, margin); both ``(N, C, H, W)``. What a person may set is
keyword-only, in percent, with its default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE
from trainer import losses
from trainer.problems import TrainError

if TYPE_CHECKING:
    from napari_confseg.job import Method

Target = Callable[..., tuple[Tensor, Tensor]]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def threshold(confidence: Tensor, known: Tensor, *, t: float = 60) -> tuple[Tensor, Tensor]:
    """Present where the confidence is at least `t` percent, absent elsewhere."""
    # Half a percent of slack: 60 / 100 in float32 must not fall short of a t of 60.
    return (confidence >= (t - 0.5) / MAX_CONFIDENCE).to(confidence.dtype), known


def soft(confidence: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Take the confidence itself for the probability to learn."""
    return confidence, known


@dataclass(frozen=True)
class Recipe:
    """A method's target and the loss that goes with it."""

    target: Target
    loss: Loss = losses.cross_entropy_and_dice


METHODS: dict[str, Recipe] = {
    "threshold": Recipe(threshold),
    "soft": Recipe(soft),
}


def check_method(method: Method) -> Recipe:
    """Return the recipe of `method`.

    Raises
    ------
    TrainError
        If there is no such method, it has no such parameter, or a value is not in 1..100.
    """
    if method.name not in METHODS:
        raise TrainError(f"There is no method {method.name!r}", f"Use {', '.join(METHODS)}.")
    recipe = METHODS[method.name]
    known = inspect.signature(recipe.target).parameters.values()
    names = [p.name for p in known if p.kind is p.KEYWORD_ONLY]
    for name, value in method.params.items():
        if name not in names:
            takes = f"It takes {', '.join(names)}." if names else "It takes none."
            raise TrainError(f"Method {method.name!r} has no parameter {name!r}", takes)
        if not 1 <= value <= MAX_CONFIDENCE:
            raise TrainError(f"{name} of method {method.name!r} is {value:g}", "Use 1 to 100.")
    return recipe


def make_targets(method: Method, planes: Tensor, reviewed: Tensor) -> tuple[Tensor, Tensor]:
    """Turn planes into what to learn, and how much it weighs.

    Parameters
    ----------
    method : Method
        Checked by :func:`check_method`.
    planes : uint8 tensor, shape (N, C, H, W)
        Confidence in percent, 255 excluded.
    reviewed : bool tensor, shape (N, C)
        What is not reviewed weighs nothing; reviewed and unmarked is absent.

    Returns
    -------
    target, weight : float tensors, shape (N, C, H, W)
    """
    excluded = planes == EXCLUDED
    known = (reviewed[:, :, None, None] & ~excluded).float()
    confidence = planes.masked_fill(excluded, 0).to(torch.float32) / MAX_CONFIDENCE
    return METHODS[method.name].target(confidence, known, **method.params)
