"""Targets: what each method learns from a confidence.

A target is a pure function ``(confidence, known) -> (target, weight)`` and one line in
:data:`RECIPES`. `confidence` is float in 0..1, `known` is 1 where something is to be learnt and
0 where not (not reviewed, excluded, margin); both ``(N, C, H, W)``. What a person may set is
keyword-only, in percent; its default stands in ``napari_confseg.methods``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE
from trainer import heads
from trainer.calibrate import calibrate, relative_thresholds

if TYPE_CHECKING:
    from napari_confseg.methods import Method
    from trainer.calibrate import Calibration
    from trainer.samples import Samples

Target = Callable[..., tuple[Tensor, Tensor]]
Calibrate = Callable[["Samples", Sequence[int], Sequence[str]], "Calibration"]
_SLACK = 0.01  # percent: 60 / 100 in float32 must not fall short of a t of 60


def threshold(confidence: Tensor, known: Tensor, *, t: float) -> tuple[Tensor, Tensor]:
    """Present where the confidence is at least `t` percent, absent elsewhere."""
    return (confidence >= (t - _SLACK) / MAX_CONFIDENCE).to(confidence.dtype), known


def soft(confidence: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Take the confidence itself for the probability to learn."""
    return confidence, known


def weighted(confidence: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Present wherever marked, weighing as much as the confidence; absent elsewhere, weighing 1."""
    marked = (confidence > 0).to(confidence.dtype)
    return marked, known * torch.where(confidence > 0, confidence, 1)


def ignore_band(
    confidence: Tensor, known: Tensor, *, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Present from `high` percent, absent below `low`; in between there is nothing to learn."""
    present, _ = threshold(confidence, known, t=high)
    above, _ = threshold(confidence, known, t=low)
    return present, known * (1 - above * (1 - present))


def smoothed(confidence: Tensor, known: Tensor, *, t: float) -> tuple[Tensor, Tensor]:
    """Cut at `t` percent, then soften edges (Islam and Glocker, IPMI 2021: SVLS).

    A pixel keeps half of its own label and takes half from its eight neighbours, weighted by a
    Gaussian of one pixel; those unknown have no say. So a label never changes sides of 50 %.
    """
    hard, _ = threshold(confidence, known, t=t)
    n_classes = confidence.shape[1]
    side, corner = torch.exp(torch.tensor([-0.5, -1.0])).tolist()
    ring = torch.tensor([[corner, side, corner], [side, 0, side], [corner, side, corner]])
    kernel = ring.to(confidence).expand(n_classes, 1, 3, 3)
    around = F.conv2d(hard * known, kernel, padding=1, groups=n_classes)
    total = F.conv2d(known, kernel, padding=1, groups=n_classes)
    mean = torch.where(total > 0, around / total.clamp_min(1e-6), hard)
    return ((hard + mean) / 2).clamp(0, 1), known


def sampled(
    confidence: Tensor, known: Tensor, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw one threshold per finding, a connected region of marks: present where it is reached.

    So a pixel is present as often as its confidence says, a finding's certain core is never absent
    while its doubtful rim is present, and where the confidence is constant so is the draw. Without
    a generator, the expectation: the confidence.
    """
    if generator is None:
        return confidence, known
    from scipy import ndimage  # a third of a second that other methods need not wait for

    marked = (confidence > 0).flatten(0, 1).cpu().numpy()
    within_a_plane = [[[0] * 3] * 3, [[1] * 3] * 3, [[0] * 3] * 3]
    regions, n = ndimage.label(marked, within_a_plane)
    drawn = torch.rand(n + 1, device=confidence.device, generator=generator)
    at = torch.from_numpy(regions).long().to(confidence.device)
    reached = drawn[at].view(confidence.shape) < confidence
    return reached.to(confidence.dtype), known


def ordinal(confidence: Tensor, known: Tensor, *, n: float) -> tuple[Tensor, Tensor]:
    """Cut at `n` thresholds at once, the middles of `n` equal steps: ``(N, C * n, H, W)``.

    So the mean over thresholds is the confidence, to half a step.
    """
    count = round(n)
    thresholds = (torch.arange(count, device=confidence.device) + 0.5) / count
    reached = confidence[:, :, None] >= thresholds[:, None, None] - _SLACK / MAX_CONFIDENCE
    weight = known[:, :, None].expand(reached.shape)
    return reached.flatten(1, 2).to(confidence.dtype), weight.flatten(1, 2)


@dataclass(frozen=True)
class Recipe:
    """A method's target and head.

    Attributes
    ----------
    target : callable
        One of the functions above.
    head : Head
        From raw outputs to logits.
    draws : bool
        Whether the target takes a generator.
    per_rater : bool
        Whether the network learns each rater's scale along with the rest.
    calibrates : callable or None
        Estimates each rater's calibration before the fit (``trainer.calibrate``).
    """

    target: Target
    head: heads.Head = heads.PLAIN
    draws: bool = False
    per_rater: bool = False
    calibrates: Calibrate | None = None


RECIPES: dict[str, Recipe] = {
    "threshold": Recipe(threshold),
    "soft": Recipe(soft),
    "weighted": Recipe(weighted),
    "ignore-band": Recipe(ignore_band),
    "regression": Recipe(soft),
    "semimetric": Recipe(soft),
    "smoothed": Recipe(smoothed),
    "sampled": Recipe(sampled, draws=True),
    "ordinal": Recipe(ordinal, heads.ORDINAL),
    "heteroscedastic": Recipe(soft, heads.NOISY),
    "raters": Recipe(soft, per_rater=True),
    "calibrated": Recipe(soft, calibrates=calibrate),
    "relative-threshold": Recipe(threshold, calibrates=relative_thresholds),
}


def make_targets(
    method: Method, planes: Tensor, reviewed: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Turn planes into targets and weights.

    Parameters
    ----------
    method : Method
        Which.
    planes : uint8 tensor, shape (N, C, H, W)
        Confidence in percent, 255 excluded.
    reviewed : bool tensor, shape (N, C)
        What is not reviewed weighs nothing; reviewed and unmarked is absent.
    generator : torch.Generator or None
        For methods that draw, on the planes' device; None asks for the expectation.

    Returns
    -------
    target, weight : float tensors, shape (N, C * L, H, W)
        L is 1 for all but ``ordinal``.
    """
    excluded = planes == EXCLUDED
    known = (reviewed[:, :, None, None] & ~excluded).float()
    confidence = planes.masked_fill(excluded, 0).to(torch.float32) / MAX_CONFIDENCE
    recipe = RECIPES[method.name]
    drawn = {"generator": generator} if recipe.draws else {}
    return recipe.target(confidence, known, **method.settings, **drawn)
