"""Probes, beams and the picture: coordinates and scan conversion.

Anatomy lives in beam coordinates: depth `z` in mm from the skin along a beam, and `u` in mm
along the face of the probe, 0 in the middle. For a flat probe they are Cartesian. For a curved
one of radius `r0` the beam at `u` leaves under the angle u / r0. Whatever follows the beams
(shadows, B-lines, A-lines at multiples of a depth) is simple there for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.measure import approximate_polygon, find_contours

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Probe:
    """A probe and how it is set.

    Attributes
    ----------
    kind : {"convex", "linear"}
        Shape of its face.
    half_width : float
        Half the length of the face in mm; beams leave from -half_width to half_width.
    depth : float
        Depth of the picture in mm.
    radius : float
        Radius of a convex face in mm; not used for a linear one.
    """

    kind: Literal["convex", "linear"]
    half_width: float
    depth: float
    radius: float = 0.0

    @property
    def angle(self) -> float:
        """Half the opening angle in radians; 0 for a linear probe."""
        return self.half_width / self.radius if self.kind == "convex" else 0.0

    def place(
        self, z: NDArray[np.float64], u: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (down, right) in mm of beam coordinates; the face's middle is the origin."""
        if self.kind == "linear":
            return np.asarray(z, float), np.asarray(u, float)
        angle = np.asarray(u) / self.radius
        r = self.radius + np.asarray(z)
        return r * np.cos(angle) - self.radius, r * np.sin(angle)


@dataclass(frozen=True)
class Scan:
    """The picture of a probe: which beam and depth each pixel shows.

    Attributes
    ----------
    probe : Probe
    shape : tuple of int
        (Y, X) of the picture.
    spacing : float
        Millimetres per pixel, the same both ways.
    z, u : ndarray
        Beam coordinates of each pixel, ``float32 (Y, X)``, also outside of the sector.
    inside : ndarray
        Pixels within the sector, ``bool (Y, X)``.
    origin : tuple of float
        Pixel (y, x) of the face's middle.
    """

    probe: Probe
    shape: tuple[int, int]
    spacing: float
    z: NDArray[np.float32]
    u: NDArray[np.float32]
    inside: NDArray[np.bool_]
    origin: tuple[float, float]

    @classmethod
    def fit(
        cls, probe: Probe, shape: tuple[int, int], crop: float = 1.0, trim: float = 0.0
    ) -> Scan:
        """Lay the sector into a picture of `shape`.

        Parameters
        ----------
        probe : Probe
        shape : tuple of int
            (Y, X).
        crop : float
            Share of the sector's full width that has to fit; less than 1 cuts off its lower
            corners, as scanners do that zoom in on the middle.
        trim : float
            Share of a curved face's height that is cut off above.
        """
        height, width = shape
        sag = (
            probe.radius * (1 - np.cos(probe.angle)) * (1 - trim) if probe.kind == "convex" else 0.0
        )
        reach = (probe.radius + probe.depth) * np.sin(probe.angle) or probe.half_width
        margin = 3  # black pixels above and below
        spacing = max(
            (probe.depth + sag) / (height - 2 * margin), 2 * reach * crop / (width - 2 * margin)
        )
        used = (probe.depth + sag) / spacing
        top = (height - used) / 2 + sag / spacing
        origin = (float(top), (width - 1) / 2)
        y, x = np.mgrid[:height, :width]
        down, right = (y - origin[0]) * spacing, (x - origin[1]) * spacing
        if probe.kind == "convex":
            r = np.hypot(right, down + probe.radius)
            z, u = r - probe.radius, np.arctan2(right, down + probe.radius) * probe.radius
        else:
            z, u = down, right
        inside = (z >= 0) & (z <= probe.depth) & (np.abs(u) <= probe.half_width)
        return cls(
            probe, shape, float(spacing), z.astype(np.float32), u.astype(np.float32), inside, origin
        )

    def polygon(self) -> tuple[tuple[float, float], ...]:
        """Return the outline of what the picture shows of the sector, as (y, x) pixels."""
        (outline,) = find_contours(np.pad(self.inside, 1).astype(np.float32), 0.5)
        corners = approximate_polygon(outline - 1, 0.7)[:-1]  # it ends where it began
        edge = np.array(self.shape) - 1
        return tuple((float(y), float(x)) for y, x in np.clip(corners, 0, edge).round(2))

    def plane(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the plane with `values` at the sector's pixels, in the order of ``z[inside]``."""
        out = np.zeros(self.shape, np.uint8)
        out[self.inside] = values
        return out

    def box(self, pixels: NDArray[np.int64]) -> tuple[int, int, int, int]:
        """Return (y0, x0, y1, x1), half open, around some of the sector's pixels."""
        y, x = np.divmod(np.flatnonzero(self.inside)[pixels], self.shape[1])
        return int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1

    def convert(self, beams: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the picture of `beams`, ``(depths, lines)``, 0 outside of the sector."""
        n_depths, n_lines = beams.shape
        rows = self.z[self.inside] / self.probe.depth * (n_depths - 1)
        columns = (self.u[self.inside] / self.probe.half_width + 1) / 2 * (n_lines - 1)
        picture = np.zeros(self.shape, np.float32)
        picture[self.inside] = map_coordinates(
            beams, [rows, columns], order=1, mode="nearest", output=np.float32
        )
        return picture
