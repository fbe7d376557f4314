"""Colours for classes: palettes made for colour-blind readers, and a check of any others.

Colours are ``"#rrggbb"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Palette:
    """A set of colours with a name and where it comes from."""

    name: str
    colors: tuple[str, ...]
    source: str


_TOL: Final = "Tol, Colour Schemes, SRON/EPS/TN/09-002, issue 3.2 (2021)"
PALETTES: Final = (
    Palette("Okabe-Ito",
            ("#f0e442", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#0072b2", "#e69f00"),
            "Okabe and Ito, Color Universal Design (2008)"),
    Palette("Tol bright",
            ("#ccbb44", "#66ccee", "#ee6677", "#aa3377", "#228833", "#4477aa", "#bbbbbb"), _TOL),
    Palette("Tol muted",
            ("#ddcc77", "#88ccee", "#cc6677", "#aa4499", "#117733", "#332288", "#44aa99",
             "#999933", "#882255"), _TOL),
)  # fmt: skip

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15 (2009), severity 1.0; on linear RGB.
_SIGHT: Final = {
    "protanopia": ((0.152286, 1.052583, -0.204868),
                   (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968),
                     (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
}  # fmt: skip

TOO_CLOSE: Final = 11.0
"""Difference (CIEDE2000) below which two colours count as one: the palettes above, made for those
who see so, keep 11.6 and more; matplotlib's ten default colours come down to 1.3."""


def seen(colors: Sequence[str], sight: str) -> NDArray[np.float64]:
    """Return how `colors` look with ``"protanopia"`` or ``"deuteranopia"``, sRGB ``(n, 3)``."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(_SIGHT[sight]).T, 0, 1) if sight in _SIGHT else linear
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def confusable(colors: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return which two of `colors` look alike, and with which sight; the alike pairs once each.

    Returns
    -------
    list of (int, int, str)
        Indices, and ``"any sight"``, ``"protanopia"`` or ``"deuteranopia"``.
    """
    found: dict[tuple[int, int], str] = {}
    for sight in ("any sight", *_SIGHT):
        lab = rgb2lab(seen(colors, sight)) if colors else np.zeros((0, 3))
        for i, j in combinations(range(len(colors)), 2):
            if float(deltaE_ciede2000(lab[i], lab[j])) < TOO_CLOSE:
                found.setdefault((i, j), sight)
    return [(i, j, sight) for (i, j), sight in sorted(found.items())]
