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
        fine = 1.0 if grid.probe.kind == "convex" else 0.5
        depth = anatomy.pleura_at_rest(u)
        # Everything is bent a little, each layer its own way: nothing in a body is a clean arc.
        bent = z + 0.9 * fine * Curve.draw(rng, 16).at(u) + 0.06 * rng.standard_normal() * u
        fat = anatomy.fat_fraction * depth + 1.2 * Curve.draw(rng, 18).at(u)
        septa = Texture.draw(rng, (1.0 * fine, 7.0)).at(bent, u)
        slant = 0.09 * rng.standard_normal()
        strands = Texture.draw(rng, (0.5 * fine, 5.0)).at(bent + slant * u, u)
        patches = Texture.draw(rng, (4.0, 8.0)).at(bent, u)
        fatty = -34 + 4 * septa + 6 * np.maximum(septa - 0.8, 0)
        fibrous = -33 + 4 * strands + 9 * np.maximum(strands - 0.8, 0)
        level = np.where(z < fat, fatty, fibrous) + 3.5 * patches
        skin = np.exp(-(((z - 0.9) / 0.8) ** 2))
        diffuse = decibel(level) + decibel(-17) * skin
        sheets = np.zeros((grid.depths, grid.lines), np.float32)
        for f in anatomy.fascia:
            middle = f.fraction * depth + 0.7 * f.shape.at(u) + f.tilt * u
            width = (0.17 + 0.2 * f.strength) * (0.5 + 0.5 * fine)
            patchy = decibel(7 * f.gaps.at(u) - 19) * f.strength
            sheets += patchy * np.exp(-(((z - middle) / width) ** 2) / 2)
        return cls(diffuse.astype(np.float32), sheets)
