"""The network: a U-Net that downsamples first and so learns fastest (docs/networks.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from napari_confseg.dataset.resample import LONGEST
from trainer import heads
from trainer.unet import UNet

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.output_scaling import Stretch
    from trainer.samples import PackedFrames


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
    "study": Size(LONGEST["study"], (8, 16, 32, 64), 0, 8, 300, 2e-2),
    "quick": Size(LONGEST["quick"], (16, 32, 64, 128, 256), 0, 8, 400, 3e-3),
    "normal": Size(LONGEST["normal"], (32, 64, 128, 256, 512), 2, 8, 4000, 1e-3),
}


class Segmenter(nn.Module):
    """Frames in, logits per class and pixel out; classes may overlap.

    Parameters
    ----------
    channels : tuple of int
        Of each level of the U-Net.
    units : int
        Residual units per level.
    n_classes : int
        Classes to find.
    head : Head
        What the U-Net's outputs mean.
    outputs : int
        How many of them a class has.
    n_raters : int
        Raters whose scales are learnt along with the rest; 0 if none are.
    dropout : float
        Share of units dropped in training.
    """

    mean: Tensor
    std: Tensor
    prior: Tensor
    slope: Tensor
    shift: Tensor

    def __init__(
        self,
        channels: tuple[int, ...],
        units: int,
        n_classes: int,
        head: heads.Head = heads.PLAIN,
        outputs: int = 1,
        n_raters: int = 0,
        dropout: float = 0,
    ) -> None:
        super().__init__()
        self.net = UNet(n_classes * outputs, channels, units, dropout)
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("prior", torch.zeros(n_classes * outputs, 1, 1))
        # From log odds to those of the percent that is written; these leave it as it is.
        self.register_buffer("slope", torch.ones(n_classes, 1, 1))
        self.register_buffer("shift", torch.zeros(n_classes, 1, 1))
        self.n_classes = n_classes
        self._head, self._outputs = head, outputs
        # Of each rater and class; zero is taking them at their word.
        self.boldness = nn.Parameter(torch.zeros(n_raters, n_classes)) if n_raters else None
        self.freedom = nn.Parameter(torch.zeros(n_raters, n_classes)) if n_raters else None

    def place(self, device: torch.device) -> Self:
        """Move to `device`, in the memory format that convolutions like best there."""
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def set_statistics(self, frames: Tensor | PackedFrames, prevalence: Tensor) -> None:
        """Take the grey values' mean and spread, and each class's share of pixels, as known.

        A network that starts at the prevalence spends no steps on learning what is background.

        Parameters
        ----------
        frames : PackedFrames or uint8 tensor, shape (N, H, W)
            Frames to learn from.
        prevalence : float tensor, shape (C,)
            Mean target of each class.
        """
        images = frames[:: max(1, len(frames) // 256)].float() / 255
        self.mean.copy_(images.mean())
        self.std.copy_(images.std().clamp_min(1e-3))
        # What else a class has outputs for begins at zero.
        self.prior[:: self._outputs] = torch.logit(prevalence.clamp(1e-3, 0.5))[:, None, None]

    def set_levels(self, stretch: Stretch) -> None:
        """Take what makes written percents of probabilities."""
        self.slope.copy_(stretch.slope[:, None, None])
        self.shift.copy_(stretch.shift[:, None, None])

    def forward(self, images: Tensor, rater: Tensor | None = None) -> Tensor:
        """Return logits (N, C * L, H, W), as the head has them, of images (N, 1, H, W) in 0..1.

        Given the rater (N,) of each image, of what that rater would say, if scales are learnt.
        """
        raw = self.net((images - self.mean) / self.std).float() + self.prior
        logits = self._head.logits(raw, self._outputs)
        if rater is None or self.boldness is None or self.freedom is None:
            return logits
        return as_rater(logits, self.boldness, self.freedom, rater)

    def drop(self, on: bool) -> None:
        """Drop units at random in evaluation mode too, or no longer."""
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.train(on)

    def probability(self, images: Tensor) -> Tensor:
        """Return each class's probability (N, C, H, W)."""
        return heads.probability(self(images), self.n_classes)

    def written(self, probability: Tensor) -> Tensor:
        """Return the share that is written as percent, (N, C, H, W): rising in the probability."""
        # Float32 knows no log odds of 0 and 1, nor of what is nearer to 1 than this.
        odds = torch.logit(probability, eps=1e-6)
        return torch.sigmoid(odds * self.slope + self.shift)


def as_rater(logits: Tensor, boldness: Tensor, freedom: Tensor, rater: Tensor) -> Tensor:
    """Return the logits of what each image's rater would say, given those of the panel.

    One curve per rater and class, learnt with the network in the place of Zhang et al.'s confusion
    (*Disentangling human error*, NeurIPS 2020), for here raters answer in percent:
    ``logit * exp(boldness) + freedom``. Both are taken less their mean over raters, so that the
    panel as a whole is taken at its word, and a rater alone exactly.

    Parameters
    ----------
    logits : tensor, shape (N, C, H, W)
        Of the hidden probability.
    boldness, freedom : tensor, shape (R, C)
        How far from 50 % a rater goes, and how readily a rater marks; 0 is taken at their word.
    rater : int64 tensor, shape (N,)
        Whose image each is.
    """
    slope = (boldness - boldness.mean(0)).exp()[rater]
    shift = (freedom - freedom.mean(0))[rater]
    return logits * slope[:, :, None, None] + shift[:, :, None, None]
