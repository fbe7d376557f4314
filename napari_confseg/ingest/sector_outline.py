"""Outlines of a sector, as a person drags them: corners, with arcs or straight edges between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.ingest.sector_fit import (
    Points,
    clip_to_frame,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.ingest.sector_fit import Kind


_CORNER = np.radians(14)  # an arc of 24 points turns by 4 degrees at each, a corner by far more
_MOST = 12
_ARC_POINTS = 24
_ROUNDEST = 0.45  # of the chord: an arc is less than half a circle
_CROWDED = 0.012  # of the sector's size: two handles this close cannot be told apart
_APART = 1.0  # pixels: of points closer than this the direction means nothing


@dataclass(frozen=True)
class Outline:
    """Corners, and how the edge from each to the next runs.

    Attributes
    ----------
    corners : tuple of (float, float)
        (y, x) in pixels.
    bulges : tuple of float or None
        For each edge the greatest distance of its arc from the straight line, in pixels to the
        right as one walks; None for an edge that is straight.
    """

    corners: tuple[tuple[float, float], ...]
    bulges: tuple[float | None, ...]

    def handles(self) -> Points:
        """Return what can be dragged: the corners, then the middle of each arc."""
        return [*self.corners, *(self._middle(i) for i in self._arcs())]

    def _arcs(self) -> list[int]:
        return [i for i, bulge in enumerate(self.bulges) if bulge is not None]

    def _edge(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = len(self.corners)
        return np.array(self.corners[i]), np.array(self.corners[(i + 1) % n])

    def _middle(self, i: int) -> tuple[float, float]:
        a, b = self._edge(i)
        y, x = (a + b) / 2 + (self.bulges[i] or 0.0) * _normal(a, b)
        return float(y), float(x)

    def dragged(self, handle: int, y: float, x: float, shape: tuple[int, int]) -> Outline:
        """Return the outline with handle `handle` at (y, x), or as near as the frame allows."""
        y, x = min(max(y, 0.0), float(shape[0])), min(max(x, 0.0), float(shape[1]))
        if handle < len(self.corners):
            corners = [*self.corners]
            corners[handle] = (y, x)
            return replace(self, corners=tuple(corners))
        edge = self._arcs()[handle - len(self.corners)]
        a, b = self._edge(edge)
        reach = _ROUNDEST * float(np.hypot(*(b - a)))
        bulge = float((np.array([y, x]) - (a + b) / 2) @ _normal(a, b))
        bulges = [*self.bulges]
        bulges[edge] = min(max(bulge, -reach), reach)
        return replace(self, bulges=tuple(bulges))

    def polygon(self, shape: tuple[int, int]) -> Points:
        """Return the outline as points, cut to a frame of `shape` (Y, X)."""
        points: Points = []
        for i, bulge in enumerate(self.bulges):
            points += _arc(*self._edge(i), bulge or 0.0)
        return clip_to_frame(points, shape)


def _normal(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    dy, dx = b - a
    length = float(np.hypot(dy, dx)) or 1.0
    return np.array([dx, -dy]) / length


def _arc(a: NDArray[np.float64], b: NDArray[np.float64], bulge: float) -> Points:
    """Return the points of the edge from `a` up to, and without, `b`."""
    chord = float(np.hypot(*(b - a)))
    reach = _ROUNDEST * chord
    bulge = min(max(bulge, -reach), reach)  # the corners may have come closer since
    if abs(bulge) < 1e-6:
        return [(float(a[0]), float(a[1]))]
    radius = (chord**2 / 4 + bulge**2) / (2 * bulge)  # signed, as the bulge
    half = np.arcsin(chord / 2 / radius)
    along, across = (b - a) / chord, _normal(a, b)
    angles = np.linspace(-half, half, _ARC_POINTS)[:-1, None]
    center = (a + b) / 2 + (bulge - radius) * across
    points = center + radius * (np.sin(angles) * along + np.cos(angles) * across)
    return [(float(y), float(x)) for y, x in points]


def outline_of(polygon: Points | tuple[tuple[float, float], ...]) -> Outline:
    """Return `polygon` by its corners; one without clear corners gets a few along its line."""
    points = _spread(np.array(polygon, float))
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turn = np.arctan2(
        before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1)
    )
    at = np.flatnonzero(np.abs(turn) > _CORNER)
    if not 3 <= len(at) <= _MOST:
        return _simplified(points)
    at = _merged(points, at)
    corners = tuple((float(y), float(x)) for y, x in points[at])
    bulges = []
    for i, j in zip(at, np.roll(at, -1), strict=True):
        between = np.arange(i + 1, j if j > i else j + len(points)) % len(points)
        off = (points[between] - points[i]) @ _normal(points[i], points[j])
        bulge = float(off[np.abs(off).argmax()]) if len(off) else 0.0
        chord = float(np.hypot(*(points[j] - points[i])))
        bulges.append(bulge if abs(bulge) > max(0.5, 0.004 * chord) else None)
    return Outline(corners, tuple(bulges))


def _merged(points: NDArray[np.float64], at: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return corners without those hardly apart from the one before, as at the tip of a fan."""
    near = _CROWDED * float(np.hypot(*np.ptp(points, axis=0)))
    gaps = np.hypot(*(points[at] - points[np.roll(at, 1)]).T)
    kept: NDArray[np.int_] = at[gaps >= near]
    return kept if len(kept) >= 3 else at


def _spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `points` without those that lie on the one before."""
    kept = [points[0]]
    for point in points[1:]:
        if np.hypot(*(point - kept[-1])) >= _APART:
            kept.append(point)
    if len(kept) > 3 and np.hypot(*(kept[0] - kept[-1])) < _APART:
        kept.pop()
    return np.array(kept)


def _simplified(points: NDArray[np.float64]) -> Outline:
    from skimage.measure import approximate_polygon

    closed = np.concatenate([points, points[:1]])
    tolerance = 0.5
    while len(few := approximate_polygon(closed, tolerance)) - 1 > _MOST:
        tolerance *= 1.5
    corners = tuple((float(y), float(x)) for y, x in few[:-1])
    if len(corners) < 3:
        corners = tuple((float(y), float(x)) for y, x in points)
    return Outline(corners, (None,) * len(corners))


def template(kind: Kind, box: tuple[float, float, float, float]) -> Outline:
    """Return a sector of `kind` that fills `box` (y0, x0, y1, x1), to begin dragging from."""
    y0, x0, y1, x1 = box
    high, wide = y1 - y0, x1 - x0
    if kind == "linear":
        return Outline(((y0, x0), (y0, x1), (y1, x1), (y1, x0)), (None,) * 4)
    bottom = y1 - 0.15 * high  # where the lower arc ends; its middle is at the bottom
    if kind == "phased":
        return Outline(
            ((y0, (x0 + x1) / 2), (bottom, x1), (bottom, x0)), (None, -0.15 * high, None)
        )
    top = ((y0, x0 + 0.3 * wide), (y0, x1 - 0.3 * wide))
    return Outline((*top, (bottom, x1), (bottom, x0)), (0.05 * high, None, -0.15 * high, None))


def crosses_itself(polygon: Points) -> bool:
    """Whether two edges of `polygon` that are no neighbours meet."""
    a = np.array(polygon)
    b = np.roll(a, -1, 0)
    i, j = np.triu_indices(len(a), 2)
    apart = (i > 0) | (j < len(a) - 1)  # the last edge is the first one's neighbour
    i, j = i[apart], j[apart]

    def side(p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]) -> Any:
        return np.sign(
            (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0])
        )

    split = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0
    return bool((split & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)).any())
