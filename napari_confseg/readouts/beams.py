"""Beam coordinates of a clip: which beam shows each pixel, and how deep.

In a linear sector the beams are columns, in curved and phased ones rays from an apex. Lateral
extent is a length there and an angle here, and all read-outs and tools that follow the beams are
written once, for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeGuard

import numpy as np
from skimage.draw import polygon2mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import ClipMeta, Sector, Spacing


LONGEST = 48
"""Edges that may propose an apex; all of them judge it."""

TOLERANCE = np.deg2rad(2.0)
"""Angle by which a long edge may miss the apex and still half count."""

SLIP = 0.001
"""Share of the outline's length by which corners may be misplaced: short edges turn more."""

UPRIGHT = np.deg2rad(4.0)
"""Edges this near to the vertical say nothing: mostly the picture's border cut the sector off."""

NARROWEST = np.deg2rad(6.0)
"""A sector that opens less than this is taken for a linear one."""


def is_known(sector: Sector | None) -> TypeGuard[Sector]:
    """Whether anything may be bounded by a sector: a doubtful one waits for a person to look."""
    return sector is not None and not sector.doubtful


def insonated(sector: Sector | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where marks can be: within the sector, or anywhere if it is not known.

    What is known, :func:`is_known` says; one that holds no pixel of the frame cuts nothing either.

    Parameters
    ----------
    sector : Sector or None
        Of the clip.
    shape : tuple of int
        (Y, X) of a frame.

    Returns
    -------
    ndarray of bool (Y, X)
    """
    whole = np.ones(shape, np.bool_)
    if not is_known(sector):
        return whole
    inside = polygon2mask(shape, np.asarray(sector.polygon, float))
    return inside if inside.any() else whole


def find_apex(polygon: NDArray[np.float64]) -> tuple[tuple[float, float], float] | None:
    """Return the apex of an outline and the share of the outline that it explains.

    Parameters
    ----------
    polygon : ndarray of float (N, 2)
        Corners (y, x) in units that are the same both ways; y points down.

    Returns
    -------
    tuple of (apex, share) or None
        `apex` (y, x) lies above the outline's middle; `share` is 0..1. None if no point above
        sees the outline within less than 180 degrees and more than ``NARROWEST``.
    """
    edges = np.roll(polygon, -1, axis=0) - polygon
    length = np.hypot(*edges.T)
    upright = np.abs(edges[:, 1]) < np.sin(UPRIGHT) * length
    keep = (length > 1e-9) & ~upright
    level = np.abs(edges[:, 0]) < np.sin(UPRIGHT) * length
    if (keep & ~level).sum() < 2:  # a rectangle: nothing fans out
        return None
    middle = (polygon + edges / 2)[keep]
    length = length[keep]
    along = edges[keep] / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    top = np.argsort(-length, kind="stable")[:LONGEST]
    points = np.concatenate([middle[top], middle[top]])
    proposals = _crossings(points, np.concatenate([along[top], across[top]]))
    proposals = proposals[[_sees(polygon, p) for p in proposals]]
    if not len(proposals):
        return None
    tolerance = np.sin(TOLERANCE) + SLIP * length.sum() / length
    votes = _votes(proposals, middle, along, length, tolerance)
    apex = _refined(proposals[int(np.argmax(votes))], middle, along, length, tolerance)
    if not _sees(polygon, apex):
        apex = proposals[int(np.argmax(votes))]
    share = float(_votes(apex[None], middle, along, length, tolerance)[0] / length.sum())
    return (float(apex[0]), float(apex[1])), share


def _crossings(points: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each pair of lines crosses, ``(M, 2)``; pairs nearly parallel are left out."""
    i, j = np.triu_indices(len(points), 1)
    normal = np.stack([-directions[:, 1], directions[:, 0]], axis=1)
    offset = (normal * points).sum(axis=1)
    det = normal[i, 0] * normal[j, 1] - normal[i, 1] * normal[j, 0]
    ok = np.abs(det) > np.sin(NARROWEST / 2)
    i, j, det = i[ok], j[ok], det[ok]
    y = (offset[i] * normal[j, 1] - offset[j] * normal[i, 1]) / det
    x = (normal[i, 0] * offset[j] - normal[j, 0] * offset[i]) / det
    return np.stack([y, x], axis=1)


def _sees(polygon: NDArray[np.float64], apex: NDArray[np.float64]) -> bool:
    """Whether the beams from `apex` run down, and open as a sector's do."""
    down, right = (polygon - apex).T
    if (down < -1e-6).any() or down.max() <= 0 or right.min() >= 0 or right.max() <= 0:
        return False
    angles = np.arctan2(right, down)[np.hypot(down, right) > 1e-6]
    return bool(np.ptp(angles) > NARROWEST)


def _missed_by(
    apex: NDArray[np.float64], middle: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sine and cosine of the angle between each edge and the beam through its middle."""
    beam = middle - apex
    distance = np.maximum(np.hypot(beam[..., 0], beam[..., 1]), 1e-9)
    cos = np.abs((beam * along).sum(axis=-1)) / distance
    sin = np.abs(beam[..., 0] * along[:, 1] - beam[..., 1] * along[:, 0]) / distance
    return sin, cos


def _votes(
    apexes: NDArray[np.float64],
    middle: NDArray[np.float64],
    along: NDArray[np.float64],
    length: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the length of outline that is a ray of, or an arc about, each of `apexes`."""
    sin, cos = _missed_by(apexes[:, None], middle, along)
    miss = np.minimum(sin, cos) / tolerance
    return np.asarray((length / (1 + miss**4)).sum(axis=1))


def _refined(
    apex: NDArray[np.float64],
    middle: NDArray[np.float64],
    along: NDArray[np.float64],
    length: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the point nearest to all lines that agree on `apex`, by least squares."""
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    for _ in range(5):
        sin, cos = _missed_by(apex, middle, along)
        ray = sin < cos
        miss = np.minimum(sin, cos) / tolerance
        # The line of a ray runs along the edge; that of an arc across it.
        line = np.where(ray[:, None], along, across)
        normal = np.stack([-line[:, 1], line[:, 0]], axis=1)
        distance = np.maximum(np.hypot(*(middle - apex).T), 1e-9)
        # A short chord says less about where its bisector runs: its error grows as 1 / length.
        weight = length / distance / (1 + miss**4)
        a, b = normal * weight[:, None], (normal * middle).sum(axis=1) * weight
        apex = np.linalg.lstsq(a, b, rcond=None)[0]
    return apex


BELIEVABLE = 0.6
"""Share of an outline of unknown kind that rays and arcs must explain to call it curved."""


@dataclass(frozen=True, eq=False)
class Beams:
    """The beams of a clip.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of a frame.
    apex : tuple of float or None
        Pixel (y, x) that the beams come from; None if they are columns.
    step : tuple of float
        Size (y, x) of a pixel in `unit`; (1, 1) if nobody knows.
    unit : {"mm", "px"}
        Unit of lengths.
    inside : ndarray of bool (Y, X)
        The sector; the whole frame if it is not known.
    """

    shape: tuple[int, int]
    apex: tuple[float, float] | None
    step: tuple[float, float]
    unit: Literal["mm", "px"]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, meta: ClipMeta, shape: Sequence[int]) -> Beams:
        """Return the beams of a clip, from its `meta` and its `shape` (..., Y, X)."""
        return cls.fit(meta.sector, meta.spacing, (int(shape[-2]), int(shape[-1])))

    @classmethod
    def fit(cls, sector: Sector | None, spacing: Spacing | None, shape: tuple[int, int]) -> Beams:
        """Return the beams of a sector.

        A curved sector whose outline gives no apex gets columns, as does a clip whose sector is
        not known (:func:`is_known`).

        Parameters
        ----------
        sector : Sector or None
            The insonated area; None takes the whole frame.
        spacing : Spacing or None
            Millimetres per pixel; None measures in pixels.
        shape : tuple of int
            (Y, X) of a frame.
        """
        step = (spacing.y, spacing.x) if spacing else (1.0, 1.0)
        unit: Literal["mm", "px"] = "mm" if spacing else "px"
        inside = insonated(sector, shape)
        if not is_known(sector):
            return cls(shape, None, step, unit, inside)
        corners = np.asarray(sector.polygon, float)
        found = None if sector.kind == "linear" else find_apex(corners * step)
        if found is None or (sector.kind == "unknown" and found[1] < BELIEVABLE):
            return cls(shape, None, step, unit, inside)
        (y, x), _ = found
        return cls(shape, (y / step[0], x / step[1]), step, unit, inside)

    @property
    def kind(self) -> Literal["linear", "curved"]:
        """``"linear"`` if the beams are columns, ``"curved"`` if they are rays."""
        return "linear" if self.apex is None else "curved"

    @property
    def lateral_unit(self) -> str:
        """Unit of lateral places: ``"rad"`` in curved sectors, else `unit`."""
        return self.unit if self.apex is None else "rad"

    @property
    def pixel_area(self) -> float:
        """Area of one pixel in `unit` squared."""
        return self.step[0] * self.step[1]

    def locate(
        self, y: NDArray[np.float64], x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (depth, lateral) of pixels `y`, `x`, arrays of any one shape (N, ...).

        Depth is the distance from the apex (from the top of the frame in linear sectors) in
        `unit`; lateral is the angle to the vertical, to the right positive, in radians (the
        distance from the left border in `unit`).
        """
        y, x = np.asarray(y, float), np.asarray(x, float)
        if self.apex is None:
            return np.broadcast_arrays(y * self.step[0], x * self.step[1])  # type: ignore[return-value]
        down, right = (y - self.apex[0]) * self.step[0], (x - self.apex[1]) * self.step[1]
        return np.hypot(down, right), np.arctan2(right, down)

    def place(
        self, depth: NDArray[np.float64], lateral: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the pixels (y, x), not rounded, of beam coordinates; undoes :meth:`locate`.

        `depth` and `lateral` are arrays of one shape (N, ...), in its units.
        """
        depth, lateral = np.asarray(depth, float), np.asarray(lateral, float)
        if self.apex is None:
            return np.broadcast_arrays(depth / self.step[0], lateral / self.step[1])  # type: ignore[return-value]
        y = depth * np.cos(lateral) / self.step[0] + self.apex[0]
        return y, depth * np.sin(lateral) / self.step[1] + self.apex[1]

    @cached_property
    def depth(self) -> NDArray[np.float32]:
        """Depth of every pixel, ``(Y, X)``; see :meth:`locate`."""
        return self._grid[0]

    @cached_property
    def lateral(self) -> NDArray[np.float32]:
        """Lateral place of every pixel, ``(Y, X)``; see :meth:`locate`."""
        return self._grid[1]

    @cached_property
    def _grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        depth, lateral = self.locate(*np.ogrid[: self.shape[0], : self.shape[1]])
        return depth.astype(np.float32), lateral.astype(np.float32)

    def width_at(self, depth: float, width: float) -> float:
        """Return `width` (in `unit`, across the beam at `depth`) as a lateral extent."""
        return width if self.apex is None else width / max(depth, 1e-6)

    @cached_property
    def samples(self) -> Samples:
        """The sector sampled along its beams."""
        return Samples.of(self)


@dataclass(frozen=True, eq=False)
class Samples:
    """Points along evenly spaced beams, for the nearest pixel of each.

    Beams are about as far apart as pixels at the sector's bottom; along a beam the points are
    half a pixel apart, so that no beam slips between the pixels of a thin slanting line.

    Attributes
    ----------
    index : ndarray of intp (depths, beams)
        Flat index of each point's pixel.
    inside : ndarray of bool (depths, beams)
        Points within the sector.
    area : ndarray of float32 (depths, 1)
        Relative area that a point stands for: grows with depth where beams spread.
    """

    index: NDArray[np.intp]
    inside: NDArray[np.bool_]
    area: NDArray[np.float32]

    @classmethod
    def of(cls, beams: Beams) -> Samples:
        """Sample the sector of `beams`."""
        depth, lateral = beams.depth[beams.inside], beams.lateral[beams.inside]
        pixel = min(beams.step)
        across = pixel if beams.apex is None else pixel / float(depth.max())
        n_beams = max(1, round((float(lateral.max()) - float(lateral.min())) / across) + 1)
        n_depths = max(1, round((float(depth.max()) - float(depth.min())) / pixel * 2) + 1)
        z = np.linspace(depth.min(), depth.max(), n_depths)[:, None]
        u = np.linspace(lateral.min(), lateral.max(), n_beams)[None]
        y, x = beams.place(z, u)
        y, x = np.broadcast_arrays(np.rint(y).astype(np.intp), np.rint(x).astype(np.intp))
        height, width = beams.shape
        seen = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        index = np.where(seen, y * width + x, 0)
        inside = seen & beams.inside.ravel()[index]
        area = np.ones_like(z) if beams.apex is None else z / z.max()
        return cls(index, inside, area.astype(np.float32))

    def take(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return `plane` ``(Y, X)`` at the points, ``(depths, beams)``; 0 outside the sector."""
        return np.asarray(plane.ravel()[self.index] * self.inside)
