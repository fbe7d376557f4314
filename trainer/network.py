"""The network: MONAI's U-Net, which downsamples first and so learns fastest (docs/networks.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Size:
    """How large a network, and how long a fit.

    Attributes
    ----------
    longest : int
        Pixels of the canvas's longer side.
    channels : tuple of int
        Of each level; each but the last halves the image.
    units : int
        Residual units per level: with none a step is twice as cheap, with two more is learnt in
        the end.
    batch, steps, learning_rate
        Of the fit; the rate is the peak of its schedule.
    """

    longest: int
    channels: tuple[int, ...]
    units: int
    batch: int
    steps: int
    learning_rate: float


SIZES = {
    "quick": Size(128, (16, 32, 64, 128, 256), 0, 8, 400, 3e-3),
    "normal": Size(256, (32, 64, 128, 256, 512), 2, 8, 4000, 1e-3),
}


class Segmenter(nn.Module):
    """Frames in, one logit per class and pixel out; classes may overlap.

    Parameters
    ----------
    channels : tuple of int
        Of each level of the U-Net.
    units : int
        Residual units per level.
    n_classes : int
        Channels of the output.
    """

    mean: Tensor
    std: Tensor
    prior: Tensor

    def __init__(self, channels: tuple[int, ...], units: int, n_classes: int) -> None:
        super().__init__()
        from monai.networks.nets import UNet

        self.net = UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=n_classes,
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            num_res_units=units,
            norm="batch",
        )
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("prior", torch.zeros(n_classes, 1, 1))

    def place(self, device: torch.device) -> Self:
        """Move to `device`, in the memory format that convolutions like best there."""
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def set_statistics(self, frames: Tensor, prevalence: Tensor) -> None:
        """Take the grey values' mean and spread, and each class's share of pixels, as known.

        A network that starts at the prevalence spends no steps on learning what is background.

        Parameters
        ----------
        frames : uint8 tensor
            Frames to learn from.
        prevalence : float tensor, shape (C,)
            Mean target of each class.
        """
        images = frames[:: max(1, len(frames) // 256)].float() / 255
        self.mean.copy_(images.mean())
        self.std.copy_(images.std().clamp_min(1e-3))
        self.prior.copy_(torch.logit(prevalence.clamp(1e-3, 0.5))[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of images (N, 1, H, W) in 0..1."""
        logits: Tensor = self.net((images - self.mean) / self.std)
        return logits + self.prior
