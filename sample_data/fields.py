"""Smooth random curves and textures: Gaussian, of unit variance, periodic, looked up anywhere.

Everything irregular in the phantom is one of these, so that it can be asked for at the places of
the probe's beams and at those of the picture's pixels and be the same thing at both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES_PER_LENGTH = 4  # bilinear look-up then loses under 2 % of the variance


def _unit(noise: NDArray[np.float32], sigma: float, axis: int) -> NDArray[np.float32]:
    """Filter white noise along `axis` and scale by the filter's own gain: variance stays 1."""
    n = noise.shape[axis]
    impulse = np.zeros(n, np.float32)
    impulse[n // 2] = 1
    gain = np.sqrt((gaussian_filter1d(impulse, sigma, mode="wrap") ** 2).sum())
    out: NDArray[np.float32] = gaussian_filter1d(noise, sigma, axis=axis, mode="wrap") / gain
    return out


@dataclass(frozen=True)
class Curve:
    """A smooth random function of one coordinate in millimetres; mean 0, variance 1."""

    values: NDArray[np.float32]
    step: float

    @classmethod
    def draw(cls, rng: np.random.Generator, length: float, extent: float = 240.0) -> Curve:
        """Draw one of correlation `length` mm that repeats after about `extent` mm."""
        step = length / _SAMPLES_PER_LENGTH
        n = max(16, round(extent / step))
        noise = rng.standard_normal(n, dtype=np.float32)
        return cls(_unit(noise, _SAMPLES_PER_LENGTH / np.sqrt(2), 0), step)

    def at(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values at `x` mm, of the shape of `x`."""
        position = np.asarray(x, np.float32) / np.float32(self.step)
        low = np.floor(position)
        weight = (position - low).astype(np.float32)
        n = len(self.values)
        index = low.astype(np.int64) % n
        after = self.values[(index + 1) % n]
        return np.asarray(self.values[index] * (1 - weight) + after * weight, np.float32)


@dataclass(frozen=True)
class Texture:
    """A smooth random function of depth and lateral place, both in mm; mean 0, variance 1."""

    values: NDArray[np.float32]
    steps: tuple[float, float]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        lengths: tuple[float, float],
        extent: tuple[float, float] = (180.0, 120.0),
    ) -> Texture:
        """Draw one of correlation `lengths` (depth, lateral) mm, periodic in about `extent`."""
        steps = (lengths[0] / _SAMPLES_PER_LENGTH, lengths[1] / _SAMPLES_PER_LENGTH)
        n = tuple(max(16, round(e / s)) for e, s in zip(extent, steps, strict=True))
        noise = rng.standard_normal(n, dtype=np.float32)
        sigma = _SAMPLES_PER_LENGTH / np.sqrt(2)
        return cls(_unit(_unit(noise, sigma, 0), sigma, 1), steps)

    def at(self, z: NDArray[np.float32], u: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values at depth `z` and lateral place `u`, mm, broadcast together."""
        z, u = np.broadcast_arrays(z, u)
        places = [z / self.steps[0], u / self.steps[1]]
        out: NDArray[np.float32] = map_coordinates(
            self.values, places, order=1, mode="grid-wrap", output=np.float32
        )
        return out
