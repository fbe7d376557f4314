"""Where the ultrasound is within the frame: found from what moves, proposed, never taken for sure.

Tissue flickers from frame to frame; letters, rulers and logos stand still. What is brighter than
the background *and* changes is live; the shape of the largest live region tells the probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_confseg.ingest.fan import fit_shape, hull_polygon
from napari_confseg.store.schema import Sector

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BRIGHTER = 2.0  # grey levels above the background: compression leaves less there
_CHANGES = 0.5  # standard deviation over time, in grey levels, of what is alive
_SMALLEST = 0.02  # of the frame: a smaller live region is a cursor or a clock, not a sector


class Survey:
    """Mean and spread of each pixel over time, gathered frame by frame.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.n_frames = 0
        self._sum = np.zeros(shape, np.uint32)  # 100,000 frames of 255 fit
        self._squares = np.zeros(shape, np.uint64)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Count one frame, ``uint8 (Y, X)``, in."""
        wide = frame.astype(np.uint16)
        self._sum += wide
        wide *= wide  # 255 * 255 fits
        self._squares += wide
        self.n_frames += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over time, (Y, X)."""
        return self._sum / max(self.n_frames, 1)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation over time, (Y, X)."""
        squares = self._squares / max(self.n_frames, 1)
        spread: NDArray[np.float64] = np.sqrt(np.maximum(squares - self.mean**2, 0))
        return spread


def is_still(survey: Survey) -> bool:
    """Whether nothing moves: then what is tissue, and what a picture of letters, is a guess."""
    return bool((survey.spread > _CHANGES).mean() < _SMALLEST)


def find_sector(survey: Survey) -> Sector | None:
    """Return the sector that `survey` shows, to be confirmed by a person.

    Returns
    -------
    Sector or None
        Its polygon lies within the frame: (y, x) in pixels, an edge of the frame at 0 and at its
        height and width. None if nothing in the frame looks alive.
    """
    found = live_region(survey)
    if found is None:
        return None
    live, changing = found
    kind, polygon = fit_shape(live, changing) or ("unknown", hull_polygon(live))
    return Sector(kind=kind, polygon=tuple(polygon))


def live_region(survey: Survey) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return where tissue shows, both (Y, X), or None.

    Returns
    -------
    live : ndarray
        The largest connected region that is bright and changes.
    changing : ndarray
        Whatever changes, however dark: the depths that the beam hardly reaches, too.
    """
    mean, spread = survey.mean, survey.spread
    background = float(np.quantile(mean, 0.005))
    bright = mean > background + _BRIGHTER
    # Frames grabbed from an analogue output flicker in the background too, and by up to 1.7 times
    # as much on letters, where noise is not cut off at black.
    noise = float(np.median(spread[~bright])) if not bright.all() else 0.0
    changing = spread > max(_CHANGES, 2 * noise)
    live = _largest(bright & changing)
    if live is None:  # a still image: grain tells tissue from bars and boxes
        grain = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
        live = _largest(ndimage.uniform_filter((grain > 2 * _BRIGHTER) * 1.0, 9) > 0.7)
        return None if live is None else (live, live)
    # The dim rim of the scan changes less than the noise of compression; it is still bright.
    rim = ndimage.binary_dilation(live, iterations=3)
    live |= rim & (mean > background + 3 * _BRIGHTER)
    return live, ndimage.binary_opening(changing, np.ones((3, 3)))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the largest region of `mask` without threads, specks and holes; None if small."""
    size = max(3, round(min(mask.shape) / 150) | 1)
    opened = ndimage.binary_opening(mask, np.ones((size, size)))
    labels, n = ndimage.label(opened)
    if n == 0:
        return None
    areas = np.bincount(labels.ravel())[1:]
    if areas.max() < _SMALLEST * mask.size:
        return None
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(labels == 1 + int(areas.argmax()))
    return filled


def moved(sector: Sector, dy: float, dx: float) -> Sector:
    """Return `sector` shifted by (dy, dx) pixels."""
    polygon = tuple((y + dy, x + dx) for y, x in sector.polygon)
    return sector.model_copy(update={"polygon": polygon})


def inside_mask(sector: Sector, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return 1 inside `sector` and 0 outside, ``uint8 (Y, X)``; its edge counts as inside."""
    from skimage.draw import polygon

    mask = np.zeros(shape, np.uint8)
    mask[polygon(*(np.array(sector.polygon) - 0.5).T, shape)] = 1
    return mask


def crop_box(sector: Sector, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the smallest box (y0, x0, y1, x1) of whole pixels that holds `sector`."""
    points = np.array(sector.polygon)
    y0, x0 = np.floor(points.min(axis=0)).astype(int).clip(0)
    y1, x1 = np.minimum(np.ceil(points.max(axis=0)).astype(int), shape)
    return int(y0), int(x0), int(y1), int(x1)
