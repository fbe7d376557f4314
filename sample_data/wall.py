"""The chest wall's echoes: skin, fat with septa, muscle with striations, sheets of fascia."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sample_data.fields import Curve, Texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.anatomy import Anatomy
    from sample_data.speckle import Grid


def decibel(level: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the amplitude of `level` dB."""
    return np.asarray(10 ** (np.asarray(level, np.float32) / 20), np.float32)


@dataclass(frozen=True)
class Wall:
    """Amplitudes along the beams at rest, ``float32 (depths, lines)``, as if there were no lung.

    Attributes
    ----------
    diffuse : ndarray
        Multiplies speckle.
    sheets : ndarray
        Echoes of smooth sheets, which interfere little: added as they are.
    """

    diffuse: NDArray[np.float32]
    sheets: NDArray[np.float32]

    @classmethod
    def draw(cls, rng: np.random.Generator, grid: Grid, anatomy: Anatomy) -> Wall:
        """Draw the wall above the pleura of `anatomy` on `grid`."""
        z, u = grid.z, grid.u
        depth = anatomy.pleura_depth + anatomy.pleura_tilt * u
        fat = anatomy.fat_fraction * depth + 1.2 * Curve.draw(rng, 18).at(u)
        septa = Texture.draw(rng, (0.9, 9.0)).at(z, u)
        strands = Texture.draw(rng, (0.55, 7.0)).at(z + 0.05 * u, u)
        patches = Texture.draw(rng, (5.0, 9.0)).at(z, u)
        level = np.where(z < fat, -31 + 5.5 * septa, -27 + 5 * strands) + 2.5 * patches
        skin = np.exp(-(((z - 0.9) / 0.8) ** 2))
        diffuse = decibel(level) + decibel(-14) * skin
        sheets = np.zeros((grid.depths, grid.lines), np.float32)
        for f in anatomy.fascia:
            middle = f.fraction * depth + 0.5 * f.shape.at(u)
            width = 0.28 + 0.18 * f.strength
            patchy = decibel(5 * f.gaps.at(u) - 14) * f.strength
            sheets += patchy * np.exp(-(((z - middle) / width) ** 2) / 2)
        return cls(diffuse.astype(np.float32), sheets)
