"""The B-line and pleura tools: clicks become bands that follow the sector's beams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.graph import route_through_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.readouts import Beams

Point = tuple[float, float]
"""A click: pixel (y, x), not rounded."""

CORRIDOR = 0.06
"""Share of the sector's depth within which, up and down, the pleura tool looks for the line."""


STEEPEST = 3.0
"""Depth over width between two clicks from which they mark a leaning line and not two edges:
B-lines lean little from their beam, and pleurae slope less than that."""


def b_line_band(
    beams: Beams, top: Point, other: Point | None = None, *, width: float, confidence: int
) -> NDArray[np.uint8]:
    """Return the proposal for a B-line: from the pleura along the beams to the sector's bottom.

    Parameters
    ----------
    beams : Beams
        Of the clip.
    top : tuple of float
        Where the B-line leaves the pleura.
    other : tuple of float, optional
        A second click. Beside the first it is the B-line's other edge on the pleura, which may
        slope, and `width` counts as the least. More than ``STEEPEST`` times as far below it as
        beside it, it is another point of the middle: the band leans to pass through it.
    width : float
        Across the beams at the depth of `top`, in the unit of `beams` (mm or px).
    confidence : int
        1..100.

    Returns
    -------
    ndarray of uint8 (Y, X)
        0 where nothing is proposed; nothing outside the sector.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    _check_width(width, beams)
    depth, lateral = (float(v) for v in beams.locate(*map(np.asarray, top)))
    half = beams.width_at(depth, width) / 2
    middle: float | NDArray[np.float64] = lateral
    start: float | NDArray[np.float64] = depth
    if other is not None:
        depth_2, lateral_2 = (float(v) for v in beams.locate(*map(np.asarray, other)))
        across = abs(lateral_2 - lateral) / beams.width_at(depth, 1.0)
        if abs(depth_2 - depth) > STEEPEST * across:
            lean = (lateral_2 - lateral) / (depth_2 - depth)
            middle = lateral + lean * (beams.depth.astype(float) - depth)
            start = min(depth, depth_2)
        else:
            (left, top_left), (right, top_right) = sorted([(lateral, depth), (lateral_2, depth_2)])
            middle = (left + right) / 2
            half = max(half, (right - left) / 2)
            start = np.interp(beams.lateral, [left, right], [top_left, top_right])
    # Half a pixel more above: the click's own pixel belongs to the line.
    below = beams.depth >= start - min(beams.step) / 2
    band = beams.inside & below & (np.abs(beams.lateral - middle) <= half)
    return np.where(band, np.uint8(confidence), np.uint8(0))


def pleura_band(
    beams: Beams,
    first: Point,
    second: Point,
    *,
    width: float,
    confidence: int,
    frame: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return the proposal for a pleural line between two clicks.

    Between the clicks depth goes over evenly from beam to beam: an arc about the apex in curved
    sectors, a straight line in linear ones. With the picture given, the band follows the
    brightest path near to that instead.

    Parameters
    ----------
    beams : Beams
        Of the clip.
    first, second : tuple of float
        The line's ends, in any order.
    width : float
        Thickness along the beams, in the unit of `beams` (mm or px).
    confidence : int
        1..100.
    frame : ndarray of uint8 (Y, X), optional
        The picture to follow.

    Returns
    -------
    ndarray of uint8 (Y, X)
        0 where nothing is proposed; nothing outside the sector.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    _check_width(width, beams)
    ends = sorted(
        tuple(float(v) for v in beams.locate(*map(np.asarray, p)))[::-1] for p in (first, second)
    )
    (left, depth_left), (right, depth_right) = ends
    # As many beams as the wider of the two ends needs for one a pixel.
    pixel = beams.width_at(max(depth_left, depth_right), min(beams.step))
    n = max(2, int(np.ceil((right - left) / pixel)) + 1)
    laterals = np.linspace(left, right, n)
    depths = np.linspace(depth_left, depth_right, n)
    if frame is not None and n > 2:
        depths = _brightest(beams, frame, laterals, depths)
    line = np.interp(beams.lateral, laterals, depths)
    half_pixel = beams.width_at(min(depth_left, depth_right), min(beams.step)) / 2
    within = (beams.lateral >= left - half_pixel) & (beams.lateral <= right + half_pixel)
    half = max(width, min(beams.step)) / 2
    band = beams.inside & within & (np.abs(beams.depth - line) <= half)
    return np.where(band, np.uint8(confidence), np.uint8(0))


def _check_width(width: float, beams: Beams) -> None:
    if not width > 0:
        raise ValueError(f"a band needs a width above 0 {beams.unit}, found {width}")


def _brightest(
    beams: Beams,
    frame: NDArray[np.uint8],
    laterals: NDArray[np.float64],
    depths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the depths of the brightest path that keeps to the corridor about `depths`.

    The cheapest path over the picture along the beams, where a point costs less the brighter it
    is within its beam's part of the corridor; it begins and ends at the clicks.
    """
    step = min(beams.step)
    span = np.ptp(beams.depth[beams.inside])
    reach = max(2, round(CORRIDOR * span / step))
    z = depths[None] + np.arange(-reach, reach + 1)[:, None] * step
    smooth = gaussian_filter(frame.astype(np.float32), 1.0)
    lit = map_coordinates(smooth, beams.place(z, laterals[None]), order=1, mode="nearest")
    lit = lit - lit.min(axis=0)
    bright = lit / np.maximum(lit.max(axis=0), 1e-6)
    cost = 0.03 + (1 - bright) ** 2
    path, _ = route_through_array(
        cost, (reach, 0), (reach, len(laterals) - 1), fully_connected=True, geometric=True
    )
    rows, columns = np.array(path).T
    mean_row = np.bincount(columns, rows, len(laterals)) / np.bincount(columns, None, len(laterals))
    return np.asarray(depths + (gaussian_filter(mean_row, 1.5) - reach) * step)
