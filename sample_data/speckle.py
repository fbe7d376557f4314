"""Speckle: what a coherent imager makes of scatterers too fine to resolve.

Fully developed speckle is a complex circular Gaussian field filtered by the point-spread
function; its magnitude is Rayleigh distributed, with mean over standard deviation
sqrt(pi / (4 - pi)) = 1.91 (Burckhardt 1978, Wagner et al. 1983). The axial width of the
point-spread is that of the pulse, the lateral one that of the beam, narrowest at the focus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.fft import fft2, ifft

Sample = TypeVar("Sample", np.float32, np.complex64)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.scan import Probe

_WIDTHS = 4
"""Lateral widths that the field is filtered with; depths between blend the two nearest."""


@dataclass(frozen=True)
class Beam:
    """Resolution of a probe.

    Attributes
    ----------
    axial : float
        Standard deviation of the pulse in mm.
    lateral : float
        Standard deviation of the beam at the focus, in mm.
    focus : float
        Depth of the focus in mm.
    zone : float
        Distance from the focus in mm at which the beam has widened by sqrt(2).
    """

    axial: float
    lateral: float
    focus: float
    zone: float

    def width(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the beam's standard deviation in mm at depth `z`: that of a Gaussian beam."""
        width: NDArray[np.float64] = self.lateral * np.sqrt(1 + ((z - self.focus) / self.zone) ** 2)
        return width


@dataclass(frozen=True)
class Grid:
    """Samples along the beams: `depths` x `lines` over the whole sector of `probe`."""

    probe: Probe
    depths: int
    lines: int

    @property
    def z(self) -> NDArray[np.float32]:
        """Depths in mm, ``(depths, 1)``."""
        return np.linspace(0, self.probe.depth, self.depths, dtype=np.float32)[:, None]

    @property
    def u(self) -> NDArray[np.float32]:
        """Lateral places in mm along the face, ``(1, lines)``."""
        edge = self.probe.half_width
        return np.linspace(-edge, edge, self.lines, dtype=np.float32)[None]

    @property
    def step(self) -> tuple[float, float]:
        """Millimetres between samples: along depth, and along the face."""
        return (self.probe.depth / (self.depths - 1), 2 * self.probe.half_width / (self.lines - 1))


def draw_speckle(rng: np.random.Generator, grid: Grid, beam: Beam) -> NDArray[np.complex64]:
    """Draw fully developed speckle of mean intensity 1, ``complex64 (depths, lines)``, periodic.

    Blending two complex Gaussian fields gives a complex Gaussian field, so the statistics stay
    exact between the widths that were filtered.
    """
    shape = (grid.depths, grid.lines)
    noise = rng.standard_normal((2, *shape), dtype=np.float32)
    spectrum = fft2(noise[0] + 1j * noise[1])
    f_z, f_u = np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1])
    spectrum *= _gaussian(f_z, beam.axial / grid.step[0])[:, None]
    z = grid.z[:, 0].astype(float)
    # A curved probe's beams spread: the same width in mm is less along the face.
    spread = 1 + z / grid.probe.radius if grid.probe.kind == "convex" else np.ones_like(z)
    sigma = beam.width(z) / spread / grid.step[1]
    knots = np.linspace(sigma.min(), sigma.max() + 1e-6, _WIDTHS)
    rows = ifft(spectrum, axis=0)  # depth is in mm again, lateral still in frequencies
    filtered = np.stack([ifft(rows * _gaussian(f_u, k), axis=1) for k in knots])
    position = (sigma - knots[0]) / (knots[1] - knots[0])
    low = np.minimum(position.astype(int), _WIDTHS - 2)
    weight = (position - low)[:, None]
    depth = np.arange(shape[0])
    field = filtered[low, depth] * (1 - weight) + filtered[low + 1, depth] * weight
    power = np.sqrt((np.abs(field) ** 2).mean(axis=1))
    # Smoothed along depth: rows scaled each by its own sample would lose their fluctuation.
    kernel = np.ones(31) / 31
    padded = np.pad(power, 15, mode="wrap")
    scaled = field / np.convolve(padded, kernel, "valid")[:, None]
    return np.asarray(scaled, np.complex64)


def _gaussian(f: NDArray[np.floating], sigma: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-2 * (np.pi * f * sigma) ** 2), np.float64)


def shift(field: NDArray[Sample], by: tuple[float, float]) -> NDArray[Sample]:
    """Move a periodic `field` by samples (down, right); parts of a sample are interpolated."""
    for axis, distance in enumerate(by):
        whole = int(np.floor(distance))
        part = np.float32(distance - whole)
        field = np.roll(field, whole, axis)
        if part > 1e-3:
            field = field * (1 - part) + np.roll(field, 1, axis) * part
    return field


class Decorrelating:
    """Speckle that changes from frame to frame by a set amount, with exact statistics.

    A mixture with weights on the unit sphere of independent fields is again such a field. The
    weights walk on the sphere: two frames `k` apart are correlated by about `keep ** k`.

    Parameters
    ----------
    rng : Generator
    fields : list of ndarray
        Independent speckle fields; a single one stays as it is.
    keep : float
        Correlation of a frame with the next, 0 to 1.
    """

    def __init__(
        self, rng: np.random.Generator, fields: list[NDArray[np.complex64]], keep: float
    ) -> None:
        self._rng, self._fields, self._keep = rng, fields, keep
        self._weights = self._direction()

    def _direction(self) -> NDArray[np.float32]:
        w = self._rng.standard_normal(len(self._fields), dtype=np.float32)
        return w / np.linalg.norm(w)

    def step(self) -> NDArray[np.complex64]:
        """Return the field of the next frame."""
        if len(self._fields) == 1:
            return self._fields[0]
        new = self._direction()
        new -= new @ self._weights * self._weights
        new /= np.linalg.norm(new)
        self._weights = self._keep * self._weights + np.sqrt(1 - self._keep**2) * new
        self._weights /= np.linalg.norm(self._weights)
        mixed = sum(np.float32(w) * f for w, f in zip(self._weights, self._fields, strict=True))
        return np.asarray(mixed, np.complex64)
