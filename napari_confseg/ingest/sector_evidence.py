"""What a clip shows of its scan: where tissue lives, and which parts of an outline are to be seen.

A true edge of the scan is sharp, and nothing is alive beyond it. The edge of a shadow is soft, and
beyond an edge that is none tissue goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.ingest.sector_fit import Points

CHANGES = 0.5
"""Standard deviation over time, in grey levels, of what is alive."""

_BRIGHTER = 2.0  # grey levels above the background: compression leaves less there
_STILL = 0.04  # of the brightness: what changes less is written
_SMALLEST = 0.02  # of the frame: a smaller live region is a cursor or a clock, not a sector
_PART, _SPECK = 0.01, 0.003  # of the largest region, of the frame: smaller ones are no part of it
_RIVAL = 0.25  # of the largest region: one beside it is another scan, not letters
_STACKED = 0.6  # of its width, above or below the largest: a region that a dark band cut off

_SAMPLES = 360  # points along an outline
_REACH = 10  # pixels to each side of the outline that are looked at
_BORDER = 3.0  # pixels from the frame's edge: nothing is to be seen beyond
_DEEP = 5  # pixels: what is further inside of an outline is not its edge
_STEP = 0.8  # of glow, between the two sides of an edge
_SHARP = 0.45  # of the whole step, within four pixels
_DARK = 0.9  # of glow above the background's: more is alive


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


@dataclass(frozen=True)
class Evidence:
    """What moves and glows in a clip.

    Attributes
    ----------
    regions : tuple of ndarray
        ``bool (Y, X)`` each: connected live regions, the largest first; bright, and changing.
    changing : ndarray
        ``bool (Y, X)``: whatever changes, however dark: depths that the beam hardly reaches, too.
    glow : ndarray
        ``float (Y, X)``: brightness and change over time, on a logarithmic scale.
    dark : float
        Glow of the background.
    still : bool
        Whether nothing moves: the regions are those of grain then.
    """

    regions: tuple[NDArray[np.bool_], ...]
    changing: NDArray[np.bool_]
    glow: NDArray[np.float64]
    dark: float
    still: bool

    @classmethod
    def of(cls, survey: Survey) -> Evidence | None:
        """Return the evidence of a clip; None if nothing in it looks alive."""
        mean, spread = survey.mean, survey.spread
        background = float(np.quantile(mean, 0.005))
        bright = mean > background + _BRIGHTER
        # Frames grabbed from an analogue output flicker in the background too, and by up to 1.7
        # times as much on letters, where noise is not cut off at black.
        noise = float(np.median(spread[~bright])) if not bright.all() else 0.0
        # On bars and letters compression adds to the noise; by what they are it is still little.
        least = np.where(spread < _STILL * mean, 3 * noise, 2 * noise)
        changing = spread > np.maximum(CHANGES, least)
        glow = np.log1p(np.maximum(mean - background, 0) + 2 * np.maximum(spread - noise, 0))
        glow = ndimage.gaussian_filter(glow, 1)
        dark = float(np.median(glow[~bright])) if not bright.all() else 0.0
        regions = _regions(bright & changing)
        written = [np.median(spread[r]) < _STILL * np.median(mean[r]) for r in regions]
        regions = tuple(r for i, r in enumerate(regions) if i == 0 or not written[i])
        if not regions:  # a still image: grain tells tissue from bars and boxes
            grain = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
            grainy = ndimage.uniform_filter((grain > 2 * _BRIGHTER) * 1.0, 9) > 0.7
            regions = _regions(grainy)
            return cls(regions[:1], regions[0], glow, dark, still=True) if regions else None
        # The dim rim of the scan changes less than the noise of compression; it is still bright.
        lit = mean > background + 3 * _BRIGHTER
        regions = tuple(r | (ndimage.binary_dilation(r, iterations=3) & lit) for r in regions)
        opened = ndimage.binary_opening(changing, np.ones((3, 3)))
        return cls(regions, opened, glow, dark, still=False)

    @property
    def largest(self) -> NDArray[np.bool_]:
        """The largest live region."""
        return self.regions[0]

    @cached_property
    def scan(self) -> NDArray[np.bool_]:
        """The largest region with what a dark band cut off from it, and with any other scan."""
        columns = np.flatnonzero(self.largest.any(axis=0))
        parts = [self.largest]
        for region in self.regions[1:]:
            across = np.flatnonzero(region.any(axis=0))
            within = ((across >= columns[0]) & (across <= columns[-1])).mean()
            rows, own = self.largest.any(axis=1), region.any(axis=1)
            apart = (rows & own).sum() <= 0.5 * own.sum()
            if (within >= _STACKED and apart) or region.sum() >= _RIVAL * self.largest.sum():
                parts.append(region)
        scan: NDArray[np.bool_] = np.any(parts, axis=0)
        return scan

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """All live regions."""
        live: NDArray[np.bool_] = np.any(self.regions, axis=0)
        return live

    @property
    def rivals(self) -> int:
        """How many regions beside the largest one may be scans of their own."""
        columns = self.largest.any(axis=0)
        large = [r for r in self.regions[1:] if r.sum() >= _RIVAL * self.largest.sum()]
        return sum((r.any(axis=0) & ~columns).sum() > 0.5 * r.any(axis=0).sum() for r in large)


def _regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Return the large regions of `mask` without threads, specks and holes, largest first."""
    size = max(3, round(min(mask.shape) / 150) | 1)
    labels, n = ndimage.label(ndimage.binary_opening(mask, np.ones((size, size))))
    if n == 0:
        return ()
    areas = np.bincount(labels.ravel())[1:]
    if areas.max() < _SMALLEST * mask.size:
        return ()
    least = max(_PART * areas.max(), _SPECK * mask.size)
    order = [i for i in np.argsort(-areas, kind="stable") if areas[i] >= least]
    return tuple(ndimage.binary_fill_holes(labels == i + 1) for i in order)


@dataclass(frozen=True)
class Support:
    """How well an outline agrees with the evidence.

    Attributes
    ----------
    points : ndarray
        ``float (N, 2)``: (y, x) at even steps along it.
    cut : ndarray
        ``bool (N,)``: where it is the edge of the frame.
    sharp : ndarray
        ``bool (N,)``: where the picture has an edge there, dark beyond.
    inside : ndarray
        ``bool (Y, X)``.
    cover, fill : float
        Share of what is alive that lies inside; share of the inside that is alive.
    """

    points: NDArray[np.float64]
    cut: NDArray[np.bool_]
    sharp: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    cover: float
    fill: float

    @property
    def shown(self) -> float:
        """Share of the outline that is an edge of the picture or of the frame, 0..1."""
        return float((self.cut | self.sharp).mean())

    @property
    def shown_within(self) -> float:
        """Share of the outline within the frame that is an edge of the picture; 1 if none is."""
        return float(self.sharp[~self.cut].mean()) if (~self.cut).any() else 1.0

    def overlap(self, other: Support) -> float:
        """Intersection over union of both insides, 0..1."""
        both, either = self.inside & other.inside, self.inside | other.inside
        return float(both.sum() / max(int(either.sum()), 1))

    def shown_inside(self, other: Support) -> float:
        """Return the share to be seen of the part that runs within `other`; 1 if that is short."""
        deep = ndimage.binary_erosion(other.inside, iterations=_DEEP, border_value=1)
        y, x = (self.points.astype(int).clip(0, np.array(deep.shape) - 1)).T
        contested = deep[y, x] & ~self.cut
        return float(self.sharp[contested].mean()) if contested.sum() >= 0.06 * _SAMPLES else 1.0


def filled(polygon: Sequence[tuple[float, float]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return True inside `polygon`, ``bool (Y, X)``; its edge counts as inside."""
    from skimage.draw import polygon as fill

    inside = np.zeros(shape, bool)
    inside[fill(*(np.array(polygon) - 0.5).T, shape)] = True
    return inside


def support_of(polygon: Points, evidence: Evidence) -> Support:
    """Return how well `polygon` agrees with `evidence`."""
    live = evidence.live
    inside = filled(polygon, live.shape)
    both = int((inside & live).sum())
    points, cut, sharp = _edges(np.array(polygon), evidence)
    cover, fill = both / max(int(live.sum()), 1), both / max(int(inside.sum()), 1)
    return Support(points, cut, sharp, inside, cover, fill)


def edges_within(support: Support, evidence: Evidence) -> float:
    """Return how much of the edge of what is alive is sharp, and deep within an outline, 0..1."""
    from skimage.measure import find_contours

    deep = ndimage.binary_erosion(support.inside, iterations=_DEEP, border_value=1)
    contours = find_contours(np.pad(evidence.scan, 1).astype(float), 0.5)
    longest = max(contours, key=len)[:-1] - 0.5  # a pixel of padding, and pixels' corners
    points, cut, sharp = _edges(longest, evidence)
    y, x = (points.astype(int).clip(0, np.array(deep.shape) - 1)).T
    return float((deep[y, x] & sharp & ~cut).mean())


def _edges(
    polygon: NDArray[np.float64], evidence: Evidence
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return points along `polygon`, where the frame cuts it, and where it is a sharp edge."""
    points, outward = _along(polygon)
    beyond = (points < _BORDER) | (points > np.array(evidence.live.shape) - _BORDER)
    cut = beyond[:, 0] | beyond[:, 1]
    off = np.arange(-_REACH, _REACH + 1)
    at = points[:, None] - 0.5 + off[:, None] * outward[:, None]  # (points, offsets, 2)
    glow = ndimage.map_coordinates(evidence.glow, at.transpose(2, 0, 1), order=1, mode="nearest")
    near = slice(_REACH - 6, _REACH + 3)  # pairs of offsets four pixels apart, around the middle
    step = (glow[:, :-4] - glow[:, 4:])[:, near].max(axis=1)
    whole = np.median(glow[:, :5], axis=1) - np.median(glow[:, -5:], axis=1)
    dark = np.median(glow[:, -5:], axis=1) < evidence.dark + _DARK
    return points, cut, dark & (step > _STEP) & (step > _SHARP * whole)


def _along(polygon: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points at even steps along `polygon`, and the directions that lead out of it."""
    closed = np.concatenate([polygon, polygon[:1]])
    lengths = np.hypot(*np.diff(closed, axis=0).T)
    at = np.concatenate([[0], np.cumsum(lengths)])
    where = (np.arange(_SAMPLES) + 0.5) / _SAMPLES * at[-1]
    points = np.stack([np.interp(where, at, closed[:, i]) for i in (0, 1)], axis=1)
    edge = np.searchsorted(at, where, side="right") - 1
    direction = np.diff(closed, axis=0)[edge] / np.maximum(lengths[edge], 1e-9)[:, None]
    left = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    y, x = polygon.T
    clockwise = float(y @ np.roll(x, -1) - x @ np.roll(y, -1)) < 0
    return points, left if clockwise else -left
