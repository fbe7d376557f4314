"""Colour to grey, the same everywhere.

Ultrasound scanners show grey as equal red, green and blue; such pixels keep their value exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rec. ITU-R BT.601-7, 2.5.1: Y = 0.299 R + 0.587 G + 0.114 B, in 256ths that sum to 256.
_RED, _GREEN, _BLUE = 77, 150, 29

# Video range (BT.601-7, 2.5.3) keeps black at 16 and white at 235; grey here is 0..255.
_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the BT.601 luma of `rgb` ``uint8 (Y, X, 3)`` as ``uint8 (Y, X)``."""
    total = rgb[..., 0] * np.uint16(_RED)
    total += rgb[..., 1] * np.uint16(_GREEN)
    total += rgb[..., 2] * np.uint16(_BLUE)
    total += np.uint16(128)
    return (total >> 8).astype(np.uint8)


def full_range(y: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return video-range luma 16..235 stretched to 0..255; what lies outside is clipped."""
    stretched: NDArray[np.uint8] = _FULL[y]
    return stretched
