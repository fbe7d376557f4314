"""The pleural line's thickness, breaks and irregularity. Formulas: ``docs/reference/readouts.md``.

The line is looked at along the beams, a pixel apart where it lies: on each beam it begins and
ends at some depth. Thickness is the way between the two, square to the line; a break is a run of
beams without it; irregularity is how far its middle departs from a smooth curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import correlate1d
from scipy.signal import find_peaks

from napari_confseg.readouts.belief import ABSENT, Belief, levels_of, regions, states
from napari_confseg.readouts.findings import Finding
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.readouts.beams import Beams
    from napari_confseg.readouts.findings import Unit

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

CUT_OFF_MM: Final = 25.0
"""Wavelength of which the smooth curve takes over half: what is longer is the chest wall's."""

NEAR_MM: Final = 1.5
"""Standard deviation of the window in which the line's direction is taken, and its thickness
averaged: on one beam that is a whole number of pixels."""

INDENT_MM: Final = 1.0
"""How far below the smooth curve an indentation reaches: half of a line's usual thickness."""

LEAST_BREAK_MM: Final = 1.0
"""A gap narrower than this, or than three beams, is none."""

LEAST_PIECE_MM: Final = 2.0
"""A piece of line shorter than this is a speck and no line."""

PIXELS: Final = 3.0
"""Pixels taken for a millimetre in the limits above where nobody knows the spacing: lung clips
mostly have 0.2 to 0.5 mm a pixel."""

THINNEST: Final = 0.25
"""Runs thinner than this share of the median are corners of pixels or specks, not line."""

COVERED: Final = 0.45
"""Share of the smoothing filter that must lie on the line: just less than at a long line's end."""

ENUMERATED, DRAWN = 100, 100
"""States of the line that are all measured, and how many are drawn where there are more."""

MOST_POINTS: Final = 1024
"""Points of a beam."""

FINE: Final = 20
"""Planes of more confidences than this are read by their contours at 5, 10, ... 100 %."""


@dataclass(frozen=True)
class PleuralLine:
    """What a plane says of the shape of the pleural line; NaN where there is no line.

    Attributes
    ----------
    thickness, thickness_p90 : Finding
        Median and 90th percentile along the line, square to it, in mm or px.
    breaks : Finding
        Number of interruptions between the line's ends.
    interrupted : Finding
        Share of the extent between the ends that they take up, in %.
    irregularity : Finding
        Root mean square distance of the line's middle from the smooth curve, in mm or px.
    indentations : Finding
        Number of places where the middle lies ``INDENT_MM`` or more below that curve.
    doubled : Finding
        Share of the line with a second line beneath it, in %; the upper one is measured.
    hidden : Finding
        Share of the extent between the ends that a rib or an excluded area hides, in %.
    specks : Finding
        Number of pieces too short to be line, which are left out.
    """

    thickness: Finding
    thickness_p90: Finding
    breaks: Finding
    interrupted: Finding
    irregularity: Finding
    indentations: Finding
    doubled: Finding
    hidden: Finding
    specks: Finding


def pleural_line(
    plane: NDArray[np.uint8] | None, beams: Beams, rib: NDArray[np.uint8] | None = None
) -> PleuralLine:
    """Return thickness, breaks and irregularity of the pleural line of one frame.

    Each state of the plane (:mod:`napari_confseg.readouts.belief`) is a line of its own, and is
    measured; the findings sum them up. A line painted at one confidence has one shape. One with a
    doubtful margin has as many as contours, and its value is as a rule that of the contour at 50 %.

    Parameters
    ----------
    plane : ndarray of uint8 (Y, X) or None
        Confidences of the pleura; None if the class does not exist.
    beams : Beams
        Of the clip; lengths are in its unit.
    rib : ndarray of uint8 (Y, X), optional
        Confidences of ribs: a gap that lies for the most part behind one is no break.
    """
    lengths: Unit = beams.unit
    units: tuple[Unit, ...] = (
        *(lengths, lengths, "breaks", "%"),
        *(lengths, "indentations", "%", "%", "specks"),
    )
    marked = None if plane is None else np.where(beams.inside, plane, np.uint8(0))
    if marked is None or not ((marked > 0) & (marked != EXCLUDED)).any():
        nothing = Belief.of(np.array([np.nan]), np.ones(1))
        return PleuralLine(*(Finding.of(nothing, unit) for unit in units))
    shapes = _Shapes.of(_coarse(marked), beams, rib)
    thresholds, weights = states(
        [*shapes.levels, *shapes.rib_levels], enumerated=ENUMERATED, drawn=DRAWN
    )
    measured = np.array([shapes.measure(t) for t in thresholds])
    found = zip(measured.T, units, strict=True)
    return PleuralLine(*(Finding.of(Belief.of(values, weights), unit) for values, unit in found))


def _coarse(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Group the confidences of a plane of many by fives, each at its middle: 50 to 54 at 52."""
    there = (plane > 0) & (plane != EXCLUDED)
    if len(np.unique(plane[there])) <= FINE:
        return plane
    grouped = np.minimum(plane // 5 * 5 + 2, MAX_CONFIDENCE)  # the contours at 5, 10, ... stay
    return np.where(there, grouped, plane).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Shapes:
    """A plane sampled along the beams where the line lies, for the shape of each state.

    Attributes
    ----------
    value, owner : ndarray (beams, depths)
        Confidence, and the region it belongs to (0 for none).
    excluded : ndarray of int (beams, depths + 1)
        Excluded points above each depth.
    ribs : ndarray of uint8 (regions, beams)
        Highest confidence on each beam of each rib that covers any of them.
    levels, rib_levels : list of ndarray
        Distinct confidences of each region of the line, and of each rib.
    top, dz : float
        Depth of the upper edge of the first point, and way between points, in the beams' unit.
    dx : float
        Way between beams at `level`, the depth where they were laid.
    pixel : int
        Points of a beam to a pixel.
    fans_out : bool
        Whether beams are rays.
    per_mm : float
        The unit's number to a millimetre.
    """

    value: NDArray[np.uint8]
    owner: NDArray[np.int32]
    excluded: NDArray[np.int64]
    ribs: NDArray[np.uint8]
    levels: list[NDArray[np.int64]]
    rib_levels: list[NDArray[np.int64]]
    top: float
    dz: float
    dx: float
    level: float
    pixel: int
    fans_out: bool
    per_mm: float

    @classmethod
    def of(cls, plane: NDArray[np.uint8], beams: Beams, rib: NDArray[np.uint8] | None) -> _Shapes:
        """Lay a beam for each pixel along the line, and four points for each across it."""
        labels = regions(plane)
        depth, lateral = beams.depth[labels > 0], beams.lateral[labels > 0]
        level = float(np.median(depth))
        fans_out = beams.apex is not None
        down, dx = (min(beams.step),) * 2 if fans_out else beams.step
        du = dx / max(level, dx) if fans_out else dx
        reach = float(np.ptp(depth)) + down
        # Whole points a pixel, so that level rows come out exact; fewer if marks lie far apart.
        pixel = int(np.clip(MOST_POINTS * down / reach, 1, 4))
        dz = down / pixel
        top = float(depth.min()) - down / 2
        beam, point = round(float(np.ptp(lateral)) / du) + 1, int(np.ceil(reach / dz)) + 1
        u = np.asarray(float(lateral.min()) + du * np.arange(beam), float)
        z = np.asarray(top + dz * (np.arange(point) + 0.5), float)
        at, seen = _pixels(beams, z[None], u[:, None])
        value, owner = np.where(seen, plane.ravel()[at], 0), np.where(seen, labels.ravel()[at], 0)
        out = (value == EXCLUDED).cumsum(axis=1)
        ribs, rib_levels = _rib_cover(rib, beams, u)
        return cls(
            np.where(value == EXCLUDED, 0, value).astype(np.uint8),
            owner,
            np.pad(out, ((0, 0), (1, 0))),
            ribs,
            levels_of(plane, labels),
            rib_levels,
            *(top, dz, dx, level),
            pixel=pixel,
            fans_out=fans_out,
            per_mm=1.0 if beams.unit == "mm" else PIXELS,
        )

    def measure(self, thresholds: NDArray[np.int64]) -> tuple[float, ...]:
        """Return the values of :class:`PleuralLine`, in its order, in one state."""
        n = len(self.levels)
        least = np.concatenate([[ABSENT], thresholds[:n]]).astype(np.uint8)
        line = _Traced.of(self.value >= least[self.owner], holes=2 * self.pixel)
        there, specks = self._without_specks(line.there)
        if not there.any():
            return (*(np.nan,) * 8, float(specks))
        behind = (self.ribs >= thresholds[n:, None]).any(axis=0)
        middle = self.top + self.dz * (line.first + line.last) / 2
        hidden = ~there & (behind | self._excluded_at(middle, there))
        clear = there & ~self._touches_excluded(line)
        thickness = self._thickness(line, middle, there, clear)
        breaks, share, unseen = self._breaks(there, hidden, middle)
        rms, dents = self._irregularity(middle, there, clear)
        median, p90 = np.quantile(thickness, [0.5, 0.9]) if len(thickness) else (np.nan, np.nan)
        doubled = 100 * float(line.doubled[there].mean())
        return median, p90, breaks, share, rms, dents, doubled, unseen, float(specks)

    def _stretch(self, middle: Floats) -> Floats:
        """Return how much wider than `dx` beams are at `middle`."""
        return middle / self.level if self.fans_out else np.ones_like(middle)

    def _without_specks(self, there: Flags) -> tuple[Flags, int]:
        """Return the beams of pieces that are long enough, and the number of other pieces."""
        kept, specks = there.copy(), 0
        for start, stop in _runs(_closed(there, self._least_gap - 1)):
            if (stop - start) * self.dx < LEAST_PIECE_MM * self.per_mm:
                kept[start:stop] = False
                specks += 1
        return kept, specks

    @property
    def _least_gap(self) -> int:
        """Beams of the narrowest break."""
        return max(3, int(np.ceil(LEAST_BREAK_MM * self.per_mm / self.dx)))

    def _excluded_at(self, middle: Floats, there: Flags) -> Flags:
        """Whether the line would run through an excluded area, by its middle on either side."""
        at = np.interp(np.arange(len(there)), np.flatnonzero(there), middle[there])
        row = np.clip(((at - self.top) / self.dz).astype(int), 0, self.value.shape[1] - 1)
        beam = np.arange(len(there))
        return np.asarray(self.excluded[beam, row + 1] > self.excluded[beam, row])

    def _touches_excluded(self, line: _Traced) -> Flags:
        """Whether an excluded area cuts into the line: nobody knows how thick it is there."""
        beam, last = np.arange(len(line.there)), self.value.shape[1]
        upper, lower = (
            np.maximum(line.first - self.pixel, 0),
            np.minimum(line.last + self.pixel, last),
        )
        return np.asarray(self.excluded[beam, lower] > self.excluded[beam, upper])

    def _thickness(self, line: _Traced, middle: Floats, there: Flags, clear: Flags) -> Floats:
        """Return the thickness at each clear beam, square to the line as it runs there."""
        t, w = _gauss(NEAR_MM * self.per_mm, self.dx)
        m, y = _moments(middle - self.level, there, t, w, 1)
        spread = m[0] * m[2] - m[1] ** 2
        slope = np.divide(
            m[0] * y[1] - m[1] * y[0], spread, out=np.zeros_like(spread), where=spread > 1e-9
        )
        thickness = (line.last - line.first) * self.dz / np.hypot(1, slope / self._stretch(middle))
        near, total = _moments(thickness, clear, t, w, 0)
        return np.asarray(total[0, clear] / near[0, clear])

    def _breaks(self, there: Flags, hidden: Flags, middle: Floats) -> tuple[float, float, float]:
        """Return number and share of breaks, and the share that is hidden, between the ends."""
        first, last = np.flatnonzero(there)[[0, -1]].tolist()
        count = broken = covered = 0
        for start, stop in _runs(~there[first : last + 1]):
            gap = slice(first + start, first + stop)
            known = int((~hidden[gap]).sum())
            wide = known * self.dx * float(self._stretch(middle[[gap.start - 1, gap.stop]]).mean())
            least = max(LEAST_BREAK_MM * self.per_mm, 3 * self.dx)
            # A shadow's edge is drawn a little beside the rib's: that is no break either.
            if 2 * known > stop - start and wide >= least - 1e-9:
                count += 1
                broken += known
                covered += stop - start - known
            elif 2 * known <= stop - start:
                covered += stop - start
        extent = int(last - first + 1)
        return float(count), 100.0 * broken / (extent - covered), 100.0 * covered / extent

    def _irregularity(self, middle: Floats, there: Flags, clear: Flags) -> tuple[float, float]:
        """Return the rms distance from the smooth curve, and the number of indentations.

        The curve is a Gaussian regression filter of second order (ISO 16610-31, not iterated):
        at each beam a parabola, weighted by a Gaussian of the distance along the line. On a
        long line it passes ``(1 + a) exp(-a)`` of a wave, ``a = 2 (pi sigma / wavelength)**2``,
        which is a half at ``CUT_OFF_MM``.
        """
        sigma = CUT_OFF_MM * self.per_mm * HALF_PASSED
        t, w = _gauss(sigma, self.dx)
        m, y = _moments(middle - self.level, there, t / sigma, w, 2)
        use = clear & (m[0] >= COVERED * w.sum())
        if not use.any():
            return np.nan, np.nan
        powers = np.add.outer(np.arange(3), np.arange(3))
        normal = np.moveaxis(m[powers][..., use], -1, 0)
        fit = np.linalg.solve(normal + 1e-9 * np.eye(3), y[:, use].T[..., None])[..., 0]
        stretch = self._stretch(middle)[use]
        away = middle[use] - self.level - fit[:, 0]
        away = away / np.hypot(1, fit[:, 1] / sigma / stretch)  # square to the curve
        below = np.zeros(len(there) + 2)
        below[1:-1][use] = away
        dent = INDENT_MM * self.per_mm
        peaks, _ = find_peaks(below, height=dent, prominence=dent / 2)
        return float(np.sqrt((away**2).mean())), float(len(peaks))


HALF_PASSED: Final = 0.2916
"""Standard deviation of the filter over the wavelength of which it passes a half."""


@dataclass(frozen=True, eq=False)
class _Traced:
    """Where the line begins and ends on each beam, as points from above; the uppermost line.

    Attributes
    ----------
    there : ndarray of bool (beams,)
        Beams with a line; the others hold 0.
    first, last : ndarray of int (beams,)
        Points that it starts at and stops before.
    doubled : ndarray of bool (beams,)
        Beams with another line beneath.
    """

    there: Flags
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    doubled: Flags

    @classmethod
    def of(cls, marked: Flags, holes: int) -> _Traced:
        """Trace the line in ``(beams, depths)``; gaps of up to `holes` points are filled."""
        n, depths = marked.shape
        padded = np.zeros((n, depths + 1), np.bool_)  # no run goes on from beam to beam
        padded[:, :-1] = marked
        edges = np.flatnonzero(np.diff(padded.ravel(), prepend=False))
        beam, start = np.divmod(edges[::2], depths + 1)
        stop = edges[1::2] - beam * (depths + 1)
        apart = (beam[1:] != beam[:-1]) | (start[1:] - stop[:-1] > holes)
        begins = np.concatenate([[True], apart])[: len(beam)]
        ends = np.concatenate([apart, [True]])[: len(beam)]
        beam, start, stop = beam[begins], start[begins], stop[ends]
        if len(beam):
            thick = stop - start >= THINNEST * np.median(stop - start)
            beam, start, stop = beam[thick], start[thick], stop[thick]
        upper = np.concatenate([[True], beam[1:] != beam[:-1]])[: len(beam)]
        there, doubled = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
        there[beam] = True
        doubled[beam[~upper]] = True
        first[beam[upper]], last[beam[upper]] = start[upper], stop[upper]
        return cls(there, first, last, doubled)


def _pixels(beams: Beams, z: Floats, u: Floats) -> tuple[NDArray[np.intp], Flags]:
    """Return the flat index of the pixel at each place, and whether it lies in the sector."""
    y, x = np.broadcast_arrays(*(np.rint(p).astype(np.intp) for p in beams.place(z, u)))
    height, width = beams.shape
    seen = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    at = np.where(seen, y * width + x, 0)
    return at, seen & beams.inside.ravel()[at]


def _rib_cover(
    rib: NDArray[np.uint8] | None, beams: Beams, u: Floats
) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
    """Return the highest confidence of each rib on each beam, and the confidences of each."""
    if rib is None or not rib.any():
        return np.zeros((0, len(u)), np.uint8), []
    plane = _coarse(np.where(beams.inside, rib, np.uint8(0)))
    labels = regions(plane)
    depth = beams.depth[beams.inside]
    z = np.arange(float(depth.min()), float(depth.max()), min(beams.step) / 2)
    at, seen = _pixels(beams, z[None], u[:, None])
    owner = np.where(seen, labels.ravel()[at], 0)
    cover = np.zeros((int(labels.max(initial=0)) + 1, len(u)), np.uint8)
    on = np.nonzero(owner)
    np.maximum.at(cover, (owner[on], on[0]), plane.ravel()[at[on]])
    # What lies beside the line says nothing of it, and would only multiply its states.
    touching = np.flatnonzero(cover[1:].any(axis=1))
    levels = levels_of(plane, labels)
    return cover[1 + touching], [levels[k] for k in touching]


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _closed(there: Flags, most: int) -> Flags:
    """Fill gaps of up to `most` between beams with a line."""
    out = there.copy()
    ends = _runs(there)
    for (_, stop), (start, _) in pairwise(ends):
        if start - stop <= most:
            out[stop:start] = True
    return out


def _gauss(sigma: float, dx: float) -> tuple[Floats, Floats]:
    """Return distances and weights of a Gaussian sampled every `dx` up to three `sigma`."""
    n = int(np.ceil(3 * sigma / dx))
    t = np.asarray(np.arange(-n, n + 1) * dx, float)
    return t, np.exp(-0.5 * (t / sigma) ** 2)


def _moments(c: Floats, there: Flags, t: Floats, w: Floats, order: int) -> tuple[Floats, Floats]:
    """Return the sums of a weighted polynomial fit at each beam.

    ``m[p]`` sums ``w t**p`` over the beams there, for p to twice `order`; ``y[p]`` sums
    ``w t**p c``, for p to `order`.
    """
    m = [correlate1d(there.astype(float), w * t**p, mode="constant") for p in range(2 * order + 1)]
    y = [correlate1d(c * there, w * t**p, mode="constant") for p in range(order + 1)]
    return np.array(m), np.array(y)
