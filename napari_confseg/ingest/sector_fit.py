"""The shape of a scan, fitted to a mask: two straight sides, and arcs around where they meet.

A linear probe scans between parallel sides. A curved or phased one scans a fan: its sides meet in
the apex, top and bottom are arcs around it. Frames are often cropped within the scan, and shadows
hide parts of it, so each side and arc is taken from the pixels that agree with one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import ConvexHull

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["linear", "curved", "phased"]
Points = list[tuple[float, float]]
Shape = tuple[Kind, Points]

_UPRIGHT = np.tan(np.radians(3))  # sides closer to vertical than this are those of a linear probe
_STRAIGHT = 0.5  # of the rows of a linear scan end on its sides, at least on one
_PHASED = 0.12  # inner radius over outer radius below which the fan starts in a point
_BINS = 48
_ARC_POINTS = 24


@dataclass(frozen=True)
class _Side:
    """The line x = at_top + slope * y, and the share of rows that end on it, 0..1."""

    at_top: float
    slope: float
    share: float

    def mirrored(self, width: int) -> _Side:
        return _Side(width - self.at_top, -self.slope, self.share)


def fit_shapes(mask: NDArray[np.bool_], faint: NDArray[np.bool_]) -> list[Shape]:
    """Return the shapes that the scan `mask` (Y, X) may have; none if no shape fits.

    The first one is what its outline says by itself. Where darkness takes a part of a side, others
    are as good: a fan that is as wide to both sides of its apex, a slab as wide as at its widest.
    Where `mask` fades out before the scan ends, `faint` (Y, X) tells how far down it goes.
    """
    left, right = _sides(mask)
    if left is None or right is None:
        return []
    shapes: list[Shape] = []
    opening = right.slope - left.slope
    if abs(opening) < _UPRIGHT:
        # A round shape touches upright lines, too.
        if max(left.share, right.share) >= _STRAIGHT:
            shapes.append(("linear", _between(mask, left, right)))
        width = mask.shape[1]
        widest = _tangent(mask, 0), _tangent(mask[:, ::-1], 0).mirrored(width)
        shapes.append(("linear", _between(mask, *widest)))
    elif opening > 0:  # sides that come together with depth: no probe does that
        # Shadows run along the beams: the edge of one meets the other side in the apex as well.
        y0 = (left.at_top - right.at_top) / opening
        apex = y0, left.at_top + left.slope * y0
        start, stop = float(np.arctan(left.slope)), float(np.arctan(right.slope))
        angles = {(start, stop), (start, -start), (-stop, stop)}
        ordered = sorted(angles, key=lambda a: a != (start, stop))
        shapes += [_fan(mask, faint, apex, a) for a in ordered if a[0] < a[1]]
    # A fan in whose angles nothing lies has no arcs.
    finite = [(kind, polygon) for kind, polygon in shapes if np.isfinite(polygon).all()]
    clipped = [(kind, clip_to_frame(polygon, mask.shape)) for kind, polygon in finite]
    return [(kind, polygon) for kind, polygon in clipped if len(polygon) >= 3]


# -- sides


def _sides(mask: NDArray[np.bool_]) -> tuple[_Side | None, _Side | None]:
    """Return the left and right side; where shadow hides one, the other stands in, mirrored."""
    width = mask.shape[1]
    left = _left_side(mask)
    right = _left_side(mask[:, ::-1])
    if left is None and right is None:  # cropped on both sides within the scan
        return None, None
    slope = max((s.slope for s in (left, right) if s), key=abs)
    left = left or _tangent(mask, slope)
    right = right or _tangent(mask[:, ::-1], slope)
    return left, right.mirrored(width)


def _left_side(mask: NDArray[np.bool_]) -> _Side | None:
    """Return the line along which the left ends of most rows lie, with next to nothing outside."""
    rows = np.flatnonzero(mask.any(axis=1))
    ends = mask[rows].argmax(axis=1).astype(float)
    free = ends > 1  # elsewhere the frame cuts the scan
    near = max(2.5, 0.006 * mask.shape[1])
    y, x = rows[free], ends[free]
    enough = max(12, 0.1 * len(rows))
    if len(y) < enough:
        return None
    pick = np.unique(np.linspace(0, len(y) - 1, 64).astype(int))
    i, j = (pick[k] for k in np.triu_indices(len(pick), 1))
    apart = y[j] - y[i] >= enough / 2
    i, j = i[apart], j[apart]
    slopes = (x[j] - x[i]) / (y[j] - y[i])
    tops = x[i] - slopes * y[i]
    off = ends - (tops[:, None] + slopes[:, None] * rows)  # (candidates, rows): < 0 is outside
    inside = ((np.abs(off) <= near) & free).sum(axis=1)
    score = inside - 3 * (off < -near).sum(axis=1)
    best = int(score.argmax()) if len(score) else -1
    if best < 0 or score[best] < enough:
        return None
    agree = (np.abs(off[best]) <= near) & free
    slope, at_top = np.polyfit(rows[agree], ends[agree], 1)
    return _Side(float(at_top), float(slope), float(agree.sum()) / len(rows))


def _tangent(mask: NDArray[np.bool_], slope: float) -> _Side:
    """Return the line of `slope` that touches the mask from the left."""
    rows = np.flatnonzero(mask.any(axis=1))
    ends = mask[rows].argmax(axis=1)
    return _Side(float(np.quantile(ends - slope * rows, 0.005)), slope, 0)


# -- polygons


def _between(mask: NDArray[np.bool_], left: _Side, right: _Side) -> Points:
    rows = np.flatnonzero(mask.sum(axis=1) > 0.2 * mask.sum(axis=1).max())
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    return [
        (top, left.at_top + left.slope * top),
        (top, right.at_top + right.slope * top),
        (bottom, right.at_top + right.slope * bottom),
        (bottom, left.at_top + left.slope * bottom),
    ]


def _fan(
    mask: NDArray[np.bool_],
    faint: NDArray[np.bool_],
    apex: tuple[float, float],
    angles: tuple[float, float],
) -> Shape:
    (y0, x0), (start, stop) = apex, angles
    ends = _Ends.of(mask, (y0, x0), (start, stop))
    outer = ends.arc()
    if outer is None:
        outer = max(ends.furthest(1), _Ends.of(faint, (y0, x0), (start, stop)).furthest(0.9))
    nearest = _Ends.of(mask, (y0, x0), (start, stop), towards=-1)
    inner = nearest.arc()
    inner = -(nearest.furthest(1) if inner is None else inner)
    along = np.linspace(start, stop, _ARC_POINTS)
    polygon = [(y0 + outer * np.cos(a), x0 + outer * np.sin(a)) for a in along]
    polygon += [(y0 + inner * np.cos(a), x0 + inner * np.sin(a)) for a in along[::-1]]
    return ("phased" if inner < _PHASED * outer else "curved"), polygon


@dataclass(frozen=True)
class _Ends:
    """How far a mask reaches from the apex in each direction, and where the frame cuts it."""

    radius: NDArray[np.float64]
    cut: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        mask: NDArray[np.bool_],
        apex: tuple[float, float],
        angles: tuple[float, float],
        *,
        towards: int = 1,
    ) -> _Ends:
        """Measure `mask`; with `towards` -1, where it begins, as negative radii."""
        y, x = np.nonzero(mask)
        dy, dx = y + 0.5 - apex[0], x + 0.5 - apex[1]
        bins = ((np.arctan2(dx, dy) - angles[0]) / (angles[1] - angles[0]) * _BINS).astype(int)
        inside = (bins >= 0) & (bins < _BINS)
        height, width = mask.shape
        cut = (y < 2) | (y >= height - 2) | (x < 2) | (x >= width - 2)
        radius, bins, cut = towards * np.hypot(dy, dx)[inside], bins[inside], cut[inside]
        order = np.lexsort((radius, bins))
        last = np.flatnonzero(np.diff(bins[order], append=_BINS))  # the furthest of each bin
        return cls(radius[order][last], cut[order][last])

    def arc(self) -> float | None:
        """Return the radius at which many directions end and hardly any goes on, or None."""
        free = self.radius[~self.cut]
        if not len(free):
            return None
        near = 0.01 * float(np.abs(self.radius).max())
        agree = np.abs(free[:, None] - free) <= near
        score = agree.sum(axis=1) - 2 * (self.radius > free[:, None] + near).sum(axis=1)
        best = int(score.argmax())
        return float(free[agree[best]].mean()) + 0.5 if score[best] >= _BINS / 6 else None

    def furthest(self, share: float) -> float:
        """Return the radius beyond which only 1 - `share` of the directions go on."""
        return float(np.quantile(self.radius, share)) + 0.5 if len(self.radius) else -np.inf


def hull_polygon(mask: NDArray[np.bool_]) -> Points:
    """Return the convex hull of `mask` as at most 64 points (y, x)."""
    y, x = np.nonzero(mask)
    corners = np.concatenate([np.stack([y + dy, x + dx], 1) for dy in (0, 1) for dx in (0, 1)])
    hull = corners[ConvexHull(corners).vertices]
    few = hull[np.unique(np.linspace(0, len(hull) - 1, 64).astype(int))]
    return [(float(a), float(b)) for a, b in few]


def frame_polygon(shape: tuple[int, ...]) -> Points:
    """Return the corners of a frame of `shape` (Y, X)."""
    height, width = float(shape[0]), float(shape[1])
    return [(0.0, 0.0), (0.0, width), (height, width), (height, 0.0)]


def clip_to_frame(polygon: Points, shape: tuple[int, ...]) -> Points:
    """Return `polygon` cut to the frame (Sutherland and Hodgman, CACM 17, 1974)."""
    for axis, limit, sign in ((0, 0.0, 1), (0, shape[0], -1), (1, 0.0, 1), (1, shape[1], -1)):
        kept: Points = []
        for a, b in zip(polygon[-1:] + polygon[:-1], polygon, strict=True):
            inside_a, inside_b = sign * (a[axis] - limit) >= 0, sign * (b[axis] - limit) >= 0
            if inside_a != inside_b:
                t = (limit - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
            if inside_b:
                kept.append(b)
        polygon = kept
        if not polygon:
            break
    rounded = [(round(float(y), 2), round(float(x), 2)) for y, x in polygon]
    return [p for i, p in enumerate(rounded) if p != rounded[i - 1]]
