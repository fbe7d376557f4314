"""Pictures and planes to work on."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def texture(shape: tuple[int, int] = (120, 160), seed: int = 0, grain: float = 4.0) -> np.ndarray:
    """A picture with something to hold on to everywhere, ``uint8``."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), grain)
    return np.uint8(128 + 100 * np.clip(noise / (3 * noise.std()), -1, 1))


def disc(
    shape: tuple[int, int], centre: tuple[float, float], radius: float, value: int = 1
) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside = np.hypot(y - centre[0], x - centre[1]) <= radius
    return np.where(inside, np.uint8(value), np.uint8(0))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
