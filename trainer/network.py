"""The network: a U-Net with buffers for input, prior and output scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from napari_confseg.dataset.resample import LONGEST
from trainer import heads
from trainer.output_scaling import OutputScaling
from trainer.unet import UNet

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.samples import PackedFrames


@dataclass(frozen=True)
class Size:
    """Size of a network, and length of its fit.

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
    "starter": Size(160, (16, 32, 64, 128, 256), 0, 8, 3000, 3e-3),
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
        Number of classes.
    head : Head
        Meaning of the U-Net's outputs.
    outputs : int
        Outputs per class.
    n_raters : int
        Raters whose bias and scale are learnt; 0 for none.
    dropout : float
        Share of units dropped in training.
    """

    mean: Tensor
    std: Tensor
    prior: Tensor
    probability_slope: Tensor
    probability_shift: Tensor
    contour_slope: Tensor
    contour_shift: Tensor

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
        # From the log odds that were learnt to those of the probability (slope and shift), and from
        # these to the log odds of the contour; ones and zeros leave them as they are.
        self.register_buffer("probability_slope", torch.ones(n_classes, 1, 1))
        self.register_buffer("probability_shift", torch.zeros(n_classes, 1, 1))
        self.register_buffer("contour_slope", torch.ones(n_classes, 1, 1))
        self.register_buffer("contour_shift", torch.zeros(n_classes, 1, 1))
        self.n_classes = n_classes
        self._head, self._outputs = head, outputs
        # Of each rater and class; zero leaves the logit as it is.
        self.log_scale = nn.Parameter(torch.zeros(n_raters, n_classes)) if n_raters else None
        self.bias = nn.Parameter(torch.zeros(n_raters, n_classes)) if n_raters else None

    def place(self, device: torch.device) -> Self:
        """Move to `device`, in the memory format that convolutions like best there."""
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def set_statistics(self, frames: Tensor | PackedFrames, prevalence: Tensor) -> None:
        """Set the grey values' mean and spread, and each class's prevalence.

        Parameters
        ----------
        frames : PackedFrames or uint8 tensor, shape (N, H, W)
            Frames to learn from.
        prevalence : float tensor, shape (C,)
            Mean target of each class.
        """
        # A network that starts at the prevalence spends no steps on learning the background.
        images = frames[:: max(1, len(frames) // 256)].float() / 255
        self.mean.copy_(images.mean())
        self.std.copy_(images.std().clamp_min(1e-3))
        # What else a class has outputs for begins at zero.
        self.prior[:: self._outputs] = torch.logit(prevalence.clamp(1e-3, 0.5))[:, None, None]

    def set_outputs(self, probability: OutputScaling, contour: OutputScaling) -> None:
        """Set the maps from what was learnt to the probability, and from there to the contour."""
        self.probability_slope.copy_(probability.slope[:, None, None])
        self.probability_shift.copy_(probability.shift[:, None, None])
        self.contour_slope.copy_(contour.slope[:, None, None])
        self.contour_shift.copy_(contour.shift[:, None, None])

    def forward(self, images: Tensor, rater: Tensor | None = None) -> Tensor:
        """Return logits (N, C * L, H, W), as the head has them, of images (N, 1, H, W) in 0..1.

        Given the rater (N,) of each image: those of that rater, if scales are learnt.
        """
        logits = self._logits(self.net((images - self.mean) / self.std))
        if rater is None or self.log_scale is None or self.bias is None:
            return logits
        return as_rater(logits, self.log_scale, self.bias, rater)

    def _logits(self, outputs: Tensor) -> Tensor:
        return self._head.logits(outputs.float() + self.prior, self._outputs)

    def learnt_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return :meth:`learnt`, and the features (N, F, H / 2, W / 2) that it is made of."""
        features = self.net.features((images - self.mean) / self.std)
        logits = self._logits(self.net.from_features(features))
        return heads.probability(logits, self.n_classes), features.float()

    def drop(self, on: bool) -> None:
        """Switch dropout on or off, also in evaluation mode."""
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.train(on)

    def learnt(self, images: Tensor) -> Tensor:
        """Return each class's probability (N, C, H, W) as it was learnt, before any scaling.

        Resize this, and scale afterwards: between two pixels of an edge, scaled values lie
        elsewhere.
        """
        return heads.probability(self(images), self.n_classes)

    def probability(self, learnt: Tensor) -> Tensor:
        """Return the probability output, 0..1, of what was learnt; both (N, C, H, W)."""
        return scaled(learnt, self.probability_slope, self.probability_shift)

    def contour(self, probability: Tensor) -> Tensor:
        """Return the contour output, 0..1, of the probability; both (N, C, H, W)."""
        return scaled(probability, self.contour_slope, self.contour_shift)

    @property
    def outputs(self) -> tuple[OutputScaling, OutputScaling]:
        """Maps from the log odds that were learnt to the probability's and the contour's, (C,)."""
        probability, contour = (
            OutputScaling(slope.flatten(), shift.flatten())
            for slope, shift in (
                (self.probability_slope, self.probability_shift),
                (self.contour_slope, self.contour_shift),
            )
        )
        return probability, probability.then(contour)


def scaled(probability: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """Return probabilities after a scaling of their log odds; shapes are to be broadcast."""
    # Float32 knows no log odds of 0 and 1, nor of what is nearer to 1 than this.
    odds = torch.logit(probability, eps=1e-6)
    return torch.sigmoid(odds * slope + shift)


def as_rater(logits: Tensor, log_scale: Tensor, bias: Tensor, rater: Tensor) -> Tensor:
    """Return each rater's logits, given those common to all raters.

    One curve per rater and class, learnt with the network in the place of Zhang et al.'s confusion
    (*Disentangling human error*, NeurIPS 2020), for here raters answer in percent:
    ``logit * exp(log_scale) + bias``. Both are taken less their mean over raters, so that the
    raters as a whole are unbiased, and a single rater exactly.

    Parameters
    ----------
    logits : tensor, shape (N, C, H, W)
        Of the hidden probability.
    log_scale, bias : tensor, shape (R, C)
        How far from 50 % a rater goes, and how readily a rater marks; 0 is no difference.
    rater : int64 tensor, shape (N,)
        Rater of each image.
    """
    slope = (log_scale - log_scale.mean(0)).exp()[rater]
    shift = (bias - bias.mean(0))[rater]
    return logits * slope[:, :, None, None] + shift[:, :, None, None]
