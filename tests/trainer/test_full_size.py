"""Planes by tables are those of torch's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.dataset.resample import Resampler
from trainer.full_size import percent_table, taps, to_frame_size, to_percent
from trainer.network import scaled

SIZES = [
    ((96, 128), (480, 640)),
    ((64, 64), (121, 121)),
    ((96, 128), (70, 50)),  # smaller than the canvas
    ((32, 48), (32, 48)),
    ((64, 48), (1, 7)),
    ((16, 160), (31, 400)),
]


def probabilities(canvas: tuple[int, int], spread: float) -> torch.Tensor:
    """Smooth logits around 5 %, from nothing to certain."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, canvas[0] // 4, canvas[1] // 4, generator=generator)
    return (F.interpolate(coarse, canvas, mode="bicubic") * spread - 3).sigmoid()


def by_torch(images: torch.Tensor, shape: tuple[int, int], of_odds) -> np.ndarray:
    full = to_frame_size(images, shape)
    if of_odds != (None, None):
        full = scaled(full, *map(torch.tensor, of_odds))
    return to_percent(full)


@pytest.mark.parametrize(("canvas", "shape"), SIZES)
@pytest.mark.parametrize("of_odds", [(None, None), (1.6, 0.0), (1.6, 3.5)])
@pytest.mark.parametrize("spread", [0.5, 4])
def test_planes_are_those_of_the_arithmetic(canvas, shape, of_odds, spread):
    images = probabilities(canvas, spread)
    y, x = Resampler.into(shape, canvas).inside
    table = percent_table(*of_odds)
    found = [[table.plane(c, shape) for c in t] for t in images[:, :, y, x].numpy()]
    apart = np.abs(np.array(found, np.int16) - by_torch(images, shape, of_odds))
    # A pixel in a step's last digit: torch's own percent differs there with its threads.
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 1 + 1e-6 * apart.size


def test_what_is_silent_everywhere_or_nowhere():
    table = percent_table(1.6, 3.5)
    assert not table.plane(np.full((8, 8), 1e-4, np.float32), (30, 30)).any()
    assert (table.plane(np.ones((8, 8), np.float32), (30, 30)) == 100).all()
    one = np.zeros((8, 8), np.float32)
    one[3, 5] = 1
    expected = by_torch(torch.from_numpy(one)[None, None], (30, 30), (1.6, 3.5))[0, 0]
    assert np.array_equal(table.plane(one, (30, 30)), expected)
    for at in np.ndindex(8, 8):  # in a smaller picture some pixels lie between all taps
        one = np.zeros((8, 8), np.float32)
        one[at] = 1
        expected = by_torch(torch.from_numpy(one)[None, None], (3, 3), (1.6, 3.5))[0, 0]
        assert np.array_equal(table.plane(one, (3, 3)), expected)


@pytest.mark.parametrize(("old", "new"), [(128, 640), (96, 371), (50, 7), (48, 48), (1, 5), (2, 9)])
def test_taps_and_weights_are_torchs(old, new):
    line = torch.rand(old, generator=torch.Generator().manual_seed(1))
    axis = taps(old, new)
    wanted = F.interpolate(line[None, None], new, mode="linear", align_corners=False)[0, 0].numpy()
    found = line.numpy()[axis.first] * axis.of_first + line.numpy()[axis.second] * axis.of_second
    assert np.abs(found - wanted).max() < 2e-7
    assert (axis.second - axis.first <= 1).all()
