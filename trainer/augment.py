"""Augmentation of a batch on its device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from torch import Tensor

ROTATION = math.radians(12)
ZOOM = math.log(1.25)
SHIFT = 0.1
GAIN, GAMMA, NOISE = 0.25, 0.3, 0.03
"""Ranges: probes are tilted, shifted, set to another depth and gain, but never turned over."""


def augment(frames: Tensor, planes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Warp frames and planes by the same random affine map; then gain, gamma and noise.

    Parameters
    ----------
    frames : uint8 tensor, shape (N, 1, H, W)
        Grey values.
    planes : uint8 tensor, shape (N, C, H, W)
        Confidence in percent or 255; sampled at the nearest pixel, so that every value stays one
        that a rater stated. What comes from outside is 255, excluded.
    generator : torch.Generator
        On the batch's device; its state decides everything.

    Returns
    -------
    frames : float tensor, shape (N, 1, H, W)
        Grey values in 0..1.
    planes : uint8 tensor, shape (N, C, H, W)
    """
    n, _, height, width = frames.shape
    random = torch.rand(n, 8, device=frames.device, generator=generator)
    # Rows of `affine` times (x, y, 1) is where an output pixel comes from, in -1..1 coordinates;
    # the aspect ratio keeps a rotation from shearing a frame that is wider than high.
    angle = (2 * random[:, 0] - 1) * ROTATION
    zoom = torch.exp((2 * random[:, 1] - 1) * ZOOM)
    mirror = torch.where(random[:, 2] < 0.5, -1.0, 1.0)
    aspect = height / width
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    shift_x, shift_y = (2 * random[:, 3] - 1) * SHIFT, (2 * random[:, 4] - 1) * SHIFT
    rows = [cos * mirror, -sin * aspect, shift_x, sin / aspect * mirror, cos, shift_y]
    affine = torch.stack(rows, 1).view(n, 2, 3)
    grid = F.affine_grid(affine, [n, 1, height, width], align_corners=False)
    images = F.grid_sample(frames.float() / 255, grid, align_corners=False)
    # Shifted by one so that the zeros which grid_sample puts outside come out as 255 (0 - 1).
    shifted = (planes + 1).float()
    warped = F.grid_sample(shifted, grid, mode="nearest", align_corners=False)
    gain = 1 + (2 * random[:, 5] - 1) * GAIN
    gamma = torch.exp((2 * random[:, 6] - 1) * GAMMA)
    images = (images * gain[:, None, None, None]).clamp_(1e-4, 1) ** gamma[:, None, None, None]
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    images += noise * (NOISE * random[:, 7, None, None, None])
    return images, warped.to(torch.uint8) - 1
