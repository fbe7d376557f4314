"""Pictures of marks on frames, as arrays and as PNG inside an HTML page."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Okabe and Ito's palette, for raters; classes have colours of their own.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def data_url(image: NDArray[np.uint8]) -> str:
    """Return an image ``uint8 (Y, X, 3)`` as a PNG in a data URL."""
    data = BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def disagreement_image(
    frame: NDArray[np.uint8],
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    color: str,
    *,
    margin: float = 0.35,
) -> NDArray[np.uint8]:
    """Return the frame, both raters' marks and their difference side by side, ``uint8 (Y, X, 3)``.

    Parameters
    ----------
    frame, a, b : NDArray
        ``uint8 (Y, X)``: picture and the two planes.
    color : str
        Of the class, ``#rrggbb``. In the difference orange is what only `a` says, blue only `b`.
    margin : float
        How much around the marks is shown, in parts of their size.
    """
    a, b = (np.where(p == EXCLUDED, np.uint8(0), p) for p in (a, b))
    box = _around((a > 0) | (b > 0), margin)
    frame, a, b = frame[box], a[box], b[box]
    zoom = max(1, round(280 / max(frame.shape)))
    frame, a, b = (p.repeat(zoom, 0).repeat(zoom, 1) for p in (frame, a, b))
    grey = np.repeat(frame[..., None], 3, 2)
    gap = (a.astype(float) - b) / 100
    apart = _tint(_tint(grey, np.maximum(gap, 0), PALETTE[1]), np.maximum(-gap, 0), PALETTE[0])
    strip = np.full((frame.shape[0], 4, 3), 255, np.uint8)
    shown = [grey, strip, _marks(grey, a, color), strip, _marks(grey, b, color), strip, apart]
    return np.concatenate(shown, 1)


def _around(marked: NDArray[np.bool_], margin: float) -> tuple[slice, slice]:
    slices = []
    for axis in (1, 0):
        where = np.flatnonzero(marked.any(axis))
        length = marked.shape[1 - axis]
        low, high = (int(where[0]), int(where[-1]) + 1) if where.size else (0, length)
        extra = max(int((high - low) * margin), 24)
        slices.append(slice(max(0, low - extra), min(length, high + extra)))
    return slices[0], slices[1]


def _tint(grey: NDArray[np.uint8], alpha: NDArray[np.float64], color: str) -> NDArray[np.uint8]:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    weight = 0.75 * alpha[..., None]
    out: NDArray[np.uint8] = (grey * (1 - weight) + rgb * weight).astype(np.uint8)
    return out


def _marks(grey: NDArray[np.uint8], plane: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    tinted = _tint(grey, plane / 100, color)
    tinted[find_boundaries(plane > 0, mode="inner")] = [
        int(color[i : i + 2], 16) for i in (1, 3, 5)
    ]
    return tinted
