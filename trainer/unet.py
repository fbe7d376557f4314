"""The U-Net with residual units: MONAI's, layer by layer and bit by bit.

Importing MONAI takes longer than importing torch, for one network of its many. Names of
parameters, order of initialisation and arithmetic are those of ``monai.networks.nets.UNet``
1.5 to 1.6 with ``norm="batch"``, which is the oracle in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class UNet(nn.Module):
    """Strided convolutions down, transposed ones up, skip connections across.

    Kerfoot et al., "Left-ventricle quantification using residual U-Net" (STACOM 2018).

    Parameters
    ----------
    outputs : int
        Channels of the output; the input has one.
    channels : sequence of int
        Of each level; each but the last halves the image.
    units : int
        Residual units per level; 0 is one convolution without a residual.
    dropout : float
        Share of values dropped behind each normalisation in training.
    """

    def __init__(
        self, outputs: int, channels: Sequence[int], units: int, dropout: float = 0
    ) -> None:
        super().__init__()
        self._units, self._dropout = units, dropout
        self.model = self._level(1, outputs, channels, top=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return raw outputs (N, outputs, H, W) of images (N, 1, H, W)."""
        outputs: Tensor = self.model(images)
        return outputs

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer sees (N, F, H / 2, W / 2) of images (N, 1, H, W)."""
        down, skip, _ = self.model
        found: Tensor = skip(down(images))
        return found

    def from_features(self, features: Tensor) -> Tensor:
        """Return raw outputs (N, outputs, H, W) of :meth:`features`."""
        outputs: Tensor = self.model[2](features)
        return outputs

    def _level(
        self, inputs: int, outputs: int, channels: Sequence[int], *, top: bool = False
    ) -> nn.Sequential:
        """Return one level with all levels below; these are initialised first."""
        here, below = channels[0], channels[1]
        if len(channels) > 2:
            inner: nn.Module = self._level(here, here, channels[1:])
            wide = 2 * here
        else:
            inner = self._down(here, below, stride=1)
            wide = here + below
        down = self._down(inputs, here, stride=2)
        return nn.Sequential(down, SkipConnection(inner), self._up(wide, outputs, top=top))

    def _down(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        if self._units:
            return ResidualUnit(inputs, outputs, stride, self._units, self._dropout)
        return convolution(inputs, outputs, stride, self._dropout)

    def _up(self, inputs: int, outputs: int, *, top: bool) -> nn.Module:
        plain = top and not self._units
        up = convolution(inputs, outputs, 2, self._dropout, transposed=True, plain=plain)
        if not self._units:
            return up
        return nn.Sequential(
            up, ResidualUnit(outputs, outputs, 1, 1, self._dropout, last_plain=top)
        )


class SkipConnection(nn.Module):
    """The input beside what a module makes of it, along the channels."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C + C', H, W)."""
        return torch.cat([x, self.submodule(x)], 1)


class ResidualUnit(nn.Module):
    """Convolutions whose sum with the (convolved) input is the output.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int
        Of the first convolution.
    n : int
        Convolutions.
    dropout : float
        Behind each normalisation.
    last_plain : bool
        Whether the last convolution stands alone, as for logits.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        n: int,
        dropout: float,
        *,
        last_plain: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for i in range(n):
            first, last = i == 0, i == n - 1
            unit = convolution(
                inputs if first else outputs,
                outputs,
                stride if first else 1,
                dropout,
                plain=last_plain and last,
            )
            self.conv.add_module(f"unit{i}", unit)
        self.residual: nn.Module = nn.Identity()
        if stride != 1:
            self.residual = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        elif inputs != outputs:
            self.residual = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        residual = self.residual(x)
        total: Tensor = self.conv(x) + residual
        return total


def convolution(
    inputs: int,
    outputs: int,
    stride: int,
    dropout: float,
    *,
    transposed: bool = False,
    plain: bool = False,
) -> nn.Sequential:
    """Return a 3 x 3 convolution with batch norm, dropout and PReLU; alone if `plain`."""
    if transposed:
        conv: nn.Module = nn.ConvTranspose2d(inputs, outputs, 3, stride, 1, stride - 1)
    else:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
    block = nn.Sequential()
    block.add_module("conv", conv)
    if not plain:
        after = nn.Sequential()
        after.add_module("N", nn.BatchNorm2d(outputs))
        after.add_module("D", nn.Dropout(dropout))
        after.add_module("A", nn.PReLU())
        block.add_module("adn", after)
    return block
