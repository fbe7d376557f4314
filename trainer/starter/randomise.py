"""Randomisation of a batch: what is too cheap to be kept, on top of what the phantoms vary in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from torch import Tensor

ROTATION, SHIFT = math.radians(12), 0.12
ZOOM, STRETCH = (-0.5, 0.25), 0.2
"""Range of the logarithm of the picture's part that is shown, and of its sides' ratio."""
DARK = 0.03
"""Share of frames that are turned so dark that they show nothing."""


def randomise(frames: Tensor, planes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Warp frames and planes by the same map; then shade, blur, speckle and darken the frames.

    Parameters
    ----------
    frames : uint8 tensor, shape (N, 1, H, W)
        Grey values.
    planes : uint8 tensor, shape (N, C, H, W)
        Percent, or 255 where nothing is to be learnt; sampled at the nearest pixel.
    generator : torch.Generator
        On the batch's device; its state decides everything.

    Returns
    -------
    frames : float tensor, shape (N, 1, H, W)
        Grey values in 0..1; what is black stays black but for noise.
    planes : uint8 tensor, shape (N, C, H, W)
    """
    images, planes = _warp(frames, planes, generator)
    draw = _Draw(len(frames), frames.device, generator)
    picture = (images / 0.04).clamp(0, 1)  # not the black around it
    images = images * draw.between(0.6, 1.5) + draw.between(-0.06, 0.08)
    images = images + _shading(draw, images)
    images = images * (1 + draw.between(0, 0.3) * _speckle(draw, images))
    images = _blur(images.clamp(0, 1), draw.between(0, 1.3) * draw.chance(0.4))
    images = images.clamp(1e-4, 1) ** torch.exp(draw.between(-0.35, 0.35)) * picture
    images = images + draw.normal(images.shape) * draw.between(0, 0.035)
    dark = draw.chance(DARK)
    images = images * torch.where(dark > 0, draw.between(0, 0.05), torch.ones_like(dark))
    nothing = (dark > 0) & (planes != EXCLUDED)
    return images.clamp(0, 1), planes.masked_fill(nothing, 0)


class _Draw:
    """Numbers for each frame of a batch, shape (N, 1, 1, 1)."""

    def __init__(self, n: int, device: torch.device, generator: torch.Generator) -> None:
        self._n, self._device, self._generator = n, device, generator

    def between(self, low: float, high: float) -> Tensor:
        drawn = torch.rand(self._n, 1, 1, 1, device=self._device, generator=self._generator)
        return low + (high - low) * drawn

    def chance(self, share: float) -> Tensor:
        return (self.between(0, 1) < share).float()

    def normal(self, shape: torch.Size | tuple[int, ...]) -> Tensor:
        return torch.randn(shape, device=self._device, generator=self._generator)

    @property
    def n(self) -> int:
        return self._n


def _warp(frames: Tensor, planes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    n, _, height, width = frames.shape
    random = torch.rand(n, 6, device=frames.device, generator=generator)
    angle = (2 * random[:, 0] - 1) * ROTATION
    zoom = torch.exp(ZOOM[0] + (ZOOM[1] - ZOOM[0]) * random[:, 1])
    stretch = torch.exp((2 * random[:, 2] - 1) * STRETCH)
    mirror = torch.where(random[:, 3] < 0.5, -1.0, 1.0)
    aspect = height / width
    across, down = zoom * stretch, zoom / stretch
    shift_x, shift_y = (2 * random[:, 4] - 1) * SHIFT, (2 * random[:, 5] - 1) * SHIFT
    rows = [
        across * angle.cos() * mirror,
        -across * angle.sin() * aspect,
        shift_x,
        down * angle.sin() / aspect * mirror,
        down * angle.cos(),
        shift_y,
    ]
    affine = torch.stack(rows, 1).view(n, 2, 3)
    grid = F.affine_grid(affine, [n, 1, height, width], align_corners=False)
    images = F.grid_sample(frames.float() / 255, grid, align_corners=False)
    # Shifted by one so that the zeros which grid_sample puts outside come out as 255 (0 - 1).
    warped = F.grid_sample((planes + 1).float(), grid, mode="nearest", align_corners=False)
    return images, warped.to(torch.uint8) - 1


def _shading(draw: _Draw, images: Tensor) -> Tensor:
    """Return a smooth field to add: after log compression, gain is a sum."""
    # Not much: what fades away on its way down is no B-line, and that is decided by now.
    height, width = images.shape[2:]
    down = draw.normal((draw.n, 1, 6, 1)) * draw.between(0, 0.06)
    aside = draw.normal((draw.n, 1, 1, 5)) * draw.between(0, 0.06)
    field = F.interpolate(down, (height, 1), mode="bicubic", align_corners=True)
    return field + F.interpolate(aside, (1, width), mode="bicubic", align_corners=True)


def _speckle(draw: _Draw, images: Tensor) -> Tensor:
    """Return grains of one to a few pixels, wider than high, mean 0."""
    height, width = images.shape[2:]
    coarse = draw.normal((draw.n, 1, height, -(-width // 2)))
    return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each frame (N, 1, H, W) with a Gaussian of its own, `sigma` pixels (N, 1, 1, 1)."""
    n, _, height, width = images.shape
    x = torch.arange(-3, 4, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma.view(n, 1).clamp_min(0.05) ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    stacked = F.pad(images.view(1, n, height, width), (3, 3, 3, 3), mode="replicate")
    stacked = F.conv2d(stacked, kernel.view(n, 1, 7, 1), groups=n)
    return F.conv2d(stacked, kernel.view(n, 1, 1, 7), groups=n).view(n, 1, height, width)
