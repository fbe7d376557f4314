"""The network is MONAI's and the optimiser torch's, bit for bit."""

from __future__ import annotations

import pytest
import torch
from monai.networks import nets

from trainer.network import SIZES
from trainer.optimizer import AdamW
from trainer.unet import UNet


def both(size: str, outputs: int, dropout: float = 0) -> tuple[UNet, nets.UNet]:
    """Ours and MONAI's from the same seed."""
    channels, units = SIZES[size].channels, SIZES[size].units
    torch.manual_seed(3)
    ours = UNet(outputs, channels, units, dropout)
    torch.manual_seed(3)
    theirs = nets.UNet(
        2,
        1,
        outputs,
        channels,
        (2,) * (len(channels) - 1),
        num_res_units=units,
        norm="batch",
        dropout=dropout,
    )
    return ours, theirs


@pytest.mark.parametrize("size", SIZES)
def test_the_network_equals_monai(size):
    ours, theirs = both(size, 6)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
    images = torch.randn(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    outputs, wanted = ours(images), theirs(images)
    assert torch.equal(outputs, wanted)
    outputs.square().mean().backward()
    wanted.square().mean().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("size", ["study", "normal"])
def test_the_same_units_are_dropped(size):
    ours, theirs = both(size, 2, dropout=0.3)
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    outputs = ours(images)
    torch.manual_seed(5)
    assert torch.equal(outputs, theirs(images))


def test_the_optimiser_equals_torch():
    ours, other = both("study", 2)
    theirs = UNet(2, SIZES["study"].channels, 0)
    theirs.load_state_dict(other.state_dict())
    mine = AdamW(ours.parameters())
    torchs = torch.optim.AdamW(theirs.parameters(), weight_decay=1e-4, fused=True)
    frozen = next(ours.parameters())
    frozen.requires_grad_(False)
    next(theirs.parameters()).requires_grad_(False)
    for step in range(5):
        if step == 3:  # as when a fit is resumed
            resumed = AdamW(ours.parameters())
            resumed.load_state_dict(mine.state_dict())
            mine = resumed
        images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(step))
        for network, optimizer in ((ours, mine), (theirs, torchs)):
            optimizer.param_groups[0]["lr"] = 1e-3 * (step + 1)
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
