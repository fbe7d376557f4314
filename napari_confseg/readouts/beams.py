"""Beam coordinates of a clip: which beam shows each pixel, and how deep.

In a linear sector the beams are columns, in curved and phased ones rays from an apex. Lateral
extent is a length there and an angle here, and all read-outs and tools that follow the beams are
written once, for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from skimage.draw import polygon2mask

from napari_confseg.readouts.outline import find_apex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import ClipMeta, Sector, Spacing

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
        """Return the beams of a clip, from its metadata and its shape (..., Y, X)."""
        return cls.fit(meta.sector, meta.spacing, (int(shape[-2]), int(shape[-1])))

    @classmethod
    def fit(cls, sector: Sector | None, spacing: Spacing | None, shape: tuple[int, int]) -> Beams:
        """Return the beams of a sector.

        A curved sector whose outline gives no apex, and a clip without a sector, get columns.

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
        if sector is None:
            return cls(shape, None, step, unit, np.ones(shape, np.bool_))
        corners = np.asarray(sector.polygon, float)
        inside = polygon2mask(shape, corners)
        if not inside.any():
            inside = np.ones(shape, np.bool_)
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

    def locate(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[
        NDArray[np.float64], NDArray[np.float64]
    ]:  # fmt: skip
        """Return (depth, lateral) of pixels `y`, `x`.

        Depth is the distance from the apex (from the top of the frame in linear sectors) in
        `unit`; lateral is the angle to the vertical, to the right positive, in radians (the
        distance from the left border in `unit`).
        """
        y, x = np.asarray(y, float), np.asarray(x, float)
        if self.apex is None:
            return np.broadcast_arrays(y * self.step[0], x * self.step[1])  # type: ignore[return-value]
        down, right = (y - self.apex[0]) * self.step[0], (x - self.apex[1]) * self.step[1]
        return np.hypot(down, right), np.arctan2(right, down)

    def place(self, depth: NDArray[np.float64], lateral: NDArray[np.float64]) -> tuple[
        NDArray[np.float64], NDArray[np.float64]
    ]:  # fmt: skip
        """Return the pixels (y, x), not rounded, of beam coordinates; undoes :meth:`locate`."""
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
